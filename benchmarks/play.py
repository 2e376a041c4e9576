"""What both engines are asked to play, side by side: recordings, settings and strategies, as JSON.

`rows` is how an order and what was observed are told by either.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MODULE = Path(__file__).with_name("steering_strategies.py")


@dataclass(frozen=True)
class Play:
    """One run of strategies over recordings.

    `config` has settings that both engines know, `client` keywords of the simulated client, `listener` the window.
    With `merged` the files are one event, in the order of their times. Another `seed` is other dice.
    """

    files: tuple[str, ...]
    names: tuple[str, ...] = ()
    module: str = str(MODULE)
    config: dict[str, Any] = field(default_factory=dict)
    client: dict[str, Any] = field(default_factory=dict)
    listener: dict[str, Any] = field(default_factory=dict)
    merged: bool = False
    seed: int = 0

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Play":
        return Play(**json.loads(text))


def order_row(order: Any) -> list[Any]:
    """An order at the end of a run."""
    kind, placed = order.order_type, order.responses.date_time_placed
    return [
        order.trade.strategy.name,
        order.market_id,
        round(placed.timestamp() * 1000) if placed else None,
        "end",
        order.selection_id,
        order.handicap,
        order.side,
        kind.ORDER_TYPE.name,
        getattr(kind, "price", None),
        getattr(kind, "size", None),
        getattr(kind, "liability", None),
        getattr(kind, "persistence_type", None),
        order.bet_id,
        order.status.name,
        [status.name for status in order.status_log],
        order.size_matched,
        order.average_price_matched,
        order.size_remaining,
        order.size_cancelled,
        order.size_lapsed,
        order.size_voided,
        order.profit + 0.0,
    ]


def write(path: str, rows: list[list[Any]]) -> None:
    """Rows as JSON, one per line."""
    with Path(path).open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
