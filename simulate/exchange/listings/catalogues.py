"""The market catalogue: recorded answers, or made from market definitions; as stale as asked.

Times are always those of the definition, which are in exchange time; of a recorded catalogue names, metadata and rules
are used.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from ....strategies.errors import RecordingError
from ...reading.side_files import read_raw_catalogue
from ..exchange import Exchange, ExchangeMarket, Listener
from ..public_market import Touched
from .market_names import event_name, event_type_name, market_name, runner_name

logger = logging.getLogger("headrace")

#: Statuses of markets that are in the catalogue ("listMarketCatalogue": published markets).
LISTED = frozenset({"OPEN", "SUSPENDED"})
#: What the catalogue says of where bets are regulated, by the definition's codes.
_REGULATORS = {"MR_INT": "GIBRALTAR REGULATOR"}
_OTHER_REGULATOR = "MALTA LOTTERIES AND GAMBLING AUTHORITY"


class CatalogueEntry:
    """One market as the catalogue has it.

    Attributes:
        definition: the market's, as old as the catalogue.
        recorded: the recorded catalogue; {} if there is none.
    """

    __slots__ = ("definition", "market", "recorded")

    def __init__(self, market: ExchangeMarket, definition: dict[str, Any], recorded: Mapping[str, Any]) -> None:
        self.market = market
        self.definition = definition
        self.recorded = recorded

    @property
    def market_id(self) -> str:
        return self.market.market_id

    @property
    def name(self) -> str:
        return str(self.recorded.get("marketName") or market_name(self.definition))

    @property
    def start(self) -> str:
        """Scheduled start, as the exchange writes it; "" if it is not known."""
        return str(self.definition.get("marketTime") or "")

    @property
    def event_type_id(self) -> str:
        return str(self.definition.get("eventTypeId") or "")

    @property
    def event_id(self) -> str:
        return str(self.definition.get("eventId") or "")

    @property
    def country(self) -> str | None:
        country = self.definition.get("countryCode") or self._part("event").get("countryCode")
        return None if country is None else str(country)

    @property
    def venue(self) -> str | None:
        venue = self.definition.get("venue") or self._part("event").get("venue")
        return None if venue is None else str(venue)

    @property
    def market_type(self) -> str | None:
        kind = self.definition.get("marketType") or self._part("description").get("marketType")
        return None if kind is None else str(kind)

    @property
    def event_type(self) -> dict[str, Any]:
        name = self._part("eventType").get("name") or event_type_name(self.event_type_id)
        return {"id": self.event_type_id, "name": name}

    @property
    def competition(self) -> dict[str, Any] | None:
        """Only recorded catalogues know it."""
        found = self._part("competition")
        if "id" not in found:
            return None
        return {"id": str(found["id"]), "name": str(found.get("name", ""))}

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "id": self.event_id,
            "name": str(self.definition.get("eventName") or self._part("event").get("name") or "")
            or event_name(self.definition),
            "countryCode": self.country,
            "timezone": self.definition.get("timezone") or self._part("event").get("timezone") or "GMT",
            "venue": self.venue,
            "openDate": self.definition.get("openDate") or self.start,
        }
        return {key: value for key, value in found.items() if value is not None}

    @property
    def volume(self) -> float:
        """Traded volume, both sides, in pounds."""
        return self.market.public.volume or 0.0

    @property
    def available(self) -> float:
        """What is offered, both sides, in pounds."""
        return self.market.public.available

    def catalogue(self, projection: frozenset[str]) -> dict[str, Any]:
        """A `MarketCatalogue` with what is asked for."""
        found: dict[str, Any] = {"marketId": self.market_id, "marketName": self.name}
        if "MARKET_START_TIME" in projection:
            found["marketStartTime"] = self.start
        if "MARKET_DESCRIPTION" in projection:
            found["description"] = self._description()
        found["totalMatched"] = self.volume
        if projection & {"RUNNER_DESCRIPTION", "RUNNER_METADATA"}:
            found["runners"] = self._runners("RUNNER_METADATA" in projection)
        if "EVENT_TYPE" in projection:
            found["eventType"] = self.event_type
        if "COMPETITION" in projection and (competition := self.competition) is not None:
            found["competition"] = competition
        if "EVENT" in projection:
            found["event"] = self.event
        return found

    def _description(self) -> dict[str, Any]:
        given = self.definition
        regulators = given.get("regulators") or ("MR_INT",)
        ladder = given.get("priceLadderDefinition") or {}
        made: dict[str, Any] = {
            "persistenceEnabled": bool(given.get("persistenceEnabled")),
            "bspMarket": bool(given.get("bspMarket")),
            "bettingType": given.get("bettingType") or "ODDS",
            "turnInPlayEnabled": bool(given.get("turnInPlayEnabled")),
            "marketType": self.market_type,
            "regulator": _REGULATORS.get(regulators[0], _OTHER_REGULATOR),
            "marketBaseRate": given.get("marketBaseRate", 5.0),
            "discountAllowed": bool(given.get("discountAllowed")),
            "wallet": "UK wallet",
            "rules": "The rules of the exchange apply.",
            "rulesHasDate": False,
            "eachWayDivisor": given.get("eachWayDivisor"),
            "raceType": given.get("raceType"),
            "betDelayModels": given.get("betDelayModels") or None,
            "priceLadderDescription": {"type": ladder.get("type", "CLASSIC")},
            "lineRangeInfo": _line_range(given),
            **self._part("description"),
            "marketTime": self.start,
            "suspendTime": given.get("suspendTime") or self.start,
        }
        return {key: value for key, value in made.items() if value is not None}

    def _runners(self, with_metadata: bool) -> list[dict[str, Any]]:
        recorded = {
            (each.get("selectionId"), float(each.get("handicap") or 0.0)): each
            for each in self.recorded.get("runners") or ()
            if isinstance(each, dict)
        }
        found = []
        for runner in sorted(self.definition.get("runners") or (), key=lambda each: each.get("sortPriority") or 0):
            key = (runner.get("id"), float(runner.get("hc") or 0.0))
            known = recorded.get(key, {})
            row: dict[str, Any] = {
                "selectionId": key[0],
                "runnerName": known.get("runnerName") or runner_name(runner),
                "handicap": key[1],
                "sortPriority": runner.get("sortPriority") or 0,
            }
            if with_metadata:
                row["metadata"] = known.get("metadata") or {"runnerId": str(key[0])}
            found.append(row)
        return found

    def _part(self, name: str) -> Mapping[str, Any]:
        part = self.recorded.get(name)
        return part if isinstance(part, dict) else {}


class _Known:
    """What the catalogue knows of a market: its definitions, with the times at which they came."""

    __slots__ = ("definitions", "recorded")

    def __init__(self, recorded: Mapping[str, Any]) -> None:
        self.definitions: list[tuple[int, dict[str, Any]]] = []
        self.recorded = recorded

    def note(self, at: int, definition: dict[str, Any], age: float) -> None:
        """A definition has come; those that are too old to be asked for are forgotten."""
        self.definitions.append((at, definition))
        while len(self.definitions) > 1 and self.definitions[1][0] <= at - age:
            del self.definitions[0]

    def as_of(self, at: float) -> dict[str, Any]:
        """The last definition that had come by then, or the first there was."""
        found = self.definitions[0][1]
        for came, definition in self.definitions:
            if came > at:
                break
            found = definition
        return found


class Catalogues(Listener):
    """The catalogue of all markets. It listens to the exchange.

    Args:
        folder: of recorded catalogues, `<market id>.json`; None: there are none.
    """

    def __init__(self, exchange: Exchange, folder: str | None = None) -> None:
        self._exchange = exchange
        self._folder = folder
        self._age = exchange.settings.timers.catalogue_age * 1000
        self._known: dict[str, _Known] = {}
        exchange.listeners.append(self)

    def entries(self) -> Iterator[CatalogueEntry]:
        """The markets in the catalogue, in order of appearance."""
        at = self._exchange.clock.now_ms - self._age
        for market_id, known in self._known.items():
            market = self._exchange.markets.get(market_id)
            if market is None or market.gone:
                continue
            definition = known.as_of(at)
            if definition.get("status") in LISTED:
                yield CatalogueEntry(market, definition, known.recorded)

    # -- listening -----------------------------------------------------------------------------------------------

    def market_changed(self, market: ExchangeMarket, touched: Touched) -> None:
        if not touched.definition or market.public.definition is None:
            return
        known = self._known.get(market.market_id)
        if known is None:
            known = self._known[market.market_id] = _Known(self._recorded(market.market_id))
        known.note(self._exchange.clock.now_ms, market.public.definition, self._age)

    def _recorded(self, market_id: str) -> Mapping[str, Any]:
        if self._folder is None:
            return {}
        try:
            return read_raw_catalogue(self._folder, market_id) or {}
        except RecordingError as error:
            logger.warning("%s; the catalogue is made from the market's definition", error)
            self._exchange.ledger.write("ERROR", self._exchange.clock.now_ms, market_id=market_id, error=str(error))
            return {}

    def market_gone(self, market: ExchangeMarket) -> None:
        self._known.pop(market.market_id, None)


def _line_range(definition: dict[str, Any]) -> dict[str, Any] | None:
    if definition.get("lineInterval") is None:
        return None
    return {
        "maxUnitValue": definition.get("lineMaxUnit", 0.0),
        "minUnitValue": definition.get("lineMinUnit", 0.0),
        "interval": definition["lineInterval"],
        "marketUnit": "Units",
    }
