"""The bettors of one market: who offers, who cancels, who takes, and how each answers to news."""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

from ...strategies.prices import PRICES
from .order_book import OrderBook
from .starting_price import StartingPrice

LAST_TICK = len(PRICES) - 1

#: Part of arrivals that take a price, that are bets far from the market, and that are at starting price.
TAKES, LONG_SHOTS, STARTING = 0.16, 0.03, 0.03
#: Cancellations as a part of arrivals when a book holds its usual number of orders.
CANCELS = 0.42
USUAL_ORDERS = 70
#: Part of offers that their owners keep when the market turns in play.
KEEPS = 0.15
MIN_STAKE = 100

# Median stake, in pence, at each price of a market of depth 1: long prices carry less.
_STAKES = tuple(6000 / (price - 0.5) ** 0.75 for price in PRICES)
# Quantiles of two distributions, drawn by eight random bits: cheaper by far than drawing afresh.
EXPONENTIAL = tuple(-math.log(1 - (n + 0.5) / 256) for n in range(256))


def _get_lognormal(spread: float) -> tuple[float, ...]:
    # Hastings' rational approximation of the normal quantile (Abramowitz and Stegun 26.2.23).
    quantiles = []
    for n in range(256):
        part = (n + 0.5) / 256
        t = math.sqrt(-2 * math.log(min(part, 1 - part)))
        x = t - (2.515517 + 0.802853 * t + 0.010328 * t * t) / (
            1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t * t * t
        )
        quantiles.append(math.exp(spread * (x if part > 0.5 else -x)))
    return tuple(quantiles)


_SIZES = _get_lognormal(1.1)


