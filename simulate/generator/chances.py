"""Chances of runners: how they wander as news comes, and what they make of a place or a match."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence


def wander(
    rng: random.Random, weights: Sequence[float], favoured: Sequence[int], variances: Sequence[float]
) -> list[list[float]]:
    """Weights after each step of news, the first before any.

    Each step tells a little, with noise, of who will come first: every weight is multiplied by exp(noise),
    and those of the `favoured` by exp(variance) besides. With one favoured runner, drawn by its weight, the
    shares of the weights are then the posterior probabilities: they move without trend, and end at 1 and 0.
    That makes prices informative.
    """
    current = list(weights)
    path = [list(current)]
    for variance in variances:
        deviation = math.sqrt(variance)
        for n, weight in enumerate(current):
            if weight:
                pull = variance if n in favoured else 0.0
                # Beyond 80 either way nothing changes but the risk of an overflow.
                current[n] = weight * math.exp(min(max(deviation * rng.gauss(0.0, 1.0) + pull, -80.0), 80.0))
        total = math.fsum(current)
        current = [weight / total for weight in current]
        path.append(list(current))
    return path


def draw_order(rng: random.Random, weights: Sequence[float], places: int) -> tuple[int, ...]:
    """The first `places` runners past the post, each drawn by weight among those left."""
    left = list(weights)
    order = []
    for _ in range(places):
        first = rng.choices(range(len(left)), left)[0]
        order.append(first)
        left[first] = 0.0
    return tuple(order)


def get_win_chances(weights: Sequence[float]) -> list[float]:
    """Shares of the weights."""
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def get_place_chances(weights: Sequence[float], places: int) -> list[float]:
    """Chances of finishing among the first `places`, which add up to `places`.

    Runners finish at exponential times with their weights as rates; the chance is that of having finished at
    the time when `places` have on average.
    """
    total = math.fsum(weights)
    rates = [weight / total for weight in weights]
    if sum(1 for rate in rates if rate) <= places:
        return [1.0 if rate else 0.0 for rate in rates]
    time = float(places)
    for _ in range(60):
        finished = slope = 0.0
        for rate in rates:
            running = math.exp(-rate * time)
            finished += 1 - running
            slope += rate * running
        missing = places - finished
        if missing < 1e-6 or slope < 1e-200:
            break
        time += missing / slope
    return [1 - math.exp(-rate * time) for rate in rates]


def get_each_way_chances(win: Sequence[float], place: Sequence[float], divisor: float) -> list[float]:
    """Reciprocals of the fair each-way prices: half the stake wins, half is placed at a part of the odds."""
    chances = []
    for first, placed in zip(win, place, strict=True):
        returned = first + placed / divisor
        chances.append(returned / (2 - placed * (1 - 1 / divisor)) if returned else 0.0)
    return chances


def get_goals_chances(rate: float, most: int = 9) -> list[float]:
    """Poisson: the chances of 0, 1, ... `most` goals, the last with all beyond."""
    chances = [math.exp(-rate)]
    for goals in range(1, most):
        chances.append(chances[-1] * rate / goals)
    chances.append(max(0.0, 1 - math.fsum(chances)))
    return chances


def get_match_chances(score: tuple[int, int], rates: tuple[float, float]) -> list[float]:
    """Home, away and draw, from the score and the goals each side is yet expected to score."""
    home_goals, away_goals = get_goals_chances(rates[0]), get_goals_chances(rates[1])
    lead = score[0] - score[1]
    home = draw = 0.0
    for goals, chance in enumerate(home_goals):
        # The home side wins against fewer away goals than this, and draws against as many.
        level = lead + goals
        if level >= 0:
            home += chance * math.fsum(away_goals[:level])
            draw += chance * (away_goals[level] if level < len(away_goals) else 0.0)
    return [min(home, 1.0), max(0.0, 1 - home - draw), draw]


def get_total_chances(score: tuple[int, int], rates: tuple[float, float], line: int = 2) -> list[float]:
    """Under and over `line` and a half goals."""
    left = line - score[0] - score[1]
    under = math.fsum(get_goals_chances(rates[0] + rates[1])[: left + 1]) if left >= 0 else 0.0
    return [under, 1 - under]


def get_both_teams_chances(score: tuple[int, int], rates: tuple[float, float]) -> list[float]:
    """Both sides score, or not."""
    both = 1.0
    for goals, rate in zip(score, rates, strict=True):
        both *= 1.0 if goals else 1 - math.exp(-rate)
    return [both, 1 - both]
