"""A strategy's market filter in the words of the exchange: for the stream, and for listMarketCatalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...values import unboxed
from ..market_filter import normalised
from .crews import StreamPlan

#: Keys that only this framework reads.
_OURS = frozenset({"markets", "listener_kwargs", "event_groups", "event_processing"})
#: Key of a filter to the stream's; the stream knows no others (Exchange Stream API, "MarketFilter").
_STREAM = {
    "market_ids": "marketIds",
    "betting_types": "bettingTypes",
    "market_betting_types": "bettingTypes",
    "event_type_ids": "eventTypeIds",
    "event_ids": "eventIds",
    "market_types": "marketTypes",
    "market_type_codes": "marketTypes",
    "country_codes": "countryCodes",
    "market_countries": "countryCodes",
    "venues": "venues",
    "race_types": "raceTypes",
    "bsp_market": "bspMarket",
    "bsp_only": "bspMarket",
    "turn_in_play_enabled": "turnInPlayEnabled",
}
#: The same for listMarketCatalogue ("MarketFilter" of the Betting Type Definitions).
_CATALOGUE = {
    "market_ids": "marketIds",
    "betting_types": "marketBettingTypes",
    "market_betting_types": "marketBettingTypes",
    "event_type_ids": "eventTypeIds",
    "event_ids": "eventIds",
    "competition_ids": "competitionIds",
    "exchange_ids": "exchangeIds",
    "market_types": "marketTypeCodes",
    "market_type_codes": "marketTypeCodes",
    "country_codes": "marketCountries",
    "market_countries": "marketCountries",
    "venues": "venues",
    "race_types": "raceTypes",
    "bsp_market": "bspOnly",
    "bsp_only": "bspOnly",
    "turn_in_play_enabled": "turnInPlayEnabled",
    "in_play_only": "inPlayOnly",
    "market_start_time": "marketStartTime",
    "text_query": "textQuery",
    "with_orders": "withOrders",
}
_FLAGS = frozenset({"bspMarket", "turnInPlayEnabled", "bspOnly", "inPlayOnly"})
#: What a strategy sees that says nothing of it: flumine's default.
DEFAULT_FIELDS = (
    "EX_ALL_OFFERS",
    "EX_TRADED",
    "EX_TRADED_VOL",
    "EX_LTP",
    "EX_MARKET_DEF",
    "SP_TRADED",
    "SP_PROJECTED",
)
_DEFINITION = "EX_MARKET_DEF"


def needs_catalogue(plan: StreamPlan) -> bool:
    """Whether a stream asks for what the stream's own filter cannot say, so that its markets have to be looked up."""
    return any(name not in _STREAM for one in _alternatives(plan) for name in one)


def catalogue_filters(plan: StreamPlan) -> list[dict[str, Any]]:
    """The filters of listMarketCatalogue that find a stream's markets: one call for each."""
    return [_translated(one, _CATALOGUE) for one in _alternatives(plan)] or [{}]


def stream_filters(plan: StreamPlan) -> list[dict[str, Any]]:
    """The filters of a stream: a subscription for each; only where it `needs_catalogue` not."""
    return [_translated(one, _STREAM) for one in _alternatives(plan)] or [{}]


def market_request(
    plan: StreamPlan, market_filter: Mapping[str, Any], data_filter: Mapping[str, Any] | None, heartbeat_ms: int
) -> dict[str, Any]:
    """A subscription to markets, without operation and id."""
    return {
        "marketFilter": dict(market_filter),
        "marketDataFilter": data_request(data_filter),
        "conflateMs": plan.conflate_ms or 0,
        "heartbeatMs": heartbeat_ms,
        "segmentationEnabled": True,
    }


def data_request(data_filter: Mapping[str, Any] | None) -> dict[str, Any]:
    """A strategy's data filter in the exchange's words. Market definitions are always among it: books need them."""
    given = {_camel(name): unboxed(value) for name, value in (data_filter or {}).items() if value is not None}
    fields = list(given.get("fields") or DEFAULT_FIELDS)
    if _DEFINITION not in fields:
        fields.append(_DEFINITION)
    return {**given, "fields": fields}


def _alternatives(plan: StreamPlan) -> list[dict[str, Any]]:
    """What a stream's filters ask of the exchange. One that asks nothing admits all."""
    found = [
        {name: value for name, value in one.items() if value not in (None, [], ()) and name not in _OURS}
        for one in normalised(plan.filters)
    ]
    return [] if any(not one for one in found) else found


def _translated(one: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in one.items():
        wanted = names[name]
        if wanted in _FLAGS or wanted in ("marketStartTime", "textQuery"):
            found[wanted] = value
        else:
            values = [value] if isinstance(value, (str, int)) else list(value)
            found[wanted] = [str(each) for each in values]
    return found


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(each.title() for each in rest)
