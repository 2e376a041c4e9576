"""Markets that come in several units of a sweep: which copy counts.

The one whose unit has the lowest name, as in a backtest, whichever was done first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .copies import better_copy, failure_of
from .parts import Part

#: A market, a unit that has a copy of it, and the reading in which it has.
Copy = tuple[str, str, int]


class SweepCopies:
    """Which units have which markets.

    Attributes:
        stale: copies that lost to one that came later: if their rows are written, they must be dropped.
    """

    def __init__(self) -> None:
        self._owner: dict[tuple[str, int], str] = {}
        self._lost: set[Copy] = set()
        self.stale: set[Copy] = set()

    def known(self, owners: Mapping[int, Iterable[Sequence[str]]], lost: Iterable[Copy]) -> None:
        """Take over what an earlier run has.

        Args:
            owners: of each reading its markets, each with its unit: their rows are written.
            lost: copies that do not count.
        """
        for reading, markets in owners.items():
            for market_id, unit in markets:
                if not self._take(market_id, unit, reading):
                    self.stale.add((market_id, unit, reading))
        self._lost.update(lost)

    def add(self, part: Part, reading: int) -> list[str]:
        """Note the markets of a part, and leave out those of which a better copy is known.

        Returns:
            Markets of which it has a better copy than parts before it.
        """
        self._lost.update((market_id, unit, reading) for market_id, unit in part.copies)
        better = []
        for market_id, unit in part.markets:
            before = self._owner.get((market_id, reading))
            if not self._take(market_id, unit, reading):
                part.left_out.add(market_id)
            elif before is not None and before != unit:
                better.append(market_id)
        return better

    def _take(self, market_id: str, unit: str, reading: int) -> bool:
        """Whether the copy of a unit counts, as far as is known."""
        key = (market_id, reading)
        before = self._owner.setdefault(key, unit)
        if before == unit:
            return True
        owner = better_copy(before, unit)
        loser = (market_id, unit if owner == before else before, reading)
        self._lost.add(loser)
        if owner == unit:
            self.stale.add(loser)
        self._owner[key] = owner
        return owner == unit

    def failures(self) -> list[tuple[Any, ...]]:
        """A row of `failures` for each copy that does not count, in order; they belong to no set."""
        rows: dict[tuple[Any, ...], None] = {}
        for market_id, unit, reading in sorted(self._lost):
            rows[*failure_of(market_id, unit, self._owner[market_id, reading]), None] = None
        return list(rows)
