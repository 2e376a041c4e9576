"""Which markets a client wants: the exchange's market filter, of streams.

A market passes that meets each condition that is given; an empty list, and null, is not a condition. Source: Betfair
Exchange Stream API, "Market Filter".
"""

from __future__ import annotations

import dataclasses
from typing import Any

from . import requests

#: Condition to the field of the market definition that it is about, of conditions that name values ...
_AMONG = {
    "bettingTypes": "bettingType",
    "countryCodes": "countryCode",
    "eventIds": "eventId",
    "eventTypeIds": "eventTypeId",
    "marketTypes": "marketType",
    "raceTypes": "raceType",
    "venues": "venue",
}
#: ... and of those that are true or false.
_FLAGS = {"bspMarket": "bspMarket", "turnInPlayEnabled": "turnInPlayEnabled"}
MARKET_IDS = "marketIds"
FIELDS = (MARKET_IDS, *_AMONG, *_FLAGS)


@dataclasses.dataclass(frozen=True)
class StreamMarketFilter:
    """A filter that has been read.

    Attributes:
        market_ids: of those only; None: of any.
        among: field of the definition, and the values that pass.
        flags: field of the definition, and what it must be.
    """

    market_ids: frozenset[str] | None = None
    among: tuple[tuple[str, frozenset[str]], ...] = ()
    flags: tuple[tuple[str, bool], ...] = ()

    @classmethod
    def read(cls, request: dict[str, Any]) -> StreamMarketFilter:
        """The filter of a request.

        Raises:
            StreamError: INVALID_INPUT, for what is not a filter.
        """
        values = requests.section(request, "marketFilter", FIELDS)
        among, flags = [], []
        for name, field in _AMONG.items():
            if (wanted := requests.texts(values, name)) is not None:
                among.append((field, wanted))
        for name, field in _FLAGS.items():
            if (flag := requests.flag(values, name)) is not None:
                flags.append((field, flag))
        return cls(requests.texts(values, MARKET_IDS), tuple(among), tuple(flags))

    def admits(self, market_id: str, definition: dict[str, Any] | None) -> bool:
        """Whether a market passes. One without a definition passes by its number only."""
        if self.market_ids is not None and market_id not in self.market_ids:
            return False
        if definition is None:
            return self.market_ids is not None and not self.among and not self.flags
        return all(str(definition.get(field)) in wanted for field, wanted in self.among) and all(
            bool(definition.get(field)) == flag for field, flag in self.flags
        )
