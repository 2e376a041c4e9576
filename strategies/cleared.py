"""A settled market's result as logging controls hear of it."""

from __future__ import annotations

import re
from typing import Any

#: What a cleared order of the exchange can have; a market's result leaves most of it out.
_NAMES = (
    *("bet_id", "bet_count", "bet_outcome", "event_id", "event_type_id", "handicap", "last_matched_date", "market_id"),
    *("order_type", "persistence_type", "placed_date", "price_matched", "price_reduced", "price_requested", "profit"),
    *("commission", "selection_id", "settled_date", "side", "size_settled", "size_cancelled", "customer_strategy_ref"),
    *("customer_order_ref", "item_description"),
)


class ClearedMarket:
    """A client's result of one market, with the attribute names of betfairlightweight's `ClearedOrder`.

    Attributes:
        market_id, event_id, event_type_id: which market.
        bet_count: orders that were matched.
        bet_outcome: WON or LOST.
        profit, commission: in the account's currency.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        for name in _NAMES:
            setattr(self, name, None)
        for name, value in values.items():
            setattr(self, re.sub(r"([A-Z])", r"_\1", name).lower(), value)

    def __repr__(self) -> str:
        return f"<ClearedMarket {self.__dict__['market_id']} {self.__dict__['profit']}>"


class ClearedMarkets(dict[str, Any]):
    """A client's result of a settled market: a dict in the exchange's names, and an object with `orders`.

    Attributes:
        more_available: False: it is all there is.
    """

    more_available = False

    @property
    def orders(self) -> list[ClearedMarket]:
        """One entry: the market."""
        return [ClearedMarket(dict(self))]
