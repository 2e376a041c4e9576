"""The life of a market: which strategies want it, when they are told, how it is closed, settled and freed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..strategies.book import MarketBook
from ..strategies.changes import MarketChange, MarketDefinition
from ..strategies.cleared import ClearedMarkets
from ..strategies.events import ClearedMarketsEvent, ClearedOrdersMetaEvent, CloseMarketEvent, MarketEvent
from ..strategies.hosting import hosted, scope_of, window_of
from ..strategies.messages import UNCONFIRMED, ClearedMarket
from ..strategies.stands import Stand
from ..strategies.strategy import Strategy
from ..strategies.terms import Terms
from ..strategies.window import Window
from .custom_events import CustomEvents
from .hosted_market import HostedMarket, Seat
from .market_filter import admits
from .sieves import Sieve


class Hosting(CustomEvents):
    """Opens, settles and frees markets."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._ignored: set[str] = set()
        self._going_on: frozenset[str] = frozenset()
        # By scope, and by market or event; then by prototype.
        self._instances: dict[tuple[str, str], dict[int, Strategy]] = {}
        self._events_hosted: dict[str, set[str]] = {}

    @property
    def strategies(self) -> list[Strategy]:
        """The instances that live here; in the callback of a custom event, those that the event is for."""
        if self._addressed is not None:
            return self._addressed
        return [each for instances in self._instances.values() for each in instances.values()] or self._prototypes

    # -- coming --------------------------------------------------------------------------------------------------

    def _new_market(self, publish_time: int, change: MarketChange) -> HostedMarket | None:
        """Host a market, once its definition is known and some strategy wants it."""
        market_id, definition = change.id, change.market_definition
        if market_id is None or market_id in self._ignored or definition is None:
            return None
        wanted = [
            strategy
            for strategy in self._prototypes
            if strategy.name in self._going_on or self.admits(strategy, market_id, definition)
        ]
        if not wanted:
            self._ignored.add(market_id)
            return None
        # Timers that were due earlier see the earlier time; those due now see the market.
        self.run_timers(publish_time - 1)
        clock = self.clock
        clock.now_ms = max(clock.now_ms, publish_time) if clock.now_ms else publish_time
        book = self._new_book(market_id, [window_of(strategy) for strategy in wanted])
        # Strategies and filters look at the definition before the change that carries it is folded in.
        book.market_definition = definition
        market = HostedMarket(market_id, book, self)
        market.first_ms = publish_time
        all_orders = self.rules.all_orders
        market.seats = [Seat(self._instance(strategy, market_id, definition), all_orders) for strategy in wanted]
        market.readers = [seat.reader for seat in market.seats if seat.wants_books]
        self._hosted[market_id] = market
        self.markets.add(market)
        market.open_exchange(self._exchange)
        return market

    def reopen_market(
        self, market_id: str, definition: MarketDefinition, strategies: frozenset[str]
    ) -> HostedMarket | None:
        """Host a market that another actor has hosted, before its book is there. It is shown with its first change.

        Args:
            strategies: names of those that have it in any case, whatever their filters say now.

        Returns:
            None: no strategy here wants it.
        """
        self._going_on = strategies
        try:
            self.books.hosts(self.clock.now_ms, MarketChange(market_id, definition))
        finally:
            self._going_on = frozenset()
        market = self._hosted.get(market_id)
        if market is None:
            return None
        market.restored = True
        self.coordinator.opened(market.fact("OPENED"), self)
        return market

    def show_ended(self, market: HostedMarket) -> None:
        """A market that went on after a restart is over: strategies are told of its orders; its book is empty."""
        self.turn.market = market
        self._announce(market)
        self.process_market_orders(market)

    def _new_book(self, market_id: str, windows: Sequence[Window]) -> MarketBook:
        return self.books.book(market_id, lambda: self._made_book(market_id, windows))

    def _made_book(self, market_id: str, windows: Sequence[Window]) -> MarketBook:
        book = MarketBook(
            market_id,
            cumulative_runner_tv=any(window.cumulative_runner_tv for window in windows),
            calculate_market_tv=any(window.calculate_market_tv for window in windows),
        )
        if self.rules.watch_all:
            book.watch_all()
        return book

    def admits(self, strategy: Strategy, market_id: str, definition: MarketDefinition) -> bool:
        """Whether a strategy wants a market, by its filters."""
        if not strategy.market_filter:
            return True
        sieve = self.sieves.setdefault(strategy.name, Sieve())
        sport = window_of(strategy).admits_sport(definition.event_type_id)
        if sport and admits(strategy.market_filter, market_id, definition):
            sieve.admitted += 1
            return True
        sieve.pass_over(strategy, market_id, definition)
        return False

    def _instance(self, strategy: Strategy, market_id: str, definition: MarketDefinition) -> Strategy:
        """The strategy's instance for a market: its own, that of its event, or that of the run."""
        event = definition.event_id or market_id
        scope = scope_of(strategy)
        key = {"market": (scope, market_id), "event": (scope, event), "run": (scope, "")}[scope]
        if scope == "event":
            self._events_hosted.setdefault(event, set()).add(market_id)
        instances = self._instances.setdefault(key, {})
        found = instances.get(id(strategy))
        if found is None:
            found = instances[id(strategy)] = hosted(strategy, self)
        return found

    def _free_instances(self, market: HostedMarket) -> None:
        """Free the instances of a market; those of an event are freed with the last of its markets.

        Where all markets are of one event they are kept: more of its markets may come.
        """
        self._instances.pop(("market", market.market_id), None)
        definition = market.market_book.market_definition
        event = (definition.event_id if definition else None) or market.market_id
        mates = self._events_hosted.get(event)
        if mates is None:
            return
        mates.discard(market.market_id)
        if not mates and len(self._events_hosted) > 1:
            del self._events_hosted[event]
            self._instances.pop(("event", event), None)

    def _announce(self, market: HostedMarket) -> None:
        """Tell the coordinator and the middleware about a new market, before its first change is processed."""
        market.shown = True
        self.coordinator.opened(market.fact("OPENED"), self)
        self.coordinator.log(MarketEvent(market))
        for middleware in self.middleware:
            self._guarded(None, market, middleware.add_market, market)

    def _show_new(self, market: HostedMarket) -> None:
        """Tell all strategies about a new market."""
        self._open_sides(market)
        for seat in market.seats:
            if not seat.told:
                self._guarded(seat.strategy, market, seat.strategy.process_new_market, market, market.market_book)
        if self._standing:
            self._deliver_standing(market)

    def _show_in_turn(self, market: HostedMarket) -> None:
        """Tell one strategy after the other about a new market, and show it the first book before the next is told."""
        self._open_sides(market)
        book = market.market_book
        for seat in market.seats:
            strategy = seat.strategy
            self._guarded(strategy, market, strategy.process_new_market, market, book)
            check, process, gate, _ = seat.reader
            if gate is not None:
                market.renew(gate)
            inside = gate is None or gate.from_ms <= self.clock.now_ms <= gate.until_ms
            if seat.wants_books and inside and self._guarded(strategy, market, check, market, book):
                self._guarded(strategy, market, process, market, book)

    def _open_sides(self, market: HostedMarket) -> None:
        """Open what was recorded beside the market."""
        if self._side is not None:
            self._guarded(None, market, self._side.opened, self, market)

    # -- going ---------------------------------------------------------------------------------------------------

    def process_close_market(self, market: HostedMarket) -> None:
        """The exchange has closed the market: settle it."""
        lasting = self.rules.lasting_markets
        outcome = outcome_of(market.market_book.market_definition)
        if market.closed:
            if not lasting or outcome == market.outcome:
                return
            market.open_market()
        if not (market.shown or self.rules.shown_at_close):
            return
        if not market.shown:
            self._announce(market)
            self._show_new(market)
        market.outcome = outcome
        market.close_market()
        market.market_book_closed = market.market_book
        market.new_settlement()
        self._guarded(None, market, market.exchange.closed, market.context.get("line_range_result"))
        if market.exchange.settles:
            self._settle(market)
        if self._timed:
            self.process_market_orders(market)
        for seat in market.seats:
            self._guarded(seat.strategy, market, seat.strategy.process_closed_market, market, market.market_book)
        if not market.exchange.settles:
            self._settle_later(market)
            return
        if lasting:
            self._expire(market, "MARKET_CLOSED")
        self._clear(market)
        if not lasting:
            self._remove_market(market)

    def _settle(self, market: HostedMarket) -> None:
        """The results of the market's bets are there."""
        if self.rules.lasting_markets:
            self._end_unsent(market, "MARKET_CLOSED")
            for order in market.blotter:
                # An order with nothing matched is settled: no result will come for it.
                order.settled = order.settled or not order.size_matched
        market.settlements += market.told_results is None and not market.unsettled()

    def _settle_later(self, market: HostedMarket, complete: bool = True) -> None:
        """The exchange tells results when it has them: they are cleared once all are there, and again if they change.

        Args:
            complete: False: what is not there by now will not come.
        """
        results = tuple(market.cleared_bets.values())
        if results != market.told_results and (market.all_cleared or not complete):
            self._settle(market)
            self._clear(market)

    def tell(self, market: HostedMarket) -> None:
        if not market.shown:
            # It is going on after a restart, and its book is not there yet: strategies are told with that.
            market.touched = False
            return
        super().tell(market)
        if market.closed and not market.exchange.settles and self._hosted.get(market.market_id) is market:
            self._settle_later(market)

    def _clear(self, market: HostedMarket) -> None:
        """Send the results of the market to the coordinator and to the logging controls."""
        results = [(client, market.cleared(client)) for client in self.clients]
        market.market_cleared = [cleared for _, cleared in results]
        market.told_results = tuple(market.cleared_bets.values())
        messages = [
            ClearedMarket(
                market.market_id,
                client.venue,
                client.username,
                cleared["profit"],
                cleared["commission"],
                cleared["betCount"],
            )
            for client, cleared in results
        ]
        self.coordinator.closed(market.fact("CLOSED"), market.told_results, messages)
        if market.blotter.active:
            self.coordinator.log(ClearedOrdersMetaEvent(list(market.blotter)))
        for client, cleared in results:
            self.coordinator.log(ClearedMarketsEvent(ClearedMarkets({"client": client.username, **cleared})))
        self.coordinator.log(CloseMarketEvent(market))

    def _end_unsent(self, market: HostedMarket, why: str) -> bool:
        """End the orders whose requests never reached the exchange, and no longer will; True if there were any."""
        ended = False
        for order in list(market.blotter.live_orders):
            if order.state.stand is Stand.SENT:
                ended = True
                with order.trade:
                    order.expired(why)
        for order_id in list(market.replacing):
            del market.replacing[order_id]
            order = market.blotter[order_id]
            order.trade.replaced(order)
        return ended

    def _end_in_doubt(self, market: HostedMarket) -> None:
        """Nobody will learn any more what became of orders in doubt: that is how they end."""
        doubted = [order for order in market.blotter.live_orders if order.state.stand is Stand.IN_DOUBT]
        for order in doubted:
            order.take_outcome(order.request_id or "", UNCONFIRMED)
        if doubted:
            self.process_market_orders(market)

    def _expire(self, market: HostedMarket, why: str) -> None:
        """End the orders that can no longer be placed, and tell their strategies."""
        if self._expire_at_exchange(market, why) and market.shown:
            self.process_market_orders(market)
            # Requests made in answer to that come too late as well.
            self._expire_at_exchange(market, why)
            self.process_current_orders(market)

    def _expire_at_exchange(self, market: HostedMarket, why: str) -> bool:
        expired = self._guarded(None, market, market.exchange.expire, why)
        return self._end_unsent(market, why) or bool(expired)

    def _remove_market(self, market: HostedMarket) -> None:
        """Have middleware and strategies forget a market."""
        for middleware in self.middleware:
            self._guarded(None, market, middleware.remove_market, market)
        for seat in market.seats:
            self._guarded(seat.strategy, market, seat.strategy.remove_market, market.market_id)

    def release_market(self, market_id: str) -> HostedMarket | None:
        """Free a market whose recording has ended; None if it was never hosted."""
        self._ignored.discard(market_id)
        market = self._hosted.get(market_id)
        if market is None:
            return None
        lasting = self.rules.lasting_markets
        if lasting:
            now = self.clock.now_ms
            if self.clock.simulated:
                # The market's time ends with its recording, although other markets go on.
                self.clock.now_ms = market.market_book.publish_time_epoch
            self.turn.market = market
            self._expire(market, "RECORDING_ENDED" if self.clock.simulated else "MARKET_FREED")
            self._end_in_doubt(market)
            if market.closed and not market.exchange.settles:
                self._settle_later(market, complete=False)
            self.clock.now_ms = now
        del self._hosted[market_id]
        self.turn.market = None
        if lasting or not market.closed:
            self._remove_market(market)
        market.exchange.forget()
        self.coordinator.removed(market.fact("REMOVED"))
        self.markets.remove(market_id)
        self._free_instances(market)
        return market


def outcome_of(definition: MarketDefinition | None) -> object:
    """What bets are settled by: if a new definition says the same, nothing is settled again."""
    if definition is None:
        return None
    statuses = frozenset((runner.id, runner.hc, runner.status) for runner in definition.runners)
    return statuses, Terms.of(definition), definition.number_of_winners, definition.each_way_divisor
