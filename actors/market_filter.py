"""The exchange's market filter, tested on a market's definition as the exchange would."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..strategies.changes import MarketDefinition
from ..strategies.errors import ListenerError
from ..strategies.parameters import check_names
from ..values import did_you_mean, number_of, shown, unboxed, word

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

#: What a market has where a key tests it; of all other keys nothing can be told.
_HAS: dict[str, Callable[[str, MarketDefinition], Any]] = {
    "market_ids": lambda market_id, d: market_id,
    "event_ids": lambda market_id, d: d.event_id,
    "event_type_ids": lambda market_id, d: d.event_type_id,
    "market_types": lambda market_id, d: d.market_type,
    "market_type_codes": lambda market_id, d: d.market_type,
    "market_betting_types": lambda market_id, d: d.betting_type,
    "betting_types": lambda market_id, d: d.betting_type,
    "country_codes": lambda market_id, d: d.country_code,
    "market_countries": lambda market_id, d: d.country_code,
    "venues": lambda market_id, d: d.venue,
    "race_types": lambda market_id, d: d.race_type,
    "bsp_market": lambda market_id, d: d.bsp_market,
    "bsp_only": lambda market_id, d: d.bsp_market,
    "turn_in_play_enabled": lambda market_id, d: d.turn_in_play_enabled,
    "in_play_only": lambda market_id, d: d.in_play,
    "market_start_time": lambda market_id, d: d.market_time and f"{d.market_time:%Y-%m-%d}",
}


_IDS = ("market_ids", "event_ids", "event_type_ids", "competition_ids", "exchange_ids")
_MARKET_TYPES = ("market_types", "market_type_codes")
_COUNTRIES = ("country_codes", "market_countries")
_FLAGS = ("bsp_market", "bsp_only", "turn_in_play_enabled", "in_play_only", "event_processing")
#: Closed sets of the exchange (Betfair API-NG, MarketBettingType and OrderStatus).
_BETTING_TYPES = (
    "ODDS",
    "LINE",
    "RANGE",
    "ASIAN_HANDICAP_DOUBLE_LINE",
    "ASIAN_HANDICAP_SINGLE_LINE",
    "FIXED_ODDS",
)
_WORDS = {
    "market_betting_types": _BETTING_TYPES,
    "betting_types": _BETTING_TYPES,
    "with_orders": ("EXECUTABLE", "EXECUTION_COMPLETE"),
}
_RACE_TYPES = ("Flat", "Hurdle", "Chase", "Bumper", "NH Flat", "Steeple", "Harness")


def _values(value: Any) -> list[Any]:
    plain = unboxed(value)
    return [plain] if isinstance(plain, (str, int)) else [unboxed(each) for each in plain]


def _texts(value: Any) -> set[str]:
    return {str(each) for each in _values(value)}


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
        ListenerError: it is not a filter, or has a key that the exchange does not know.
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


def check_filter(market_filter: Any) -> None:
    """Refuse a filter that can admit nothing because of a word, a number or a date that is not what it should be.

    Raises:
        ListenerError: names key and value, and the nearest value where there is one.
    """
    for one in normalised(market_filter):
        for name, value in one.items():
            if value is not None:
                _check_value(name, value)


def _check_value(name: str, value: Any) -> None:
    what = f"market_filter: {name}"
    if name in _FLAGS:
        if not isinstance(unboxed(value), bool):
            raise ListenerError(f"{what}={shown(value)}: expected True or False")
    elif name in ("market_start_time", "listener_kwargs", "event_groups"):
        if not isinstance(value, Mapping):
            raise ListenerError(f"{what}={shown(value)}: expected a dict")
        if name == "market_start_time":
            _check_moments(what, value)
    elif name in _WORDS or name in (*_IDS, *_MARKET_TYPES, *_COUNTRIES, "venues", "race_types"):
        try:
            values = _values(value)
        except TypeError:
            raise ListenerError(f"{what}={shown(value)}: expected a list") from None
        for each in values:
            _check_member(name, what, each)


def _check_member(name: str, what: str, value: Any) -> None:
    if name in _WORDS:
        word(value, what, _WORDS[name], ListenerError)
        return
    if name in _IDS:
        found = value if isinstance(value, str) else number_of(value)
        digits = found.replace(".", "", name == "market_ids") if isinstance(found, str) else str(found)
        if found is None or not digits.isdigit():
            raise ListenerError(f"{what}={shown(value)}: expected ids, such as {_EXAMPLES.get(name, '7')!r}")
        return
    if not isinstance(value, str):
        raise ListenerError(f"{what}={shown(value)}: expected texts")
    if name in _MARKET_TYPES and value != value.upper():
        raise ListenerError(f"{what}={value!r}: expected a type of markets; did you mean {value.upper()!r}?")
    if name in _COUNTRIES and not (len(value) == 2 and value.isupper() and value != "UK"):
        near = did_you_mean(value, ("GB",)) or (f"; did you mean {value.upper()!r}?" if len(value) == 2 else "")
        raise ListenerError(f"{what}={value!r}: expected two capital letters, such as 'GB'{near}")
    if name == "race_types" and value not in _RACE_TYPES and value.title() in _RACE_TYPES:
        raise ListenerError(f"{what}={value!r}: expected a type of races; did you mean {value.title()!r}?")


_EXAMPLES = {"market_ids": "1.181223995"}


def _check_moments(what: str, value: Mapping[str, Any]) -> None:
    for key, moment in value.items():
        word(key, what, ("from", "to"), ListenerError)
        try:
            _moment(moment)
        except ValueError:
            raise ListenerError(f"{what} {key}={shown(moment)}: expected a date and time, ISO 8601") from None


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


def conditions(
    market_filter: Any, market_id: str, definition: MarketDefinition
) -> Iterator[Iterator[tuple[str, Any, bool, Any]]]:
    """The conditions of a filter's alternatives, in order: name, what is wanted, whether a market meets it, and what
    the market has there. A filter without any has one alternative without conditions."""

    def of_one(one: Mapping[str, Any]) -> Iterator[tuple[str, Any, bool, Any]]:
        for name, value in one.items():
            if value is not None and name in _HAS:
                yield name, value, _TESTS[name](value, market_id, definition), _HAS[name](market_id, definition)

    for one in normalised(market_filter) or [{}]:
        yield of_one(one)
