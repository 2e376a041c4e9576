"""Simulated orders compared with what truly became of them, on markets whose truth is known.

    python -m benchmarks.truth [--markets N] [--seed S] [--processes N]

A market is generated twice with the same bettors, who do not look at the book: without a trader, which is published,
and with his orders among theirs, first in first out, which is the truth. Then headrace simulates the same orders,
placed and cancelled at the same times, on what was published: with the three queues, and under flumine's rules.

Prints a line for each kind of market and of order: orders; pounds that were truly matched; the share of orders whose
truth lies between the pessimistic and the optimistic queue, to the penny; the share for which these two differ; and the
mean error of each simulation, as a share of what was truly matched. Then how many orders had, at any moment, more
matched under a more careful queue (none should); which share of what was matched of orders that waited was matched at a
better price than theirs; and a ratio, which is the smaller of the share in the band over 95 % and of the peer's error
over the default's. The exit status is 1 below 1, or where a more careful queue matched more.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import perf_counter

from .truth_markets import RECIPES, plan, play
from .truth_simulated import SIMULATED, Steps, in_the_end, matched_at, simulate
from .truth_trader import KINDS

#: Share of the orders whose truth is to lie within the band.
WITHIN = 0.95
#: Pence by which it may lie beside.
TOLERANCE = 1
#: Events that are generated and simulated together.
AT_ONCE = 14
CAREFUL_FIRST = ("pessimistic", "default", "optimistic")


@dataclass(frozen=True)
class Judged:
    """An order's truth beside its simulations, in pence. `ordered`: the more careful a queue, the less it matched."""

    market: str
    kind: str
    truth: int
    simulated: dict[str, int]
    ordered: bool
    at_own: int
    at_better: int

    @property
    def within(self) -> bool:
        least, most = self.simulated["pessimistic"], self.simulated["optimistic"]
        return least - TOLERANCE <= self.truth <= most + TOLERANCE

    @property
    def wide(self) -> bool:
        return self.simulated["pessimistic"] != self.simulated["optimistic"]


@dataclass(frozen=True)
class Score:
    """Of a group of orders: how many; pence truly matched; those within the band, and those for which it is more than a
    point; pence of error by simulation."""

    orders: int
    truth: int
    within: int
    wide: int
    errors: dict[str, int]

    @property
    def share(self) -> float:
        return self.within / self.orders if self.orders else 1.0

    def error(self, name: str) -> float:
        """The mean error as a share of what was truly matched."""
        return self.errors[name] / self.truth if self.truth else 0.0


def ordered(steps: Sequence[Steps]) -> bool:
    """Whether at each moment the first matched no more than the second, and so on."""
    times = {time for each in steps for time, _ in each}
    return all(matched_at(less, time) <= matched_at(more, time) for time in times for less, more in pairwise(steps))


def judge(seed: int, events: Iterable[tuple[str, int, int]]) -> list[Judged]:
    """All orders of these events: name of the recipe, number, how many of its markets."""
    played = ((count, play(seed, number, RECIPES[name], name)) for name, number, count in events)
    markets = [market for count, found in played for market in list(found)[:count]]
    recordings = {market.market_id: market.lines for market in markets}
    placements = {market.market_id: market.placements for market in markets}
    with tempfile.TemporaryDirectory() as folder:
        runs = {name: simulate(recordings, placements, config, Path(folder)) for name, config in SIMULATED.items()}
    judged = []
    for market in markets:
        for placement in market.placements:
            fate, key = market.fates[placement.number], (market.market_id, placement.number)
            judged.append(
                Judged(
                    market=market.name,
                    kind=placement.kind,
                    truth=fate.matched,
                    simulated={name: in_the_end(run[key]) for name, run in runs.items()},
                    ordered=ordered([runs[name][key] for name in CAREFUL_FIRST]),
                    at_own=fate.at_own,
                    at_better=fate.at_better,
                )
            )
    return judged


def score(judged: Sequence[Judged]) -> Score:
    """The score of a group of orders."""
    return Score(
        orders=len(judged),
        truth=sum(each.truth for each in judged),
        within=sum(each.within for each in judged),
        wide=sum(each.wide for each in judged),
        errors={name: sum(abs(each.simulated[name] - each.truth) for each in judged) for name in SIMULATED},
    )


def run(markets: int, seed: int, processes: int) -> list[Judged]:
    """Judge all orders of so many markets."""
    events = plan(markets)
    batches = [(seed, events[at : at + AT_ONCE]) for at in range(0, len(events), AT_ONCE)]
    if processes == 1:
        return [each for batch in batches for each in judge(*batch)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return [each for found in pool.starmap(judge, batches, chunksize=1) for each in found]


def report(judged: Sequence[Judged]) -> float:
    """Prints the tables and the ratio, which is returned."""
    names = list(SIMULATED)
    head = "".join(f"{name:>13}" for name in names)
    for title, groups in (
        ("market", {name: [each for each in judged if each.market == name] for name in RECIPES}),
        ("order", {kind: [each for each in judged if each.kind == kind] for kind in KINDS}),
    ):
        print(f"{title:20}{'orders':>8}{'matched':>12}{'in band':>9}{'wide':>8}{head}")
        for name, group in groups.items():
            if group:
                _print(name, score(group))
        print()
    whole = score(judged)
    _print("all", whole)
    unordered = sum(not each.ordered for each in judged)
    print(f"more matched under a more careful queue, at any moment: {unordered} orders")
    waited, better = sum(each.at_own + each.at_better for each in judged), sum(each.at_better for each in judged)
    part = better / waited if waited else 0.0
    print(f"matched while it waited, at a better price than its own: {part:.4f} of {waited / 100:.0f} pounds")
    ours, theirs = whole.error("default"), whole.error("flumine")
    closer = theirs / ours if ours else float("inf")
    ratio = min(whole.share / WITHIN, closer)
    errors = f"error default {ours:.4f}  flumine {theirs:.4f}, {closer:.2f} times"
    print(f"in band {whole.share:.4f} (bar {WITHIN})  {errors}  {ratio:.2f}")
    return 0.0 if unordered else ratio


def _print(name: str, found: Score) -> None:
    errors = "".join(f"{100 * found.error(each):12.1f}%" for each in SIMULATED)
    shares = f"{100 * found.share:8.1f}%{100 * found.wide / found.orders:7.1f}%"
    print(f"{name:20}{found.orders:8}{found.truth / 100:12.0f}{shares}{errors}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--markets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    if options.markets < 1 or options.processes < 1:
        parser.error(f"--markets {options.markets} --processes {options.processes}: expected 1 or more")
    start = perf_counter()
    judged = run(options.markets, options.seed, options.processes)
    print(f"{options.markets} markets, seed {options.seed}, {perf_counter() - start:.0f} s\n")
    return 0 if report(judged) >= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
