"""The plan of a sweep: what is read together, for which of its parameter sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..results.sweep_parts import SweepUnit
from ..simulate.units import plan_units
from ..strategies.hosting import scope_of, window_of
from ..strategies.strategy import Strategy

#: Sets that cost about as much as reading the market.
_SETS_PER_READ = 10


def plan_sweep(paths: Sequence[Any], sets: Sequence[Strategy], most: int) -> list[SweepUnit]:
    """What is read together, for which sets: those that read alike, at most so many."""
    alike: dict[Any, list[int]] = {}
    for number, strategy in enumerate(sets):
        window = window_of(strategy)
        filters = strategy.market_filter if isinstance(strategy.market_filter, (list, tuple)) else []
        groups = [one.get("event_groups") for one in (filters or [strategy.market_filter]) if isinstance(one, dict)]
        key = (scope_of(strategy), window.cumulative_runner_tv, window.calculate_market_tv, repr(groups))
        alike.setdefault(key, []).append(number)
    units = []
    for reading, numbers in enumerate(alike.values()):
        # Units share the tuples: there may be a hundred thousand of the one and ten of the other.
        chosen = [tuple(numbers[at : at + most]) for at in range(0, len(numbers), most)]
        for unit in plan_units(paths, [sets[number] for number in numbers]):
            for some in chosen:
                units.append(SweepUnit(unit.name, unit.paths, weighed(unit.size, len(some)), some, reading))
    return units


def weighed(size: int, sets: int) -> int:
    """Bytes of recordings, weighed by the work that so many sets are."""
    return size * (_SETS_PER_READ + sets)
