"""Fan-out over generated markets of a day each on two CPUs, Ray's start aside.

    python -m benchmarks.fanout [--markets N] [--changes N] [--rounds N]

A line a bar. From bz2 files: 0.9 of the throughput of two plain processes that replay the same files with the same
code, and 4 times flumine run as its documentation recommends, a process a core with eight markets each. From the same
markets packed: 8 times flumine, which reads bz2. With a window of the last 600 seconds before the start, which flumine
has too: 15 times; five copies of the archive are replayed then, and a fifth of the time counts.

The strategy is that of examples/lowest_layer.py. Sides take turns, and the best round of each counts. flumine runs on
one market of sixteen, spread over all, and its time is scaled; its processes' start is not counted. Exit status 1
below a bar.
"""

import argparse
import bz2
import itertools
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import ray

import headrace as hr
from headrace.archive.pack import write_pack
from headrace.simulate.generator import write_markets

from .peer import python
from .recordings import CHECKOUT, cache_folder
from .run_headrace import API
from .work import LIMITS, Answer, Work, load

PROCESSES = 2
MARKETS_A_PROCESS = 8  # flumine's advice
PEER_SHARE = 16  # one market of so many
COPIES = 5  # of the packed archive, where only a window is replayed
STRATEGIES = Path(__file__).with_name("sweep_strategies.py")
SETTINGS = {"sets": [{"stake": 2.0, "seconds": 60.0, "max_price": 1000.0}]}
DAY = 1440.0  # minutes: recordings of the exchange begin a day before the start, or earlier
WINDOW = {"seconds_to_start": 600, "inplay": False}


def strategy_of(windowed: bool = False) -> hr.Strategy:
    """The strategy of examples/lowest_layer.py."""
    kind = load(str(STRATEGIES))(API, **SETTINGS)["LowestLayer-0"]
    strategy: hr.Strategy = kind(**LIMITS, market_filter={"listener_kwargs": WINDOW} if windowed else None)
    return strategy


def markets(count: int, changes: int) -> list[str]:
    """Generated markets as bz2, made once in the cache folder."""
    folder = cache_folder() / f"fanout-{count}-{changes}-day"
    if not folder.exists():
        partial = folder.with_suffix(".part")
        write_markets(partial, count, seed=11, changes=changes, minutes_before=DAY)
        partial.rename(folder)
    return sorted(str(path) for path in folder.rglob("*.bz2"))


def packed(files: list[str], name: str) -> list[str]:
    """The same markets as packed archives, made once: as they are, and copies of them with other ids.

    With a window one archive is replayed in a few seconds, of which the start of workers would be a good part.
    """
    folder = cache_folder() / f"{name}-packed"
    for copy in range(COPIES):
        if (folder / str(copy)).exists():
            continue
        plain, partial = folder / "plain", folder / "part"
        for place in (plain, partial):
            shutil.rmtree(place, ignore_errors=True)
        for file in files:
            market_id = Path(file).name.removesuffix(".bz2")
            other = f"1.{copy}{market_id.removeprefix('1.')}" if copy else market_id
            path = plain / Path(file).parent.name / other
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = bz2.decompress(Path(file).read_bytes())
            path.write_bytes(lines.replace(f'"id":"{market_id}"'.encode(), f'"id":"{other}"'.encode()))
        failures = write_pack(plain, partial, engine="ray")
        if failures:
            raise SystemExit(f"cannot be packed: {failures[0]}")
        partial.rename(folder / str(copy))
        shutil.rmtree(plain)
    return [str(folder / str(copy)) for copy in range(COPIES)]


def replay(files: list[str]) -> str:
    return hr.backtest(strategy_of(), files, engine="local").digest


def plain(files: list[str], pool: ProcessPoolExecutor) -> float:
    """Two processes, each with every second file."""
    start = time.perf_counter()
    list(pool.map(replay, [files[at::PROCESSES] for at in range(PROCESSES)]))
    return time.perf_counter() - start


