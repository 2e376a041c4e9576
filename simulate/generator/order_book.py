"""A book of individual orders on one runner, first in first out at each price.

Prices are positions on the classic ladder (0 is 1.01, 349 is 1000) and sizes are pence of the backer's stake,
both integers, so that no rounding enters before a size is published.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable


class Order:
    """An order that waits. `remaining` is in pence and 0 once matched, cancelled or lapsed; `matched` grows as it is.

    What was matched at its arrival is not in `matched`: it never waited.
    """

    __slots__ = ("is_back", "keeps", "matched", "remaining", "tick")

    def __init__(self, is_back: bool, tick: int, remaining: int, keeps: bool) -> None:
        self.is_back = is_back
        self.tick = tick
        self.remaining = remaining
        self.matched = 0
        self.keeps = keeps


class Queues:
    """One side of a book: a queue of orders at each price.

    `sizes` holds the pence at each price and no empty price; `best` is the price the other side would be
    matched at first; `changed` collects the prices whose size may differ from what was last published.
    """

    __slots__ = ("_best_of", "_orders", "best", "changed", "sizes")

    def __init__(self, best_of: Callable[[Iterable[int]], int]) -> None:
        self._best_of = best_of
        self._orders: dict[int, deque[Order]] = {}
        self.sizes: dict[int, int] = {}
        self.best: int | None = None
        self.changed: set[int] = set()

    def join(self, order: Order) -> None:
        """Put an order at the end of the queue at its price."""
        tick = order.tick
        sizes = self.sizes
        if tick in sizes:
            sizes[tick] += order.remaining
            self._orders[tick].append(order)
        else:
            sizes[tick] = order.remaining
            self._orders[tick] = deque((order,))
            best = self.best
            self.best = tick if best is None else self._best_of((best, tick))
        self.changed.add(tick)

    def take(self, size: int) -> int:
        """Match up to `size` pence at the best price, oldest order first. Returns the pence matched."""
        tick = self.best
        if tick is None:
            return 0
        matched = left = min(size, self.sizes[tick])
        queue = self._orders[tick]
        while left:
            order = queue[0]
            if order.remaining <= left:
                left -= order.remaining
                order.matched += order.remaining
                order.remaining = 0
                queue.popleft()
            else:
                order.matched += left
                order.remaining -= left
                left = 0
        self.reduce(tick, matched)
        return matched

    def reduce(self, tick: int, size: int) -> None:
        """Take `size` pence off the total at a price whose orders have already been told."""
        self.changed.add(tick)
        left = self.sizes[tick] - size
        if left:
            self.sizes[tick] = left
            return
        del self.sizes[tick], self._orders[tick]
        if tick == self.best:
            self.best = self._best_of(self.sizes) if self.sizes else None

    def withdraw(self, tick: int) -> None:
        """Cancel every order at a price."""
        for order in self._orders[tick]:
            order.remaining = 0
        self.reduce(tick, self.sizes[tick])

    def lapse(self, kept: bool) -> None:
        """Cancel every order, or with `kept` those whose owners did not ask to keep them in play."""
        for tick, queue in list(self._orders.items()):
            lapsed = 0
            for order in queue:
                if not (kept and order.keeps):
                    lapsed += order.remaining
                    order.remaining = 0
            if lapsed:
                self.reduce(tick, lapsed)


class OrderBook:
    """The unmatched orders and the matched volume of one runner.

    `backs` are unmatched backs, which the exchange shows as available to lay; `lays` the other way round.
    `traded` is the pence matched at each price counting both sides of every bet, as the exchange publishes
    it.
    """

    __slots__ = ("backs", "last", "lays", "resting", "traded", "traded_changed", "volume")

    def __init__(self) -> None:
        self.backs = Queues(min)
        self.lays = Queues(max)
        self.resting: list[Order] = []
        self.traded: dict[int, int] = {}
        self.traded_changed: set[int] = set()
        self.volume = 0
        self.last: int | None = None

    def back(self, tick: int, size: int, *, keeps: bool = False, rests: bool = True) -> Order | None:
        """Back `size` pence at the price or better. What is left waits, unless `rests` is false, and is returned."""
        lays = self.lays
        while size and lays.best is not None and lays.best >= tick:
            size -= self._trade(lays, size)
        if size and rests:
            order = Order(True, tick, size, keeps)
            self.resting.append(order)
            self.backs.join(order)
            return order
        return None

    def lay(self, tick: int, size: int, *, keeps: bool = False, rests: bool = True) -> Order | None:
        """Lay `size` pence of stake at the price or better. What is left waits likewise, and is returned."""
        backs = self.backs
        while size and backs.best is not None and backs.best <= tick:
            size -= self._trade(backs, size)
        if size and rests:
            order = Order(False, tick, size, keeps)
            self.resting.append(order)
            self.lays.join(order)
            return order
        return None

    def cancel(self, where: float) -> bool:
        """Cancel the order that stands `where` (0 up to 1) among those resting. False if there is none."""
        resting = self.resting
        while resting:
            position = int(where * len(resting))
            order = resting[position]
            last = resting.pop()
            if last is not order:
                resting[position] = last
            if self.withdraw(order):
                return True
        return False

    def withdraw(self, order: Order) -> bool:
        """Cancel one order. False if nothing of it is left."""
        if not order.remaining:
            return False
        queues = self.backs if order.is_back else self.lays
        queues.reduce(order.tick, order.remaining)
        order.remaining = 0
        return True

    def pull(self, below: int, slack: int) -> None:
        """Cancel orders that stand more than `slack` prices on the wrong side of `below`, the fair price."""
        lays, backs = self.lays, self.backs
        while lays.best is not None and lays.best > below + slack:
            lays.withdraw(lays.best)
        while backs.best is not None and backs.best <= below - slack:
            backs.withdraw(backs.best)

    def lapse(self, *, kept: bool = False, backs: bool = True) -> None:
        """Cancel what is unmatched: not the orders `kept` in play, or with `backs` false the lays only."""
        self.lays.lapse(kept)
        if backs:
            self.backs.lapse(kept)
        self.resting = [order for order in self.resting if order.remaining]

    def _trade(self, queues: Queues, size: int) -> int:
        tick = queues.best
        assert tick is not None
        matched = queues.take(size)
        self.traded[tick] = self.traded.get(tick, 0) + 2 * matched
        self.traded_changed.add(tick)
        self.volume += 2 * matched
        self.last = tick
        return matched
