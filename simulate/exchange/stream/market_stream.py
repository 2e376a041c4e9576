"""Who wants which market: changes of markets on their way to subscriptions."""

from __future__ import annotations

from typing import Protocol

from ..exchange import Exchange, ExchangeMarket
from ..public_market import PublicMarket, Touched
from .market_filter import StreamMarketFilter
from .projection import Channel, Definition, Projection, Watcher


class MarketWatcher(Watcher, Protocol):
    """A subscription to markets, as they know it.

    Attributes:
        market_filter, projection: what it wants.
        channels: what it has, by market.
    """

    market_filter: StreamMarketFilter
    projection: Projection
    channels: dict[str, Channel]

    def add(self, channel: Channel) -> None:
        """The market is one of its own from now on."""


class StreamedMarket:
    """One market, in all projections that somebody wants.

    Attributes:
        born: number of the change with which it appeared.
    """

    def __init__(self, public: PublicMarket, born: int) -> None:
        self.public = public
        self.born = born
        self.channels: dict[Projection, Channel] = {}
        self._definition = Definition()

    def channel(self, projection: Projection) -> Channel:
        """The market as a projection shows it."""
        found = self.channels.get(projection)
        if found is None:
            found = self.channels[projection] = Channel(self.public, projection, self._definition, self.born)
        return found

    @property
    def closed(self) -> bool:
        definition = self.public.definition
        return definition is not None and definition.get("status") == "CLOSED"


class MarketStream:
    """All markets, and all subscriptions to markets."""

    def __init__(self, exchange: Exchange) -> None:
        self._markets = {market_id: StreamedMarket(market.public, 0) for market_id, market in exchange.markets.items()}
        self._subscriptions: dict[MarketWatcher, None] = {}

    def wanted(self, subscription: MarketWatcher) -> list[StreamedMarket]:
        """The markets that pass a subscription's filter, in order of appearance."""
        market_filter = subscription.market_filter
        return [
            market
            for market_id, market in self._markets.items()
            if market_filter.admits(market_id, market.public.definition)
        ]

    def join(self, subscription: MarketWatcher) -> None:
        """A subscription is in force from now on: it has the markets that pass, and those that come to pass."""
        self._subscriptions[subscription] = None
        for market in self.wanted(subscription):
            subscription.add(market.channel(subscription.projection))

    def leave(self, subscription: MarketWatcher) -> None:
        """A subscription has ended."""
        self._subscriptions.pop(subscription, None)
        for channel in subscription.channels.values():
            channel.subscriptions.pop(subscription, None)
            if not channel.subscriptions and (market := self._markets.get(channel.market_id)) is not None:
                market.channels.pop(channel.projection, None)

    def changed(self, market: ExchangeMarket, touched: Touched) -> None:
        """A market has changed: whoever wants it collects it."""
        streamed = self._markets.get(market.market_id)
        new = streamed is None
        if streamed is None:
            streamed = self._markets[market.market_id] = StreamedMarket(market.public, market.public.sequence)
        for channel in streamed.channels.values():
            change = channel.changed(touched)
            for subscription in channel.subscriptions:
                if subscription.collecting:
                    subscription.collect(channel, touched)
                elif change is not None:
                    subscription.pending.append(change)
        if new or touched.definition:
            definition = streamed.public.definition
            for subscription in self._subscriptions:
                if market.market_id not in subscription.channels and subscription.market_filter.admits(
                    market.market_id, definition
                ):
                    subscription.add(streamed.channel(subscription.projection))

    def gone(self, market: ExchangeMarket) -> None:
        """A market has vanished."""
        streamed = self._markets.pop(market.market_id, None)
        if streamed is not None:
            for channel in streamed.channels.values():
                for watcher in list(channel.subscriptions):
                    watcher.remove(channel)
