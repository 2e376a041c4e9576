"""Names that the exchange's catalogue has and a market definition may lack."""

from __future__ import annotations

import datetime
from typing import Any

#: Sports by the exchange's ids.
EVENT_TYPES = {
    "1": "Soccer",
    "2": "Tennis",
    "3": "Golf",
    "4": "Cricket",
    "5": "Rugby Union",
    "6": "Boxing",
    "7": "Horse Racing",
    "8": "Motor Sport",
    "10": "Special Bets",
    "11": "Cycling",
    "1477": "Rugby League",
    "3503": "Darts",
    "4339": "Greyhound Racing",
    "6231": "Financial Bets",
    "6422": "Snooker",
    "6423": "American Football",
    "7511": "Baseball",
    "7522": "Basketball",
    "7524": "Ice Hockey",
    "61420": "Australian Rules",
    "468328": "Handball",
    "998917": "Volleyball",
    "2152880": "Gaelic Games",
    "2378961": "Politics",
    "26420387": "Mixed Martial Arts",
    "27454571": "Esports",
}
#: Sports whose markets are races, at venues.
RACING = frozenset({"7", "4339"})
_MARKETS = {"PLACE": "To Be Placed", "OTHER_PLACE": "To Be Placed", "EACH_WAY": "Each Way"}
_REGIONS = {
    "GB": "GBR",
    "IE": "IRL",
    "AU": "AUS",
    "NZ": "NZL",
    "US": "USA",
    "FR": "FRA",
    "DE": "DEU",
    "IT": "ITA",
    "ES": "ESP",
    "PT": "PRT",
    "SE": "SWE",
    "BR": "BRA",
    "IN": "IND",
    "ZA": "ZAF",
}


def event_type_name(event_type_id: str) -> str:
    """The name of a sport."""
    return EVENT_TYPES.get(event_type_id, f"Event type {event_type_id}")


def market_name(definition: dict[str, Any]) -> str:
    """The name of a market, by its type if the definition has none."""
    if name := definition.get("name"):
        return str(name)
    kind = str(definition.get("marketType") or "Market")
    return _MARKETS.get(kind, kind.replace("_", " ").title())


def event_name(definition: dict[str, Any]) -> str:
    """The name of an event: of a race, where it is run and when, if the definition has none."""
    if name := definition.get("eventName"):
        return str(name)
    venue, opened = definition.get("venue"), definition.get("openDate") or definition.get("marketTime")
    if venue and opened:
        moment = datetime.datetime.fromisoformat(str(opened))
        return f"{venue} {moment.day}{_ordinal(moment.day)} {moment:%b}"
    return f"Event {definition.get('eventId')}"


def runner_name(runner: dict[str, Any]) -> str:
    """The name of a runner."""
    return str(runner.get("name") or f"Runner {runner.get('id')}")


def region(country: str | None) -> str:
    """The region of a competition, by the country of its events."""
    return "International" if country is None else _REGIONS.get(country, country)


def _ordinal(day: int) -> str:
    if 11 <= day <= 13:
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
