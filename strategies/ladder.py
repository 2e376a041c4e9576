"""Ladders: sizes by price, and the sorted view of them that a strategy reads.

Changes are folded into a dict. The sorted view is made only when somebody looks; from then on a change makes a patched
copy of it. A view handed out is never changed afterwards.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, NamedTuple

from .changes import Level, RankedLevel


class PriceSize(NamedTuple):
    """A level of a ladder: decimal odds, and pounds available (or traded, both sides) there.

    A tuple, which unpacks as `price, size = level`. It is read as flumine's dict as well: `level["price"]`,
    `level.get("size", 0)`, `"price" in level`, `keys()`, `values()`, `items()`, `dict(level)`, `{**level}`. Iteration
    is the one thing that both cannot give: it yields price and size, and `keys()` the names. A level is not changed
    in place: `dict(level)` makes one that can be.
    """

    price: float
    size: float

    def __getitem__(self, key: object) -> float:  # type: ignore[override]
        if key == "price":
            return self.price
        if key == "size":
            return self.size
        if isinstance(key, str):
            raise KeyError(key)
        return tuple.__getitem__(self, key)  # type: ignore[call-overload,no-any-return]

    def get(self, key: str, default: Any = None) -> Any:
        """The price or the size; `default` for another name."""
        return self.price if key == "price" else self.size if key == "size" else default

    def keys(self) -> tuple[str, ...]:
        """The names, "price" and "size"."""
        return self._fields

    def values(self) -> tuple[float, float]:
        """Price and size."""
        return self.price, self.size

    def items(self) -> tuple[tuple[str, float], ...]:
        """Names with their values."""
        return (("price", self.price), ("size", self.size))

    def __contains__(self, key: object) -> bool:
        """A name is looked for among the names, a number among the values."""
        return key in self._fields if isinstance(key, str) else tuple.__contains__(self, key)


_new_tuple = tuple.__new__

#: Changes after which a view is dropped: if it is no longer read, it need not be kept.
_PATCHES = 64


class Ladder:
    """Sizes by price, best price first when viewed: descending for backs, ascending for lays and traded volume.

    Attributes:
        levels: size by price, in no order.
        view: the sorted levels, or None where nobody has looked lately. Whoever was handed the list may keep it:
            changes make a new one.
    """

    __slots__ = ("_descending", "_keys", "_patches", "levels", "view")

    def __init__(self, descending: bool = False) -> None:
        self.levels: dict[float, float] = {}
        self.view: list[PriceSize] | None = None
        self._descending = descending
        self._keys: list[float] = []
        self._patches = 0

    def apply(self, changes: Sequence[Level]) -> None:
        """Fold `[price, size]` pairs in; size 0 removes the price, an empty list empties the ladder."""
        levels = self.levels
        for price, size in changes:
            if size:
                levels[price] = size
            elif price in levels:
                del levels[price]
        if not changes:
            levels.clear()
        self.view = None

    def patch(self, view: list[PriceSize], changes: Sequence[Level]) -> list[PriceSize] | None:
        """`apply`, where somebody looks: the new view, or None where it was given up."""
        self._patches += 1
        if not changes or self._patches > _PATCHES:
            self.apply(changes)
            return None
        self.view = view = view.copy()
        levels, keys, descending = self.levels, self._keys, self._descending
        for level in changes:
            price, size = level
            key = -price if descending else price
            at = bisect_left(keys, key)
            if size:
                if price in levels:
                    view[at] = _new_tuple(PriceSize, level)
                else:
                    keys.insert(at, key)
                    view.insert(at, _new_tuple(PriceSize, level))
                levels[price] = size
            elif price in levels:
                del keys[at], view[at], levels[price]
        return view

    def read(self) -> list[PriceSize]:
        """The levels, best first."""
        view = self.view
        if view is None:
            items = sorted(self.levels.items(), reverse=self._descending)
            self.view = view = [_new_tuple(PriceSize, item) for item in items]
            self._keys = [-price for price, _ in items] if self._descending else [price for price, _ in items]
            self._patches = 0
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

    def read(self) -> list[PriceSize]:
        """The levels by rank. The list is the caller's to keep."""
        if self._view is None:
            self._view = [_new_tuple(PriceSize, level) for _, level in sorted(self.levels.items())]
        return self._view

    def copy(self) -> RankedLadder:
        copied = RankedLadder()
        copied.levels = self.levels.copy()
        return copied
