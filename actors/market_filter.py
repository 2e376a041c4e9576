"""The exchange's market filter, tested on a market's definition as the exchange would."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..strategies.changes import MarketDefinition
from ..strategies.errors import ListenerError
from ..strategies.parameters import check_names

#: Filter key to what it is tested against; each test answers True where the market passes.
_TESTS: dict[str, Callable[[Any, str, MarketDefinition], bool]] = {
    "market_ids": lambda value, market_id, d: market_id in _texts(value),
    "event_ids": lambda value, market_id, d: d.event_id in _texts(value),
    "event_type_ids": lambda value, market_id, d: d.event_type_id in _texts(value),
    "market_types": lambda value, market_id, d: d.market_type in _texts(value),
    "market_type_codes": lambda value, market_id, d: d.market_type in _texts(value),
    "market_betting_types": lambda value, market_id, d: d.betting_type in _texts(value),
    "betting_types": lambda value, market_id, d: d.betting_type in _texts(value),
    "country_codes": lambda value, market_id, d: d.country_code in _texts(value),
    "market_countries": lambda value, market_id, d: d.country_code in _texts(value),
    "venues": lambda value, market_id, d: d.venue in _texts(value),
    "race_types": lambda value, market_id, d: d.race_type in _texts(value),
    "bsp_market": lambda value, market_id, d: d.bsp_market == value,
    "bsp_only": lambda value, market_id, d: d.bsp_market == value,
    "turn_in_play_enabled": lambda value, market_id, d: d.turn_in_play_enabled == value,
    "in_play_only": lambda value, market_id, d: d.in_play == value,
    "market_start_time": lambda value, market_id, d: _within(value, d.market_time),
    "markets": lambda value, market_id, d: True,
    "event_groups": lambda value, market_id, d: True,
    "event_processing": lambda value, market_id, d: True,
    "listener_kwargs": lambda value, market_id, d: True,
    "text_query": lambda value, market_id, d: True,
    "competition_ids": lambda value, market_id, d: True,
    "exchange_ids": lambda value, market_id, d: True,
    "with_orders": lambda value, market_id, d: True,
}


def _texts(value: Any) -> set[str]:
    values: Iterable[Any] = [value] if isinstance(value, (str, int)) else value
    return {str(each) for each in values}


def _within(value: Mapping[str, Any], moment: datetime.datetime | None) -> bool:
    if moment is None:
        return False
    low, high = _moment(value.get("from")), _moment(value.get("to"))
    return (low is None or moment >= low) and (high is None or moment <= high)


def _moment(value: Any) -> datetime.datetime | None:
    if value is None:
        return None
    found = value if isinstance(value, datetime.datetime) else datetime.datetime.fromisoformat(str(value))
    return found.replace(tzinfo=datetime.UTC) if found.tzinfo is None else found


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def normalised(market_filter: Any) -> list[dict[str, Any]]:
    """A filter as a list of alternatives with names in snake case; an empty list admits all.

    Raises:
        ListenerError: it is no filter, or has a key that the exchange does not know.
    """
    if not market_filter:
        return []
    filters = market_filter if isinstance(market_filter, (list, tuple)) else [market_filter]
    found = []
    for one in filters:
        values = getattr(one, "__dict__", None) if not isinstance(one, Mapping) else one
        if not isinstance(values, Mapping):
            raise ListenerError(f"market_filter={market_filter!r}: expected a dict, or a list of dicts")
        alternative = {_snake(name): value for name, value in values.items()}
        try:
            check_names(alternative, _TESTS, "market_filter")
        except TypeError as error:
            raise ListenerError(str(error).replace("parameter", "key")) from None
        found.append(alternative)
    return found


def markets_of(market_filter: Any) -> list[str]:
    """The recordings that a filter names under `markets`."""
    return [str(path) for one in normalised(market_filter) for path in one.get("markets") or ()]


def admits(market_filter: Any, market_id: str, definition: MarketDefinition) -> bool:
    """Whether the exchange would send this market to a subscriber with this filter."""
    alternatives = normalised(market_filter)
    return not alternatives or any(
        all(_TESTS[name](value, market_id, definition) for name, value in one.items() if value is not None)
        for one in alternatives
    )
