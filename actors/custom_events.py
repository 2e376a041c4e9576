"""Events beside the book: custom events, background workers, catalogues, sports data, raw data."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

from ..strategies.events import CustomEvent, TerminationEvent
from ..strategies.strategy import Strategy
from .hosted_market import HostedMarket
from .streams import HandlerQueue
from .telling import Telling
from .workers import BackgroundWorker

#: Events that wait for markets that are not open yet; beyond, the oldest are dropped.
MOST_AWAITING = 1000


class CustomEvents(Telling):
    """Delivers what comes beside the book."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._addressed: list[Strategy] | None = None
        # Events without a time, each with the strategies that have received it; weak, for instances are freed.
        self._standing: dict[CustomEvent, weakref.WeakSet[Strategy]] = {}
        # Of those that are for some of the markets to come only: which.
        self._awaited: dict[CustomEvent, frozenset[str]] = {}
        self._announced: set[CustomEvent] = set()
        self.handler_queue = HandlerQueue(self._take_event)

    def _take_event(self, event: CustomEvent | TerminationEvent) -> None:
        """Deliver an event that code in this process has put on `handler_queue`: at once if it has no time."""
        if isinstance(event, TerminationEvent):
            self.stop()
        elif event.publish_time is None:
            running, market = self.turn.strategy, self.turn.market
            self._deliver_to_open(event)
            self.turn.strategy, self.turn.market = running, market
        else:
            self.add_custom_events([event])

    def add_custom_events(self, events: Iterable[CustomEvent]) -> None:
        """Deliver events when the clock reaches their times; those without a time to each market as it opens."""
        for event in events:
            if event.publish_time is None:
                self._standing[event] = weakref.WeakSet()
            else:
                self.clock.call_at(event.publish_time, functools.partial(self._deliver_to_open, event))

    def await_markets(self, event: CustomEvent, market_ids: Iterable[str] | None) -> None:
        """Have an event without a time come to markets that open later as well. `market_ids`: None: to all of them."""
        self._standing[event] = weakref.WeakSet()
        if market_ids is not None:
            self._awaited[event] = frozenset(market_ids)
        if len(self._standing) > MOST_AWAITING:
            oldest = next(iter(self._standing))
            del self._standing[oldest]
            self._awaited.pop(oldest, None)
            self._announced.discard(oldest)

    def _deliver_standing(self, market: HostedMarket) -> None:
        """A market is new: bring it the events that were there before it."""
        for event in list(self._standing):
            if market.market_id in self._awaited.get(event, (market.market_id,)):
                self.deliver(event, [market])

    def _deliver_to_open(self, event: CustomEvent) -> None:
        self.deliver(event, [market for market in self._hosted.values() if market.shown and not market.closed])

    def deliver(self, event: CustomEvent, markets: Sequence[HostedMarket]) -> None:
        """Bring a custom event to the strategies of markets: its callback first, then each strategy's own."""
        if event.market_ids is not None:
            markets = [market for market in markets if market.market_id in event.market_ids]
        if not markets:
            return
        told = self._standing.get(event)
        if event not in self._announced:
            if told is not None:
                self._announced.add(event)
            self.coordinator.process_custom_event(event)
        fresh = list(dict.fromkeys(seat.strategy for market in markets for seat in market.seats))
        if told is not None:
            fresh = [strategy for strategy in fresh if strategy not in told]
            told.update(fresh)
        if event.callback is not None and fresh:
            self._addressed = fresh
            try:
                self._guarded(None, None, event.callback, self, event)
            finally:
                self._addressed = None
        for market in markets:
            self.turn.market = market
            for seat in market.seats:
                self._guarded(seat.strategy, market, seat.strategy.process_custom_event, market, event)

    def add_workers(self, workers: Sequence[BackgroundWorker]) -> None:
        """Start background workers at the clock's time."""
        for worker in workers:
            worker.start(self, self.clock, self._guarded)

    def process_market_catalogues(self, market: HostedMarket, market_catalogue: Any) -> None:
        """The catalogue of a market has arrived, or has changed."""
        market.market_catalogue = market_catalogue
        market.update_market_catalogue = False
        market.defined()
        self.markets.regroup(market)
        for seat in market.seats:
            self._guarded(seat.strategy, market, seat.strategy.process_market_catalogue, market, market_catalogue)

    def process_sports_data(self, market: HostedMarket, sports_data: Any) -> None:
        """Sports data of a market has arrived."""
        self.turn.market = market
        for seat in market.seats:
            wanted = self._guarded(seat.strategy, market, seat.strategy.check_sports_data, market, sports_data)
            if wanted:
                self._guarded(seat.strategy, market, seat.strategy.process_sports_data, market, sports_data)

    def process_raw_data(self, market: HostedMarket, clk: str, publish_time: int, datum: dict[str, Any]) -> None:
        """A raw change of a market, for strategies that subscribe to a data stream."""
        if self.clock.simulated:
            self.run_timers(publish_time)
            self.clock.now_ms = publish_time
        self.turn.market = market
        for seat in market.seats:
            if seat.raw:
                self._guarded(seat.strategy, market, seat.strategy.process_raw_data, clk, publish_time, datum)
