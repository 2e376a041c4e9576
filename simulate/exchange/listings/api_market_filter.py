"""Which markets a call is about: the `MarketFilter` of API-NG ("Betting Type Definitions")."""

from __future__ import annotations

import datetime
import re
from typing import Any

from ..errors import ApiError
from ..http.arguments import chosen_of, required
from .catalogues import CatalogueEntry
from .time_ranges import TimeRange

_BETTING_TYPES = frozenset(
    {"ODDS", "LINE", "RANGE", "ASIAN_HANDICAP_DOUBLE_LINE", "ASIAN_HANDICAP_SINGLE_LINE", "FIXED_ODDS"}
)
_STATUSES = frozenset({"EXECUTABLE", "EXECUTION_COMPLETE"})


class MarketFilter:
    """A filter that has been read. A list without values, and what is absent, restrict nothing.

    Args:
        params: of the call.
        username: whose orders `withOrders` is about.

    Raises:
        ParameterError: there is no filter, or it has a value that there is not.
        ApiError: INVALID_INPUT_DATA, for a text that begins with a wildcard.
    """

    def __init__(self, params: dict[str, Any], username: str) -> None:
        values: dict[str, Any] = required(params, "filter")
        self._username = username
        self._market_ids = frozenset(values.get("marketIds", ()))
        self._event_types = frozenset(values.get("eventTypeIds", ()))
        self._events = frozenset(values.get("eventIds", ()))
        self._competitions = frozenset(values.get("competitionIds", ()))
        self._venues = frozenset(each.lower() for each in values.get("venues", ()))
        self._countries = frozenset(each.upper() for each in values.get("marketCountries", ()))
        self._types = frozenset(values.get("marketTypeCodes", ()))
        self._race_types = frozenset(values.get("raceTypes", ()))
        self._delay_models = frozenset(values.get("betDelayModels", ()))
        self._betting_types = chosen_of(values, "marketBettingTypes", _BETTING_TYPES)
        self._with_orders = chosen_of(values, "withOrders", _STATUSES)
        self._flags = [
            (field, values[name])
            for name, field in (
                ("bspOnly", "bspMarket"),
                ("turnInPlayEnabled", "turnInPlayEnabled"),
                ("inPlayOnly", "inPlay"),
            )
            if name in values
        ]
        self._start = TimeRange(values, "marketStartTime")
        self._words = _words(values.get("textQuery", ""))

    def admits(self, entry: CatalogueEntry) -> bool:
        """Whether a market is one of those meant."""
        definition = entry.definition
        return (
            _among(entry.market_id, self._market_ids)
            and _among(entry.event_type_id, self._event_types)
            and _among(entry.event_id, self._events)
            and _among(entry.market_type, self._types)
            and _among(definition.get("bettingType") or "ODDS", self._betting_types)
            and _among(definition.get("raceType"), self._race_types)
            and all(bool(definition.get(field)) == wanted for field, wanted in self._flags)
            and (not self._venues or (entry.venue or "").lower() in self._venues)
            and (not self._countries or (entry.country or "").upper() in self._countries)
            and (not self._delay_models or not self._delay_models.isdisjoint(definition.get("betDelayModels") or ()))
            and (not self._competitions or (entry.competition or {}).get("id") in self._competitions)
            and (not self._start or _starts_within(entry, self._start))
            and (not self._words or _has_words(entry, self._words))
            and (not self._with_orders or self._has_orders(entry))
        )

    def _has_orders(self, entry: CatalogueEntry) -> bool:
        return any(
            bet.username == self._username
            and bet.settled_ms is None
            and not bet.came_to_nothing
            and ("EXECUTABLE" if bet.executable else "EXECUTION_COMPLETE") in self._with_orders
            for bet in entry.market.bets.values()
        )


def _among(value: object, values: frozenset[str]) -> bool:
    return not values or value in values


def _starts_within(entry: CatalogueEntry, start: TimeRange) -> bool:
    return start_ms(entry) in start


def start_ms(entry: CatalogueEntry) -> int:
    """Scheduled start, milliseconds since the epoch; 0 if it is not known."""
    return round(datetime.datetime.fromisoformat(entry.start).timestamp() * 1000) if entry.start else 0


def _words(text: str) -> list[re.Pattern[str]]:
    """The words of a text query: * stands for any letters."""
    if text.startswith("*"):
        raise ApiError("INVALID_INPUT_DATA", "textQuery begins with a wildcard")
    return [
        re.compile("[^ ]*".join(re.escape(part) for part in word.split("*")), re.IGNORECASE) for word in text.split()
    ]


def _has_words(entry: CatalogueEntry, words: list[re.Pattern[str]]) -> bool:
    found = re.split(r"[\s,/]+", str(entry.event["name"]))
    return all(any(word.fullmatch(each) for each in found) for word in words)
