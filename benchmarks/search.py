"""A search of 100 trials over 20 generated markets: its time against single backtests, its finds against chance.

    python -m benchmarks.search [--markets N] [--trials N] [--batch N] [--seeds N]

The strategy is that of examples/lowest_layer.py, with a window of the last 600 seconds before the start; all in one
process on one core. First the seconds of a search against those of a backtest of each of its sets. Then what is found:
all combinations of three parameters are swept, so that the best of them is known; searches with several seeds go by the
profits of that sweep, beside as many sets drawn at random with the same seeds. A line says how far the net profit of
the best set found lies below the best there is, on average. The exit status is 1 where a search takes longer than the
backtests, or finds less than chance.
"""

import argparse
import itertools
import random
import statistics
import sys
import time

import headrace as hr
from headrace.tuning.parameter_ranges import Choice
from headrace.tuning.searcher import Searcher

from .recordings import CHECKOUT
from .replay import pin
from .sweep import WINDOW, generated

STAKES = tuple(float(stake) for stake in range(2, 10))
PRICES = tuple(round(1.5 + step / 4, 2) for step in range(19))
SECONDS = (5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 240.0, 300.0)
SPACE = {"stake": STAKES, "max_price": PRICES, "seconds": SECONDS}
LIMITS = {"max_order_exposure": 1000.0, "max_selection_exposure": 1000.0}

Key = tuple[float, ...]


def timed(layer: hr.Strategy, files: tuple[str, ...], trials: int, batch: int) -> tuple[float, float]:
    """Seconds of a search, and of a backtest of each of its sets."""
    space = {"stake": (2, 9), "max_price": (1.5, 6.0), "seconds": (5.0, 300.0)}
    start = time.perf_counter()
    result = hr.search(layer, space, files, trials=trials, batch=batch, engine="local")
    searched = time.perf_counter() - start
    start = time.perf_counter()
    for values in result.parameters:
        hr.backtest(type(layer)(market_filter=layer.market_filter, **LIMITS, **values), files, engine="local")
    return searched, time.perf_counter() - start


def profits(layer: hr.Strategy, files: tuple[str, ...]) -> dict[Key, float]:
    """The net profit of all combinations."""
    sets = [dict(zip(SPACE, values, strict=True)) for values in itertools.product(*SPACE.values())]
    result = hr.sweep(layer, sets, files, engine="local")
    return dict(zip((tuple(each.values()) for each in sets), result.table["net_profit"].to_pylist(), strict=True))


def searched(known: dict[Key, float], trials: int, batch: int, seed: int) -> float:
    """The best that a search finds."""
    searcher = Searcher({name: Choice(values) for name, values in SPACE.items()}, least=False, seed=seed)
    best = float("-inf")
    for start in range(0, trials, batch):
        for each in searcher.suggest(min(batch, trials - start)):
            score = known[tuple(each.values.values())]
            best = max(best, score)
            searcher.tell(each.trial, score)
    return best


def drawn(known: dict[Key, float], trials: int, seed: int) -> float:
    """The best of as many sets by chance."""
    chance = random.Random(seed)
    return max(known[tuple(map(chance.choice, SPACE.values()))] for _ in range(trials))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--markets", type=int, default=20)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args(arguments)
    sys.path.insert(0, str(CHECKOUT / "examples"))
    from lowest_layer import LowestLayer

    pin()
    # Limits that no set meets: one that is refused asks again at each change.
    layer = LowestLayer(market_filter={"listener_kwargs": WINDOW}, **LIMITS)
    files = generated(options.markets)
    search, singles = timed(layer, files, options.trials, options.batch)
    print(
        f"search, {options.trials} trials in batches of {options.batch}, {len(files)} markets: {search:.2f} s  "
        f"a backtest each: {singles:.2f} s  times as fast {singles / search:.1f}",
        flush=True,
    )
    known = profits(layer, files)
    ranked = sorted(known.values(), reverse=True)
    found = [searched(known, options.trials, options.batch, seed) for seed in range(options.seeds)]
    chance = [drawn(known, options.trials, seed) for seed in range(options.seeds)]
    print(f"{len(ranked)} combinations: net profit {ranked[0]} at best, {statistics.median(ranked)} at the median")
    for name, best in (("search", found), ("chance", chance)):
        short = ranked[0] - statistics.mean(best)
        rank = statistics.mean(sum(profit > each for profit in ranked) for each in best)
        hits = sum(each == ranked[0] for each in best)
        print(
            f"{name}, {options.seeds} seeds: on average {short:.2f} below the best, with {rank:.1f} combinations "
            f"above; the best itself {hits} times"
        )
    return 0 if search < singles and statistics.mean(found) > statistics.mean(chance) else 1


if __name__ == "__main__":
    raise SystemExit(main())
