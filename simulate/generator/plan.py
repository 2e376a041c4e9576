"""What will happen to an event and its markets, settled before a single order arrives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .recipe import Sport


@dataclass(frozen=True, kw_only=True)
class Field:
    """What markets of a sport have in common."""

    event_type_id: str
    country: str
    timezone: str
    #: Commission, per cent.
    base_rate: float
    starting_price: bool
    goes_in_play: bool
    #: Whether the turn in play passes through a suspension.
    suspends_at_off: bool
    #: Seconds, in play.
    bet_delays: tuple[int, ...]
    #: Money at a price, as a multiple of a horse race's.
    depth: float
    #: Part of the messages that come in play.
    in_play_share: float


FIELDS: dict[Sport, Field] = {
    "horse_racing": Field(
        event_type_id="7",
        country="GB",
        timezone="Europe/London",
        base_rate=5.0,
        starting_price=True,
        goes_in_play=True,
        suspends_at_off=True,
        bet_delays=(1,),
        depth=1.0,
        in_play_share=0.2,
    ),
    "greyhounds": Field(
        event_type_id="4339",
        country="GB",
        timezone="Europe/London",
        base_rate=5.0,
        starting_price=True,
        goes_in_play=False,
        suspends_at_off=True,
        bet_delays=(0,),
        depth=0.4,
        in_play_share=0.0,
    ),
    "football": Field(
        event_type_id="1",
        country="GB",
        timezone="GMT",
        base_rate=5.0,
        starting_price=False,
        goes_in_play=True,
        suspends_at_off=True,
        bet_delays=(5, 6, 8),
        depth=6.0,
        in_play_share=0.7,
    ),
    "tennis": Field(
        event_type_id="2",
        country="GB",
        timezone="GMT",
        base_rate=5.0,
        starting_price=False,
        goes_in_play=True,
        suspends_at_off=False,
        bet_delays=(3, 5),
        depth=3.0,
        in_play_share=0.8,
    ),
}


@dataclass(frozen=True, kw_only=True)
class RunnerPlan:
    """A runner as the definition names it. `adjustment_factor` is per cent, None where the sport has none."""

    selection_id: int
    name: str
    adjustment_factor: float | None = None


@dataclass(frozen=True, kw_only=True)
class Withdrawal:
    """A non-runner: when (milliseconds since the epoch) and the position of the runner."""

    time: int
    runner: int


@dataclass(frozen=True, kw_only=True)
class MarketPlan:
    """One market: its runners, what each is worth at each time, and the result.

    `fair[n]` holds, from `times[n]` on, the reciprocal of every runner's fair price, 0 for a non-runner.
    `goals` are times at which the market is suspended in play, and `end` the time at which it is decided.
    """

    market_type: str
    name: str
    winners: int
    runners: tuple[RunnerPlan, ...]
    times: Sequence[int]
    fair: Sequence[Sequence[float]]
    results: tuple[str, ...]
    end: int
    goals: tuple[int, ...] = ()
    each_way_divisor: float | None = None
    #: An adjustment factor (per cent) from which a non-runner cancels the unmatched lays on the others.
    lays_lapse_from: float = 2.5


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The clock of an event: first message, scheduled and actual off, milliseconds since the epoch."""

    opens: int
    scheduled: int
    off: int


@dataclass(frozen=True, kw_only=True)
class EventPlan:
    """An event: its name, clock, markets, and what disturbs them before the off."""

    event_id: str
    name: str
    venue: str | None
    field: Field
    schedule: Schedule
    markets: tuple[MarketPlan, ...]
    withdrawal: Withdrawal | None = None
    suspension: int | None = None
