"""Memory of the process that runs a sweep: 1 000 parameter sets over 10 000 markets, of which it holds no rows.

    python -m benchmarks.sweep_memory [--sets N] [--markets N] [--out FOLDER]

Nothing is replayed: the rows that workers would send are generated, a batch of up to 50 units at a time, as tables, as
they come from Ray. All else is what `hr.sweep` does: planning, identity, duplicates, parts, commits, result. Then what
people look at: the table of sets, the best of them, digest, the view of a notebook and the page. One set fails in each
market, one in ten has a violation in each. Each line ends with the most memory that the process had until then; the
exit status is 1 where that is 1 000 MB or more, 2 where the system does not tell.
"""

import argparse
import logging
import random
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import headrace as hr
from headrace.cluster.batches import plan_batches
from headrace.results.parts import Batch, Part
from headrace.results.sweep_parts import SweepUnit, tabled
from headrace.simulate.rows import empty_rows

from .recordings import leave

MOST_MB = 1000.0
START, HOUR, WORKERS = 1_700_000_000_000, 3_600_000, 64
TRACEBACK = "Traceback (most recent call last):\n" + '  File "/home/me/strategy.py", line 30, in act\n' * 20


class Generated(hr.Strategy):
    """Stands for the strategy of the sweep; it is never called."""

    stake: float = 2.0
    seconds: float = 60.0

    def check_market_book(self, market: Any, book: Any) -> bool:
        return False


def most() -> float:
    """The most resident memory that this process has had, in megabytes."""
    status = Path("/proc/self/status")
    if not status.exists():
        leave(f"This system does not tell the memory of a process in {status}.")
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 1024


def rows_of(part: Part, unit: SweepUnit, texts: Sequence[str]) -> None:
    """What a worker gives of a unit: a row of `markets` for each set, and what went wrong."""
    number = int(Path(unit.name).name[2:])
    market_id, event_id, start = f"1.{number}", f"{number // 3}", START + (number // 3) * HOUR
    chance = random.Random(number)
    part.markets.append((market_id, unit.name))
    part.changes += 4000
    for each in unit.sets:
        stake = round(2 + each % 25 + chance.random(), 2)
        profit = round(stake * (chance.random() * 2 - 1.01), 2)
        part.rows["markets"].append(
            ("Generated", texts[each], market_id, event_id, "7", "WIN", "GB", "Ascot", start, 4000, 3, 1,
             int(profit > 0), stake, stake, profit, max(0.0, round(profit * 0.05, 2)), 3, "CLOSED", 1, 0, each)
        )  # fmt: skip
        if each % 10 == 0:
            reason = f"Order exposure ({stake:.2f}) is more than max_order_exposure (10.00)"
            part.rows["violations"].append(("Generated", market_id, "OrderValidation", "place", reason, 2, each))
        if each == 7:
            part.rows["failures"].append(
                ("Generated", market_id, "/home/me/strategy.py:30", 1, "KeyError", f"no runner in {market_id}", start,
                 unit.name, TRACEBACK, "headrace backtest strategy.py:Generated", each)
            )  # fmt: skip


def generating(texts: Sequence[str]) -> Callable[..., Any]:
    """What stands in for the workers of a sweep."""

    def replayer(*told: Any) -> Callable[[Sequence[SweepUnit]], Generator[Part, None, None]]:
        def replayed(units: Sequence[SweepUnit]) -> Generator[Part, None, None]:
            for batch in plan_batches(units, WORKERS):
                part = Part(Batch(batch.number, batch.units), empty_rows(), 0, 0.1)
                for unit in batch.units:
                    rows_of(part, unit, texts)
                yield tabled(part)

        return replayed

    return replayer


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--markets", type=int, default=10_000)
    parser.add_argument("--out", help="keep the sweep in this new folder; default: a temporary one, as without out=")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    sets = [{"stake": 2.0 + each % 25, "seconds": 10.0 + each // 25} for each in range(options.sets)]
    texts = [f'{{"seconds": {each["seconds"]}, "stake": {each["stake"]}}}' for each in sets]
    sys.modules["headrace.sweep"].replayer = generating(texts)  # type: ignore[attr-defined]
    print(f"{options.sets:,} sets, {options.markets:,} markets; at the start {most():.0f} MB", flush=True)

    def told(what: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        answer = work()
        print(f"{what:24}{time.perf_counter() - began:8.1f} s{most():10.0f} MB", flush=True)
        return answer

    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        markets = Path(folder, "markets")
        markets.mkdir()
        for number in range(options.markets):
            (markets / f"1.{200_000_000 + number}").touch()

        def run() -> hr.SweepResult:
            return hr.sweep(Generated, sets, str(markets), engine="local", split=0.5, out=options.out, progress=False)

        sweep = told("sweep", run)
        told("table of sets", lambda: sweep.table)
        told("best set", sweep.best)
        told("digest", lambda: sweep.digest)
        told("notebook", sweep._repr_html_)
        told("page", lambda: sweep.to_html(Path(folder, "sweep.html")))
        told("saved", lambda: sweep.save(Path(folder, "saved")))
    reached = most()
    verdict = "ok" if reached < MOST_MB else "ABOVE THE BAR"
    print(f"driver of a sweep  bar {MOST_MB:.0f} MB  {verdict}  {reached:.0f} MB")
    return 0 if reached < MOST_MB else 1


if __name__ == "__main__":
    raise SystemExit(main())
