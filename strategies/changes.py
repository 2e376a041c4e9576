"""The exchange's market stream, decoded: what one message of a stream or one line of a recording says.

Field names are the exchange's, in snake case; its short names (`rc`, `atb`) stay as they are. Unknown keys are
ignored, so that a recorder's additions and the exchange's do no harm. Source: Betfair Exchange Stream API.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

import msgspec

#: What a column of a table can hold.
Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
#: Milliseconds since the epoch, up to the year 9999.
Millis = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999)]
#: A time that says what zone it is in.
Moment = Annotated[datetime.datetime, msgspec.Meta(tz=True)]
#: A starting price; the exchange writes what is not a number as text.
StartingPrice = float | Literal["NaN", "Infinity"] | None
#: `[price, size]`: size 0 removes the price.
Level = tuple[float, float]
#: `[level, price, size]` of the best-price ladders: size 0 removes the level.
RankedLevel = tuple[int, float, float]


class RunnerDefinition(msgspec.Struct, rename="camel", gc=False):
    """A runner as the market definition names it."""

    id: Whole
    hc: float = 0.0
    status: str = "ACTIVE"
    sort_priority: Whole = 0
    name: str | None = None
    adjustment_factor: float | None = None
    bsp: StartingPrice = None
    removal_date: Moment | None = None

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

    id: Whole
    hc: float = 0.0


class KeyLineDefinition(msgspec.Struct, rename={"key_line": "kl"}, gc=False):
    """The key line of a handicap market."""

    key_line: list[KeyLine] = []


class MarketDefinition(msgspec.Struct, rename="camel"):
    """What a market is, and the state it is in. Sent whole whenever anything of it changes."""

    status: str = "OPEN"
    version: Whole = 0
    in_play: bool = False
    bet_delay: Whole = 0
    market_time: Moment | None = None
    runners: list[RunnerDefinition] = []
    bsp_market: bool = False
    bsp_reconciled: bool = False
    complete: bool = False
    cross_matching: bool = False
    runners_voidable: bool = False
    persistence_enabled: bool = False
    turn_in_play_enabled: bool = False
    discount_allowed: bool = False
    number_of_active_runners: Whole = 0
    number_of_winners: Whole = 0
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
    suspend_time: Moment | None = None
    open_date: Moment | None = None
    settled_time: Moment | None = None
    suspend_reason: str | None = None
    each_way_divisor: float | None = None
    line_max_unit: float | None = None
    line_min_unit: float | None = None
    line_interval: float | None = None
    price_ladder_definition: PriceLadderDefinition | None = None
    key_line_definition: KeyLineDefinition | None = None
    bet_delay_models: list[str] = []


# The order of the fields below is the order in which messages have them: decoding looks for the next one first. What
# nobody reads (op, clk, con) is not decoded. Recorders that write every field they know write null for what is absent;
# `img` and `hc` then stand in every line, and are decoded as they come. Other nulls are left to
# `strategies.change_lines`.


class RunnerChange(msgspec.Struct, gc=False, kw_only=True):
    """What changed of one runner. A handicap of None is 0."""

    atb: list[Level] | None = None
    atl: list[Level] | None = None
    batb: list[RankedLevel] | None = None
    batl: list[RankedLevel] | None = None
    trd: list[Level] | None = None
    spb: list[Level] | None = None
    spl: list[Level] | None = None
    bdatb: list[RankedLevel] | None = None
    bdatl: list[RankedLevel] | None = None
    spn: StartingPrice = None
    spf: StartingPrice = None
    ltp: float | None = None
    tv: float | None = None
    hc: float | None = 0.0
    id: Whole


class MarketChange(msgspec.Struct, rename={"market_definition": "marketDefinition"}, gc=False):
    """What changed of one market."""

    id: str | None = None
    market_definition: MarketDefinition | None = None
    rc: list[RunnerChange] = []
    img: bool | None = False
    tv: float | None = None


class ChangeMessage(msgspec.Struct, gc=False):
    """One message: a publish time (milliseconds since the epoch, UTC) and the changes of some markets.

    Heartbeats carry no changes.
    """

    pt: Millis
    mc: list[MarketChange] = []


class Oddity(msgspec.Struct, frozen=True):
    """Something of a message that is taken as not given, for it says nothing.

    Attributes:
        field: its name, such as "marketDefinition.runners.bsp".
        message: what it is, and what was expected.
        market_id: whose change it stands in; None: the message's own.
        handed_on: it changes nothing that is simulated; only a strategy could read it.
    """

    field: str
    message: str
    market_id: str | None
    handed_on: bool


class OddMessage(ChangeMessage, gc=False, kw_only=True):
    """A message of which something is taken as not given."""

    oddities: list[Oddity] = []


class RawMarketChange(MarketChange, rename={"market_definition": "marketDefinition"}, gc=False, kw_only=True):
    """A change with the object it was decoded from, for strategies that want raw data."""

    datum: dict[str, Any] = {}


class RawMessage(OddMessage, gc=False, kw_only=True):
    """A message whose changes are raw as well."""

    clk: str = ""
