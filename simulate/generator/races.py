"""Plans of races: horses (WIN, PLACE, EACH_WAY of one race) and greyhounds (WIN)."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime
from itertools import pairwise

from . import names
from .chances import draw_order, get_each_way_chances, get_place_chances, get_win_chances, wander
from .plan import FIELDS, EventPlan, MarketPlan, RunnerPlan, Schedule, Withdrawal
from .recipe import Recipe
from .timing import get_times_before, get_times_between

#: Variance of the news before the off: a price moves by about a quarter.
NEWS_BEFORE = 0.07
#: Variance of the news in play: enough to know the winner at the post.
NEWS_IN_PLAY = 22.0
EACH_WAY_DIVISOR = 5.0


def count_places(runners: int) -> int:
    """How many are placed: two of up to seven, three of up to fifteen, else four."""
    return 2 if runners <= 7 else 3 if runners <= 15 else 4


def plan_horse_race(rng: random.Random, recipe: Recipe, schedule: Schedule, event_id: str) -> EventPlan:
    """A race with a WIN and a PLACE market, perhaps an EACH_WAY market too."""
    field = FIELDS["horse_racing"]
    count = recipe.runners or rng.randint(6, 14)
    places = count_places(count)
    weights = get_win_chances([math.exp(rng.gauss(0.0, 0.9)) for _ in range(count)])
    steps = _count_steps(recipe)
    before = get_times_before(schedule.opens, schedule.off, steps)
    withdrawal = None
    if recipe.non_runner:
        # At one of the times at which chances change, for the others' change with it.
        withdrawal = Withdrawal(time=before[int(steps * rng.uniform(0.2, 0.8))], runner=rng.randrange(count))
    willing = [0.0 if withdrawal and n == withdrawal.runner else weight for n, weight in enumerate(weights)]
    order = draw_order(rng, willing, places)

    end = schedule.off + rng.randint(60_000, 330_000)
    running = get_times_between(schedule.off, end, steps)
    times = [*before, *running]
    news = [recipe.news * NEWS_BEFORE / steps * rng.expovariate(1.0) for _ in before]
    run = _get_running_news(rng, steps)
    path = wander(rng, weights, order[:1], [*news, *run[1:]])
    # Places are told by news of their own, once the race is on.
    more = [[1.0] * count] * len(before) + wander(rng, [1.0] * count, order, run[1:])
    if withdrawal is not None:
        for time, values in zip(times, path, strict=True):
            if time >= withdrawal.time:
                values[withdrawal.runner] = 0.0
    win = [get_win_chances(values) for values in path]
    place = [
        get_place_chances([weight * factor for weight, factor in zip(values, factors, strict=True)], places)
        for values, factors in zip(path, more, strict=True)
    ]

    ids = names.draw_ids(rng, count)
    labels = [f"{n + 1}. {name}" for n, name in enumerate(names.draw_animals(rng, count))]

    def list_runners(factors: list[float]) -> tuple[RunnerPlan, ...]:
        return tuple(
            RunnerPlan(selection_id=selection_id, name=label, adjustment_factor=max(0.1, round(factor, 2)))
            for selection_id, label, factor in zip(ids, labels, factors, strict=True)
        )

    win_runners = list_runners([100 * chance for chance in win[0]])
    markets = [
        MarketPlan(
            market_type="WIN",
            name=rng.choice(names.RACES),
            winners=1,
            runners=win_runners,
            times=times,
            fair=win,
            results=tuple("WINNER" if n == order[0] else "LOSER" for n in range(count)),
            end=end,
        ),
        MarketPlan(
            market_type="PLACE",
            name="To Be Placed",
            winners=places,
            runners=list_runners([100 * chance / places for chance in place[0]]),
            times=times,
            fair=place,
            results=tuple("WINNER" if n in order else "LOSER" for n in range(count)),
            end=end,
            lays_lapse_from=4.0,
        ),
    ]
    if recipe.each_way:
        markets.append(
            MarketPlan(
                market_type="EACH_WAY",
                name="Each Way",
                winners=places,
                runners=win_runners,
                times=times,
                fair=[get_each_way_chances(*pair, EACH_WAY_DIVISOR) for pair in zip(win, place, strict=True)],
                results=tuple("WINNER" if n == order[0] else "PLACED" if n in order else "LOSER" for n in range(count)),
                end=end,
                each_way_divisor=EACH_WAY_DIVISOR,
            )
        )
    venue = rng.choice(names.COURSES)
    return EventPlan(
        event_id=event_id,
        name=f"{venue} {_format_day(schedule.scheduled)}",
        venue=venue,
        field=field,
        schedule=schedule,
        markets=tuple(markets),
        withdrawal=withdrawal,
    )


def plan_greyhound_race(rng: random.Random, recipe: Recipe, schedule: Schedule, event_id: str) -> EventPlan:
    """A race with a WIN market that is decided soon after the off, without betting in play."""
    count = recipe.runners or 6
    weights = get_win_chances([math.exp(rng.gauss(0.0, 0.5)) for _ in range(count)])
    order = draw_order(rng, weights, 1)
    steps = _count_steps(recipe)
    times = get_times_before(schedule.opens, schedule.off, steps)
    path = wander(rng, weights, order, [recipe.news * NEWS_BEFORE / steps * rng.expovariate(1.0) for _ in times[1:]])
    runners = tuple(
        RunnerPlan(selection_id=selection_id, name=f"{n + 1}. {name}")
        for n, (selection_id, name) in enumerate(
            zip(names.draw_ids(rng, count), names.draw_animals(rng, count), strict=True)
        )
    )
    venue = rng.choice(names.TRACKS)
    market = MarketPlan(
        market_type="WIN",
        name=f"A{rng.randint(1, 9)} {rng.choice(names.DISTANCES)}",
        winners=1,
        runners=runners,
        times=times,
        fair=[get_win_chances(values) for values in path],
        results=tuple("WINNER" if n == order[0] else "LOSER" for n in range(count)),
        end=schedule.off,
    )
    return EventPlan(
        event_id=event_id,
        name=f"{venue} {_format_day(schedule.scheduled)}",
        venue=venue,
        field=FIELDS["greyhounds"],
        schedule=schedule,
        markets=(market,),
    )


def _count_steps(recipe: Recipe) -> int:
    return min(max(recipe.changes // 6, 30), 300)


def _get_running_news(rng: random.Random, steps: int) -> list[float]:
    # Little is known in the first half of a race, and nearly all in its last tenth.
    told = [NEWS_IN_PLAY * (0.08 * (n / steps) + 0.92 * (n / steps) ** 5) for n in range(steps + 1)]
    return [(after - now) * rng.uniform(0.5, 1.5) for now, after in pairwise(told)]


def _format_day(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    day = moment.day
    ending = "th" if 10 <= day <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending} {moment:%b}"
