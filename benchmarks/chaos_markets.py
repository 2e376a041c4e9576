"""Made-up markets for `benchmarks.chaos` and `benchmarks.soak`: a number of them is open at any time; each turns in
play, closes with a winner, and another takes its place.

Prices are such that all stakes and liabilities of stakes of whole pounds are whole pennies.
"""

import heapq
import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .chaos_strategies import MIDDLE, RUNNERS
from .exchange_load import _definition, _line

_BACKS, _LAYS = (3.0, 2.9, 2.8), (3.2, 3.3, 3.4)
_START_MS = 1_750_000_000_000
#: Seconds from the end of trading to the close.
_SUSPENDED_S = 0.5


def market_id(number: int) -> str:
    return f"1.{300_000_000 + number}"


def runner_id(number: int, place: int) -> int:
    """A runner of a market. `place`: 1 to RUNNERS."""
    return 100 * number + place


#: When, seconds from the beginning; the market's number; the change.
_Line = tuple[float, int, dict[str, Any]]


class _Market:
    """One market, change by change."""

    def __init__(self, number: int, opens: float, closes: float, rng: random.Random) -> None:
        self.number, self.opens, self.closes, self.rng = number, opens, closes, rng
        self.id = market_id(number)
        # Commission of 4 % is never half a penny, which nobody knows how to round.
        self.definition = {**_definition(number), "numberOfActiveRunners": RUNNERS, "marketBaseRate": 4.0}
        self.definition["runners"] = [
            {"id": runner_id(number, place), "status": "ACTIVE", "sortPriority": place}
            for place in range(1, RUNNERS + 1)
        ]
        self.volumes = dict.fromkeys(range(1, RUNNERS + 1), 100.0)

    def _defined(self, **changes: Any) -> dict[str, Any]:
        self.definition = {**self.definition, **changes, "version": self.definition["version"] + 1}
        return {"id": self.id, "marketDefinition": self.definition}

    def image(self) -> dict[str, Any]:
        rc = [
            {
                "id": runner_id(self.number, place),
                "atb": [[price, 40.0] for price in _BACKS],
                "atl": [[price, 40.0] for price in _LAYS],
                "trd": [[MIDDLE, 100.0]],
                "ltp": MIDDLE,
                "tv": 100.0,
            }
            for place in range(1, RUNNERS + 1)
        ]
        return {"id": self.id, "img": True, "marketDefinition": self.definition, "rc": rc}

    def change(self) -> dict[str, Any]:
        """An offer of another size, or a trade."""
        place, rng = self.rng.randint(1, RUNNERS), self.rng
        rc: dict[str, Any] = {"id": runner_id(self.number, place)}
        if rng.random() < 0.2:
            self.volumes[place] += 2.0 * rng.randint(1, 6)
            rc |= {"trd": [[MIDDLE, self.volumes[place]]], "ltp": MIDDLE}
        elif rng.random() < 0.5:
            rc["atb"] = [[rng.choice(_BACKS), float(rng.randint(10, 60))]]
        else:
            rc["atl"] = [[rng.choice(_LAYS), float(rng.randint(10, 60))]]
        return {"id": self.id, "rc": [rc]}

    def in_play(self) -> dict[str, Any]:
        return self._defined(inPlay=True, betDelay=1)

    def suspended(self) -> dict[str, Any]:
        return self._defined(status="SUSPENDED")

    def closed(self) -> dict[str, Any]:
        winner = self.rng.randint(1, RUNNERS)
        runners = [
            {**runner, "status": "WINNER" if runner["sortPriority"] == winner else "LOSER"}
            for runner in self.definition["runners"]
        ]
        return self._defined(status="CLOSED", runners=runners)


def write_markets(
    path: Path,
    *,
    markets: int,
    seconds: float,
    lasting: tuple[float, float],
    per_second: float,
    seed: int,
    quiet: float = 0.0,
    together_s: float = 0.0,
) -> None:
    """Write a recording.

    Args:
        markets: open at once.
        seconds: for which markets come and go; those open then stay so.
        lasting: seconds from opening to closing, least and most.
        per_second: changes in all.
        quiet: seconds after that in which nothing is traded, and the books still change.
        together_s: changes of so many seconds are in one message.
    """
    numbers = itertools.count(1)
    slots = [
        _slot(random.Random(f"{seed} {slot}"), numbers, seconds, lasting, quiet, per_second / markets)
        for slot in range(markets)
    ]
    body: list[dict[str, Any]] = []
    first = 0.0
    with path.open("w") as file:
        for at, _, change in heapq.merge(*slots, key=lambda line: line[:2]):
            # A market must not be twice in a message.
            if body and (at - first >= together_s or any(each["id"] == change["id"] for each in body)):
                file.write(_line(_START_MS + round(first * 1000), body))
                body = []
            first = first if body else at
            body.append(change)
        file.write(_line(_START_MS + round(first * 1000), body))


def _slot(
    rng: random.Random,
    numbers: Iterator[int],
    seconds: float,
    lasting: tuple[float, float],
    quiet: float,
    per_second: float,
) -> Iterator[_Line]:
    """Markets that follow one another."""
    opens = 0.0
    while opens < seconds:
        closes = opens + rng.uniform(*lasting) * (rng.uniform(0.3, 1) if opens == 0.0 else 1)
        number = next(numbers)
        yield from _of_market(_Market(number, opens, closes, rng), seconds, quiet, per_second)
        opens = closes + 0.5


def _of_market(market: _Market, seconds: float, quiet: float, per_second: float) -> Iterator[_Line]:
    """Its changes, in order, with their moments."""
    stays = market.closes + _SUSPENDED_S > seconds
    ends = seconds if stays else market.closes - _SUSPENDED_S
    yield market.opens, market.number, market.image()
    in_play = market.opens + (market.closes - market.opens) * 0.6 if market.number % 2 else None
    at = market.opens
    while (at := at + market.rng.expovariate(per_second)) < ends:
        if in_play is not None and at > in_play:
            in_play = None
            yield at, market.number, market.in_play()
        yield at, market.number, market.change()
    if not stays:
        yield market.closes - _SUSPENDED_S, market.number, market.suspended()
        yield market.closes, market.number, market.closed()
        return
    while (at := at + market.rng.expovariate(per_second)) < seconds + quiet:
        change = {"id": runner_id(market.number, RUNNERS), "atb": [[2.5, float(market.rng.randint(1, 99))]]}
        yield at, market.number, {"id": market.id, "rc": [change]}
