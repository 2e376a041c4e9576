"""What is known here beside what the exchange's lists say: bet by bet, market by market. Values in, words out.

Sizes are compared in pence of the account's currency (`strategies.currency.pence`), averages to a hundredth: sources
round them so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ...strategies.currency import pence
from ...strategies.fact_ranks import SAME_AVERAGE, accounted_of
from ...strategies.messages import OrderFact
from ..letters import ForeignBet, Position
from .known_bet import KnownBet

#: What bets of a market lose at worst, 0 or more: the market, and the bets.
Loss = Callable[[str, Iterable[Any]], float]
#: A market and one of its runners.
Runner = tuple[str, int, float]
_PENNY = 0.01


@dataclasses.dataclass(slots=True)
class ListedBet:
    """A bet as a list has it, as far as its exposure goes; see `actors.live.exposure.Risked`."""

    selection_id: int
    handicap: float
    side: str
    price: float | None
    new_price: float | None
    matched: float
    average: float
    remaining: float
    at_sp: bool

    @classmethod
    def of(cls, bet: ForeignBet, fact: OrderFact) -> ListedBet:
        """One that waits for the starting price has neither persistence nor a size that remains."""
        at_sp = fact.persistence_type is None and not fact.remaining
        rest = fact.size if at_sp and fact.executable else fact.remaining
        return cls(bet.selection_id, bet.handicap, bet.side, bet.price, None, fact.matched, fact.average, rest, at_sp)


def is_behind(told: OrderFact, listed: OrderFact) -> bool:
    """Whether what is known of a bet says less than a list, or something else of as much."""
    if accounted_of(told) != accounted_of(listed):
        return accounted_of(told) < accounted_of(listed)
    return pence(told.matched) != pence(listed.matched) or abs(told.average - listed.average) >= SAME_AVERAGE


def lists_less(bet: KnownBet, listed: OrderFact) -> str:
    """How a list accounts for less of a bet than was told before; empty: it does not."""
    told = 0.0 if bet.fact is None else accounted_of(bet.fact)
    if accounted_of(listed) >= told:
        return ""
    return f"bet {bet.bet_id}: {told:.2f} of it is accounted for here, {accounted_of(listed):.2f} at the exchange"


def exposures(
    known: dict[str, list[KnownBet]], listed: dict[str, list[ForeignBet]], loss: Loss
) -> Iterator[tuple[str, str]]:
    """Markets whose bets could lose something else by what is known here than by the lists, and how that reads.

    Args:
        known: by market: the bets of this instance that a list must have.
        listed: by market: those that lists have.
    """
    for market_id in {**known, **listed}:
        rows = [ListedBet.of(bet, bet.fact) for bet in listed.get(market_id, ()) if bet.fact is not None]
        here, there = loss(market_id, known.get(market_id, ())), loss(market_id, rows)
        if abs(here - there) >= _PENNY / 2:
            yield (
                market_id,
                f"its bets could lose {here:.2f} by what is known here, {there:.2f} by the exchange's lists",
            )


def positions(
    known: dict[str, dict[tuple[int, float], Position]], listed: dict[str, list[ForeignBet]], markets: Iterable[str]
) -> Iterator[tuple[Runner, str]]:
    """Runners of which another size is matched by the account's positions than by its bets, and how that reads.

    Args:
        listed: by market: all bets of the account, wherever they were placed.
        markets: those that are compared.
    """
    for market_id in markets:
        sums, counts = _matched(listed.get(market_id, ()))
        told = {
            runner: [sum(size for _, size in ladder) for ladder in (position.backs, position.lays)]
            for runner, position in known.get(market_id, {}).items()
        }
        for runner in {**sums, **told}:
            here, there = told.get(runner, [0.0, 0.0]), sums.get(runner, [0.0, 0.0])
            # Each bet is rounded by itself.
            most = _PENNY * (1 + counts.get(runner, 0)) / 2
            if any(abs(one - other) > most for one, other in zip(here, there, strict=True)):
                text = (
                    f"backed and laid on runner {runner[0]}: {_sizes(here)} by the stream, {_sizes(there)} by the lists"
                )
                yield (market_id, *runner), text


def position_of(bets: Iterable[ForeignBet], runner: Runner, venue: str, username: str) -> Position:
    """What is matched on a runner, by its bets."""
    backs: dict[float, float] = {}
    lays: dict[float, float] = {}
    for bet in bets:
        fact = bet.fact
        if fact is not None and fact.matched and (bet.selection_id, bet.handicap) == runner[1:]:
            ladder = backs if bet.side == "BACK" else lays
            ladder[fact.average] = round(ladder.get(fact.average, 0.0) + fact.matched, 2)
    return Position(venue, username, *runner, tuple(sorted(backs.items())), tuple(sorted(lays.items())))


def _matched(
    bets: Iterable[ForeignBet],
) -> tuple[dict[tuple[int, float], list[float]], dict[tuple[int, float], int]]:
    sums: dict[tuple[int, float], list[float]] = {}
    counts: dict[tuple[int, float], int] = {}
    for bet in bets:
        if bet.fact is not None and bet.fact.matched:
            runner = (bet.selection_id, bet.handicap)
            sums.setdefault(runner, [0.0, 0.0])[bet.side != "BACK"] += bet.fact.matched
            counts[runner] = counts.get(runner, 0) + 1
    return sums, counts


def _sizes(both: list[float]) -> str:
    return f"{both[0]:.2f} and {both[1]:.2f}"
