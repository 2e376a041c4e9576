"""The trader's orders on a recording of his market without him, simulated by headrace."""

import logging
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import headrace as hr
from headrace.strategies.prices import PRICES

from .truth_trader import Placement

INSTANT = {"place_latency": 0.0, "cancel_latency": 0.0, "update_latency": 0.0, "replace_latency": 0.0}
#: The settings under which they are simulated, by the name in the tables.
SIMULATED: dict[str, dict[str, Any]] = {
    "pessimistic": {"queue": "pessimistic"},
    "default": {},
    "optimistic": {"queue": "optimistic"},
    "flumine": {"compatibility": "flumine"},
}
#: Pence matched so far, by time (milliseconds since the epoch).
Steps = list[tuple[int, int]]
#: Of a market and the number of a placement.
Key = tuple[str, int]


class Listed(hr.Strategy):
    """Places and cancels by its list, right after the messages that it names, whatever became of orders before."""

    def add(self, framework: Any) -> None:
        self.market_filter = {}

    def process_new_market(self, market: Any, market_book: Any) -> None:
        self.due: dict[int, list[Placement]] = defaultdict(list)
        self.orders: dict[int, Any] = {}
        for placement in self.context["placements"].get(market.market_id, ()):
            self.due[placement.asked].append(placement)
            if placement.cancelled is not None:
                self.due[placement.cancelled].append(placement)

    def check_market_book(self, market: Any, market_book: Any) -> bool:
        return market_book.publish_time_epoch in self.due

    def process_market_book(self, market: Any, market_book: Any) -> None:
        now = market_book.publish_time_epoch
        due = self.due.pop(now)
        for placement in due:
            order = self.orders.get(placement.number)
            if order is not None and placement.cancelled == now and not order.complete:
                market.cancel_order(order, force=True)
        for placement in due:
            if placement.asked == now:
                self._place(market, placement)

    def _place(self, market: Any, placement: Placement) -> None:
        trade = hr.Trade(market.market_id, placement.selection_id, 0, self)
        order = trade.create_order(
            side="BACK" if placement.is_back else "LAY",
            order_type=hr.LimitOrder(
                price=PRICES[placement.tick],
                size=placement.pence / 100,
                persistence_type="PERSIST" if placement.keeps else "LAPSE",
            ),
        )
        order.notes["number"] = placement.number
        self.orders[placement.number] = order
        market.place_order(order, force=True)


def simulate(
    recordings: Mapping[str, Sequence[bytes]],
    placements: Mapping[str, Sequence[Placement]],
    config: Mapping[str, Any],
    folder: Path,
) -> dict[Key, Steps]:
    """What the placements of all markets match, one after the other in time.

    Args:
        recordings: messages by market id.
        placements: by market id.
        config: settings of headrace beside the latencies, which are none.
        folder: a temporary one, for the recordings.

    Raises:
        RuntimeError: something failed in the run.
    """
    files = []
    for market_id, lines in recordings.items():
        path = folder / market_id
        if not path.exists():
            path.write_bytes(b"\n".join(lines) + b"\n")
        files.append(str(path))
    logging.getLogger("headrace").setLevel(logging.ERROR)
    settings = hr.Config(**INSTANT, **config, log_level="ERROR")
    strategy = Listed(context={"placements": dict(placements)}, max_live_trade_count=1000)
    result = hr.backtest(
        strategy,
        files,
        client=hr.SimulatedClient(transaction_limit=None),
        config=settings,
        engine="local",
        progress=False,
    )
    if result.failures.num_rows:
        row = result.failures.to_pylist()[0]
        raise RuntimeError(f"{row['market_id']} failed under {dict(config)}: {row['message']}\n{row['traceback']}")
    # Ids of orders are unique within a recording.
    numbers = {(row["market_id"], row["order_id"]): int(row["notes"]) for row in result.orders.to_pylist()}
    steps: dict[Key, Steps] = {(market_id, number): [] for (market_id, _), number in numbers.items()}
    missing = {(at, each.number) for at, listed in placements.items() for each in listed} - steps.keys()
    if missing:
        raise RuntimeError(f"under {dict(config)} these were never placed: {sorted(missing)[:5]}")
    for row in result.fills.to_pylist():
        market_id = row["market_id"]
        found = steps[market_id, numbers[market_id, row["order_id"]]]
        before = found[-1][1] if found else 0
        found.append((round(row["time"].timestamp() * 1000), before + round(100 * row["size"])))
    return steps


def matched_at(steps: Steps, time: int) -> int:
    """Pence matched by `time`."""
    place = bisect_right(steps, (time, 1 << 62))
    return steps[place - 1][1] if place else 0


def in_the_end(steps: Steps) -> int:
    """Pence matched in all."""
    return steps[-1][1] if steps else 0
