"""What a bet says about a change whose answer was lost: the answer that the exchange would have given, or none yet.

Values in, values out. A cancel of all that remains and a change of persistence may be repeated as soon as the bet was
read; a cancel of a part, and a replace, only when they can no longer come.
"""

from __future__ import annotations

from ...strategies.messages import (
    CANCEL,
    FAILURE,
    LIST,
    PLACE,
    SUCCESS,
    UPDATE,
    CancelInstruction,
    OrderFact,
    ReplaceInstruction,
    Report,
    UpdateInstruction,
)

#: It was not carried out, as far as the exchange shows; the bet is over; it was cancelled, and not placed anew.
TIMEOUT, TAKEN, NOT_PLACED = "TIMEOUT", "BET_TAKEN_OR_LAPSED", "CANCELLED_NOT_PLACED"

#: Why an order that was taken asynchronously is none.
UNPLACED = "NOT_PLACED"


def unplaced(market_id: str, order_id: str, price: float | None, size: float, at: int) -> OrderFact:
    """An order that was answered before, and is no bet: only a fact counts more than an answer."""
    return OrderFact(market_id, order_id, None, LIST, at, False, price=price, size=size, why=UNPLACED)


def refused(asked: CancelInstruction | UpdateInstruction | ReplaceInstruction, code: str) -> tuple[Report, ...]:
    """A change was not carried out."""
    operation = UPDATE if isinstance(asked, UpdateInstruction) else CANCEL
    return (Report(asked.order_id, operation, FAILURE, error_code=code),)


def of_cancel(
    asked: CancelInstruction, fact: OrderFact, cancelled: float, *, read: bool, decisive: bool
) -> tuple[Report, ...] | None:
    """What became of a cancel.

    Args:
        fact: how the bet stands.
        cancelled: what of it was cancelled since the request was sent.
        read: a look that began since then says so; what the stream has said may be older.
        decisive: so does a look that began when nothing can come any more.
    """
    if cancelled > 0:
        return (Report(asked.order_id, CANCEL, SUCCESS, size=cancelled),)
    if not fact.executable:
        return refused(asked, TAKEN)
    if decisive or (read and asked.size_reduction is None):
        return refused(asked, TIMEOUT)
    return None


def of_update(asked: UpdateInstruction, fact: OrderFact, *, read: bool) -> tuple[Report, ...] | None:
    """What became of a change of persistence. `read`: see `of_cancel`."""
    if fact.persistence_type == asked.new_persistence_type:
        return (Report(asked.order_id, UPDATE, SUCCESS),)
    if not fact.executable:
        return refused(asked, TAKEN)
    return refused(asked, TIMEOUT) if read else None


def of_replace(
    asked: ReplaceInstruction, old: OrderFact | None, made: OrderFact | None, cancelled: float, *, decisive: bool
) -> tuple[Report, ...] | None:
    """What became of a replace.

    Args:
        old: how the bet stands that was to be replaced; None: it is in no list.
        made: how the bet stands that has taken its place; None: there is none so far.
        cancelled, decisive: see `of_cancel`.
    """
    new_id = asked.new_order_id
    if made is not None:
        cancel = Report(asked.order_id, CANCEL, SUCCESS, size=cancelled or made.size)
        if new_id is None:
            return (cancel,)
        return cancel, Report(new_id, PLACE, SUCCESS, bet_id=made.bet_id, size=made.matched)
    if old is not None and not old.executable and not cancelled:
        return refused(asked, TAKEN)
    if not decisive:
        return None
    if old is None:
        return refused(asked, TAKEN)
    if not cancelled:
        return refused(asked, TIMEOUT)
    cancel = Report(asked.order_id, CANCEL, SUCCESS, size=cancelled)
    return (cancel,) if new_id is None else (cancel, Report(new_id, PLACE, FAILURE, error_code=NOT_PLACED))
