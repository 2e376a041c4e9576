"""The load that a live system bears, beside the exchange on the same machine.

    python -m benchmarks.live_load [--engines ray local] [--seconds N] [--markets N] [--changes N]

Four strategies trade markets that change at a steady rate in all. At the end each strategy records the books that it
has; they are compared with the recording by a decoder that knows no headrace. Once a second the system is asked for its
queues, and the memory of its processes (proportional set size, Ray's own among them) is read.

Bars: every book equal, no letter lost, queues no deeper in the last third than twice those of the second, memory no
more than 10 % above that after a third, at most 3 GB on Ray and 500 MB local. The worst ratio to a bar comes last;
exits 1 if it is above 1.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import headrace as hr

from .exchange_load import _line, recorded_ladders, shown, write_recording
from .recordings import leave

#: Seconds for a system to start.
START_S = 30
#: Where the system's own orders rest: no price of the recording.
OWN_PRICE = 990.0
#: Seconds for which markets stay open after all that is measured.
AFTER_S = 120
#: Books of a market after which a strategy places its next order. Orders are kept as long as their market is (7.5 KB
#: each): with many of them memory could not be flat.
EVERY = 10_000
#: The traded volume of the first runner that asks strategies for their books.
ASKED = 9_999_999.0
MEMORY_MB = {"ray": 3_000, "local": 500}


class Watching(hr.Strategy):
    """Looks at each book, and places an order now and then; records its books when it is asked to."""

    number: int = 0

    def process_new_market(self, market: Any, market_book: Any) -> None:
        self.books = 0
        self.told = False

    def check_market_book(self, market: Any, market_book: Any) -> bool:
        return bool(market_book.status == "OPEN")

    def process_market_book(self, market: Any, market_book: Any) -> None:
        self.books += 1
        first = market_book.runners[0]
        if self.books % EVERY == 500 * (self.number + 1):
            trade = hr.Trade(market.market_id, first.selection_id, first.handicap, self)
            market.place_order(trade.create_order(side="BACK", order_type=hr.LimitOrder(price=OWN_PRICE, size=2.0)))
        if first.total_matched == ASKED and not self.told:
            self.told = True
            ladders = {
                f"{runner.selection_id} {side}": [[level.price, level.size] for level in ladder]
                for runner in market_book.runners
                for side, ladder in (
                    ("atb", runner.ex.available_to_back),
                    ("atl", runner.ex.available_to_lay),
                    ("trd", runner.ex.traded_volume),
                )
                if ladder
            }
            self.record(market, ladders=json.dumps(ladders), books=self.books)


def processes(pid: int) -> list[int]:
    """A process with all that it has started, in turn."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        each = waiting.pop()
        found.append(each)
        waiting += children.get(each, [])
    return found


def memory_mb(pid: int, but: int) -> float:
    """Memory of a process and its children, MB, shared pages divided. `but`: left out, with its children."""
    total = 0
    for each in set(processes(pid)) - set(processes(but)):
        try:
            for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            continue
    return total / 1024


def recording(path: Path, options: argparse.Namespace) -> None:
    """The markets, each of which asks for the books at its end."""
    write_recording(path, options.markets, options.seconds + START_S, options.changes, 1)
    lines = path.read_text().splitlines()
    last = json.loads(lines[-1])["pt"] + 2_000
    rng = random.Random(3)
    with path.open("a") as file:
        for number in range(1, options.markets + 1):
            change = {"id": f"1.{200_000_000 + number}", "rc": [{"id": 1000 * number + 1, "tv": ASKED}]}
            file.write(_line(last + rng.randrange(1_000), [change]))
        for number in range(1, options.markets + 1):
            # A market is there no more once its recording has ended, and bets in it could not be cancelled.
            change = {"id": f"1.{200_000_000 + number}", "rc": [{"id": 1000 * number + 1, "ltp": 2.0}]}
            file.write(_line(last + 1_000 + AFTER_S * 1_000, [change]))


