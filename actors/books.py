"""The loop over changes: each is folded into its book once, and the book is shown to all onlookers.

A plain run has one onlooker, a market actor. A sweep has one for each parameter set: each has a market, an account and
a clock of its own, and gives the same result as if it ran alone. An onlooker that is outside its window, with nothing
at the exchange, costs nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from heapq import heappush
from typing import Any, Protocol

from ..config import Config
from ..strategies.analysis.deciding_parameters import values_of
from ..strategies.book import MarketBook
from ..strategies.changes import MarketChange, MarketDefinition
from ..strategies.clock import Clock
from ..strategies.host import Host, numbered_ids
from ..strategies.strategy import Strategy
from ..strategies.window import Gate, Window
from .hosted_market import HostedMarket
from .turn import Turn

#: What a look at the book takes: the onlooker's market and clock, `check_market_book`, `process_market_book`, and whose
#: they are.
Look = tuple[HostedMarket, Clock, Callable[..., Any], Callable[..., Any], Strategy]


class Onlooker(Protocol):
    """A market actor, as the loop sees it."""

    books: Books
    turn: Turn

    @property
    def clock(self) -> Clock: ...

    @property
    def host(self) -> Host: ...

    @property
    def middleware(self) -> Sequence[Any]: ...

    @property
    def prototypes(self) -> list[Strategy]: ...

    @property
    def stopped(self) -> bool: ...

    @property
    def skips(self) -> bool:
        """Whether changes that no strategy looks at may be left out."""

    @property
    def shows_books(self) -> bool:
        """Whether it shows books its own way, in a step that a subclass overrides."""

    def open(self, publish_time: int, change: MarketChange) -> HostedMarket | None: ...

    def poll(self, market: HostedMarket) -> None: ...

    def attend(self, market: HostedMarket) -> bool: ...

    def attend_unseen(self, market: HostedMarket) -> None: ...

    def define(self, market: HostedMarket, definition: MarketDefinition) -> None: ...

    def define_unseen(self, market: HostedMarket) -> None: ...

    def process_market_books(self, market: HostedMarket, book: MarketBook) -> None: ...

    def tell(self, market: HostedMarket) -> None: ...

    def run_timers(self, until_ms: int) -> None: ...

    def release_market(self, market_id: str) -> HostedMarket | None: ...

    def wants_any(self, market_id: str) -> bool: ...


#: Looks at a book through one window: the window's times (None: at every change); those that are each asked; and lists
#: of those among which one is asked, because `check_market_book` gives all of a list one answer.
View = tuple[Gate | None, list[Look], list[list[Look]]]


def _view(window: Window | None, looks: Sequence[Look], deciding: tuple[str, ...] | None) -> View:
    others: list[Look] = []
    alike: dict[Any, list[Look]] = {}
    for look in looks:
        values = None if deciding is None else values_of(look[-1], deciding)
        (others if values is None else alike.setdefault(values, [])).append(look)
    return None if window is None else Gate(window), others, list(alike.values())


class SharedTimers:
    """When the first timer of several clocks is due, or earlier."""

    __slots__ = ("next_ms",)

    def __init__(self) -> None:
        self.next_ms: float = math.inf


class SharedClock(Clock):
    """The clock of one of several onlookers. All of them know when its next timer is due."""

    __slots__ = ("_shared",)

    def __init__(self, shared: SharedTimers) -> None:
        super().__init__()
        self._shared = shared

    def call_at(self, at_ms: int, function: Callable[..., object], *arguments: Any) -> None:
        # `Clock.call_at` is written out: the call would cost as much as the work.
        heappush(self._timers, (at_ms, next(self._count), function, arguments))
        if at_ms < self.next_ms:
            self.next_ms = at_ms
            if at_ms < self._shared.next_ms:
                self._shared.next_ms = at_ms


class OpenBook:
    """One book with its onlookers.

    Attributes:
        book: the one book.
        markets: each onlooker and its market; those that do not want the market are not among them.
        first, clock: the first onlooker's market and clock.
        attended: those of them with bets at the exchange, or with orders that strategies have not been shown.
        polled: those whose exchange acts only when the book changes.
        views: what looks at the book, by window.
        changes: changes folded in.
    """

    __slots__ = ("attended", "book", "changes", "clock", "first", "markets", "polled", "views")

    def __init__(
        self,
        book: MarketBook,
        markets: Sequence[tuple[Onlooker, HostedMarket]],
        deciding: tuple[str, ...] | None = None,
    ) -> None:
        self.book = book
        self.markets = list(markets)
        self.attended: dict[HostedMarket, Onlooker] = {market: actor for actor, market in markets}
        self.polled = [(actor, market) for actor, market in markets if market.exchange.polls]
        self.first, self.clock = self.markets[0][1], self.markets[0][0].clock
        self.changes = 0
        by_window: dict[tuple[int, Window | None], list[Look]] = {}
        for actor, market in self.markets:
            # Strategies of one actor look in the order of the run, whatever their windows.
            groups = itertools.groupby(market.readers, lambda reader: None if reader[2] is None else reader[2].window)
            for place, (window, readers) in enumerate(groups):
                by_window.setdefault((place, window), []).extend(
                    (market, actor.clock, check, process, strategy) for check, process, _, strategy in readers
                )
        # Windows in the order in which the strategies of an actor look.
        in_order = sorted(by_window.items(), key=lambda item: item[0][0])
        self.views = [_view(window, looks, deciding) for (_, window), looks in in_order]


class Books:
    """The books of one replay, or of one live actor. Readers of recordings bring their changes here.

    Args:
        actors: the onlookers.
        timers: what their clocks were made with, if there are several.
        deciding: parameters that decide what `check_market_book` answers (see `deciding_parameters`); None: each
            onlooker is asked.
        leading: so many onlookers, the first ones, are asked whether the run is to end; None: all.

    Attributes:
        turn: the market and the strategy at work; shared by all onlookers, for one is at work at a time.
        touched: the actors and markets whose `process_orders` is to be called before the turn ends.
    """

    def __init__(
        self,
        actors: Sequence[Onlooker],
        timers: SharedTimers | None = None,
        deciding: tuple[str, ...] | None = None,
        leading: int | None = None,
    ) -> None:
        self.actors = list(actors)
        self._leading = self.actors[:leading]
        first = self.actors[0]
        self.turn = first.turn
        self.touched: list[tuple[Onlooker, HostedMarket]] = []
        self._many = len(self.actors) > 1
        self._timers: SharedTimers | Clock = first.clock if timers is None else timers
        self._deciding = deciding if self._many else None
        self._show: Callable[[OpenBook, int], None]
        if self._many:
            self._show = self._show_to_all
        else:
            self._show = self._take_step if first.shows_books else self._show_to_one
        self._open: dict[str | None, OpenBook] = {}  # a change may come without an id: no market has it
        self._ignored: set[str] = set()
        self._books: dict[str, MarketBook] = {}
        for actor in self.actors:
            actor.books, actor.turn = self, self.turn

    # -- for readers and log lines -------------------------------------------------------------------------------

    @property
    def stopped(self) -> bool:
        """Whether every onlooker that is asked wants the end of the run."""
        # Asked at each change: all can only have stopped if the first has.
        return self.actors[0].stopped and all(actor.stopped for actor in self._leading)

    def wants_any(self, market_id: str) -> bool:
        """Whether any onlooker wants a market that has been offered."""
        return any(actor.wants_any(market_id) for actor in self.actors)

    @property
    def prototypes(self) -> list[Strategy]:
        """The strategies that markets get copies of."""
        return [strategy for actor in self.actors for strategy in actor.prototypes]

    @property
    def skips(self) -> bool:
        """Whether changes that no strategy looks at may be left out."""
        return all(actor.skips for actor in self.actors)

    @property
    def next_timer_ms(self) -> float:
        """When the first timer is due, milliseconds since the epoch; infinite if there is none."""
        return self._timers.next_ms

    def hosted(self, market_id: str) -> Sequence[HostedMarket]:
        """The market as each onlooker has it; empty where it is not hosted."""
        found = self._open.get(market_id)
        return () if found is None else [market for _, market in found.markets]

    def skip(self, market_id: str, changes: int) -> None:
        """Count changes of a market that were left out because no strategy looks at them."""
        self._open[market_id].changes += changes

    # -- what onlookers ask for ----------------------------------------------------------------------------------

    def book(self, market_id: str, make: Callable[[], MarketBook]) -> MarketBook:
        """The book of a market, made by the first onlooker that wants it."""
        book = self._books.get(market_id)
        if book is None:
            book = self._books[market_id] = make()
        return book

    def wake(self, market: HostedMarket, actor: Onlooker) -> None:
        """Attend to a market at each change from now on."""
        market.attended = True
        found = self._open.get(market.market_id)
        if found is not None:
            found.attended[market] = actor

    def rest(self, market: HostedMarket) -> None:
        """Stop attending to a market until its next order, or the next definition."""
        market.attended = False
        found = self._open.get(market.market_id)
        if found is not None:
            found.attended.pop(market, None)
            if not found.attended:
                market.exchange.rest()

    # -- changes -------------------------------------------------------------------------------------------------

    def process_market_change(self, publish_time: int, change: MarketChange) -> None:
        """Process one change of one market, in the order that docs/design.md gives.

        Args:
            publish_time: milliseconds since the epoch.
        """
        found = self._open.get(change.id)
        if found is None:
            found = self._host(publish_time, change)
            if found is None:
                return
        if self._timers.next_ms <= publish_time:
            self._run_timers(found, publish_time)
        if found.polled:
            for actor, market in found.polled:
                actor.clock.now_ms = publish_time
                actor.poll(market)
        found.book.apply(publish_time, change)
        found.changes += 1
        if change.market_definition is None or not self._define(found, publish_time, change.market_definition):
            show = self._show
            show(found, publish_time)
        if self.touched:
            self.tell()

    def take(self, now_ms: int, publish_time: int, change: MarketChange, more: bool = False) -> None:
        """Process one change as `process_market_change` does, where the clock is not the publish time: live.

        A timer runs before the change if it was due when the change was published, else after it.

        Args:
            now_ms: the time of this turn, milliseconds since the epoch.
            publish_time: what the book is dated with.
            more: further changes of the market are waiting: this one is folded in, and orders, definitions and
                middleware are attended to; strategies see the book with the last of them.
        """
        found = self._open.get(change.id)
        if found is None:
            found = self._host(now_ms, change)
            if found is None:
                return
        due = min(now_ms, publish_time)
        if self._timers.next_ms <= due:
            self._run_timers(found, due)
        found.book.apply(publish_time, change)
        found.changes += 1
        found.first.changes = found.changes
        if change.market_definition is not None and self._define(found, now_ms, change.market_definition):
            more = False
        elif more and found.first.shown:
            for market, actor in list(found.attended.items()):
                actor.clock.now_ms = now_ms
                self.turn.market = market
                actor.attend_unseen(market)
        else:
            more = False
            show = self._show
            show(found, now_ms)
        if self.touched and not more:
            self.tell()

    def _take_step(self, found: OpenBook, now_ms: int) -> None:
        """The one onlooker shows the book its own way."""
        actor, market = found.markets[0]
        actor.clock.now_ms = now_ms
        self.turn.market = market
        actor.process_market_books(market, found.book)

    def show(self, market: HostedMarket, now_ms: int) -> None:
        """Show a book as it stands: matching, middleware, orders, then each strategy."""
        found = self._open[market.market_id]
        (self._show_to_all if self._many else self._show_to_one)(found, now_ms)

    def _show_to_one(self, found: OpenBook, now_ms: int) -> None:
        """`show` for one onlooker, which needs not be told apart from others at each look."""
        market, turn = found.first, self.turn
        found.clock.now_ms = now_ms
        turn.market = market
        if found.attended:
            market.changes = found.changes
            if found.attended[market].attend(market):
                return
        book = found.book
        for gate, looks, _ in found.views:
            if gate is not None:
                if gate.definition is not book.market_definition:
                    market.renew(gate)
                if not gate.from_ms <= now_ms <= gate.until_ms:
                    continue
            for _, _, check, process, strategy in looks:
                turn.strategy = strategy
                try:
                    if check(market, book):
                        process(market, book)
                except Exception as error:
                    market.look_failed(error, strategy)

    def _show_to_all(self, found: OpenBook, now_ms: int) -> None:
        book, turn = found.book, self.turn
        if found.attended:
            if book.traded:
                book.newly_traded()
            for market, actor in list(found.attended.items()):
                actor.clock.now_ms = now_ms
                turn.market = market
                market.changes = found.changes
                if actor.attend(market):
                    return
        for gate, looks, alike in found.views:
            if gate is not None:
                if gate.definition is not book.market_definition:
                    found.first.renew(gate)
                if not gate.from_ms <= now_ms <= gate.until_ms:
                    continue
            for market, clock, check, process, strategy in looks:
                clock.now_ms = now_ms
                turn.market = market
                turn.strategy = strategy
                try:
                    if check(market, book):
                        process(market, book)
                except Exception as error:
                    market.look_failed(error, strategy)
            if alike:
                self._show_alike(alike, now_ms, book)

    def _show_alike(self, alike: Sequence[Sequence[Look]], now_ms: int, book: MarketBook) -> None:
        """Show the book to onlookers that give one answer: one of them is asked."""
        turn = self.turn
        for looks in alike:
            market, clock, check, _, _ = looks[0]
            clock.now_ms = now_ms
            each_asked = False
            try:
                if not check(market, book):
                    continue
            except Exception:
                each_asked = True  # each fails by itself
            for market, clock, check, process, strategy in looks:
                clock.now_ms = now_ms
                turn.market = market
                turn.strategy = strategy
                try:
                    if not each_asked or check(market, book):
                        process(market, book)
                except Exception as error:
                    market.look_failed(error, strategy)

    def _define(self, found: OpenBook, publish_time: int, definition: MarketDefinition) -> bool:
        """Process a new definition; True if it closes the market, so that there is no book to show."""
        closed = definition.status == "CLOSED"
        if self._many and not closed and found.book.traded:
            found.book.newly_traded()
        for actor, market in found.markets:
            actor.clock.now_ms = publish_time
            self.turn.market = market
            market.changes = found.changes
            actor.define(market, definition)
            if market.blotter.active:
                # A new definition is always attended to: it may change what was matched.
                self.wake(market, actor)
        return closed

    def _host(self, publish_time: int, change: MarketChange) -> OpenBook | None:
        market_id = change.id
        if market_id is None or market_id in self._ignored or change.market_definition is None:
            return None
        opened = []
        for actor in self.actors:
            market = actor.open(publish_time, change)
            if market is not None:
                opened.append((actor, market))
        if not opened:
            self._ignored.add(market_id)
            return None
        found = self._open[market_id] = OpenBook(self._books[market_id], opened, self._deciding)
        return found

    def hosts(self, publish_time: int, change: MarketChange) -> bool:
        """Whether the market of a change is hosted; it is from its first definition on, if a strategy wants it."""
        return change.id in self._open or self._host(publish_time, change) is not None

    def fold_unseen(self, publish_time: int, change: MarketChange) -> None:
        """Fold a change into the book without showing it: it is outside all windows."""
        found = self._open.get(change.id)
        if found is None:
            return
        for _, market in found.polled:
            market.exchange.hold()
        found.book.apply(publish_time, change)
        if change.market_definition is not None:
            for actor, market in found.markets:
                actor.define_unseen(market)

    def _run_timers(self, found: OpenBook, publish_time: int) -> None:
        """Run the timers of onlookers that want this market, at the changes at which they would run alone."""
        for actor, _ in found.markets:
            if actor.clock.next_ms <= publish_time:
                actor.run_timers(publish_time)
        if isinstance(self._timers, SharedTimers):
            self._timers.next_ms = min(actor.clock.next_ms for actor in self.actors)

    def tell(self) -> None:
        """Call `process_orders` for touched orders, once; what that touches in turn is told in the next turn."""
        touched, self.touched = self.touched, []
        for actor, market in touched:
            if market.touched:
                actor.tell(market)

    def release_market(self, market_id: str) -> list[tuple[Onlooker, HostedMarket]]:
        """Free a market whose recording has ended; returns each onlooker with its market."""
        found = self._open.get(market_id)
        self._ignored.discard(market_id)
        for actor in self.actors:
            market = actor.release_market(market_id)
            if market is not None and found is not None:
                market.changes = found.changes
        self._open.pop(market_id, None)
        self._books.pop(market_id, None)
        return [] if found is None else found.markets


def shared_host(config: Config, timers: SharedTimers) -> Host:
    """The host of one of several onlookers: with a clock and ids of its own."""
    return Host(SharedClock(timers), config, numbered_ids())
