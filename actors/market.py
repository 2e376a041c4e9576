"""The market actor: hosts markets and the strategies that trade them, and receives what comes in for them.

A plain class, free of Ray, sockets and clocks of its own: replay calls it directly, live wraps it.
"""

from __future__ import annotations

from typing import Any

from ..strategies.book import MarketBook
from ..strategies.changes import MarketChange, MarketDefinition
from ..strategies.events import CustomEvent, TerminationEvent
from ..strategies.messages import ClearedOrder, OrderFact, Reply
from .books import Books
from .exchange import Answer
from .hosted_market import HostedMarket
from .hosting import Hosting

#: What comes in by the door of a market actor.
Incoming = Answer | MarketChange | CustomEvent | TerminationEvent


class MarketActor(Hosting):
    """Hosts markets and strategies.

    The methods without underscore named in the documentation are steps that a subclass may override. How it is made:
    see `Turns`.

    Attributes:
        books: the loop that brings it changes of books; its own, unless it shares its books with other actors.
    """

    books: Books

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        # A subclass may act at each change.
        self._rests = self._timed and type(self) is MarketActor and not self.middleware
        Books([self])

    def __deepcopy__(self, memo: dict[int, Any]) -> MarketActor:
        return self

    # -- the door ------------------------------------------------------------------------------------------------

    def receive(
        self, message: Incoming, at: int | None = None, published: int | None = None, more: bool = False
    ) -> None:
        """Take what comes in: a change of a book, a message from the exchange, a custom event, or the end of the run.

        There is no other way in.

        Args:
            at: milliseconds since the epoch: timers that are due by then run, then the message is a turn of its own,
                which ends with `process_orders`. None: the message belongs to the turn under way.
            published: of a change: when it was published, where that is not `at`.
            more: of a change: others of the market are waiting (see `Books.take`).
        """
        if at is None and (type(message) is Reply or type(message) is OrderFact):  # as almost always
            self.take(message)
            return
        if isinstance(message, MarketChange):
            now = self.clock.now_ms if at is None else at
            if published is None:
                self.books.process_market_change(now, message)
            else:
                self.books.take(now, published, message, more)
            return
        if at is not None:
            self.tick(at)
        if isinstance(message, (OrderFact, Reply, ClearedOrder)):
            self.take(message)
        else:
            self._take_event(message)
        if at is not None and self.books.touched:
            self.books.tell()

    def tick(self, at: int) -> None:
        """Run the timers that are due by `at`; nothing else has happened."""
        if self.clock.next_ms <= at:
            self.run_timers(at)
        self.clock.now_ms = at

    def wake(self, market: HostedMarket) -> None:
        self.books.wake(market, self)

    def touch(self, market: HostedMarket) -> None:
        if not market.touched:
            market.touched = True
            self.wake(market)
            self.books.touched.append((self, market))

    # -- for the loop --------------------------------------------------------------------------------------------

    @property
    def skips(self) -> bool:
        """Whether changes that no strategy looks at may be left out: a subclass, or middleware, may act on each."""
        return type(self) is MarketActor and not self.middleware

    @property
    def shows_books(self) -> bool:
        """Whether it shows books its own way, in a step that a subclass overrides."""
        return type(self).process_market_books is not MarketActor.process_market_books

    def open(self, publish_time: int, change: MarketChange) -> HostedMarket | None:
        """Host a market; None if no strategy here wants it."""
        return self._new_market(publish_time, change)

    def poll(self, market: HostedMarket) -> None:
        """Let an exchange that acts only at changes act, before the next change is folded in."""
        self.turn.market = market
        if market.exchange.busy:
            self._guarded(None, market, market.exchange.changing)

    def attend(self, market: HostedMarket) -> bool:
        """Run matching, middleware and `process_orders` after a change; True if strategies have seen the book too."""
        exchange, new = market.exchange, not market.shown
        active = market.blotter.active
        if new:
            self._announce(market)
        if active or exchange.watching:
            self._guarded(None, market, exchange.changed)
        for middleware in self.middleware:
            self._guarded(None, market, middleware, market)
        if active:
            self.process_market_orders(market)
        in_turn = False
        if new:
            in_turn = self.rules.shown_in_turn and not self._standing
            if in_turn:
                self._show_in_turn(market)
            else:
                self._show_new(market)
        if not self._stays(market):
            self.books.rest(market)
        return in_turn

    def attend_unseen(self, market: HostedMarket) -> None:
        """Run matching and middleware after a change that strategies are not shown, for others are waiting."""
        if market.blotter.active or market.exchange.watching:
            self._guarded(None, market, market.exchange.changed)
        for middleware in self.middleware:
            self._guarded(None, market, middleware, market)

    def _stays(self, market: HostedMarket) -> bool:
        """Whether the next change concerns orders or middleware, and not only the strategies that look at the book."""
        blotter, exchange = market.blotter, market.exchange
        if not self._rests and (blotter.active or self.middleware):
            return True
        if blotter.has_live_orders or exchange.watching or exchange.busy or blotter.finished:
            return True
        return any(mine.current or seat.all_orders for seat, mine in market.traders())

    def define(self, market: HostedMarket, definition: MarketDefinition) -> None:
        """A new definition was folded in."""
        market.defined()
        self._turn_in_play(market)
        if definition.status == "CLOSED":
            self.process_close_market(market)
        elif market.closed:
            market.open_market()

    def define_unseen(self, market: HostedMarket) -> None:
        """A new definition was folded in that no strategy is shown; it may change bets."""
        market.defined()
        self._turn_in_play(market)
        if self._timed and market.blotter.active:
            self.clock.now_ms = market.market_book.publish_time_epoch
            self._guarded(None, market, market.exchange.changed)

    def _turn_in_play(self, market: HostedMarket) -> None:
        if market.market_book.inplay and market.inplay_since_ms is None:
            market.inplay_since_ms = market.market_book.publish_time_epoch

    def show_again(self, market: HostedMarket) -> None:
        """Run the loop on a book that has not changed, at the book's own time."""
        self.clock.now_ms = market.market_book.publish_time_epoch
        if market.exchange.busy:
            self._guarded(None, market, market.exchange.changing)
        if market.market_book.status == "CLOSED":
            self.process_close_market(market)
        else:
            self.process_market_books(market, market.market_book)

    def process_market_books(self, market: HostedMarket, book: MarketBook) -> None:
        """The book has changed: matching, middleware, orders, then each strategy."""
        self.books.show(market, self.clock.now_ms)

    def wants_any(self, market_id: str) -> bool:
        """Whether any strategy here wants a market that has been offered."""
        return market_id not in self._ignored
