"""Markets in which nothing is placed for a while: a bet may be there that is not known here, or what is known differs
from the exchange's record.

As ever, what reduces risk passes: cancels, updates, and what makes the worst case of its market no worse.
"""

from __future__ import annotations

from collections.abc import Callable

from ...strategies.messages import Instruction, PlaceInstruction, ReplaceInstruction, Request
from ..controls import Account, BaseControl
from .risk import Owner, Risk


class Holds:
    """Judges by what accounts know of a market.

    Args:
        why_held: why nothing that adds to the risk is to be placed, by account and market; empty: nothing stands
            against it.
        risk: knows what a request adds.
    """

    def __init__(self, why_held: Callable[[Owner, str], str], risk: Risk) -> None:
        self._why_held, self._risk = why_held, risk

    def why_not(self, instruction: Instruction, request: Request) -> str:
        """Why an instruction must not be sent; empty: it may."""
        if not isinstance(instruction, PlaceInstruction | ReplaceInstruction):
            return ""
        why = self._why_held((request.venue, request.username), request.market_id)
        return "" if not why or self._risk.is_harmless(instruction, request) else why


class HoldControl(BaseControl):
    """Nothing that adds to the risk is placed in a market while it is not known how its bets stand."""

    NAME = "MARKET_HELD"
    scope = "account"
    holds: Holds

    def judge(self, instruction: Instruction, request: Request, account: Account) -> None:
        if why := self.holds.why_not(instruction, request):
            self._on_error(instruction, why)