class Bettors:
    """Bettors around the fair prices of a market's runners.

    `width` is the mean distance, in prices, of an offer from the fair price; `slack` how far news must move
    the fair price past an offer before its owner pulls it.
    """

    #: They look at the book before they act.
    looks = True

    def __init__(
        self,
        rng: random.Random,
        books: Sequence[OrderBook],
        starting: Sequence[StartingPrice] | None,
        depth: float,
    ) -> None:
        self.width = 6.0
        self.slack = 2
        self._rng = rng
        self._books = books
        self._starting = starting
        self._depth = depth
        self._fair: Sequence[float] = ()
        # The highest price not above the fair one: offers to back stand there or lower, offers to lay above.
        self._below = [0] * len(books)
        self._activity: list[float] = []

    def follow(self, fair: Sequence[float]) -> None:
        """Learn the reciprocals of the fair prices, and pull the offers they have overtaken."""
        if fair is self._fair:
            return
        moved = bool(self._fair)
        self._fair = fair
        for n, chance in enumerate(fair):
            if chance:
                below = bisect_right(PRICES, 1 / chance) - 1 if chance > 0.001 else LAST_TICK
                self._below[n] = below = min(max(below, 0), LAST_TICK - 1)
                self._pull(n, below)
                if moved:
                    self._fill_gap(n, self._books[n])
        # Money follows chances, less than in proportion; a decided runner still draws some.
        self._activity = list(accumulate(math.sqrt(chance) + 0.02 if chance else 0.0 for chance in fair))

    def quote(self, offers: int) -> None:
        """Make `offers` on each side of every runner: how a book begins, and begins again."""
        for n, chance in enumerate(self._fair):
            if chance:
                for _ in range(offers):
                    self._offer(n, True)
                    self._offer(n, False)

    def quote_far(self) -> None:
        """The bets that stand at the ends of the ladder from the first moment."""
        for n, book in enumerate(self._books):
            if self._fair[n]:
                book.lay(0, 100 * self._rng.randint(5, 400), keeps=True)
                book.back(LAST_TICK, 100 * self._rng.randint(2, 20), keeps=True)

    def start(self) -> None:
        """Give every runner a first backer and layer at starting price."""
        for n, chance in enumerate(self._fair):
            if chance and self._starting is not None:
                stake = self._draw_size(self._below[n])
                self._starting[n].back(stake)
                self._starting[n].lay(max(1000, int(stake * (1 / chance - 1))))

    def act(self, at_starting_price: bool) -> int:
        """One bettor comes to one runner, whose position is returned."""
        rng = self._rng
        n = self._draw_runner()
        book = self._books[n]
        resting = len(book.resting)
        choice = rng.random()
        if self._fill_gap(n, book):
            return n
        if resting > 6 and choice < min(0.6, CANCELS * resting / USUAL_ORDERS):
            book.cancel(rng.random())
        elif choice > 1 - TAKES:
            self._take(n, book)
        elif choice > 1 - TAKES - LONG_SHOTS:
            self._offer_far(n)
        elif at_starting_price and self._starting is not None and choice > 1 - TAKES - LONG_SHOTS - STARTING:
            self._bet_at_starting_price(n, self._starting[n])
        else:
            self._offer(n, rng.getrandbits(1) == 1)
        return n

    def _draw_runner(self) -> int:
        activity = self._activity
        return bisect_left(activity, (1.0 - self._rng.random()) * activity[-1])

    def _pull(self, n: int, below: int) -> None:
        self._books[n].pull(below, self.slack)

    def _fill_gap(self, n: int, book: OrderBook) -> bool:
        # Someone always quotes a price where news or takers have left none near.
        lay, back = book.lays.best, book.backs.best
        below = self._below[n]
        reach = 3 * self.width
        if lay is None or lay < below - reach:
            self._offer(n, False)
        elif back is None or back > below + 1 + reach:
            self._offer(n, True)
        else:
            return False
        return True

    def _offer(self, n: int, is_back: bool) -> None:
        rng = self._rng
        bits = rng.getrandbits(16)
        away = int(self.width * EXPONENTIAL[bits & 255])
        below = self._below[n]
        keeps = rng.random() < KEEPS
        tick = min(below + 1 + away, LAST_TICK) if is_back else max(below - away, 0)
        self._stand(n, is_back, tick, self._size(tick, bits >> 8), keeps)

    def _stand(self, n: int, is_back: bool, tick: int, size: int, keeps: bool) -> None:
        book = self._books[n]
        if is_back:
            book.back(tick, size, keeps=keeps)
        else:
            book.lay(tick, size, keeps=keeps)

    def _offer_far(self, n: int) -> None:
        bits = self._rng.getrandbits(5)
        if bits & 1:
            self._stand(n, False, min(bits >> 1, self._below[n]), MIN_STAKE * (2 + bits), True)
        else:
            tick = max(LAST_TICK - (bits >> 1), self._below[n] + 1)
            self._stand(n, True, tick, MIN_STAKE * (2 + (bits >> 2)), True)

    def _take(self, n: int, book: OrderBook) -> None:
        lay, back = book.lays.best, book.backs.best
        below = self._below[n]
        # Bettors who know take a price that news has left behind; the others take whichever side is near.
        if lay is not None and lay > below:
            book.back(lay, self._draw_size(lay))
            return
        if back is not None and back <= below:
            book.lay(back, self._draw_size(back))
            return
        reach = 2 + 2 * self.width
        if self._rng.getrandbits(1):
            if lay is not None and lay >= below - reach:
                book.back(lay, 2 * self._draw_size(lay), rests=False)
        elif back is not None and back <= below + 1 + reach:
            book.lay(back, 2 * self._draw_size(back), rests=False)

    def _bet_at_starting_price(self, n: int, starting: StartingPrice) -> None:
        chance = self._fair[n]
        stake = self._draw_size(self._below[n])
        # Layers come where backers are many, so that the far price stays near the fair one.
        if starting.liability < starting.stake * (1 / chance - 1) * self._rng.uniform(0.7, 1.3):
            starting.lay(max(1000, int(stake * (1 / chance - 1))))
        else:
            starting.back(stake)

    def _draw_size(self, tick: int) -> int:
        return self._size(tick, self._rng.getrandbits(8))

    def _size(self, tick: int, bits: int) -> int:
        size = int(self._depth * _STAKES[tick] * _SIZES[bits])
        if size < MIN_STAKE:
            return MIN_STAKE
        # Every other bettor thinks in whole pounds, and of those with much money half in fives.
        if bits & 1:
            return size
        return size - size % (500 if size > 2000 and bits & 2 else 100)
