"""Ladders by rank: the best offers, with small ones rolled up."""

from __future__ import annotations

from ..public_market import PublicRunner

#: `(price, size)` by rank, best first.
Ranked = list[tuple[float, float]]
#: Offers below this, in pounds, are shown with the next one that is worse (Betfair, "Roll-up of stakes").
ROLL_UP = 1.0


def rolled_up(ladder: dict[float, float], descending: bool, levels: int) -> Ranked:
    """The best `levels` of a ladder by price. What is left in the end, below the roll-up, is shown at the last price.

    That it is, recordings tell that have ladders both by price and by rank.
    """
    found: Ranked = []
    waiting = price = 0.0
    for price in sorted(ladder, reverse=descending):
        size = ladder[price] + waiting
        if size < ROLL_UP:
            waiting = size
            continue
        found.append((price, round(size, 2) if waiting else size))
        waiting = 0.0
        if len(found) == levels:
            break
    if waiting:
        found.append((price, round(waiting, 2)))
    return found


def display(runner: PublicRunner, key: str, side: str, levels: int) -> Ranked:
    """The recorded ladder by rank with its virtual offers, less what accounts took, with what they offer."""
    recorded = runner.ranked[key]
    if not runner.altered(side):
        return [recorded[rank] for rank in sorted(recorded)][:levels]
    return rolled_up(runner.as_accounts_left(dict(recorded.values()), side), side == "atb", levels)


class Ranks:
    """A ladder by rank, and which change each rank is from.

    Attributes:
        now: as it is; set before `update`, `since` or `whole` is called.
    """

    __slots__ = ("_shown", "_stamps", "now")

    def __init__(self, levels: int, sequence: int) -> None:
        self.now: Ranked = []
        self._shown: Ranked = []
        # Of what was before nothing is known: who asks is told all ranks.
        self._stamps = [sequence] * levels

    def settle(self) -> None:
        """What is now there has been there from the start."""
        self._shown = self.now

    def update(self, sequence: int) -> list[tuple[int, float, float]]:
        """The ranks that change `sequence` has changed."""
        if self.now == self._shown:
            return []
        found = []
        for rank in range(max(len(self.now), len(self._shown))):
            if self._at(self.now, rank) != self._at(self._shown, rank):
                self._stamps[rank] = sequence
                found.append(self._level(rank))
        self._shown = self.now
        return found

    def since(self, sequence: int) -> list[tuple[int, float, float]]:
        """The ranks that have changed after change number `sequence`, and maybe others."""
        return [self._level(rank) for rank, stamp in enumerate(self._stamps) if stamp > sequence]

    def whole(self) -> list[tuple[int, float, float]]:
        """All ranks that hold something."""
        return [(rank, price, size) for rank, (price, size) in enumerate(self.now)]

    def _level(self, rank: int) -> tuple[int, float, float]:
        price, size = self._at(self.now, rank)
        return rank, price, size

    @staticmethod
    def _at(ranked: Ranked, rank: int) -> tuple[float, float]:
        return ranked[rank] if rank < len(ranked) else (0.0, 0.0)
