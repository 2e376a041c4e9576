"""What happens, as logging controls and callbacks hear of it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any

from ..values import finite, shown, text


class Event:
    """Something that happened.

    Attributes:
        event: what it is about: an order, a market, a dict.
        name: the event's kind, in the words of a logging control's methods.
    """

    name = "event"
    venue = "BETFAIR"

    def __init__(self, event: Any = None) -> None:
        self.event = event

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.event!r})"


class ConfigEvent(Event):
    name = "config"


class StrategyEvent(Event):
    name = "strategy"


class MarketEvent(Event):
    name = "market"


class TradeEvent(Event):
    name = "trade"


class OrderEvent(Event):
    name = "order"


class BalanceEvent(Event):
    name = "balance"


class ClearedOrdersEvent(Event):
    name = "cleared_orders"


class ClearedOrdersMetaEvent(Event):
    name = "cleared_orders_meta"


class ClearedMarketsEvent(Event):
    name = "cleared_markets"


class CloseMarketEvent(Event):
    name = "closed_market"


class CustomEvent(Event):
    """An event of the user's own; `callback(framework, event)` is called where strategies are hosted.

    Args:
        event: the payload.
        callback: what to do with it.
        market_ids: only where one of these markets is hosted.
        publish_time: when it happened, milliseconds since the epoch, or a datetime: it is delivered to the markets that
            are open then. None: simulations deliver it at the first change of every market; a live system at once, and
            what comes before its markets are open to each as it opens.

    Raises:
        TypeError: the callback cannot be called, the ids are not a sequence of texts, or the time is neither.
    """

    name = "custom_event"

    def __init__(
        self,
        event: Any,
        callback: Callable[[Any, CustomEvent], object] | None = None,
        market_ids: Sequence[str] | None = None,
        publish_time: int | None = None,
    ) -> None:
        super().__init__(event)
        if callback is not None and not callable(callback):
            raise TypeError(f"CustomEvent callback={shown(callback)}: expected a function to call")
        if isinstance(market_ids, str):
            raise TypeError(f"CustomEvent market_ids={market_ids!r}: expected a list of market ids")
        self.callback = callback
        self.market_ids = None
        if market_ids is not None:
            self.market_ids = frozenset(text(each, "CustomEvent market_ids") for each in market_ids)
        self.publish_time = None if publish_time is None else _milliseconds(publish_time)


def _milliseconds(moment: Any) -> int:
    if isinstance(moment, datetime.datetime):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
        return round(aware.timestamp() * 1000)
    return round(finite(moment, "CustomEvent publish_time"))


class TerminationEvent(Event):
    """The run is to end, or has ended."""

    name = "end"
