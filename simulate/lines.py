"""A line of own orders at one price, behind and between those of others. Source: docs/fidelity.md."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

from .bets import Bet

_REMAINING = attrgetter("size_remaining")
#: Below this factor what is ahead is worked out anew: floats would lose it.
_LEAST = 1e-6
#: More than the noise of floats, and far less than a penny.
_NOISE = 1e-7


class _Place:
    """A place in a line. Those that have come to be the same are merged: `into` is the one that counts."""

    __slots__ = ("into", "mark")

    def __init__(self, mark: float) -> None:
        self.mark = mark
        self.into: _Place | None = None


class Line:
    """Bets of one isolation domain that wait at one price of one side, first in, first out.

    Each has what others have ahead of it, and the bets before it. All of them are served, and move up, together: what
    is ahead of a bet is `mark * factor - less`, so that neither takes longer where the line is long.

    Attributes:
        price: of the line.
        shown: size published at it when it was last looked at.
        bets: those that wait, in order.
    """

    __slots__ = ("_factor", "_less", "_places", "bets", "price", "shown")

    def __init__(self, price: float, shown: float) -> None:
        self.price = price
        self.shown = shown
        self.bets: dict[Bet, _Place] = {}
        self._factor = 1.0
        self._less = 0.0
        self._places: list[_Place] = []

    def join(self, bet: Bet, ahead: float) -> float:
        """A bet joins the end; the size before it, the bets before it included.

        Args:
            ahead: size that others have there before it.
        """
        places = self._places
        own = 0.0
        if self.bets:
            own = sum(map(_REMAINING, self.bets))
        else:
            places.clear()
            self._factor, self._less = 1.0, 0.0
        mark = (ahead + self._less) / self._factor
        if places and mark <= places[-1].mark:
            place = places[-1]
        else:
            place = _Place(mark)
            places.append(place)
        self.bets[bet] = place
        return round(self._ahead(place) + own, 2)

    def leave(self, bet: Bet) -> None:
        """A bet waits no longer."""
        self.bets.pop(bet, None)

    def ahead(self, bet: Bet) -> float:
        """Size that others have ahead of a bet."""
        return self._ahead(_root(self.bets[bet]))

    def all_ahead(self, bet: Bet) -> float:
        """Size ahead of a bet, the bets before it included."""
        own = 0.0
        for each in self.bets:
            if each is bet:
                break
            own += each.size_remaining
        return round(self.ahead(bet) + own, 2)

    def _ahead(self, place: _Place) -> float:
        return max(place.mark * self._factor - self._less, 0.0)

    # -- what happens at the price -------------------------------------------------------------------------------

    def serve(self, volume: float) -> list[tuple[Bet, float]]:
        """`volume` is matched at the price: the bets that it reaches, with what each gets of it.

        What they get, those of others who are behind them do not: it leaves as much ahead of the bets after those.
        """
        found = []
        own = matched = 0.0
        reached: _Place | None = None
        for bet, place in self.bets.items():
            waiting = bet.size_remaining
            if waiting <= 0:
                continue
            root = _root(place)
            size = pence(min(waiting, volume - self._ahead(root) - own))
            if size <= 0:
                break
            found.append((bet, size))
            matched += size
            reached = root
            if size < waiting:
                break
            own += waiting
        self._less += max(volume - matched, 0.0)
        if reached is not None:
            self._reach(reached)
        return found

    def sweep(self, volume: float) -> list[tuple[Bet, float]]:
        """`volume` comes that takes the whole price: nothing of others is ahead any more."""
        self._all_at(0.0)
        return self.first(volume)

    def first(self, volume: float) -> list[tuple[Bet, float]]:
        """The bets in order, with what each gets of a `volume` for which nobody else waits."""
        found = []
        for bet in self.bets:
            waiting = bet.size_remaining
            if waiting <= 0:
                continue
            size = pence(min(waiting, volume))
            if size <= 0:
                break
            found.append((bet, size))
            volume -= size
        return found

    def take_off(self, size: float) -> None:
        """`size` goes from the front, and none of it to the bets."""
        self._less += size

    def cancel(self, size: float, waiting: float, model: Callable[[float, float], tuple[float, float]]) -> None:
        """`size` of the `waiting` size of others is cancelled; the model says what of it was ahead."""
        factor, less = model(size, waiting)
        if factor != 1.0:
            self._factor *= factor
            self._less *= factor
        self._less += less
        if self._factor < _LEAST:
            self._settle()

    def publish(self, size: float) -> None:
        """`size` is published at the price: nobody has more ahead."""
        self.shown = size
        places = self._places
        if not places or self._ahead(places[-1]) <= size:
            return
        if size <= 0:
            self._all_at(0.0)
            return
        place = places.pop()
        while places and self._ahead(places[-1]) > size:
            places[-1].into = place
            places.pop()
        place.mark = (size + self._less) / self._factor
        places.append(place)

    def _all_at(self, ahead: float) -> None:
        places = self._places
        if not places:
            return
        last = places.pop()
        for place in places:
            place.into = last
        last.mark = ahead
        self._factor, self._less = 1.0, 0.0
        self._places = [last]

    def _reach(self, place: _Place) -> None:
        """Nothing of others is ahead any more up to a place."""
        places = self._places
        at = places.index(place)
        for each in places[:at]:
            each.into = place
        del places[:at]
        place.mark = self._less / self._factor

    def _settle(self) -> None:
        """Write down what is ahead as it is now."""
        for place in self._places:
            place.mark = self._ahead(place)
        self._factor, self._less = 1.0, 0.0


def pence(size: float) -> float:
    """To the nearest penny. Half of one counts as one, whatever noise floats add to it: else a bet with less ahead
    could get a penny less than one with more."""
    return round(size + _NOISE, 2)


def _root(place: _Place) -> _Place:
    if place.into is None:
        return place
    root = place.into
    while root.into is not None:
        root = root.into
    while place.into is not None and place.into is not root:
        place.into, place = root, place.into
    return root
