"""Memory over five hundred replays in one process: what a market took must be given back.

    python -m benchmarks.memory [runs|markets ...] [--recordings DIR]

`runs`: 500 simulations of one market, one after the other, as a worker does. `markets`: one simulation of
500 markets (copies of the recording under ids of their own), which keeps its results and nothing else. Each
prints the resident memory after 50 and after 500, and their ratio last; the exit status is 1 when a ratio
is above 1.10, 2 where the recording is absent or the system does not tell.
"""

import argparse
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import headrace as hr

from .recordings import CHECKOUT, cache_folder, leave, recordings_folder, unpacked
from .run_headrace import API
from .work import LIMITS, load

MARKET = "BASIC-1.132153978"
MARKET_ID = "1.132153978"
EARLY, LATE = 50, 500
BAR = 1.10


def resident() -> float:
    """The resident memory of this process, in megabytes."""
    status = Path("/proc/self/status")
    if not status.exists():
        leave(f"This system does not tell the memory of a process in {status}.")
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) / 1024


def simulation(files: list[str], change: Callable[[type], type] = lambda strategy: strategy) -> Any:
    """A simulation of a strategy that places one order a runner; `change` may alter its class."""
    strategy = load(str(Path(__file__).with_name("bench_strategies.py")))(API)["Hopeful"]
    made = hr.Simulation(markets=files, config=hr.Config(), engine="local")
    made.add_client(hr.SimulatedClient(transaction_limit=None))
    made.add_strategy(change(strategy)(name="Hopeful", **LIMITS))
    return made


def copies(file: Path) -> list[str]:
    """Copies of the recording, each under a market id of its own."""
    folder = cache_folder() / "recordings" / "copies"
    folder.mkdir(exist_ok=True)
    content = file.read_text()
    paths = []
    for number in range(LATE):
        market_id = f"1.{900_000_000 + number}"
        path = folder / market_id
        if not path.exists():
            path.write_text(content.replace(MARKET_ID, market_id))
        paths.append(str(path))
    return paths


def measure_runs(file: Path) -> tuple[float, float]:
    """Memory after 50 and after 500 simulations of the file."""
    early = 0.0
    for number in range(1, LATE + 1):
        simulation([str(file)]).run()
        if number == EARLY:
            early = resident()
    return early, resident()


def measure_markets(file: Path) -> tuple[float, float]:
    """Memory when 50 and when 500 markets of one simulation have begun."""
    seen: list[float] = []

    def watched(strategy: type) -> type:
        def process_new_market(self: Any, market: Any, book: Any) -> None:
            seen.append(resident())

        return type(strategy.__name__, (strategy,), {"process_new_market": process_new_market})

    simulation(copies(file), watched).run()
    if len(seen) != LATE:
        leave(f"{len(seen)} of {LATE} markets were simulated.")
    return seen[EARLY - 1], seen[LATE - 1]


MEASURES: dict[str, Callable[[Path], tuple[float, float]]] = {
    "runs": measure_runs,
    "markets": measure_markets,
}


def measure(name: str, file: Path) -> bool:
    """Prints one measure; returns whether it is within the bar."""
    logging.disable(logging.CRITICAL)
    early, late = MEASURES[name](file)
    ratio = late / early
    verdict = "ok" if ratio <= BAR else "ABOVE THE BAR"
    sizes = f"{early:.1f} MB after {EARLY}  {late:.1f} MB after {LATE}"
    print(f"{name:8}{MARKET}  {sizes}  bar {BAR:.2f}  {verdict}  {ratio:.3f}")
    return ratio <= BAR


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help="runs or markets; both where none is named")
    parser.add_argument("--recordings", help="default: HEADRACE_RECORDINGS, else ../shared/recordings")
    options = parser.parse_args(arguments)
    for name in options.measures:
        if name not in MEASURES:
            parser.error(f"no measure {name!r}: one of {', '.join(MEASURES)}")
    folder = recordings_folder(options.recordings)
    if len(options.measures) == 1:
        return 0 if measure(options.measures[0], unpacked(folder, MARKET)) else 1
    command = [sys.executable, "-m", "benchmarks.memory", "--recordings", str(folder)]
    statuses = [subprocess.run([*command, name], cwd=CHECKOUT, check=False).returncode for name in MEASURES]
    return max(statuses)


if __name__ == "__main__":
    raise SystemExit(main())
