"""Which stream a strategy wants, and its settings: `stream_class=hr.DataStream`, or `stream=hr.MarketStream(...)`."""

from __future__ import annotations

from typing import Any, ClassVar

_SETTINGS = ("market_filter", "market_data_filter", "streaming_timeout", "conflate_ms", "sports_data_filter")


class MarketStream:
    """Books of markets.

    Args:
        settings: market_filter, market_data_filter, streaming_timeout, conflate_ms, sports_data_filter.

    Raises:
        TypeError: another keyword.
    """

    #: Strategies get raw changes in `process_raw_data` instead of books.
    raw: ClassVar[bool] = False
    #: The stream's operation at the exchange.
    operation: ClassVar[str] = "marketSubscription"

    def __init__(self, **settings: Any) -> None:
        from .parameters import check_names

        check_names(settings, _SETTINGS, type(self).__name__)
        for name in _SETTINGS:
            setattr(self, name, settings.get(name))

    @property
    def stream_class(self) -> type[MarketStream]:
        return type(self)


class DataStream(MarketStream):
    """Raw changes of markets, for recorders."""

    raw = True


class OrderDataStream(DataStream):
    """Raw changes of orders."""

    operation = "orderSubscription"


class RaceDataStream(DataStream):
    """Raw race data."""

    operation = "raceSubscription"


class CricketDataStream(DataStream):
    """Raw cricket data."""

    operation = "cricketSubscription"


#: The names that flumine 3 gives them.
BetfairMarketStream = MarketStream
BetfairDataStream = DataStream
BetfairOrderDataStream = OrderDataStream
BetfairRaceDataStream = RaceDataStream
BetfairCricketDataStream = CricketDataStream
