"""What a bet says about a change whose answer was lost: the answer that the exchange would have given, or none yet.

Values in, values out. A cancel of all that remains and a change of persistence may be repeated as soon as the bet was
read; a cancel of a part, and a replace, only when they can no longer come.
"""

from __future__ import annotations

import msgspec

from ...strategies.messages import (
    CANCEL,
    FAILURE,
    LIST,
    PLACE,
    SUCCESS,
    UNCONFIRMED,
    UPDATE,
    CancelInstruction,
    Instruction,
    OrderFact,
    ReplaceInstruction,
    Reply,
    Report,
    Request,
    UpdateInstruction,
)
from .known_bet import KnownBet
from .known_bets import KnownBets

#: It was not carried out, as far as the exchange shows; the bet is over; it was cancelled, and not placed anew.
TIMEOUT, TAKEN, NOT_PLACED = "TIMEOUT", "BET_TAKEN_OR_LAPSED", "CANCELLED_NOT_PLACED"

#: Why an order that was taken asynchronously is none.
UNPLACED = "NOT_PLACED"


def unplaced(market_id: str, order_id: str, price: float | None, size: float, at: int) -> OrderFact:
    """An order that was answered before, and is no bet: only a fact counts more than an answer."""
    return OrderFact(market_id, order_id, None, LIST, at, False, price=price, size=size, why=UNPLACED)


def unconfirmed_placing(request: Request, order_id: str, asked: Instruction, bets: KnownBets, at_ms: int) -> Reply:
    """An order of which nothing can be learnt: all of it may be at the exchange."""
    reports = (Report(order_id, PLACE, FAILURE),)
    why = "what became of it could not be learnt"
    return Reply(request.request_id, request.market_id, at_ms, UNCONFIRMED, reports, reason=why)


def unconfirmed_order(request: Request, order_id: str, asked: Instruction, bets: KnownBets, at_ms: int) -> OrderFact:
    """The same, of an order that was answered before.

    Args:
        asked: what places it: an instruction to place, or to replace another bet.
    """
    bet = bets.of(order_id, None)
    price = asked.new_price if isinstance(asked, ReplaceInstruction) else getattr(asked, "price", None)
    size = 0.0 if bet is None else bet.size
    rest = 0.0 if bet is not None and bet.at_sp else size
    return OrderFact(
        request.market_id,
        order_id,
        None,
        LIST,
        bets.latest,
        False,
        price=price,
        size=size,
        remaining=rest,
        why=UNCONFIRMED,
    )


def unconfirmed_bet(bet: KnownBet, at: int) -> OrderFact:
    """A bet that is in no list any more, though nobody has told of its end: what is known of it stands.

    Args:
        at: what is found in a list from now on is later than that.
    """
    known = bet.fact
    if known is not None:
        return msgspec.structs.replace(
            known, source=LIST, at=max(known.at, at), executable=False, fills=None, why=UNCONFIRMED
        )
    rest = 0.0 if bet.at_sp else bet.size
    return OrderFact(
        bet.market_id,
        bet.order_id,
        bet.bet_id,
        LIST,
        at,
        False,
        price=bet.price,
        size=bet.size,
        remaining=rest,
        why=UNCONFIRMED,
    )


def nothing(bet: KnownBet, at: int) -> OrderFact:
    """A bet that was unconfirmed is not among what its market was settled with: what remained of it has lapsed."""
    known = unconfirmed_bet(bet, at)
    return msgspec.structs.replace(
        known, at=at, lapsed=round(known.lapsed + known.remaining, 2), remaining=0.0, why=None
    )


def refused(asked: CancelInstruction | UpdateInstruction | ReplaceInstruction, code: str) -> tuple[Report, ...]:
    """A change was not carried out."""
    operation = UPDATE if isinstance(asked, UpdateInstruction) else CANCEL
    return (Report(asked.order_id, operation, FAILURE, error_code=code),)


def of_change(
    asked: CancelInstruction | UpdateInstruction, fact: OrderFact, cancelled: float, *, read: bool, decisive: bool
) -> tuple[Report, ...] | None:
    """What became of a cancel, or of a change of persistence. See `of_cancel`."""
    if isinstance(asked, UpdateInstruction):
        return of_update(asked, fact, read=read)
    return of_cancel(asked, fact, cancelled, read=read, decisive=decisive)


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
