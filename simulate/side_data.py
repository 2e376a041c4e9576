"""What is recorded beside markets, on its way to the actor: their catalogues and sports data at their times."""

from __future__ import annotations

import functools

from ..actors.hosted_market import HostedMarket
from ..actors.side_data import Receiver
from .reading.side_files import SportsFeed, read_catalogue


class RecordedSideData:
    """Catalogues and sports data of recorded markets.

    Args:
        catalogues, sports_data: folders with files named by market id, or None.
    """

    def __init__(self, catalogues: str | None, sports_data: str | None) -> None:
        self._catalogues = catalogues
        self._sports_data = sports_data

    def opened(self, actor: Receiver, market: HostedMarket) -> None:
        """Give a new market its catalogue, and set timers for its sports updates."""
        if self._sports_data is not None:
            failed = functools.partial(actor.failed, market_id=market.market_id)
            self._plan(actor, market, SportsFeed(self._sports_data, market.market_id, failed))
        if self._catalogues is not None:
            catalogue = read_catalogue(self._catalogues, market.market_id)
            if catalogue is not None:
                actor.process_market_catalogues(market, catalogue)

    def _plan(self, actor: Receiver, market: HostedMarket, feed: SportsFeed) -> None:
        """Deliver the next update at its time; the updates from before the market's first book come at once."""
        due = feed.peek()
        if due is None:
            return

        def deliver() -> None:
            update = feed.take()
            if actor.market(market.market_id) is market and not market.closed:
                actor.process_sports_data(market, update)
                self._plan(actor, market, feed)

        actor.host.clock.call_at(max(due, market.market_book.publish_time_epoch), deliver)
