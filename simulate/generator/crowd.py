"""Bettors who never look at the book, and a visitor among them: what a market would have been without somebody.

Where bettors look at the book before they act, one order more changes all that follows, and two plays of a market
cannot be compared. A crowd decides by chance and by the fair price alone: who comes, at which price and for how much,
and when which order is cancelled. Two plays of one seed then differ by what the visitor does and by nothing else.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Protocol

from .bettors import EXPONENTIAL, LAST_TICK, LONG_SHOTS, STARTING, Bettors
from .order_book import Order, OrderBook
from .recipe import Patience
from .starting_price import StartingPrice

#: Part of arrivals that take a price.
TAKES = 0.1
#: Part of those who take a price that name the fair price, and take what news has left behind.
INFORMED = 0.4
#: Part of those who take a price whose rest does not wait.
IMPATIENT = 0.3
#: Mean acts of a runner's bettors between an order and its cancellation.
LIFE = 60.0
#: The hasty: which part leaves soon, after how many acts, and after how many the others do.
HASTY, SOON, LATE = 0.6, 6.0, 120.0
#: The lasting: which part never leaves of itself.
LASTING = 0.85
NEVER = 1 << 60


class Visitor(Protocol):
    """Somebody whose orders are among those of a crowd."""

    def come(self, time: int, is_open: bool, books: Sequence[OrderBook]) -> None:
        """Do what is due by `time`, before anything else happens then.

        Args:
            time: milliseconds since the epoch; it never goes back, and may come again.
            is_open: bets are taken. What is due while they are not is refused.
            books: of the market's runners; orders put into them are treated as everybody's.
        """


class Crowd(Bettors):
    """Bettors who decide by chance and by fair prices alone, and cancel orders, not places in a queue.

    An order may have been matched, wholly or not at all, by the time its owner cancels it: that changes nothing of what
    anybody does afterwards.
    """

    looks = False

    def __init__(
        self,
        rng: random.Random,
        books: Sequence[OrderBook],
        starting: Sequence[StartingPrice] | None,
        depth: float,
        patience: Patience,
    ) -> None:
        super().__init__(rng, books, starting, depth)
        self._patience = patience
        self._acts = 0
        self._made = 0
        # (act at which it is cancelled, number, runner, order or None where none waits)
        self._leaving: list[tuple[int, int, int, Order | None]] = []
        # Of each runner, lays then backs: those that wait, by price.
        self._standing: list[tuple[dict[int, list[Order]], dict[int, list[Order]]]] = [
            (defaultdict(list), defaultdict(list)) for _ in books
        ]
        self._quoted = [-1] * len(books)

    def act(self, at_starting_price: bool) -> int:
        """One bettor comes to one runner, whose position is returned; those who want to leave go first."""
        self._acts += 1
        leaving = self._leaving
        if leaving and leaving[0][0] <= self._acts:
            _, _, n, order = heappop(leaving)
            if order is not None:
                self._books[n].withdraw(order)
            return n
        rng = self._rng
        n = self._draw_runner()
        choice = rng.random()
        if choice > 1 - TAKES:
            self._take(n, self._books[n])
        elif choice > 1 - TAKES - LONG_SHOTS:
            self._offer_far(n)
        elif at_starting_price and self._starting is not None and choice > 1 - TAKES - LONG_SHOTS - STARTING:
            self._bet_at_starting_price(n, self._starting[n])
        else:
            self._offer(n, rng.getrandbits(1) == 1)
        return n

    def _pull(self, n: int, below: int) -> None:
        lays, backs = self._standing[n]
        for standing, overtaken in (
            (lays, [tick for tick in lays if tick > below + self.slack]),
            (backs, [tick for tick in backs if tick <= below - self.slack]),
        ):
            for tick in overtaken:
                for order in standing.pop(tick):
                    self._books[n].withdraw(order)

    def _fill_gap(self, n: int, book: OrderBook) -> bool:
        # Nobody looks whether there is a gap: where the fair price has moved, somebody quotes on either side.
        if self._below[n] == self._quoted[n]:
            return False
        self._quoted[n] = self._below[n]
        self._offer(n, False)
        self._offer(n, True)
        return True

    def _take(self, n: int, book: OrderBook) -> None:
        rng, below = self._rng, self._below[n]
        is_back = rng.getrandbits(1) == 1
        kind, reach = rng.random(), rng.random() * (2 + 2 * self.width)
        if kind < INFORMED:
            tick = below + 1 if is_back else below
            self._stand(n, is_back, tick, self._draw_size(tick), False)
            return
        size = self._draw_size(below)
        if kind < 1 - IMPATIENT:
            tick = max(below - int(reach), 0) if is_back else min(below + 1 + int(reach), LAST_TICK)
            self._stand(n, is_back, tick, size, False)
        elif is_back:
            book.back(max(below - int(2 + 2 * self.width), 0), size, rests=False)
        else:
            book.lay(min(below + 1 + int(2 + 2 * self.width), LAST_TICK), size, rests=False)

    def _stand(self, n: int, is_back: bool, tick: int, size: int, keeps: bool) -> None:
        book = self._books[n]
        order = (book.back if is_back else book.lay)(tick, size, keeps=keeps)
        self._made += 1
        heappush(self._leaving, (self._acts + self._draw_life(), self._made, n, order))
        if order is not None:
            self._standing[n][is_back][tick].append(order)

    def _draw_life(self) -> int:
        """Acts of all bettors until the owner of an order cancels what is left of it."""
        bits = self._rng.getrandbits(16)
        part, life = (bits >> 8) / 256, EXPONENTIAL[bits & 255]
        match self._patience:
            case "even":
                life *= LIFE
            case "hasty":
                life *= SOON if part < HASTY else LATE
            case "weary":
                life = LIFE * (0.8 + 0.4 * part)
            case "lasting":
                if part < LASTING:
                    return NEVER
                life *= LATE
        return 1 + int(life * len(self._books))
