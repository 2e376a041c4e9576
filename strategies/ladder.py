"""Ladders: sizes by price, and the sorted view of them that a strategy reads.

Changes are folded into a dict at once; the sorted view is made only when somebody looks, and from then on patched
where it changed. A view handed out is never changed afterwards.
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from .changes import Level, RankedLevel


class PriceSize(NamedTuple):
    """A level of a ladder: decimal odds, and pounds available (or traded, both sides) there."""

    price: float
    size: float

    def __getitem__(self, key: object) -> float:  # type: ignore[override]
        if key == "price":
            return self.price
        if key == "size":
            return self.size
        return tuple.__getitem__(self, key)  # type: ignore[call-overload,no-any-return]


_price_size = functools.partial(tuple.__new__, PriceSize)

#: Changes a view may fall behind by before it is cheaper to sort anew.
_PATCH_LIMIT = 24


class Ladder:
    """Sizes by price, best price first when viewed: descending for backs, ascending for lays and traded volume."""

    __slots__ = ("_descending", "_keys", "_pending", "_view", "levels")

    def __init__(self, descending: bool = False) -> None:
        self.levels: dict[float, float] = {}
        self._descending = descending
        self._view: list[PriceSize] | None = None
        self._keys: list[float] = []
        self._pending: list[Sequence[Level]] = []

    def apply(self, changes: Sequence[Level]) -> None:
        """Fold `[price, size]` pairs in; size 0 removes the price, an empty list empties the ladder."""
        levels = self.levels
        if not changes:
            levels.clear()
            self._view = None
            return
        for price, size in changes:
            if size:
                levels[price] = size
            else:
                levels.pop(price, None)
        if self._view is not None:
            self._pending.append(changes)
            if len(self._pending) > _PATCH_LIMIT:
                self._view = None

    def view(self) -> list[PriceSize]:
        """The levels, best first. The list is the caller's to keep: later changes make a new one."""
        view = self._view
        if view is None:
            items = sorted(self.levels.items(), reverse=self._descending)
            self._view = view = list(map(_price_size, items))
            self._keys = [-price for price, _ in items] if self._descending else [price for price, _ in items]
            self._pending = []
        elif self._pending:
            self._view = view = self._patched(view)
        return view

    def _patched(self, view: list[PriceSize]) -> list[PriceSize]:
        view = view.copy()
        keys = self._keys
        for changes in self._pending:
            for level in changes:
                price, size = level
                key = -price if self._descending else price
                at = bisect_left(keys, key)
                if at < len(keys) and keys[at] == key:
                    if size:
                        view[at] = _price_size(level)
                    else:
                        del keys[at], view[at]
                elif size:
                    keys.insert(at, key)
                    view.insert(at, _price_size(level))
        self._pending = []
        return view

    def copy(self) -> Ladder:
        copied = Ladder(self._descending)
        copied.levels = self.levels.copy()
        return copied


class RankedLadder:
    """Best prices by rank, as the `batb` kinds of field give them; rank 0 is the best."""

    __slots__ = ("_view", "levels")

    def __init__(self) -> None:
        self.levels: dict[int, tuple[float, float]] = {}
        self._view: list[PriceSize] | None = None

    def apply(self, changes: Sequence[RankedLevel]) -> None:
        """Fold `[rank, price, size]` in; size 0 removes the rank, an empty list empties the ladder."""
        if not changes:
            self.levels.clear()
        for rank, price, size in changes:
            if size:
                self.levels[rank] = (price, size)
            else:
                self.levels.pop(rank, None)
        self._view = None

    def view(self) -> list[PriceSize]:
        """The levels by rank. The list is the caller's to keep."""
        if self._view is None:
            self._view = [_price_size(level) for _, level in sorted(self.levels.items())]
        return self._view

    def copy(self) -> RankedLadder:
        copied = RankedLadder()
        copied.levels = self.levels.copy()
        return copied
