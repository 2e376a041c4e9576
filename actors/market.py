"""The market actor: hosts markets and the strategies that trade them, and runs the loop of each change.

A plain class, free of Ray, sockets and clocks of its own: replay calls it directly, live wraps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..strategies.book import MarketBook
from ..strategies.changes import MarketChange, MarketDefinition
from .exchange import Answer
from .hosted_market import HostedMarket
from .hosting import Hosting


class MarketActor(Hosting):
    """Hosts markets and strategies.

    The methods without underscore named in the documentation are steps that a subclass may override. How it is made:
    see `Turns`.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        # A subclass may act at each change; sets of a sweep share what is watched of a book.
        self._rests = self._timed and type(self) is MarketActor and not self.middleware

    def _actor(self) -> MarketActor:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> MarketActor:
        return self

    # -- the door ------------------------------------------------------------------------------------------------

    def receive(self, message: Answer | MarketChange, at: int | None = None) -> None:
        """The one door: a change of a book, or a message of the exchange.

        Args:
            at: milliseconds since the epoch: a turn of its own begins, once the timers that are due by then have run,
                and ends with telling strategies of orders. None: it belongs to the turn under way.
        """
        if at is None:
            assert not isinstance(message, MarketChange)
            self.take(message)
            return
        if isinstance(message, MarketChange):
            self.process_market_change(at, message)
            return
        if self.clock.next_ms <= at:
            self._run_timers(at)
        self.clock.now_ms = at
        self.take(message)
        if self._touched:
            self._tell_touched()

    def tick(self, at: int) -> None:
        """Time has come to `at`, and nothing else has happened: timers that are due run."""
        self._run_timers(at)
        self.clock.now_ms = at

    def process_market_change(self, publish_time: int, change: MarketChange) -> None:
        """One change of one market: the loop of the design, in its order.

        Args:
            publish_time: milliseconds since the epoch.
        """
        market = self._hosted.get(change.id)
        if market is None:
            market = self._new_market(publish_time, change)
            if market is None:
                return
        clock = self.clock
        if clock.next_ms <= publish_time:
            self._run_timers(publish_time)
        clock.now_ms = publish_time
        self.current_market = market
        if market.exchange.busy:
            self._guarded(None, market, market.exchange.changing)
        book = market.market_book
        book.apply(publish_time, change)
        market.changes += 1
        if change.market_definition is None or not self._defined(market, change.market_definition):
            self.process_market_books(market, book)
        if self._touched:
            self._tell_touched()

    def fold_unseen(self, publish_time: int, change: MarketChange) -> None:
        """Fold a change into the book without showing it to anybody: it lies outside all windows."""
        market = self._hosted.get(change.id)
        if market is None:
            return
        market.exchange.hold()
        market.market_book.apply(publish_time, change)
        if change.market_definition is not None:
            self.define_unseen(market)

    def define_unseen(self, market: HostedMarket) -> None:
        """The book of a market has another definition, which no strategy is shown; bets may be changed by it."""
        market.defined()
        self._turn_in_play(market)
        if self._timed and market.blotter.active:
            self.clock.now_ms = market.market_book.publish_time_epoch
            self._guarded(None, market, market.exchange.changed)

    @property
    def skips(self) -> bool:
        """Whether changes that nobody looks at need not come: a subclass, or middleware, may act on each."""
        return type(self) is MarketActor and not self.middleware

    def faces(self, market_id: str) -> Sequence[HostedMarket]:
        """The market as its strategies see it; empty where it is not hosted."""
        market = self._hosted.get(market_id)
        return () if market is None else (market,)

    def skip(self, market_id: str, changes: int) -> None:
        """Count changes of a market that did not come, because nobody looks at them."""
        self._hosted[market_id].changes += changes

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
        if market.attended and self._attend(market):
            return
        for check, process, gate, strategy in market.readers:
            if gate is not None:
                if gate.definition is not book.market_definition:
                    market.renew(gate)
                if not gate.from_ms <= self.clock.now_ms <= gate.until_ms:
                    continue
            self.running = strategy
            try:
                if check(market, book):
                    process(market, book)
            except Exception as error:
                self._failed(error, strategy, market)

    def _attend(self, market: HostedMarket) -> bool:
        """What a change means to matching, middleware and orders; True where strategies have looked at the book too."""
        exchange = market.exchange
        active = market.blotter.active
        new = not market.shown
        if new:
            self._announce(market)
        if active or exchange.watching:
            self._guarded(None, market, exchange.changed)
        for middleware in self.middleware:
            self._guarded(None, market, middleware, market)
        if active:
            self.process_market_orders(market)
        if new:
            in_turn = self.rules.shown_in_turn and not self._standing
            if in_turn:
                self._show_in_turn(market)
            else:
                self._show_new(market)
            market.attended = market.blotter.active or exchange.watching or bool(self.middleware)
            return in_turn
        if self._rests and not market.blotter.has_live_orders:
            self._rest(market)
        return False

    def _rest(self, market: HostedMarket) -> None:
        """Attend to the market no longer, where all its orders are at their end and told of: until the next one comes.

        A new definition is attended to all the same: it may change what was matched.
        """
        if market.blotter.finished or market.exchange.watching:
            return
        if any(mine.current or seat.all_orders for seat, mine in market.traders()):
            return
        market.attended = False
        market.exchange.rest()

    def _defined(self, market: HostedMarket, definition: MarketDefinition) -> bool:
        """The definition changed; True where the market is closed and nothing more is to be done."""
        market.defined()
        self._turn_in_play(market)
        if definition.status == "CLOSED":
            self.process_close_market(market)
            return True
        if market.closed:
            market.open_market()
        market.attended = market.attended or market.blotter.active
        return False

    def _turn_in_play(self, market: HostedMarket) -> None:
        if market.market_book.inplay and market.inplay_since_ms is None:
            market.inplay_since_ms = market.market_book.publish_time_epoch

    def hosts(self, publish_time: int, change: MarketChange) -> bool:
        """Whether the market of a change is hosted here; it is from its definition on, if a strategy wants it."""
        return change.id in self._hosted or self._new_market(publish_time, change) is not None
