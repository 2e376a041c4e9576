"""What becomes of requests to change a bet at the simulated exchange. Source: docs/fidelity.md.

Sizes that come in are in the account's currency; those of a bet, and of the answers made here, are in pounds.
"""

from __future__ import annotations

from ..strategies.book import MarketBook
from ..strategies.errors import OrderError
from ..strategies.messages import (
    CANCEL,
    SUCCESS,
    UPDATE,
    CancelInstruction,
    ReplaceInstruction,
    Report,
    UpdateInstruction,
)
from .accounts.bet_rules import LIMIT_ON_CLOSE, TAKEN, edit_refusal, persistence_refusal, reduction_refusal
from .bets import Bet
from .cashier import Cashier
from .reports import ERROR_IN_ORDER, failure


def cancel(
    bet: Bet | None, asked: CancelInstruction | ReplaceInstruction, book: MarketBook, cashier: Cashier
) -> Report:
    """Cancel a bet, or reduce it. Only limit orders can be cancelled ("cancelOrders")."""
    reduction = asked.size_reduction if isinstance(asked, CancelInstruction) else None
    code = _unchangeable(bet, book)
    if code is None and bet is not None and bet.price is not None:
        code = reduction_refusal(reduction, cashier.remaining(bet), bet.price, book)
    if code is not None or bet is None:
        return failure(asked.order_id, CANCEL, code or TAKEN)
    reduction = cashier.reduction(bet, reduction)
    size = bet.size_remaining if reduction is None else min(reduction, bet.size_remaining)
    bet.cancel(size)
    return Report(asked.order_id, CANCEL, SUCCESS, None, bet.bet_id, size)


def withdraw(bet: Bet | None, asked: ReplaceInstruction, book: MarketBook, cashier: Cashier) -> Report:
    """Cancel what another order is to take the place of. A bet at the starting price ends, and nothing of it counts as
    cancelled."""
    if bet is None or not bet.live or bet.asked.order_type != LIMIT_ON_CLOSE or book.status != "OPEN":
        return cancel(bet, asked, book, cashier)
    assert bet.price is not None
    code = edit_refusal(asked.new_price, bet.price, bet.back, book)
    if code is not None:
        return failure(asked.order_id, CANCEL, code)
    bet.ended = bet.changed = True
    return Report(asked.order_id, CANCEL, SUCCESS, None, bet.bet_id)


def persist(bet: Bet | None, asked: UpdateInstruction, book: MarketBook) -> Report:
    """Give a bet another persistence."""
    code = _unchangeable(bet, book)
    if code is None and bet is not None:
        code = persistence_refusal(asked.new_persistence_type, bet.persistence_type or "", book)
    if code is not None or bet is None:
        return failure(asked.order_id, UPDATE, code or TAKEN)
    bet.persistence_type, bet.changed = asked.new_persistence_type, True
    return Report(asked.order_id, UPDATE, SUCCESS, None, bet.bet_id)


def _unchangeable(bet: Bet | None, book: MarketBook) -> str | None:
    """The code for which nothing of a bet can be changed; None if it can."""
    if book.status != "OPEN":
        return ERROR_IN_ORDER
    return TAKEN if bet is None or not bet.live or not bet.is_limit else None


def no_new_id(market_id: str, order_id: str) -> OrderError:
    """What is wrong with a replace that names no order for the new bet."""
    return OrderError(
        f"market {market_id}: the replace of order {order_id} does not name the order that takes its place: expected "
        f"new_order_id"
    )
