"""Many parameter sets over one book: each has a market, an actor, an account and a clock of its own.

The book is folded once a change. A set that is asleep, outside its window and with nothing at the exchange, costs
nothing then. What a set does and gets is what it does and gets alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..config import Config
from ..strategies.analysis.deciding_parameters import values_of
from ..strategies.book import MarketBook
from ..strategies.changes import MarketChange, MarketDefinition
from ..strategies.clock import Clock
from ..strategies.host import Host, numbered_ids
from ..strategies.strategy import Strategy
from ..strategies.window import Gate, Window
from .hosted_market import HostedMarket
from .market import MarketActor

#: What a look at the book takes: `check_market_book`, `process_market_book`, and whose they are.
_Look = tuple[Callable[..., Any], Callable[..., Any], HostedMarket, Clock, "SetActor", Strategy]


class _Circle:
    """Sets that look at the book through one window.

    Attributes:
        gate: the window's times; None: at every change.
        alike: lists of those whose `check_market_book` gives one answer to all of a list.
        others: each of these is asked.
    """

    __slots__ = ("alike", "gate", "others")

    def __init__(self, window: Window | None, looks: Sequence[_Look], deciding: tuple[str, ...] | None) -> None:
        self.gate = None if window is None else Gate(window)
        self.others: list[_Look] = []
        alike: dict[Any, list[_Look]] = {}
        for look in looks:
            values = None if deciding is None else values_of(look[-1], deciding)
            (self.others if values is None else alike.setdefault(values, [])).append(look)
        self.alike = list(alike.values())


class SharedTimers:
    """When the first timer of all sets is due, or earlier."""

    __slots__ = ("next_ms",)

    def __init__(self) -> None:
        self.next_ms: float = math.inf


class SetClock(Clock):
    """The clock of one set; its timers are known to all."""

    __slots__ = ("_shared",)

    def __init__(self, shared: SharedTimers) -> None:
        super().__init__()
        self._shared = shared

    def call_at(self, at_ms: int, function: Callable[[], object]) -> None:
        super().call_at(at_ms, function)
        if self.next_ms < self._shared.next_ms:
            self._shared.next_ms = self.next_ms


class SharedMarket:
    """One market with the faces that the sets have of it.

    Attributes:
        book: the one book.
        faces: each set's market and actor; sets that do not want the market are not among them.
        busy: those of them with something at the exchange, or something to be told.
        circles: what looks at the book, by window.
        changes: changes folded in.
    """

    __slots__ = ("book", "busy", "changes", "circles", "faces", "lead")

    def __init__(
        self, book: MarketBook, faces: Sequence[tuple[SetActor, HostedMarket]], deciding: tuple[str, ...] | None
    ) -> None:
        self.book = book
        self.faces = list(faces)
        self.lead = self.faces[0][1]
        self.busy: dict[HostedMarket, SetActor] = {}
        self.changes = 0
        by_window: dict[Window | None, list[_Look]] = {}
        for actor, market in self.faces:
            for check, process, gate, strategy in market.readers:
                look = (check, process, market, actor.host.clock, actor, strategy)
                by_window.setdefault(None if gate is None else gate.window, []).append(look)
        self.circles = [_Circle(window, looks, deciding) for window, looks in by_window.items()]

    def rest(self, market: HostedMarket) -> None:
        """A set has nothing at the exchange any more: it is not attended to before its next order."""
        self.busy.pop(market, None)
        market.attended = False
        if not self.busy:
            self.book.unwatch()


class SetActor(MarketActor):
    """The actor of one set: it shares its books with those of other sets.

    Attributes:
        crowd: all sets of the replay; set before the first change.
    """

    crowd: SharedMarkets

    def open(self, publish_time: int, change: MarketChange) -> HostedMarket | None:
        """Host a market; None where the set does not want it."""
        return self._new_market(publish_time, change)

    def _new_book(self, market_id: str, windows: Sequence[Window]) -> MarketBook:
        return self.crowd.book(market_id, lambda: super(SetActor, self)._new_book(market_id, windows))

    def plan_orders(self, market: HostedMarket) -> None:
        """An order has come or changed: the set is awake from now on."""
        self.crowd.wake(market, self)
        super().plan_orders(market)

    def run_timers(self, until_ms: int) -> None:
        self._run_timers(until_ms)

    def release(self, market: HostedMarket, publish_time: int) -> None:
        """A change is about to be folded in: requests whose time has come are acted upon."""
        self.clock.now_ms = publish_time
        if market.exchange.busy:
            self.current_market = market
            self._guarded(None, market, market.exchange.changing)

    def attend(self, market: HostedMarket) -> None:
        """A change was folded in: match, and tell of orders."""
        self.current_market = market
        if market.attended:
            self._attend(market)

    def define(self, market: HostedMarket, definition: MarketDefinition) -> None:
        """A definition was folded in: all of the loop that follows."""
        self.current_market = market
        if not self._defined(market, definition):
            self.process_market_books(market, market.market_book)

    def look_failed(self, error: Exception, strategy: Strategy, market: HostedMarket) -> None:
        self._failed(error, strategy, market)

    def is_busy(self, market: HostedMarket) -> bool:
        """Whether the next change concerns the set, in its window or not."""
        blotter = market.blotter
        if blotter.has_live_orders or market.exchange.busy or blotter.finished or self.middleware:
            return True
        return any(mine.current or seat.all_orders for seat, mine in market.traders())


class SharedMarkets:
    """The sets of one replay, and the markets that they share. Readers of recordings take it for an actor.

    Args:
        actors: one a set.
        timers: what their clocks were made with.
        deciding: parameters that decide what `check_market_book` answers (see `deciding_parameters`); None: each set
            is asked.
    """

    def __init__(
        self, actors: Sequence[SetActor], timers: SharedTimers, deciding: tuple[str, ...] | None = None
    ) -> None:
        self.actors = list(actors)
        self._deciding = deciding
        self._timers = timers
        self._markets: dict[str | None, SharedMarket] = {}  # a change may come without an id: no market has it
        self._ignored: set[str] = set()
        self._books: dict[str, MarketBook] = {}
        self._at_work: SetActor = self.actors[0]
        for actor in self.actors:
            actor.crowd = self

    # -- as an actor, for readers and log lines ------------------------------------------------------------------

    @property
    def stopped(self) -> bool:
        """Whether every set has asked for the end of the run."""
        return all(actor.stopped for actor in self.actors)

    @property
    def host(self) -> Host:
        return self._at_work.host

    @property
    def running(self) -> Strategy | None:
        return self._at_work.running

    @property
    def current_market(self) -> HostedMarket | None:
        return self._at_work.current_market

    def wants_any(self, market_id: str) -> bool:
        return any(actor.wants_any(market_id) for actor in self.actors)

    @property
    def prototypes(self) -> list[Strategy]:
        return [strategy for actor in self.actors for strategy in actor.prototypes]

    @property
    def skips(self) -> bool:
        return not any(actor.middleware for actor in self.actors)

    @property
    def next_timer_ms(self) -> float:
        return self._timers.next_ms

    def faces(self, market_id: str) -> Sequence[HostedMarket]:
        shared = self._markets.get(market_id)
        return () if shared is None else [market for _, market in shared.faces]

    def skip(self, market_id: str, changes: int) -> None:
        self._markets[market_id].changes += changes

    def fold_unseen(self, publish_time: int, change: MarketChange) -> None:
        shared = self._markets.get(change.id)
        if shared is None:
            return
        shared.book.apply(publish_time, change)
        if change.market_definition is not None:
            for actor, market in shared.faces:
                actor.define_unseen(market)

    # -- what the sets ask for -----------------------------------------------------------------------------------

    def book(self, market_id: str, make: Callable[[], MarketBook]) -> MarketBook:
        """The book of a market, made by the first set that wants it."""
        book = self._books.get(market_id)
        if book is None:
            book = self._books[market_id] = make()
        return book

    def wake(self, market: HostedMarket, actor: SetActor) -> None:
        shared = self._markets.get(market.market_id)
        if shared is not None:
            shared.busy[market] = actor

    # -- changes -------------------------------------------------------------------------------------------------

    def process_market_change(self, publish_time: int, change: MarketChange) -> None:
        """One change of one market, for all sets that it concerns."""
        shared = self._markets.get(change.id)
        if shared is None:
            shared = self._open(publish_time, change)
            if shared is None:
                return
        if self._timers.next_ms <= publish_time:
            self._run_timers(shared, publish_time)
        busy, book = shared.busy, shared.book
        for market, actor in list(busy.items()):
            self._at_work = actor
            actor.release(market, publish_time)
        book.apply(publish_time, change)
        shared.changes += 1
        if change.market_definition is not None:
            self._define(shared, publish_time, change.market_definition)
            return
        if book.traded:
            book.newly_traded()
        for market, actor in list(busy.items()):
            self._at_work = actor
            market.changes = shared.changes
            actor.attend(market)
            if not actor.is_busy(market):
                shared.rest(market)
        lead = shared.lead
        lead.clock.now_ms = publish_time
        for circle in shared.circles:
            gate = circle.gate
            if gate is not None:
                if gate.definition is not book.market_definition:
                    lead.renew(gate)
                if not gate.from_ms <= publish_time <= gate.until_ms:
                    continue
            for looks in circle.alike:
                check, _, market, clock, _, _ = looks[0]
                clock.now_ms = publish_time
                show = self._show
                try:
                    if not check(market, book):
                        continue
                except Exception:
                    show = self._look  # each fails by itself
                show(looks, publish_time, book)
            if circle.others:
                self._look(circle.others, publish_time, book)

    def _look(self, looks: Sequence[_Look], publish_time: int, book: MarketBook) -> None:
        """Ask each set whether it wants to see the book, and show it."""
        for check, process, market, clock, actor, strategy in looks:
            clock.now_ms = publish_time
            self._at_work = actor
            actor.current_market = market
            actor.running = strategy
            try:
                if check(market, book):
                    process(market, book)
            except Exception as error:
                actor.look_failed(error, strategy, market)

    def _show(self, looks: Sequence[_Look], publish_time: int, book: MarketBook) -> None:
        """Show the book to sets that want to see it."""
        for _, process, market, clock, actor, strategy in looks:
            clock.now_ms = publish_time
            self._at_work = actor
            actor.current_market = market
            actor.running = strategy
            try:
                process(market, book)
            except Exception as error:
                actor.look_failed(error, strategy, market)

    def _define(self, shared: SharedMarket, publish_time: int, definition: MarketDefinition) -> None:
        if definition.status != "CLOSED" and shared.book.traded:
            shared.book.newly_traded()
        for actor, market in shared.faces:
            self._at_work = actor
            actor.host.clock.now_ms = publish_time
            market.changes = shared.changes
            actor.define(market, definition)
            if actor.is_busy(market):
                self.wake(market, actor)
            else:
                shared.rest(market)

    def _open(self, publish_time: int, change: MarketChange) -> SharedMarket | None:
        market_id = change.id
        if market_id is None or market_id in self._ignored or change.market_definition is None:
            return None
        opened = [(actor, actor.open(publish_time, change)) for actor in self.actors]
        faces = [(actor, market) for actor, market in opened if market is not None]
        if not faces:
            self._ignored.add(market_id)
            return None
        shared = self._markets[market_id] = SharedMarket(self._books[market_id], faces, self._deciding)
        return shared

    def _run_timers(self, shared: SharedMarket, publish_time: int) -> None:
        """Timers run at changes of markets that their set wants, as they do where it is alone."""
        for actor, _ in shared.faces:
            if actor.host.clock.next_ms <= publish_time:
                self._at_work = actor
                actor.run_timers(publish_time)
        self._timers.next_ms = min(actor.host.clock.next_ms for actor in self.actors)

    def release_market(self, market_id: str) -> list[tuple[SetActor, HostedMarket]]:
        """Give up a market whose recording has ended: the faces of it, in the order of the sets."""
        shared = self._markets.pop(market_id, None)
        self._books.pop(market_id, None)
        self._ignored.discard(market_id)
        for actor in self.actors:
            self._at_work = actor
            market = actor.release_market(market_id)
            if market is not None and shared is not None:
                market.changes = shared.changes
        return [] if shared is None else shared.faces


def set_host(config: Config, timers: SharedTimers) -> Host:
    """What a set lives by: a clock and ids of its own."""
    return Host(SetClock(timers), config, numbered_ids())
