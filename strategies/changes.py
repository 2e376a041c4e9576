"""The exchange's market stream, decoded: what one message of a stream or one line of a recording says.

Field names are the exchange's, in snake case; its short names (`rc`, `atb`) stay as they are. Unknown keys are
ignored, so that a recorder's additions and the exchange's do no harm. Source: Betfair Exchange Stream API.
"""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

#: `[price, size]`: size 0 removes the price.
Level = tuple[float, float]
#: `[level, price, size]` of the best-price ladders: size 0 removes the level.
RankedLevel = tuple[int, float, float]


class RunnerDefinition(msgspec.Struct, rename="camel", gc=False):
    """A runner as the market definition names it."""

    id: int
    hc: float = 0.0
    status: str = "ACTIVE"
    sort_priority: int = 0
    name: str | None = None
    adjustment_factor: float | None = None
    bsp: float | str | None = None
    removal_date: datetime.datetime | None = None

    @property
    def selection_id(self) -> int:
        return self.id

    @property
    def handicap(self) -> float:
        return self.hc


class PriceLadderDefinition(msgspec.Struct, gc=False):
    """Which prices the market accepts: CLASSIC, FINEST or LINE_RANGE."""

    type: str = "CLASSIC"


class KeyLine(msgspec.Struct, gc=False):
    """A runner of the key line of a handicap market."""

    id: int
    hc: float = 0.0


class KeyLineDefinition(msgspec.Struct, rename={"key_line": "kl"}, gc=False):
    """The key line of a handicap market."""

    key_line: list[KeyLine] = []


class MarketDefinition(msgspec.Struct, rename="camel"):
    """What a market is, and the state it is in. Sent whole whenever anything of it changes."""

    status: str = "OPEN"
    version: int = 0
    in_play: bool = False
    bet_delay: int = 0
    market_time: datetime.datetime | None = None
    runners: list[RunnerDefinition] = []
    bsp_market: bool = False
    bsp_reconciled: bool = False
    complete: bool = False
    cross_matching: bool = False
    runners_voidable: bool = False
    persistence_enabled: bool = False
    turn_in_play_enabled: bool = False
    discount_allowed: bool = False
    number_of_active_runners: int = 0
    number_of_winners: int = 0
    market_base_rate: float = 0.0
    event_id: str | None = None
    event_type_id: str | None = None
    event_name: str | None = None
    name: str | None = None
    market_type: str | None = None
    betting_type: str | None = None
    country_code: str | None = None
    venue: str | None = None
    race_type: str | None = None
    timezone: str | None = None
    regulators: list[str] = []
    suspend_time: datetime.datetime | None = None
    open_date: datetime.datetime | None = None
    settled_time: datetime.datetime | None = None
    suspend_reason: str | None = None
    each_way_divisor: float | None = None
    line_max_unit: float | None = None
    line_min_unit: float | None = None
    line_interval: float | None = None
    price_ladder_definition: PriceLadderDefinition | None = None
    key_line_definition: KeyLineDefinition | None = None
    bet_delay_models: list[str] = []


# The order of the fields below is the order in which messages have them: decoding looks for the next one first. What
# nobody reads (op, clk, con) is not decoded.


class RunnerChange(msgspec.Struct, gc=False, kw_only=True):
    """What changed of one runner."""

    atb: list[Level] | None = None
    atl: list[Level] | None = None
    batb: list[RankedLevel] | None = None
    batl: list[RankedLevel] | None = None
    trd: list[Level] | None = None
    spb: list[Level] | None = None
    spl: list[Level] | None = None
    bdatb: list[RankedLevel] | None = None
    bdatl: list[RankedLevel] | None = None
    spn: float | str | None = None
    spf: float | str | None = None
    ltp: float | None = None
    tv: float | None = None
    hc: float = 0.0
    id: int


class MarketChange(msgspec.Struct, rename={"market_definition": "marketDefinition"}, gc=False):
    """What changed of one market."""

    id: str | None = None
    market_definition: MarketDefinition | None = None
    rc: list[RunnerChange] = []
    img: bool = False
    tv: float | None = None


class ChangeMessage(msgspec.Struct, gc=False):
    """One message: a publish time (milliseconds since the epoch, UTC) and the changes of some markets.

    Heartbeats carry no changes.
    """

    pt: int = 0
    mc: list[MarketChange] = []


class RawMarketChange(MarketChange, rename={"market_definition": "marketDefinition"}, gc=False, kw_only=True):
    """A change with the object it was decoded from, for strategies that want raw data."""

    datum: dict[str, Any] = {}


class RawMessage(ChangeMessage, gc=False, kw_only=True):
    """A message whose changes are raw as well."""

    clk: str = ""
