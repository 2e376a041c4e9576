"""What bets can lose, as the coordinator knows them: by their sizes and prices, without orders or books.

The rules are those of strategies' own limits (`strategies.worst_case`): what is matched counts as it will be settled,
what may still be matched where it would do harm.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Protocol

from ...strategies.changes import MarketDefinition
from ...strategies.messages import PlaceInstruction
from ...strategies.order_types import stake_of_target
from ...strategies.terms import Terms
from ...strategies.worst_case import Position, market_worst


class Risked(Protocol):
    """A bet, as far as its exposure goes.

    Attributes:
        price: None for MARKET_ON_CLOSE. `new_price`: what a replace under way asks for.
        remaining: what may still be matched; of orders at the starting price the liability.
        at_sp: it waits for the starting price.
    """

    @property
    def selection_id(self) -> int: ...
    @property
    def handicap(self) -> float: ...
    @property
    def side(self) -> str: ...
    @property
    def price(self) -> float | None: ...
    @property
    def new_price(self) -> float | None: ...
    @property
    def matched(self) -> float: ...
    @property
    def average(self) -> float: ...
    @property
    def remaining(self) -> float: ...
    @property
    def at_sp(self) -> bool: ...


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A bet that is about to be asked for."""

    selection_id: int
    handicap: float
    side: str
    price: float | None
    remaining: float
    at_sp: bool
    new_price: float | None = None
    matched: float = 0.0
    average: float = 0.0

    @classmethod
    def of(cls, asked: PlaceInstruction) -> Wanted:
        """What an instruction asks for."""
        size = asked.size if asked.order_type == "LIMIT" else asked.liability
        if size is None and asked.bet_target_size is not None and asked.price is not None:
            size = stake_of_target(asked.bet_target_size, asked.bet_target_type, asked.price)
        at_sp = asked.order_type != "LIMIT"
        return cls(asked.selection_id, asked.handicap, asked.side, asked.price, size or 0.0, at_sp)


class _Nobody:
    """The runners of a market whose definition is not known."""

    runners: tuple[()] = ()
    number_of_active_runners = 0


def loss_of(bets: Iterable[Risked], definition: MarketDefinition | None) -> float:
    """What bets in one market lose at worst, 0 or more, to the penny.

    Args:
        definition: of the market; None: nothing is known of it, and any number of runners may win.
    """
    terms = Terms.of(definition)
    positions: dict[tuple[str, int, float], Position] = {}
    for bet in bets:
        lookup = ("", bet.selection_id, bet.handicap)
        position = positions.get(lookup)
        if position is None:
            position = positions[lookup] = Position(terms)
        _count(position, bet)
    if not positions:
        return 0.0
    worst = market_worst(positions, _Nobody() if definition is None else definition, terms)
    return max(0.0, -round(worst, 2))


def _count(position: Position, bet: Risked) -> None:
    back = bet.side == "BACK"
    sign = 1.0 if back else -1.0
    if bet.matched:
        if position.terms.line:
            position.lines.append((bet.average, sign * bet.matched, True))
        else:
            position.size += sign * bet.matched
            position.value += sign * bet.matched * bet.average
    if not bet.remaining:
        return
    if not bet.at_sp and bet.price is not None:
        position.rest(back, bet.price, bet.new_price, bet.remaining, bool(position.terms.line))
    elif not bet.matched:
        if back:
            position.sp_backed += bet.remaining
        else:
            position.sp_laid += bet.remaining
