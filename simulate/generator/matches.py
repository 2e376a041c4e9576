"""Plans of matches: football (MATCH_ODDS, OVER_UNDER_25, BOTH_TEAMS_TO_SCORE) and tennis (MATCH_ODDS)."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from . import names
from .chances import (
    draw_order,
    get_both_teams_chances,
    get_match_chances,
    get_total_chances,
    get_win_chances,
    wander,
)
from .plan import FIELDS, EventPlan, MarketPlan, RunnerPlan, Schedule
from .recipe import Recipe
from .timing import get_times_before, get_times_between

MINUTE = 60_000
#: Betfair's own ids of the runners that are the same in every match.
DRAW, UNDER, OVER, YES, NO = 58805, 47972, 47973, 30246, 110503
#: Spread of a side's expected goals from the first message to the kick-off (of its logarithm).
FORM = 0.06
TENNIS_NEWS_BEFORE = 0.02
TENNIS_NEWS_IN_PLAY = 14.0

Chances = Callable[[tuple[int, int], tuple[float, float]], list[float]]


def plan_football_match(rng: random.Random, recipe: Recipe, schedule: Schedule, event_id: str) -> EventPlan:
    """A match: goals come as Poisson events at the rates that the prices at the kick-off say."""
    field = FIELDS["football"]
    goals_expected = 2.6 * math.exp(rng.gauss(0.0, 0.18))
    home_share = min(max(rng.gauss(0.55, 0.11), 0.2), 0.85)
    steps = min(max(recipe.changes // 8, 30), 250)
    before = get_times_before(schedule.opens, schedule.off, steps)
    rates = [(goals_expected * home_share, goals_expected * (1 - home_share))]
    for _ in before[1:]:
        home, away = rates[-1]
        deviation = FORM * math.sqrt(recipe.news / steps)
        rates.append((home * math.exp(rng.gauss(0.0, deviation)), away * math.exp(rng.gauss(0.0, deviation))))
    final = rates[-1]

    first_half, second_half = rng.randint(45, 49) * MINUTE, rng.randint(46, 52) * MINUTE
    played = first_half + second_half
    end = schedule.off + played + 15 * MINUTE

    def get_part_played(time: int) -> float:
        passed = time - schedule.off
        return (min(passed, first_half) + max(0, passed - first_half - 15 * MINUTE)) / played

    goals: list[tuple[int, int]] = []
    for side, rate in enumerate(final):
        clock = rng.expovariate(rate)
        while clock < 1:
            moment = int(clock * played)
            goals.append((schedule.off + moment + (15 * MINUTE if moment > first_half else 0), side))
            clock += rng.expovariate(rate)
    goals.sort()

    times = [*before, *sorted({*get_times_between(schedule.off, end, steps), *(time for time, _ in goals)})]
    states: list[tuple[tuple[int, int], tuple[float, float]]] = [((0, 0), pair) for pair in rates]
    for time in times[len(before) :]:
        left = 1 - get_part_played(time)
        states.append((_get_score(goals, time), (final[0] * left, final[1] * left)))
    score = _get_score(goals, end)

    def plan_market(market_type: str, name: str, sides: list[tuple[int, str]], chances: Chances) -> MarketPlan:
        decided = next((time for time, _ in goals if max(chances(_get_score(goals, time), final)) >= 1), end)
        result = chances(score, (0.0, 0.0))
        return MarketPlan(
            market_type=market_type,
            name=name,
            winners=1,
            runners=tuple(RunnerPlan(selection_id=selection_id, name=label) for selection_id, label in sides),
            times=times,
            fair=[chances(*state) for state in states],
            results=tuple("WINNER" if chance > 0.5 else "LOSER" for chance in result),
            end=decided,
            goals=tuple(time for time, _ in goals if time < decided),
        )

    clubs = names.draw_clubs(rng)
    ids = names.draw_ids(rng, 2)
    sides = [*zip(ids, clubs, strict=True), (DRAW, "The Draw")]
    markets = [
        plan_market("MATCH_ODDS", "Match Odds", sides, get_match_chances),
        plan_market(
            "OVER_UNDER_25",
            "Over/Under 2.5 Goals",
            [(UNDER, "Under 2.5 Goals"), (OVER, "Over 2.5 Goals")],
            get_total_chances,
        ),
    ]
    if recipe.both_teams:
        both = plan_market(
            "BOTH_TEAMS_TO_SCORE", "Both teams to Score?", [(YES, "Yes"), (NO, "No")], get_both_teams_chances
        )
        markets.append(both)
    return EventPlan(
        event_id=event_id,
        name=" v ".join(clubs),
        venue=None,
        field=field,
        schedule=schedule,
        markets=tuple(markets),
    )


def plan_tennis_match(rng: random.Random, recipe: Recipe, schedule: Schedule, event_id: str) -> EventPlan:
    """A match of two players, whose chances move by leaps in play."""
    weights = get_win_chances([math.exp(rng.gauss(0.0, 0.8)) for _ in range(2)])
    order = draw_order(rng, weights, 1)
    steps = min(max(recipe.changes // 8, 30), 300)
    end = schedule.off + rng.randint(65, 170) * MINUTE
    before = get_times_before(schedule.opens, schedule.off, steps)
    times = [*before, *get_times_between(schedule.off, end, steps)]
    news = [recipe.news * TENNIS_NEWS_BEFORE / steps * rng.expovariate(1.0) for _ in before]
    for n in range(steps - 1):
        share = 0.25 / steps + 0.75 * ((n + 1) ** 4 - n**4) / steps**4
        # The square of an exponential: mostly nothing, now and then a break of serve.
        news.append(TENNIS_NEWS_IN_PLAY * share * rng.expovariate(1.0) ** 2 / 2)
    path = wander(rng, weights, order, news)
    players = names.draw_players(rng)
    market = MarketPlan(
        market_type="MATCH_ODDS",
        name="Match Odds",
        winners=1,
        runners=tuple(
            RunnerPlan(selection_id=selection_id, name=name)
            for selection_id, name in zip(names.draw_ids(rng, 2), players, strict=True)
        ),
        times=times,
        fair=[get_win_chances(values) for values in path],
        results=tuple("WINNER" if n == order[0] else "LOSER" for n in range(2)),
        end=end,
    )
    return EventPlan(
        event_id=event_id,
        name=" v ".join(players),
        venue=None,
        field=FIELDS["tennis"],
        schedule=schedule,
        markets=(market,),
    )


def _get_score(goals: list[tuple[int, int]], time: int) -> tuple[int, int]:
    scored = [side for moment, side in goals if moment <= time]
    return scored.count(0), scored.count(1)
