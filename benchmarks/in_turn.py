"""What a setting of a run costs: the same work with it and without, in one process, in turns, in processor time."""

import argparse
import gc
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .recordings import recordings_folder
from .replay import CRICKET, PLACE, WIN, Workshop, parse, pin
from .run_headrace import framework
from .sweep import WINDOW, generated, parameter_sets
from .work import Work


def window(shop: Workshop) -> Work:
    """The strategy of the benchmark of sweeps, which bets in the last minutes of generated markets."""
    module = str(Path(__file__).with_name("sweep_strategies.py"))
    return Work(generated(4), module, settings={"sets": parameter_sets(1)}, listener=WINDOW)


CASES: dict[str, Callable[[Workshop], Work]] = {
    "noop": lambda shop: shop.bench(PLACE, "NoOp"),
    "noop-cricket": lambda shop: shop.bench(CRICKET, "NoOp"),
    "window": window,
    "hopeful": lambda shop: shop.bench(PLACE, "Hopeful"),
    "reader": lambda shop: shop.bench(PLACE, "Reader"),
    "ten": lambda shop: shop.references(WIN),
    "hundred": lambda shop: shop.references(PLACE, 10),
    "many": lambda shop: replace(shop.bench(PLACE, "JoinQueues"), unlimited=True),
}


@dataclass(frozen=True)
class Way:
    """A way to run: its name in the lines that are printed, and further arguments of the Simulation.

    `times`: so many copies of each strategy.
    """

    name: str
    settings: Mapping[str, Any]
    times: int = 1


@dataclass(frozen=True)
class Found:
    """What a way came to: seconds of its runs, and its orders."""

    runs: tuple[float, ...]
    orders: int = 0

    @property
    def best(self) -> float:
        return min(self.runs)


def run(work: Work, way: Way) -> Found:
    """One run in this process; leaves with its error where it fails."""
    simulation = framework(replace(work, copies=work.copies * way.times), **way.settings)
    gc.collect()
    began = time.process_time()
    result = simulation.run()
    seconds = time.process_time() - began
    if result.failures.num_rows:
        raise SystemExit(f"The run failed: {result.failures.to_pylist()[0]}")
    return Found((seconds,), result.orders.num_rows)


def in_turns(ways: Sequence[Way], rounds: int, once: Callable[[Way], Found]) -> list[Found]:
    """Some runs of each way. They take turns, and so does who is first."""
    runs: dict[str, list[Found]] = {way.name: [] for way in ways}
    for turn in range(rounds):
        for way in ways if turn % 2 == 0 else tuple(reversed(ways)):
            runs[way.name].append(once(way))
    return [Found(tuple(each.runs[0] for each in found), found[-1].orders) for found in runs.values()]


def ratio_of(plain: Found, other: Found) -> float:
    """What the other way costs, by the plain one, each at its best."""
    return other.best / plain.best


def line(case: str, ways: Sequence[Way], found: Sequence[Found], most: float) -> str:
    """A line about a case, which ends with its ratio."""
    sides = "  ".join(
        f"{way.name} {each.best:.3f} s ({each.orders} orders)" for way, each in zip(ways, found, strict=True)
    )
    ratio = ratio_of(found[0], found[-1])
    verdict = "ok" if ratio <= most else "ABOVE THE BAR"
    return f"{case:12}  {sides}  bar {most:g}  {verdict}  {ratio:.2f}"


def compare(description: str | None, ways: Sequence[Way], most: float, arguments: list[str] | None) -> int:
    """The program of a benchmark: a line a case, then the largest ratio; 1 where that is above `most`.

    Args:
        ways: the plain one first, last the one whose cost is asked; others between them are for comparison.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0] if description else None)
    options = parse(parser, arguments, CASES)
    shop = Workshop(recordings_folder(options.recordings), options.reference)
    logging.disable(logging.CRITICAL)
    pin()
    worst = 0.0
    for name in options.cases or CASES:
        work = CASES[name](shop)
        found = in_turns(ways, options.rounds, lambda way, work=work: run(work, way))
        print(line(name, ways, found, most), flush=True)
        worst = max(worst, ratio_of(found[0], found[-1]))
    print(f"the largest ratio, bar {most:g}: {worst:.2f}")
    return 0 if worst <= most else 1
