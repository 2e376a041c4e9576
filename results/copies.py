"""Markets that come in several units of a run: from a market's file and its event's, or from two copies of it.

Copies may differ. The one whose unit has the lowest name counts, whichever was done first, on any engine: so equal runs
have equal digests, however long their workers take.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

#: A unit that has a market, and the part that has its rows; None where they were dropped within a part.
Copy = tuple[str, str | None]


class Copies:
    """Which units have which markets."""

    def __init__(self) -> None:
        self._first: dict[str, Copy] = {}
        self._others: dict[str, list[Copy]] = {}

    def add(self, part: str, markets: Iterable[tuple[str, str]], dropped: Iterable[tuple[str, str]] = ()) -> None:
        """Note the markets of a part, each with its unit.

        Args:
            dropped: copies of them that lost within the part, each with its unit.
        """
        for market_id, unit in markets:
            self._add(market_id, (unit, part))
        for market_id, unit in dropped:
            self._add(market_id, (unit, None))

    def _add(self, market_id: str, copy: Copy) -> None:
        if self._first.setdefault(market_id, copy) != copy:
            self._others.setdefault(market_id, []).append(copy)

    def left_out(self) -> dict[str, set[str]]:
        """By part, the markets of which another part has the copy that counts."""
        found: dict[str, set[str]] = {}
        for market_id, owner, others in self._twice():
            for _, part in others:
                if part is not None and part != owner[1]:
                    found.setdefault(part, set()).add(market_id)
        return found

    def failures(self) -> list[tuple[Any, ...]]:
        """A row of `failures` for each copy that does not count, in order."""
        rows = []
        for market_id, owner, others in sorted(self._twice()):
            for unit in sorted({unit for unit, _ in others} - {owner[0]}):
                rows.append(failure_of(market_id, unit, owner[0]))
        return rows

    def units(self) -> dict[str, str]:
        """Of each market the unit whose copy counts."""
        return {market_id: unit for market_id, (unit, _) in self._first.items()} | {
            market_id: owner[0] for market_id, owner, _ in self._twice()
        }

    def _twice(self) -> Iterator[tuple[str, Copy, list[Copy]]]:
        """Markets with several copies: the one that counts, and the others."""
        for market_id, more in self._others.items():
            owner, *others = sorted((self._first[market_id], *more), key=_by_name)
            yield market_id, owner, others


def failure_of(market_id: str, unit: str, owner: str) -> tuple[Any, ...]:
    """The row of `failures` for a copy that does not count.

    Args:
        owner: the unit whose copy does.
    """
    message = f"the market is in {owner} as well; this copy is left out"
    return None, market_id, unit, 1, "RecordingError", message, None, unit, "", ""


def better_copy(unit: str, other: str) -> str:
    """Of two units that have a market, the one whose copy counts."""
    return min(unit, other)


def copies_of(commits: Iterable[Mapping[str, Any]]) -> Copies:
    """The copies named in commits; for parts listed in a manifest this has been decided already."""
    found = Copies()
    for commit in commits:
        if "markets" in commit:
            found.add(commit["part"], map(as_pair, commit["markets"]), map(as_pair, commit.get("copies", ())))
    return found


def as_pair(found: Sequence[str]) -> tuple[str, str]:
    """A market and its unit, of a commit's list."""
    market_id, unit = found
    return market_id, unit


def _by_name(copy: Copy) -> tuple[str, str]:
    return copy[0], copy[1] or ""