def wrong_books(result: hr.Result, path: Path, markets: int) -> list[str]:
    """How the books that strategies recorded differ from the recording."""
    expected: dict[str, dict[str, Any]] = {}
    for (market_id, runner, side), ladder in shown(recorded_ladders(path)).items():
        expected.setdefault(market_id, {})[f"{runner} {side}"] = ladder
    wrong = []
    rows = result.records.to_pylist()
    if len(rows) != 4 * markets:
        wrong.append(f"{len(rows)} books were recorded, expected {4 * markets}")
    for row in rows:
        fields = json.loads(row["record"])
        found = {
            key: {price: size for price, size in ladder if price != OWN_PRICE}
            for key, ladder in json.loads(fields["ladders"]).items()
        }
        found = {key: ladder for key, ladder in found.items() if ladder}
        if found != expected[row["market_id"]]:
            wrong.append(f"{row['strategy']}: market {row['market_id']} differs from the recording")
    return wrong


def bear(engine: str, options: argparse.Namespace, folder: Path) -> float:
    """One engine under load; returns the worst ratio to a bar."""
    path = folder / "load.ndjson"
    recording(path, options)
    memory: list[float] = []
    depths: list[int] = []
    states: list[dict[str, Any]] = []  # the last
    with hr.RehearsalExchange(str(path), accounts=[{"username": "rehearsal", "balance": 1e9}]) as exchange:
        live = hr.Live(engine=engine, page=False)
        live.add_client(hr.BetfairClient(exchange.client(), interactive_login=True, transaction_limit=None))
        for number in range(4):
            live.add_strategy(
                Watching(
                    name=f"watching {number}",
                    number=number,
                    market_filter={"event_type_ids": ["7"]},
                    market_data_filter={"fields": ["EX_ALL_OFFERS", "EX_TRADED", "EX_TRADED_VOL", "EX_MARKET_DEF"]},
                    max_order_exposure=1e6,
                    max_selection_exposure=1e9,
                    max_live_trade_count=1_000_000,
                )
            )

        def watch() -> None:
            import os

            end = time.monotonic() + options.seconds + START_S + 8
            while time.monotonic() < end:
                time.sleep(1)
                try:
                    state = live.state()
                except hr.HeadraceError:
                    continue  # it is starting
                states[:] = [state]
                depths.append(max((host["depth"] for host in state["hosts"]), default=0))
                memory.append(memory_mb(os.getpid(), exchange.pid))
            live.stop()

        watcher = threading.Thread(target=watch)
        watcher.start()
        result = live.run()
        watcher.join()
        wrong = wrong_books(result, path, options.markets)
    if not memory:
        leave(f"{engine}: the system never told its state")
    third = len(memory) // 3
    lost = sum(host["lost"] for host in states[-1]["hosts"])
    behind = sum(host["behind"] for host in states[-1]["hosts"])
    growth = max(memory[third:]) / max(memory[third], 1)
    ratios = {
        "books": 0.0 if not wrong else 9.0,
        "lost": 0.0 if not lost else 9.0,
        "depth": max(depths[2 * third :]) / max(2 * max(depths[third : 2 * third]), 100),
        "growth": growth / 1.1,
        "memory": max(memory) / MEMORY_MB[engine],
    }
    tick = states[-1]["latency"].get("tick_ms", {})
    print(
        f"{engine}: {options.markets} markets, {options.changes} changes a second for {options.seconds:.0f} s: "
        f"{len(result.orders)} orders, {lost} letters lost, {behind} changes folded unseen, "
        f"queues up to {max(depths)}, tick {tick}, memory {memory[third]:.0f} to {max(memory):.0f} MB",
        flush=True,
    )
    for line in wrong[:5]:
        print("   ", line)
    print("   ", ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()), flush=True)
    return max(ratios.values())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--engines", nargs="+", default=["ray", "local"], choices=["ray", "local"])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--markets", type=int, default=100)
    parser.add_argument("--changes", type=int, default=5_000)
    options = parser.parse_args(arguments)
    worst = 0.0
    with tempfile.TemporaryDirectory() as place:
        for engine in options.engines:
            worst = max(worst, bear(engine, options, Path(place)))
    print(f"{worst:.3f}")
    return 1 if worst > 1 else 0


if __name__ == "__main__":
    sys.exit(main())
