"""The exchange's answers to instructions, and its codes. Source: Betfair API-NG, `InstructionReportErrorCode`."""

from __future__ import annotations

from ..strategies.messages import FAILURE, PLACE, SUCCESS, Report
from .bets import Bet

ERROR_IN_ORDER, BET_TAKEN_OR_LAPSED = "ERROR_IN_ORDER", "BET_TAKEN_OR_LAPSED"
BET_ACTION_ERROR, INVALID_PERSISTENCE_TYPE = "BET_ACTION_ERROR", "INVALID_PERSISTENCE_TYPE"


def failure(order_id: str, operation: str, code: str) -> Report:
    """The answer to an instruction that the exchange does not follow."""
    return Report(order_id, operation, FAILURE, code)


def placed(bet: Bet, code: str | None, at: int) -> Report:
    """The answer to a placing.

    Args:
        code: of a failure; None where the bet was placed.
        at: when it met the market, milliseconds since the epoch.
    """
    if code is not None:
        return Report(bet.order_id, PLACE, FAILURE, code, placed_at=at)
    ahead = bet.queue_ahead if bet.is_limit and not bet.size_matched else None
    return Report(bet.order_id, PLACE, SUCCESS, None, bet.bet_id, bet.size_matched, at, ahead)