class Fanned:
    """Our side: seconds of a run on Ray; all runs of one window must agree."""

    def __init__(self) -> None:
        self.digests: dict[bool, str] = {}

    def __call__(self, source: str | list[str], windowed: bool = False) -> float:
        start = time.perf_counter()
        result = hr.backtest(strategy_of(windowed), source, engine="ray")
        seconds = time.perf_counter() - start
        if result.failures.num_rows:
            raise SystemExit(f"a unit failed: {result.failures.to_pylist()[0]}")
        if self.digests.setdefault(windowed, result.digest) != result.digest:
            raise SystemExit("two runs differ")
        return seconds


def peer(files: list[str], windowed: bool = False) -> tuple[float, int]:
    """Seconds of flumine for all files, scaled from a share of them, and its orders of that share.

    Eight markets at a time to each of two processes; the start of the processes is not counted.
    """
    share = files[::PEER_SHARE]
    work = Work((), str(STRATEGIES), settings=SETTINGS, listener=WINDOW if windowed else {})
    groups = [tuple(share[at : at + MARKETS_A_PROCESS]) for at in range(0, len(share), MARKETS_A_PROCESS)]
    command = [str(python("flumine")), "-m", "benchmarks.run_flumine"]
    answers: list[Answer] = []
    for at in range(0, len(groups), PROCESSES):
        running = [
            subprocess.Popen([*command, replace(work, files=group).to_json()], cwd=CHECKOUT, stdout=subprocess.PIPE)
            for group in groups[at : at + PROCESSES]
        ]
        for process in running:
            output, _ = process.communicate()
            if process.returncode:
                raise SystemExit("flumine failed")
            answers.append(Answer.from_json(output.splitlines()[-1].decode()))
    seconds = sum(answer.seconds for answer in answers) / PROCESSES
    return seconds * len(files) / len(share), sum(answer.orders or 0 for answer in answers)


def _same_orders(files: list[str]) -> None:
    """Both sides must place the same number of orders, or they do not do the same work."""
    share = files[::PEER_SHARE]
    ours = hr.backtest(strategy_of(), share, engine="local").orders.num_rows
    _, theirs = peer(files)
    print(f"orders in a share of {len(share)} markets: headrace {ours}, flumine {theirs}", file=sys.stderr)
    if abs(ours - theirs) > 0.02 * theirs:
        raise SystemExit("the sides do not do the same work")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--markets", type=int, default=600)
    parser.add_argument("--changes", type=int, default=9000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    files = markets(options.markets, options.changes)
    ray.init(address="local", num_cpus=PROCESSES, include_dashboard=False, log_to_driver=False)
    fanned = Fanned()
    archives = packed(files, f"fanout-{options.markets}-{options.changes}-day")
    hr.backtest(strategy_of(), files[:PROCESSES], engine="ray")
    _same_orders(files)
    with ProcessPoolExecutor(PROCESSES) as pool:
        list(pool.map(replay, [files[:1]] * PROCESSES))
        sides: dict[str, Callable[[], float]] = {
            "two plain processes": lambda: plain(files, pool),
            "headrace, bz2": lambda: fanned(files),
            "headrace, packed": lambda: fanned(archives[0]),
            "headrace, packed, window": lambda: fanned(archives, windowed=True) / COPIES,
            "flumine": lambda: peer(files)[0],
            "flumine, window": lambda: peer(files, windowed=True)[0],
        }
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _, (name, run) in itertools.product(range(options.rounds), sides.items()):
            times[name].append(run())
            print(f"{name}: {times[name][-1]:.2f} s", file=sys.stderr, flush=True)
    ray.shutdown()
    for name, runs in times.items():
        print(f"{name:26}", " ".join(f"{seconds:.2f}" for seconds in runs), "s")
    best = {name: min(runs) for name, runs in times.items()}
    passed = True
    for theirs, ours, bar in (
        ("two plain processes", "headrace, bz2", 0.9),
        ("flumine", "headrace, bz2", 4.0),
        ("flumine", "headrace, packed", 8.0),
        ("flumine, window", "headrace, packed, window", 15.0),
    ):
        ratio = best[theirs] / best[ours]
        passed = passed and ratio >= bar
        print(f"{ours} against {theirs}: bar {bar:g}  {'ok' if ratio >= bar else 'BELOW THE BAR'}  {ratio:.2f}")
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
