"""Markets of a stream, kept on disk line by line as they come."""

from __future__ import annotations

import msgspec

from ..recorder import MARKETS, Recorder
from .stream_messages import Batch
from .streamed_market import StreamedMarket

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class MarketRecording:
    """Keeps markets with a recorder. Where lines were refused, a market goes on with an image once there is room."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._interrupted: dict[str, StreamedMarket] = {}

    def record(self, market: StreamedMarket, batch: Batch, change: msgspec.Raw | bytes) -> None:
        """Keep a change of a market whose definition is known."""
        if market.market_id not in self._interrupted:
            clk = b'"clk":"' + batch.clk.encode() + b'",' if batch.clk else b""
            self._put(market, b'{"op":"mcm",%b"pt":%d,"mc":[%b]}' % (clk, batch.pt, bytes(change)))

    def go_on(self) -> None:
        """Go on with markets that were interrupted, if there is room."""
        if self._interrupted and self.recorder.room:
            interrupted, self._interrupted = self._interrupted, {}
            for market in interrupted.values():
                pt = market.book.publish_time_epoch
                self._put(market, b'{"op":"mcm","pt":%d,"mc":[%b]}' % (pt, market.image()))

    def over(self, market: StreamedMarket) -> None:
        """A market is over."""
        self._interrupted.pop(market.market_id, None)
        self.recorder.over(MARKETS, market.market_id)

    def _put(self, market: StreamedMarket, line: bytes) -> None:
        if not self.recorder.put(MARKETS, market.market_id, line, place_of(market)):
            self._interrupted[market.market_id] = market


def place_of(market: StreamedMarket) -> str:
    """Where Betfair's archive would have a market: year/month/day/event."""
    definition = market.book.market_definition
    start = None if definition is None else definition.market_time
    if definition is None or start is None:
        return ""
    return f"{start.year}/{_MONTHS[start.month - 1]}/{start.day}/{definition.event_id or 'unknown'}"
