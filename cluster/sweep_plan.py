"""The plan of a sweep: what is read together, for which of its parameter sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..results.sweep_parts import SweepUnit
from ..simulate.reading.locations import Source
from ..simulate.units import changed_at, plan_units, unit_of_files
from ..strategies.hosting import scope_of, window_of
from ..strategies.strategy import Strategy

#: Bytes of recordings times sets, so weighed, from which on `engine="auto"` uses Ray.
_LARGE = 100 * 1024 * 1024
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
        first, chosen = numbers[0], [tuple(numbers[at : at + most]) for at in range(0, len(numbers), most)]
        for unit in plan_units(paths, [sets[number] for number in numbers]):
            for some in chosen:
                size = unit.size * (_SETS_PER_READ + len(some))
                units.append(SweepUnit(unit.name, unit.paths, size, some, first, reading))
    return units


def large(units: Iterable[SweepUnit]) -> bool:
    """Whether there is so much to do that it is worth starting Ray."""
    return sum(unit.size for unit in units) >= _LARGE * _SETS_PER_READ


def recordings_of(paths: Sequence[str | Source]) -> list[dict[str, Any]]:
    """The recordings of a sweep as its manifest names them: with their bytes, and when they last changed."""
    units = [unit_of_files([path]) for path in paths]
    return [{"unit": unit.name, "files": 1, "bytes": unit.size, "changed": changed_at(unit)} for unit in units]
