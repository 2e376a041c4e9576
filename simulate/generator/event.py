"""An event from nothing but a seed and a number."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from .crowd import Visitor
from .market import Market
from .matches import plan_football_match, plan_tennis_match
from .plan import EventPlan, Schedule
from .races import plan_greyhound_race, plan_horse_race
from .recipe import Recipe, Sport

#: The scheduled off of event 0. Forty events follow on a day, thirteen minutes apart.
FIRST_OFF = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
EVENTS_A_DAY, MINUTES_APART = 40, 13

#: Most seconds by which an event starts late.
LATEST: dict[Sport, int] = {"horse_racing": 150, "greyhounds": 45, "football": 180, "tennis": 600}

PLANS = {
    "horse_racing": plan_horse_race,
    "greyhounds": plan_greyhound_race,
    "football": plan_football_match,
    "tennis": plan_tennis_match,
}

# So many seeds get ids of their own; ids repeat beyond them.
SEEDS, EVENTS_A_SEED = 60, 1_000_000


@dataclass(frozen=True, kw_only=True)
class GeneratedMarket:
    """A market as Betfair would archive it."""

    market_id: str
    event_id: str
    market_type: str
    #: The folder in an archive, from the scheduled day and the event: "2026/Jan/5/33000000".
    folder: str
    #: Name without the suffix of a compression.
    file_name: str
    #: One JSON message each, without line ends, oldest first.
    lines: list[bytes] = field(repr=False)


def generate_event(
    seed: int, number: int, recipe: Recipe, visitors: Mapping[str, Visitor] | None = None
) -> list[GeneratedMarket]:
    """The markets of event `number` of the series `seed`: the same bytes for the same arguments.

    Args:
        seed: any integer; event and market ids of two seeds differ unless the seeds are equal modulo 60.
        number: from 0 up to 999 999; events get distinct ids, and later numbers take place later.
        recipe: what to generate.
        visitors: by market id, somebody whose orders are among those of a crowd; for recipes that have one.

    Raises:
        ValueError: `number` is out of range, or visitors come where there is no crowd.
    """
    if visitors and recipe.crowd is None:
        raise ValueError("visitors come to a crowd only: name the patience of one, Recipe(crowd=...)")
    plan, markets = _live_event(seed, number, recipe, visitors or {})
    scheduled = datetime.fromtimestamp(plan.schedule.scheduled / 1000, UTC)
    return [
        GeneratedMarket(
            market_id=market_id,
            event_id=plan.event_id,
            market_type=market_type,
            folder=f"{scheduled:%Y}/{scheduled:%b}/{scheduled.day}/{plan.event_id}",
            file_name=market_id,
            lines=market.play(),
        )
        for market_id, market_type, market in markets
    ]


def live_event(seed: int, number: int, recipe: Recipe) -> list[Iterator[bytes]]:
    """As `generate_event`: the messages of each of the event's markets, made as they are asked for."""
    return [market.messages() for _, _, market in _live_event(seed, number, recipe, {})[1]]


def _live_event(
    seed: int, number: int, recipe: Recipe, visitors: Mapping[str, Visitor]
) -> tuple[EventPlan, list[tuple[str, str, Market]]]:
    """The plan of an event, and its markets with their ids and types."""
    if not 0 <= number < EVENTS_A_SEED:
        raise ValueError(f"number is {number}: expected 0 to {EVENTS_A_SEED - 1}")
    rng = random.Random(f"{seed}:{number}:{recipe.sport}")
    plan = _plan_event(rng, seed, number, recipe)
    bet_delay = rng.choice(plan.field.bet_delays)
    markets = []
    for position, market in enumerate(plan.markets):
        market_id = f"1.{200_000_000 + (seed % SEEDS * EVENTS_A_SEED + number) * 4 + position}"
        # A generator of random numbers each, so that no market changes when another is left out.
        chance = random.Random(f"{seed}:{number}:{recipe.sport}:{market.market_type}")
        visitor = visitors.get(market_id)
        live = Market(chance, plan, market, market_id, recipe.changes, bet_delay, recipe.crowd, visitor)
        markets.append((market_id, market.market_type, live))
    return plan, markets


def _plan_event(rng: random.Random, seed: int, number: int, recipe: Recipe) -> EventPlan:
    day, place = divmod(number, EVENTS_A_DAY)
    scheduled = int((FIRST_OFF + timedelta(days=day, minutes=MINUTES_APART * place)).timestamp()) * 1000
    minutes = recipe.minutes_before or rng.uniform(10, 30)
    schedule = Schedule(
        opens=scheduled - int(minutes * 60_000),
        scheduled=scheduled,
        off=scheduled + rng.randint(0, 1000 * LATEST[recipe.sport]),
    )
    event_id = str(30_000_000 + seed % SEEDS * EVENTS_A_SEED + number)
    plan = PLANS[recipe.sport](rng, recipe, schedule, event_id)
    if recipe.suspension:
        length = schedule.off - schedule.opens
        plan = replace(plan, suspension=schedule.opens + int(length * rng.uniform(0.3, 0.9)))
    return plan
