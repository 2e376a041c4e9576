"""Where lines of own orders are: by runner, side and price, the most generous first. Source: docs/fidelity.md."""

from __future__ import annotations

import bisect
import math

from ..strategies.changes import RunnerChange
from .lines import Line


class Side:
    """The lines of one side of a runner, the most generous first: backs from the lowest price up, lays from the highest
    down.

    Attributes:
        back: of backs; else of lays.
        lines: by price.
        ranks: prices, those of lays below zero, ascending.
    """

    __slots__ = ("back", "lines", "ranks")

    def __init__(self, back: bool) -> None:
        self.back = back
        self.lines: dict[float, Line] = {}
        self.ranks: list[float] = []

    def add_line(self, price: float, shown: float) -> Line:
        """A line at a price where there was none; `shown` is published there."""
        line = self.lines[price] = Line(price, shown)
        bisect.insort(self.ranks, self.rank(price))
        return line

    def drop(self, line: Line) -> None:
        """Nobody waits in a line any more."""
        del self.lines[line.price]
        del self.ranks[bisect.bisect_left(self.ranks, self.rank(line.price))]

    def rank(self, price: float) -> float:
        """Where a price comes, the most generous first."""
        return price if self.back else -price

    def before(self, price: float) -> list[Line]:
        """Lines that are more generous than a price, the most generous first."""
        ranks = self.ranks[: bisect.bisect_left(self.ranks, self.rank(price))]
        return [self.lines[rank if self.back else -rank] for rank in ranks]

    def up_to(self, price: float) -> list[Line]:
        """Those lines, and that at the price."""
        ranks = self.ranks[: bisect.bisect_right(self.ranks, self.rank(price))]
        return [self.lines[rank if self.back else -rank] for rank in ranks]


class Domain:
    """The resting limit bets of one isolation domain on one runner."""

    __slots__ = ("backs", "lays")

    def __init__(self) -> None:
        self.backs = Side(True)
        self.lays = Side(False)

    def side(self, back: bool) -> Side:
        return self.backs if back else self.lays


class Interest:
    """The prices of a runner that bets wait for, over all domains. Most changes of its offers meet none of them.

    Attributes:
        backs, lays: how many lines are at each price.
        lowest_back, highest_lay: the most generous of them; what no offer reaches where there is none.
    """

    __slots__ = ("backs", "highest_lay", "lays", "lowest_back")

    def __init__(self) -> None:
        self.backs: dict[float, int] = {}
        self.lays: dict[float, int] = {}
        self.lowest_back, self.highest_lay = math.inf, -math.inf

    def add(self, back: bool, price: float) -> None:
        """A line has come to be."""
        lines = self.backs if back else self.lays
        lines[price] = lines.get(price, 0) + 1
        if back and price < self.lowest_back:
            self.lowest_back = price
        elif not back and price > self.highest_lay:
            self.highest_lay = price

    def drop(self, back: bool, price: float) -> None:
        """A line is no more."""
        lines = self.backs if back else self.lays
        if lines[price] > 1:
            lines[price] -= 1
            return
        del lines[price]
        if back and price == self.lowest_back:
            self.lowest_back = min(lines, default=math.inf)
        elif not back and price == self.highest_lay:
            self.highest_lay = max(lines, default=-math.inf)

    def meets(self, rc: RunnerChange) -> bool:
        """Whether a change of offers may concern a line: it names its price, or an offer that would match it."""
        changes = rc.atb
        if changes is not None:
            if not changes:
                return True
            lines, price_met = self.lays, self.lowest_back
            for price, size in changes:
                if price in lines or (price >= price_met and size):
                    return True
        changes = rc.atl
        if changes is not None:
            if not changes:
                return True
            lines, price_met = self.backs, self.highest_lay
            for price, size in changes:
                if price in lines or (price <= price_met and size):
                    return True
        return False
