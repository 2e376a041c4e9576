"""A sweep of 100 parameter sets over 20 generated markets, timed against one set and against flumine, on one core.

    python -m benchmarks.sweep [--rounds N] [--sample N] [--markets N] [--sets N]

The strategy is that of examples/lowest_layer.py, with a window of the last 600 seconds before the start. A line a bar:
our sweep against our own backtest of one set (at most 25 times its time), against flumine once for each set (measured
on a sample of the sets and scaled to all; at least 40 times as fast), and against flumine that hosts all sets in one
run (at least 6 times). The exit status is 1 where a bar is missed, 2 where a side fails.
"""

import argparse
import itertools
import shutil
import statistics
from pathlib import Path

from headrace.simulate.generator import write_markets

from .recordings import cache_folder
from .replay import Side, pin, run_once
from .work import Answer, Work

WINDOW = {"seconds_to_start": 600, "inplay": False}
STAKES, PRICES, SECONDS = (2.0, 3.0, 4.0, 5.0, 6.0), (3.0, 4.0, 5.0, 6.0, 8.0), (15.0, 30.0, 60.0, 120.0)
CHANGES = 4000
MOST_TIMES_ONE, LEAST_SEPARATE, LEAST_HOSTED = 25.0, 40.0, 6.0


def parameter_sets(count: int) -> list[dict[str, float]]:
    """Sets of stake, price limit and seconds before the start, mixed, so that a sample of them is like all."""
    grid = [
        {"stake": stake, "max_price": price, "seconds": seconds}
        for stake, price, seconds in itertools.product(STAKES, PRICES, SECONDS)
    ]
    return grid[:count]


def sample_of(sets: list[dict[str, float]], count: int) -> list[dict[str, float]]:
    """So many sets, spread over prices and times alike."""
    step = max(1, len(sets) // count)
    return [sets[(at * (step + 1)) % len(sets)] for at in range(count)]


def generated(markets: int) -> tuple[str, ...]:
    """Plain recordings of horse races, made once in the cache folder."""
    folder = cache_folder() / f"sweep-{markets}-{CHANGES}"
    if not folder.exists():
        partial = folder.with_suffix(".part")
        shutil.rmtree(partial, ignore_errors=True)
        write_markets(partial, markets, seed=11, sports=["horse_racing"], changes=CHANGES, compression="none")
        partial.rename(folder)
    return tuple(str(path) for path in sorted(folder.rglob("1.*")) if path.is_file())


def timed(name: str, runner: str, files: tuple[str, ...], sets: list[dict[str, float]], rounds: int) -> Answer:
    """The best of some runs."""
    module = str(Path(__file__).with_name("sweep_strategies.py"))
    side = Side(name, runner, Work(files, module, settings={"sets": sets}, listener=WINDOW))
    answers = [run_once(side) for _ in range(rounds)]
    best = min(answers, key=lambda answer: answer.seconds)
    runs = " ".join(f"{answer.seconds:.2f}" for answer in answers)
    print(f"{name}: {len(sets)} sets, {len(files)} markets: {runs} s  {best.orders} orders", flush=True)
    return best


def verdict(what: str, ratio: float, bar: float, reached: bool) -> bool:
    print(f"{what}  bar {bar:g}  {'ok' if reached else 'MISSES THE BAR'}  {ratio:.1f}", flush=True)
    return reached


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each of our sides, of which the best counts")
    parser.add_argument("--sample", type=int, default=3, help="sets that are run alone, here and in flumine")
    parser.add_argument("--markets", type=int, default=20)
    parser.add_argument("--sets", type=int, default=100)
    options = parser.parse_args(arguments)
    sets, files = parameter_sets(options.sets), generated(options.markets)
    chosen = sample_of(sets, options.sample)
    pin()
    one = statistics.mean(
        timed("headrace alone", "run_sweep", files, [each], options.rounds).seconds for each in chosen
    )
    swept = timed("headrace sweep", "run_sweep", files, sets, options.rounds)
    peer = [timed("flumine alone", "run_flumine", files, [each], 1).seconds for each in chosen]
    separate = statistics.mean(peer) * len(sets)
    print(f"flumine, a run a set: {separate:.1f} s, scaled from {len(chosen)} of {len(sets)} sets")
    hosted = timed("flumine hosting all", "run_flumine", files, sets, 1)
    ours = swept.seconds
    reached = [
        verdict(
            f"sweep {ours:.2f} s  one set {one:.2f} s: times a single set", ours / one, MOST_TIMES_ONE,
            ours / one <= MOST_TIMES_ONE,
        ),
        verdict(
            f"sweep {ours:.2f} s  flumine set by set {separate:.1f} s (scaled): times as fast", separate / ours,
            LEAST_SEPARATE, separate / ours >= LEAST_SEPARATE,
        ),
        verdict(
            f"sweep {ours:.2f} s  flumine hosting all {hosted.seconds:.1f} s: times as fast", hosted.seconds / ours,
            LEAST_HOSTED, hosted.seconds / ours >= LEAST_HOSTED,
        ),
    ]  # fmt: skip
    return 0 if all(reached) else 1


if __name__ == "__main__":
    raise SystemExit(main())
