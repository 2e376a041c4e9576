"""What a band costs: a run with `band=True` against the same run without, in processor time, on one core.

    python -m benchmarks.band [CASE ...] [--rounds N] [--recordings DIR] [--reference DIR]

Both sides run in this process and take turns; each side's best counts. A line a case, whose last figure is the ratio;
then the largest of them. The exit status is 1 where one is above the bar, 2 where the recordings are absent.

Cases are those of benchmarks.replay, and `window`: the strategy of the benchmark of sweeps, which bets in the last
minutes of generated markets. Reading and books are shared by the three copies of a run; strategies and their orders are
not, so those that work at each change cost up to three times as much, and miss the bar.
"""

import argparse
import gc
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import headrace as hr

from .recordings import recordings_folder
from .replay import PLACE, WIN, Workshop, parse, pin
from .run_headrace import API
from .sweep import WINDOW, generated, parameter_sets
from .work import LIMITS, Work

#: The most that a band may cost, by the time without.
MOST = 1.5


def window(shop: Workshop) -> Work:
    module = str(Path(__file__).with_name("sweep_strategies.py"))
    return Work(generated(4), module, settings={"sets": parameter_sets(1)}, listener=WINDOW)


CASES: dict[str, Callable[[Workshop], Work]] = {
    "noop": lambda shop: shop.bench(PLACE, "NoOp"),
    "window": window,
    "hopeful": lambda shop: shop.bench(PLACE, "Hopeful"),
    "reader": lambda shop: shop.bench(PLACE, "Reader"),
    "ten": lambda shop: shop.references(WIN),
    "many": lambda shop: replace(shop.bench(PLACE, "JoinQueues"), unlimited=True),
}


def run(work: Work, band: bool) -> float:
    """Seconds of the processor for one run."""
    simulation = hr.Simulation(markets=list(work.files), engine="local", progress=False, band=band)
    limit = {"transaction_limit": None} if work.unlimited else {}
    simulation.add_client(hr.SimulatedClient(**limit))
    filters = {"market_filter": {"listener_kwargs": work.listener}} if work.listener else {}
    for name, strategy in work.strategies(API):
        simulation.add_strategy(strategy(name=name, **LIMITS, **filters))
    gc.collect()
    began = time.process_time()
    result = simulation.run()
    seconds = time.process_time() - began
    if result.failures.num_rows:
        raise SystemExit(f"The run failed: {result.failures.to_pylist()[0]}")
    return seconds


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options = parse(parser, arguments, CASES)
    shop = Workshop(recordings_folder(options.recordings), options.reference)
    logging.disable(logging.CRITICAL)
    pin()
    worst = 0.0
    for name in options.cases or CASES:
        work = CASES[name](shop)
        times: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(options.rounds):
            for band, found in times.items():
                found.append(run(work, band))
        without, banded = min(times[False]), min(times[True])
        ratio = banded / without
        verdict = "ok" if ratio <= MOST else "ABOVE THE BAR"
        print(
            f"{name:8} without {without:.3f} s  with a band {banded:.3f} s  bar {MOST:g}  {verdict}  {ratio:.2f}",
            flush=True,
        )
        worst = max(worst, ratio)
    print(f"the largest ratio  {worst:.2f}")
    return 0 if worst <= MOST else 1


if __name__ == "__main__":
    raise SystemExit(main())
