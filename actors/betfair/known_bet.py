"""A bet of this instance, as the coordinator knows it."""

from __future__ import annotations

import dataclasses

from ...strategies.messages import UNCONFIRMED, OrderFact, PlaceInstruction, Request
from ...strategies.order_types import stake_of_target
from ..letters import ForeignBet


@dataclasses.dataclass(slots=True, eq=False)
class KnownBet:
    """A bet of this instance, or what is to become one.

    Attributes:
        order_id: of its order; None for one of an earlier session whose reference names none.
        bet_id: the exchange's number; None until it is known.
        order_ref: the reference that the exchange has; replacements have that of the first bet.
        price: None for MARKET_ON_CLOSE. `new_price`: what a replace that is not answered asks for.
        size: what was asked for: the stake; of orders at the starting price the liability.
        asked_at: when its request was sent; of bets of an earlier session when they were first seen.
        in_doubt: nobody knows whether it was placed.
        unconfirmed: what became of it could not be learnt in time: it counts as if all of it could still be matched.
        fact: how it stands; None while only answers tell of it.
        cancelled: what of it is cancelled, by whatever has told the most.
        cancelled_before: the same, when the request under way was sent.
        streamed: the order stream has told of it.
        ended: nothing more can happen to it.
        settled: it has its result: it leaves the current orders.
        profit: the last result that was told of it, though its market may have been opened again since; None: none was.
    """

    market_id: str
    order_id: str | None
    strategy: str
    selection_id: int
    handicap: float
    side: str
    order_type: str
    price: float | None
    size: float
    asked_at: int
    order_ref: str = ""
    bet_id: str | None = None
    new_price: float | None = None
    in_doubt: bool = False
    unconfirmed: bool = False
    fact: OrderFact | None = None
    cancelled: float = 0.0
    cancelled_before: float = 0.0
    placed_at: int | None = None
    streamed: bool = False
    ended: bool = False
    settled: bool = False
    profit: float | None = None

    @property
    def came_to_nothing(self) -> bool:
        """All that was matched of it was voided."""
        return self.ended and self.fact is not None and self.fact.voided > 0 and not self.fact.matched

    @property
    def at_sp(self) -> bool:
        """It waits for the starting price: it cannot be cancelled."""
        return self.order_type != "LIMIT"

    @property
    def matched(self) -> float:
        return 0.0 if self.fact is None else self.fact.matched

    @property
    def average(self) -> float:
        return 0.0 if self.fact is None else self.fact.average

    @property
    def replacing(self) -> bool:
        """A replace of it is not answered, nor seen to be done: another bet may be about to take its place."""
        return self.new_price is not None

    @property
    def remaining(self) -> float:
        """What may still be matched; of orders at the starting price the liability.

        What a replace under way has cancelled may be matched as well: it is placed anew.
        """
        if self.ended:
            return max(0.0, round(self.cancelled - self.cancelled_before, 2)) if self.replacing else 0.0
        if self.fact is None or self.at_sp:
            return self.size
        return self.fact.remaining

    def judge(self) -> None:
        """Where it stands follows from its fact; without one it was placed, and may be matched."""
        self.unconfirmed = self.fact is not None and self.fact.why == UNCONFIRMED
        self.in_doubt = self.unconfirmed and self.bet_id is None
        self.ended = self.fact is not None and not self.fact.executable and not self.unconfirmed

    def describe(self, seen: ForeignBet) -> None:
        """Take from a bet that was seen what its facts do not tell."""
        self.selection_id, self.handicap, self.side = seen.selection_id, seen.handicap, seen.side


def asked_bet(request: Request, asked: PlaceInstruction) -> KnownBet:
    """What an instruction to place is to become."""
    size = asked.size
    if size is None and asked.bet_target_size is not None and asked.price is not None:
        size = stake_of_target(asked.bet_target_size, asked.bet_target_type, asked.price)
    return KnownBet(
        market_id=request.market_id,
        order_id=asked.order_id,
        strategy=request.strategy,
        selection_id=asked.selection_id,
        handicap=asked.handicap,
        side=asked.side,
        order_type=asked.order_type,
        price=asked.price,
        size=(size if asked.order_type == "LIMIT" else asked.liability) or 0.0,
        asked_at=request.asked_at,
        order_ref=asked.customer_order_ref,
    )
