"""Batches: the units of a run that a worker is handed at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from ..results.parts import Batch
from ..simulate.units import Unit

#: Most units in a batch: the results of a batch travel together.
MAX_UNITS = 50
#: Batches a worker gets over a run, so that the last ones end together.
_BATCHES_A_WORKER = 12
#: A unit of which fewer than so many fill a batch is a large one.
_FEW = 4
#: Share of the small units that makes batches of the usual size; those of the rest are a quarter of it.
_MOST = 0.8


#: Bytes of recordings in a batch of `in_turn`: progress shows, and is committed, after so many.
_TURN_BYTES = 4 * 1024 * 1024


def in_turn(units: Sequence[Unit], most: int = MAX_UNITS) -> list[Batch]:
    """Batches for one process, in the order of the units, of at most so many."""
    batches: list[Batch] = []
    waiting: list[Unit] = []
    for unit in units:
        waiting.append(unit)
        if len(waiting) == most or sum(each.size for each in waiting) >= _TURN_BYTES:
            batches.append(Batch(len(batches), tuple(waiting)))
            waiting = []
    if waiting:
        batches.append(Batch(len(batches), tuple(waiting)))
    return batches


def plan_batches(units: Sequence[Unit], workers: int) -> list[Batch]:
    """Batches for `workers` processes, the largest first, so that no large one is left for the end.

    Large units come by their size. The others stay in their order: those that lie in one archive are read together. The
    last of them make small batches, so that all workers end together.
    """
    if not units:
        return []
    target = sum(unit.size for unit in units) / (workers * _BATCHES_A_WORKER) or 1
    large = sorted((unit for unit in units if unit.size * _FEW > target), key=lambda unit: -unit.size)
    small = [unit for unit in units if unit.size * _FEW <= target]
    most = sum(unit.size for unit in small) * _MOST
    sizes = itertools.accumulate(unit.size for unit in small)
    last = next((at for at, size in enumerate(sizes) if size > most), len(small))
    parts = ((large, target), (small[:last], target), (small[last:], target / _FEW))
    groups = [group for some, size in parts for group in _filled(some, size)]
    groups.sort(key=lambda group: -sum(unit.size for unit in group))
    return [Batch(number, tuple(group)) for number, group in enumerate(groups)]


def _filled(units: Iterable[Unit], target: float) -> Iterator[list[Unit]]:
    """Units in their order, so many together as have no more than `target` bytes, or one."""
    waiting: list[Unit] = []
    size = 0
    for unit in units:
        if waiting and (size + unit.size > target or len(waiting) == MAX_UNITS):
            yield waiting
            waiting, size = [], 0
        waiting.append(unit)
        size += unit.size
    if waiting:
        yield waiting
