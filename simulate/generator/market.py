"""The life of one market: it opens, trades, is suspended, turns in play, is decided and settled."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator

from .bettors import Bettors
from .crowd import Crowd, Visitor
from .definition import MarketDefinition
from .order_book import OrderBook
from .plan import EventPlan, MarketPlan
from .publisher import Publisher
from .recipe import Patience
from .starting_price import StartingPrice
from .timing import get_times_before, get_times_between, shake

#: Milliseconds between estimates of the starting price.
ESTIMATE_EVERY = 60_000
#: Part of the messages before the off after which every runner has bets at starting price.
FIRST_STARTING_BETS = 0.08
#: Bettors whose doings one message carries, at random among these.
BETTORS = (1, 1, 2, 2, 2, 3, 3, 5)
BETTORS_IN_PLAY = (1, 2, 2, 3, 3, 4, 5, 8)
#: Mean distance of offers from the fair price: at the opening, at the off, in play.
WIDTH_AT_OPENING, WIDTH_AT_OFF, WIDTH_IN_PLAY = 7.0, 1.1, 2.2

Disturbance = tuple[int, Callable[[int], int]]


class Market:
    """Plays a market from its plan. `play`, or `messages`, may be called once.

    With `crowd` its bettors do not look at the book; then a `visitor` may come.
    """

    def __init__(
        self,
        rng: random.Random,
        event: EventPlan,
        plan: MarketPlan,
        market_id: str,
        changes: int,
        bet_delay: int,
        crowd: Patience | None = None,
        visitor: Visitor | None = None,
    ) -> None:
        field = event.field
        self._rng = rng
        self._event = event
        self._plan = plan
        self._changes = changes
        self._definition = MarketDefinition(event, plan, rng.randint(5_000_000_000, 6_900_000_000), bet_delay)
        self._books = [OrderBook() for _ in plan.runners]
        has_starting_price = field.starting_price and plan.each_way_divisor is None
        self._starting = [StartingPrice() for _ in plan.runners] if has_starting_price else None
        self._bettors = (
            Bettors(rng, self._books, self._starting, field.depth)
            if crowd is None
            else Crowd(rng, self._books, self._starting, field.depth, crowd)
        )
        self._visitor = visitor
        clock = rng.randint(1_000_000_000, 9_000_000_000)
        self._publisher = Publisher(market_id, [runner.selection_id for runner in plan.runners], clock)
        self._removed: int | None = None
        self._estimate_at: int | None = None

    def play(self) -> list[bytes]:
        """Every message of the market, in order, without line ends."""
        return list(self.messages())

    def messages(self) -> Iterator[bytes]:
        """The messages of the market, in order, without line ends, each made when it is asked for."""
        published = self._publisher.take
        for _ in self._live():
            yield from published()
        yield from published()

    def _live(self) -> Iterator[None]:
        """The market's life, in small steps."""
        schedule, field = self._event.schedule, self._event.field
        running = int(self._changes * field.in_play_share)
        self._open(schedule.opens)
        times = get_times_before(schedule.opens, schedule.off, max(self._changes - running, 20))
        yield from self._trade(shake(times, schedule.off, self._rng), schedule.off, self._list_disturbances())
        if field.goes_in_play:
            start = self._turn_in_play(schedule.off)
            goals: list[Disturbance] = [(time, self._score) for time in self._plan.goals]
            times = get_times_between(start, self._plan.end, max(running, 10))
            yield from self._trade(shake(times, self._plan.end, self._rng), self._plan.end, goals)
            self._suspend(self._plan.end)
        else:
            self._suspend(schedule.off)
            self._reconcile()
        self._close()

    def _list_disturbances(self) -> list[Disturbance]:
        disturbances: list[Disturbance] = []
        if self._event.withdrawal is not None:
            disturbances.append((self._event.withdrawal.time, self._withdraw))
        if self._event.suspension is not None:
            disturbances.append((self._event.suspension, self._pause))
        return sorted(disturbances, key=lambda disturbance: disturbance[0])

    def _open(self, time: int) -> None:
        self._define(time)
        self._follow(time)
        self._bettors.quote_far()
        self._change(time + 400)
        self._bettors.quote(2)
        self._change(time + 900)

    def _trade(self, times: list[int], end: int, disturbances: list[Disturbance]) -> Iterator[None]:
        """Publish what bettors do at `times`, and what disturbs them before `end`."""
        bettors, publisher = self._bettors, self._publisher
        waiting = list(disturbances)
        news_at = 0
        for n, time in enumerate(times):
            while waiting and waiting[0][0] <= time:
                at, disturb = waiting.pop(0)
                disturb(at)
            # Messages due while the market was suspended are not sent: nobody could bet.
            if time <= publisher.time:
                continue
            self._visit(time)
            if not self._definition.in_play:
                bettors.width = WIDTH_AT_OPENING + (WIDTH_AT_OFF - WIDTH_AT_OPENING) * math.sqrt(n / len(times))
            everyone = time >= news_at
            if everyone:
                news_at = self._follow(time)
            self._bet(time, everyone)
            if self._starting is not None and not self._definition.in_play:
                self._estimate(time, n / len(times))
            yield
        for at, disturb in waiting:
            if at < end:
                disturb(at)

    def _bet(self, time: int, everyone: bool) -> None:
        """Let some bettors act and publish it, with what news changed before if `everyone` has heard some."""
        in_play = self._definition.in_play
        act = self._bettors.act
        bettors = (BETTORS_IN_PLAY if in_play else BETTORS)[self._rng.getrandbits(3)]
        touched = {act(not in_play) for _ in range(bettors)}
        while not self._publisher.change(time, self._books, self._starting, None if everyone else touched):
            if not self._bettors.looks:
                break
            touched.add(act(not in_play))

    def _estimate(self, time: int, part: float) -> None:
        """Publish starting prices each minute, once the first bets at starting price have come."""
        assert self._starting is not None
        if self._estimate_at is None:
            if part > FIRST_STARTING_BETS:
                self._bettors.start()
                self._change(time)
                self._estimate_at = time + ESTIMATE_EVERY // 2
        elif time >= self._estimate_at:
            self._estimate_at = time + ESTIMATE_EVERY
            self._publisher.estimate(time, self._books, self._starting)

    def _withdraw(self, time: int) -> int:
        withdrawal = self._event.withdrawal
        assert withdrawal is not None
        rng, position = self._rng, withdrawal.runner
        self._suspend(time)
        factor = self._definition.runners[position].adjustment_factor or 0.0
        self._removed = position
        for n, book in enumerate(self._books):
            if n == position:
                book.lapse()
            elif factor >= self._plan.lays_lapse_from:
                book.lapse(backs=False)
        if self._starting is not None:
            self._starting[position].void()
        now = self._change(time + rng.randint(0, 3))
        self._definition.remove(position, time)
        self._definition.change_version(rng)
        now = self._define(now + rng.randint(150, 600))
        return self._reopen(now + rng.randint(1_000, 15_000))

    def _pause(self, time: int) -> int:
        self._suspend(time)
        return self._reopen(time + self._rng.randint(3_000, 20_000))

    def _score(self, time: int) -> int:
        rng = self._rng
        self._suspend(time)
        for book in self._books:
            book.lapse()
        now = self._change(time + rng.randint(100, 900))
        return self._reopen(now + rng.randint(15_000, 60_000))

    def _visit(self, time: int) -> None:
        if self._visitor is not None:
            self._visitor.come(time, self._definition.status == "OPEN", self._books)

    def _suspend(self, time: int) -> int:
        self._visit(time)
        self._definition.status = "SUSPENDED"
        self._definition.change_version(self._rng)
        return self._define(time)

    def _reopen(self, time: int) -> int:
        self._visit(time)
        self._definition.status = "OPEN"
        self._definition.change_version(self._rng)
        now = self._define(time)
        self._follow(now)
        self._bettors.quote(4)
        return self._change(now + self._rng.randint(80, 400))

    def _turn_in_play(self, time: int) -> int:
        rng, definition = self._rng, self._definition
        if self._event.field.suspends_at_off:
            self._suspend(time)
            if self._starting is not None:
                self._reconcile()
            time = self._publisher.time + rng.randint(150, 3_000)
        self._visit(time)
        for book in self._books:
            book.lapse(kept=True)
        if self._event.field.suspends_at_off:
            self._change(time)
        definition.turn_in_play()
        definition.change_version(rng)
        now = self._define(time)
        self._change(now)
        self._bettors.slack = 1
        self._bettors.width = WIDTH_IN_PLAY
        self._follow(now)
        self._bettors.quote(4)
        return self._change(now + rng.randint(80, 300))

    def _reconcile(self) -> None:
        rng, definition = self._rng, self._definition
        assert self._starting is not None
        for n, bets in enumerate(self._starting):
            if n != self._removed:
                definition.runners[n].bsp = round(bets.reconcile(self._books[n]), 2)
        now = self._publisher.time + rng.randint(200, 900)
        definition.bsp_reconciled = True
        definition.change_version(rng)
        self._define(now)
        self._change(now)

    def _close(self) -> None:
        rng = self._rng
        self._visit(self._publisher.time)
        for book in self._books:
            book.lapse()
        now = self._change(self._publisher.time + rng.randint(500, 5_000))
        now += rng.randint(20_000, 150_000)
        self._definition.close(now - rng.randint(1_000, 5_000))
        self._definition.change_version(rng)
        self._define(now)

    def _follow(self, time: int) -> int:
        """Tell the crowd what is fair at `time`; returns when that changes next."""
        times = self._plan.times
        position = bisect_right(times, time)
        self._bettors.follow(self._plan.fair[max(position - 1, 0)])
        return times[position] if position < len(times) else 1 << 62

    def _define(self, time: int) -> int:
        self._publisher.define(time, self._definition.build())
        return self._publisher.time

    def _change(self, time: int) -> int:
        self._publisher.change(time, self._books, self._starting)
        return self._publisher.time
