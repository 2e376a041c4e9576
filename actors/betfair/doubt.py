"""One request of which nobody knows what became, as far as it is open."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ...strategies.messages import (
    CancelInstruction,
    Instruction,
    PlaceInstruction,
    ReplaceInstruction,
    Request,
    UpdateInstruction,
)
from .known_bets import KnownBets

Change = CancelInstruction | UpdateInstruction


@dataclasses.dataclass(slots=True, eq=False)
class Doubt:
    """Instructions of one call of which something is not known.

    Attributes:
        open: those in doubt, by order.
        since: from when on looks count.
        decide_at: when what has not appeared will not.
        unconfirmed_at: when it is said that nothing could be learnt; infinite once that was said.
        look_from: when looks begin.
        taken: the exchange has taken it asynchronously: it answers no more.
        placing: of a replace the cancel is known: what it places is not.
        known: numbers of bets that there were before a replace, by order.
        looks_left: looks after `decide_at` that must find nothing.
        unconfirmed: it was said that nothing could be learnt.
    """

    number: int
    request: Request
    open: dict[str, Instruction]
    since: int
    decide_at: float
    unconfirmed_at: float
    look_from: float
    taken: bool
    placing: bool
    known: dict[str, frozenset[str]]
    looks_left: int = 1
    unconfirmed: bool = False

    def placings(self) -> Iterator[tuple[str, Instruction]]:
        """The orders of which it is not known whether they were placed, and what was asked."""
        for each in self.open.values():
            if isinstance(each, PlaceInstruction):
                yield each.order_id, each
            elif self.placing and isinstance(each, ReplaceInstruction) and each.new_order_id is not None:
                yield each.new_order_id, each

    def holds(self, at_ms: float) -> bool:
        """Whether a bet may be at the exchange that is not known here: then its market is to wait.

        What was taken asynchronously is expected to show, until it does not.
        """
        if self.taken and at_ms < self.decide_at:
            return False
        return any(isinstance(each, PlaceInstruction | ReplaceInstruction) for each in self.open.values())


def known_before(asked: Instruction, bets: KnownBets) -> frozenset[str]:
    """Numbers of the bets that share a reference with the one that is asked about, and are orders of their own.

    One that no order has yet is what a replace may have made.
    """
    bet = bets.of(asked.order_id, getattr(asked, "bet_id", None))
    sharing = [] if bet is None else bets.sharing(bet)
    return frozenset(other.bet_id for other in sharing if other.bet_id is not None and other.order_id is not None)


def names_of(asked: Instruction, bets: KnownBets, refs: set[str], ids: set[str]) -> None:
    """By which references and bet numbers an instruction is looked for: they are added to these."""
    if isinstance(asked, PlaceInstruction):
        refs.add(asked.customer_order_ref)
        return
    bet = bets.of(asked.order_id, asked.bet_id)
    if isinstance(asked, ReplaceInstruction) and bet is not None and bet.order_ref:
        refs.add(bet.order_ref)
    bet_id = number_of(asked, bets)
    if bet_id is not None:
        ids.add(bet_id)


def number_of(asked: Change | ReplaceInstruction, bets: KnownBets) -> str | None:
    """The number of the bet that a change is about: it may have become known only after it was asked for."""
    if asked.bet_id is not None:
        return asked.bet_id
    bet = bets.of(asked.order_id, None)
    return None if bet is None else bet.bet_id
