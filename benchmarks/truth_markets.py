"""Markets whose truth is known: each is played twice, without the trader and with him."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from headrace.simulate.generator import GeneratedMarket, Recipe, generate_event

from .truth_trader import Fate, Placement, Trader, plan_orders

#: Little news before the off: prices stay, and places in queues matter.
CALM = 0.03
#: What is played, by the name in the tables.
RECIPES = {
    "greyhounds, thin": Recipe(sport="greyhounds", changes=700, crowd="even"),
    "greyhounds, calm": Recipe(sport="greyhounds", changes=700, news=CALM, crowd="hasty"),
    "race": Recipe(changes=900, crowd="even"),
    "race, hasty": Recipe(changes=900, crowd="hasty"),
    "race, calm": Recipe(changes=900, runners=8, news=CALM, crowd="even"),
    "race, calm hasty": Recipe(changes=900, runners=8, news=CALM, crowd="hasty"),
    "race, calm weary": Recipe(changes=900, runners=8, news=CALM, crowd="weary"),
    "race, calm lasting": Recipe(changes=900, runners=8, news=CALM, crowd="lasting"),
    "race, fast": Recipe(changes=250, crowd="even"),
    "race, slow": Recipe(changes=1800, runners=6, news=0.3, crowd="hasty"),
    "race, non-runner": Recipe(changes=900, non_runner=True, crowd="even"),
    "race, suspended": Recipe(changes=900, suspension=True, news=CALM, crowd="weary"),
    "football": Recipe(sport="football", changes=900, crowd="even"),
    "football, calm": Recipe(sport="football", changes=900, news=CALM, crowd="weary"),
    "tennis": Recipe(sport="tennis", changes=900, crowd="hasty"),
    "tennis, calm": Recipe(sport="tennis", changes=900, news=CALM, crowd="lasting"),
}
ORDERS = 14


@dataclass(frozen=True)
class Market:
    """What was published without the trader, what he asks for, and what became of it where he was there."""

    name: str
    market_id: str
    lines: list[bytes]
    placements: list[Placement]
    fates: dict[int, Fate]


def play(seed: int, number: int, recipe: Recipe, name: str = "", orders: int = ORDERS) -> Iterator[Market]:
    """The markets of event `number`, with so many orders each, roughly."""
    without = generate_event(seed, number, recipe)
    traders: dict[str, Trader] = {}
    asked: dict[str, list[Placement]] = {}
    for market in without:
        chance = random.Random(f"{seed}:{number}:{market.market_type}:trader")
        asked[market.market_id] = plan_orders(market.lines, chance, orders)
        traders[market.market_id] = Trader(asked[market.market_id])
    generate_event(seed, number, recipe, traders)
    for market in without:
        fates = traders[market.market_id].fates
        yield Market(name, market.market_id, market.lines, asked[market.market_id], fates)


def plan(markets: int) -> list[tuple[str, int, int]]:
    """What is played to have so many markets of all kinds in turn: name, number of the event, and markets of it."""
    events: list[tuple[str, int, int]] = []
    left, number = markets, 0
    names = list(RECIPES)
    while left > 0:
        name = names[number % len(names)]
        count = min(left, 2 if RECIPES[name].sport in ("horse_racing", "football") else 1)
        events.append((name, number, count))
        left, number = left - count, number + 1
    return events


__all__ = ["ORDERS", "RECIPES", "GeneratedMarket", "Market", "plan", "play"]
