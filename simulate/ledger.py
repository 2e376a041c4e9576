"""What orders took of the published offers of a runner: it is gone until it is seen to be replenished.

Source: docs/fidelity.md.
"""

from __future__ import annotations

from ..strategies.ladder import PriceSize


class Ledger:
    """What one isolation domain took of the offers of one runner, by side and price.

    A level that shrinks below what was taken of it leaves no more than that taken: so only what it grows by afterwards
    is new, and a level that was gone comes back whole.
    """

    __slots__ = ("_backed", "_laid")

    def __init__(self) -> None:
        self._backed: dict[float, float] = {}
        self._laid: dict[float, float] = {}

    def __bool__(self) -> bool:
        return bool(self._backed or self._laid)

    def taken(self, back: bool) -> dict[float, float]:
        """What backs (else lays) took, by price. Not to be changed."""
        return self._backed if back else self._laid

    def take(self, back: bool, price: float, size: float) -> None:
        """A back (else a lay) takes `size` at a price."""
        taken = self._backed if back else self._laid
        taken[price] = round(taken.get(price, 0.0) + size, 2)

    def left(self, levels: list[PriceSize], back: bool) -> list[PriceSize]:
        """Levels that backs (else lays) can take, without what was taken."""
        taken = self._backed if back else self._laid
        if not taken:
            return levels
        found = []
        for level in levels:
            gone = taken.get(level.price)
            if gone is None:
                found.append(level)
            elif (size := round(level.size - gone, 2)) > 0:
                found.append(PriceSize(level.price, size))
        return found

    def publish(self, back: bool, price: float, size: float) -> None:
        """`size` is published now at a price that backs (else lays) can take."""
        taken = self._backed if back else self._laid
        gone = taken.get(price)
        if gone is not None and size < gone:
            if size > 0:
                taken[price] = size
            else:
                del taken[price]
