"""Fan-out over generated markets on two CPUs, Ray's start aside.

    python -m benchmarks.fanout [--markets N] [--changes N] [--rounds N]

Bars: 0.9 of the throughput of two plain processes that replay the same files with the same code; 4 times flumine run as
its documentation recommends, a process a core with eight markets each, from bz2. Best of the rounds, which take turns;
flumine runs on a share of the markets, and its time is scaled. Exit status 1 below a bar.
"""

import argparse
import itertools
import json
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import ray

import headrace as hr
from headrace.simulate.generator import write_markets

from .peer import python
from .recordings import CHECKOUT, cache_folder
from .work import LIMITS, Work

PROCESSES = 2
MARKETS_A_PROCESS = 8  # flumine's advice
PLAIN_BAR, PEER_BAR = 0.9, 4.0
PEER_SHARE = 8  # one market of so many


class Backer(hr.Strategy):
    """Backs every runner once, in the last minutes."""

    def check_market_book(self, market, book):  # type: ignore[no-untyped-def]
        return book.status == "OPEN" and not book.inplay and market.seconds_to_start < 300

    def process_market_book(self, market, book):  # type: ignore[no-untyped-def]
        for runner in book.runners:
            context = self.get_runner_context(market.market_id, runner.selection_id, runner.handicap)
            price = hr.get_price(runner.ex.available_to_back, 0)
            if runner.status == "ACTIVE" and price and not context.invested:
                trade = hr.Trade(market.market_id, runner.selection_id, runner.handicap, self)
                market.place_order(trade.create_order(side="BACK", order_type=hr.LimitOrder(price, 2.0)))


def markets(count: int, changes: int) -> list[str]:
    folder = cache_folder() / f"fanout-{count}-{changes}"
    if not folder.exists():
        write_markets(folder, count, seed=11, changes=changes)
    return sorted(str(path) for path in folder.rglob("*.bz2"))


def replay(files: list[str]) -> str:
    return hr.backtest(Backer(**LIMITS), files, engine="local").digest


def plain(files: list[str], pool: ProcessPoolExecutor) -> float:
    """Two processes, each with every second file."""
    start = time.perf_counter()
    list(pool.map(replay, [files[at::PROCESSES] for at in range(PROCESSES)]))
    return time.perf_counter() - start


def fanned(files: list[str]) -> float:
    start = time.perf_counter()
    result = hr.backtest(Backer(**LIMITS), files, engine="ray")
    seconds = time.perf_counter() - start
    if result.failures.num_rows:
        raise SystemExit(f"a unit failed: {result.failures.to_pylist()[0]}")
    return seconds


def peer(files: list[str]) -> float:
    """flumine over a share of the files, eight to a process, two processes at a time; scaled to all of them."""
    share = files[::PEER_SHARE]
    module = str(Path(__file__).with_name("bench_strategies.py"))
    groups = [share[at : at + MARKETS_A_PROCESS] for at in range(0, len(share), MARKETS_A_PROCESS)]
    command = [str(python("flumine")), "-m", "benchmarks.run_flumine"]
    start = time.perf_counter()
    for pair in itertools.batched(groups, PROCESSES) if sys.version_info >= (3, 12) else _pairs(groups):
        running = [
            subprocess.Popen(
                [*command, Work(tuple(group), module, ("Hopeful",)).to_json()], cwd=CHECKOUT, stdout=subprocess.PIPE
            )
            for group in pair
        ]
        for process in running:
            output, _ = process.communicate()
            if process.returncode:
                raise SystemExit("flumine failed")
            json.loads(output.splitlines()[-1])
    return (time.perf_counter() - start) * len(files) / len(share)


def _pairs(groups: list[list[str]]) -> list[list[list[str]]]:
    return [groups[at : at + PROCESSES] for at in range(0, len(groups), PROCESSES)]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--markets", type=int, default=600)
    parser.add_argument("--changes", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    files = markets(options.markets, options.changes)
    ray.init(address="local", num_cpus=PROCESSES, include_dashboard=False, log_to_driver=False)
    fanned(files[:PROCESSES])
    times: dict[str, list[float]] = {"plain": [], "headrace": [], "flumine": []}
    with ProcessPoolExecutor(PROCESSES) as pool:
        list(pool.map(replay, [files[:1]] * PROCESSES))
        for turn in range(options.rounds):
            times["plain"].append(plain(files, pool))
            times["headrace"].append(fanned(files))
            if turn == 0:
                times["flumine"].append(peer(files))
    ray.shutdown()
    best = {side: min(runs) for side, runs in times.items()}
    for side, runs in times.items():
        print(f"{side:9}", " ".join(f"{seconds:.2f}" for seconds in runs), "s")
    print(f"flumine ran once, on one market of {PEER_SHARE}; its time is scaled to all {len(files)}")
    passed = True
    for name, ratio, bar in (
        ("two plain processes", best["plain"] / best["headrace"], PLAIN_BAR),
        ("flumine", best["flumine"] / best["headrace"], PEER_BAR),
    ):
        ok = ratio >= bar
        passed = passed and ok
        print(f"against {name}: bar {bar:g}  {'ok' if ok else 'BELOW THE BAR'}  {ratio:.2f}")
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
