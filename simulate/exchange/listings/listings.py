"""What there is to bet on: the lists of API-NG, the market catalogue, and the navigation menu ("Betting API")."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from ..errors import ApiError, ParameterError
from ..exchange import Exchange
from ..http.arguments import chosen, chosen_of, required
from ..operations import Operation
from ..settings import AccountSettings
from ..timeline import written
from .api_market_filter import MarketFilter, start_ms
from .catalogues import CatalogueEntry, Catalogues
from .market_names import region
from .navigation import menu

#: What can be asked for of a catalogue, and how much of the data limit it costs ("Market Data Request Limits").
PROJECTIONS = {
    "COMPETITION": 0,
    "EVENT": 0,
    "EVENT_TYPE": 0,
    "MARKET_START_TIME": 0,
    "MARKET_DESCRIPTION": 1,
    "RUNNER_DESCRIPTION": 0,
    "RUNNER_METADATA": 1,
}
_MOST_RESULTS = 1_000
_SPANS = {
    "DAYS": datetime.timedelta(days=1),
    "HOURS": datetime.timedelta(hours=1),
    "MINUTES": datetime.timedelta(minutes=1),
}
_ORDERS: dict[str, tuple[Callable[[CatalogueEntry], Any], bool]] = {
    "MINIMUM_TRADED": (lambda entry: entry.volume, False),
    "MAXIMUM_TRADED": (lambda entry: entry.volume, True),
    "MINIMUM_AVAILABLE": (lambda entry: entry.available, False),
    "MAXIMUM_AVAILABLE": (lambda entry: entry.available, True),
    "FIRST_TO_START": (start_ms, False),
    "LAST_TO_START": (start_ms, True),
}


class Listings:
    """The lists."""

    def __init__(self, exchange: Exchange, catalogues: Catalogues) -> None:
        self._exchange = exchange
        self._catalogues = catalogues

    def operations(self) -> dict[str, Operation]:
        """The calls, by their names; "navigation" is the menu."""
        return {
            "SportsAPING/v1.0/listEventTypes": self.list_event_types,
            "SportsAPING/v1.0/listCompetitions": self.list_competitions,
            "SportsAPING/v1.0/listEvents": self.list_events,
            "SportsAPING/v1.0/listMarketTypes": self.list_market_types,
            "SportsAPING/v1.0/listCountries": self.list_countries,
            "SportsAPING/v1.0/listVenues": self.list_venues,
            "SportsAPING/v1.0/listTimeRanges": self.list_time_ranges,
            "SportsAPING/v1.0/listMarketCatalogue": self.list_market_catalogue,
            "navigation": self.navigation,
        }

    async def list_event_types(self, account: AccountSettings, params: dict[str, Any]) -> list[dict[str, Any]]:
        """Sports."""
        found = self._filtered(account, params)
        return _counted(found, lambda entry: entry.event_type_id, lambda entry: {"eventType": entry.event_type})

    async def list_competitions(self, account: AccountSettings, params: dict[str, Any]) -> list[dict[str, Any]]:
        """Competitions, of markets whose recorded catalogue names one."""
        found = self._filtered(account, params)
        return _counted(
            found,
            lambda entry: None if entry.competition is None else entry.competition["id"],
            lambda entry: {"competition": entry.competition, "competitionRegion": region(entry.country)},
        )

    async def list_events(self, account: AccountSettings, params: dict[str, Any]) -> list[dict[str, Any]]:
        """Events."""
        found = self._filtered(account, params)
        return _counted(found, lambda entry: entry.event_id, lambda entry: {"event": entry.event})

    async def list_market_types(self, account: AccountSettings, params: dict[str, Any]) -> list[dict[str, Any]]:
        """Types of markets."""
        found = self._filtered(account, params)
        return _counted(found, lambda entry: entry.market_type, lambda entry: {"marketType": entry.market_type})

    async def list_countries(self, account: AccountSettings, params: dict[str, Any]) -> list[dict[str, Any]]:
        """Countries."""
        found = self._filtered(account, params)
        return _counted(found, lambda entry: entry.country, lambda entry: {"countryCode": entry.country})

    async def list_venues(self, account: AccountSettings, params: dict[str, Any]) -> list[dict[str, Any]]:
        """Venues."""
        found = self._filtered(account, params)
        return _counted(found, lambda entry: entry.venue, lambda entry: {"venue": entry.venue})

    async def list_time_ranges(self, account: AccountSettings, params: dict[str, Any]) -> list[dict[str, Any]]:
        """Days, hours or minutes in which markets start, in order.

        Raises:
            ParameterError: there is no filter or granularity, or not such a one.
        """
        granularity = chosen(params, "granularity", frozenset(_SPANS))
        if granularity is None:
            raise ParameterError("granularity is missing")
        span_ms = int(_SPANS[granularity].total_seconds() * 1000)
        started = [entry for entry in self._filtered(account, params) if entry.start]
        started.sort(key=start_ms)

        def begin(entry: CatalogueEntry) -> int:
            return start_ms(entry) // span_ms * span_ms

        return _counted(
            started,
            begin,
            lambda entry: {"timeRange": {"from": written(begin(entry)), "to": written(begin(entry) + span_ms)}},
        )

    async def list_market_catalogue(self, account: AccountSettings, params: dict[str, Any]) -> list[dict[str, Any]]:
        """Markets, described as far as asked.

        Raises:
            ApiError: INVALID_INPUT_DATA for a number of results that cannot be, TOO_MUCH_DATA beyond the data limit.
            ParameterError: a parameter is missing, or there is no such value of it.
        """
        wanted = MarketFilter(params, account.username)
        most = required(params, "maxResults")
        projection = chosen_of(params, "marketProjection", frozenset(PROJECTIONS))
        order = chosen(params, "sort", frozenset(_ORDERS))
        if not 1 <= most <= _MOST_RESULTS:
            raise ApiError("INVALID_INPUT_DATA", f"maxResults is {most}, expected 1 to {_MOST_RESULTS}")
        weight = sum(PROJECTIONS[each] for each in projection)
        if weight * most > self._exchange.settings.limits.data_weight:
            raise ApiError("TOO_MUCH_DATA", f"{most} results with a weight of {weight} each")
        if params.get("filter"):  # who asks for any market looks at what the account may see
            self._exchange.begin()
        found = [entry for entry in self._catalogues.entries() if wanted.admits(entry)]
        if order is not None:
            key, descending = _ORDERS[order]
            found.sort(key=key, reverse=descending)
        return [entry.catalogue(projection) for entry in found[:most]]

    async def navigation(self, account: AccountSettings, params: dict[str, Any]) -> dict[str, Any]:
        """The menu."""
        return menu(self._catalogues.entries())

    def _filtered(self, account: AccountSettings, params: dict[str, Any]) -> list[CatalogueEntry]:
        wanted = MarketFilter(params, account.username)
        return [entry for entry in self._catalogues.entries() if wanted.admits(entry)]


def _counted(
    entries: Iterable[CatalogueEntry],
    key: Callable[[CatalogueEntry], Hashable],
    row: Callable[[CatalogueEntry], dict[str, Any]],
) -> list[dict[str, Any]]:
    """One row per key, with the number of its markets; markets without a key are left out."""
    rows: dict[Hashable, dict[str, Any]] = {}
    for entry in entries:
        value = key(entry)
        if value is None or value == "":
            continue
        found = rows.get(value)
        if found is None:
            found = rows[value] = {**row(entry), "marketCount": 0}
        found["marketCount"] += 1
    return list(rows.values())
