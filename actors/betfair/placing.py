"""Requests as the parameters of calls, and reports of calls as answers. Values in, values out.

Sources: Betfair API-NG, "placeOrders", "cancelOrders", "updateOrders", "replaceOrders", "Betting Type Definitions"; how
reports look: docs/exchange.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import msgspec

from ...strategies.currency import pence
from ...strategies.messages import (
    CANCEL,
    FAILURE,
    PLACE,
    REPLACE,
    REPORT,
    SUCCESS,
    UPDATE,
    CancelInstruction,
    Instruction,
    OrderFact,
    PlaceInstruction,
    ReplaceInstruction,
    Report,
    Request,
    UpdateInstruction,
)
from ...values import UNREADABLE
from .bet_rows import moment

TIMEOUT, PENDING = "TIMEOUT", "PENDING"
#: The operation of the API for each kind of request.
OPERATIONS = {PLACE: "placeOrders", CANCEL: "cancelOrders", UPDATE: "updateOrders", REPLACE: "replaceOrders"}
#: Most instructions in a call that changes bets.
CHANGE_LIMIT = 60
#: The request came before: what became of it then is not told.
DUPLICATE = "DUPLICATE_TRANSACTION"
_LIMIT, _FILL_OR_KILL = "LIMIT", "FILL_OR_KILL"
#: Sizes that differ by less than this are one: what computing leaves behind.
_NOISE = 1e-6


# -- what is asked ---------------------------------------------------------------------------------------------------


def params_of(
    request: Request, instructions: Sequence[Instruction], customer_ref: str, strategy_ref: str
) -> dict[str, Any]:
    """The parameters of a call.

    Args:
        instructions: those of the request that this call is for, each with its bet id if it is about a bet.
        customer_ref: of this call: the exchange does not do it twice within a minute.
        strategy_ref: by which bets of this system are known, at most 15 characters.
    """
    params: dict[str, Any] = {
        "marketId": request.market_id,
        "instructions": [_INSTRUCTIONS[type(each)](each) for each in instructions],
        "customerRef": customer_ref,
    }
    if request.kind in (PLACE, REPLACE):
        if request.market_version is not None:
            params["marketVersion"] = {"version": request.market_version}
        if request.async_:
            params["async"] = True
    if request.kind == PLACE:
        params["customerStrategyRef"] = strategy_ref
    return params


def cancel_params(market_id: str, bet_ids: Sequence[str], customer_ref: str) -> dict[str, Any]:
    """The parameters of a call that cancels bets whole."""
    if not bet_ids:
        raise ValueError("no bets to cancel: a call without instructions would cancel all of the market")
    return {
        "marketId": market_id,
        "instructions": [{"betId": bet_id} for bet_id in bet_ids],
        "customerRef": customer_ref,
    }


def _place(asked: PlaceInstruction) -> dict[str, Any]:
    made: dict[str, Any] = {
        "selectionId": asked.selection_id,
        "side": asked.side,
        "orderType": asked.order_type,
        "customerOrderRef": asked.customer_order_ref,
    }
    if asked.handicap:
        made["handicap"] = asked.handicap
    if asked.order_type == _LIMIT:
        made["limitOrder"] = _limit(asked)
    elif asked.order_type == "LIMIT_ON_CLOSE":
        made["limitOnCloseOrder"] = {"liability": _money(asked.liability), "price": asked.price}
    else:
        made["marketOnCloseOrder"] = {"liability": _money(asked.liability)}
    return made


def _limit(asked: PlaceInstruction) -> dict[str, Any]:
    made: dict[str, Any] = {"price": asked.price}
    if asked.bet_target_size is not None and asked.size is None:
        made["betTargetType"], made["betTargetSize"] = asked.bet_target_type, _money(asked.bet_target_size)
    else:
        made["size"] = _money(asked.size)
    if asked.time_in_force is not None:
        made["timeInForce"] = asked.time_in_force
        if asked.min_fill_size is not None:
            made["minFillSize"] = _money(asked.min_fill_size)
    elif asked.persistence_type is not None:
        made["persistenceType"] = asked.persistence_type  # one that is filled or killed has none
    return made


def _cancel(asked: CancelInstruction) -> dict[str, Any]:
    made: dict[str, Any] = {"betId": asked.bet_id}
    if asked.size_reduction is not None:
        made["sizeReduction"] = _money(asked.size_reduction)
    return made


def _update(asked: UpdateInstruction) -> dict[str, Any]:
    return {"betId": asked.bet_id, "newPersistenceType": asked.new_persistence_type}


def _replace(asked: ReplaceInstruction) -> dict[str, Any]:
    return {"betId": asked.bet_id, "newPrice": asked.new_price}


_INSTRUCTIONS: dict[type, Any] = {
    PlaceInstruction: _place,
    CancelInstruction: _cancel,
    UpdateInstruction: _update,
    ReplaceInstruction: _replace,
}


def _money(size: float | None) -> float | None:
    """A size without the noise of computing: 0.30000000000000004 is 0.3."""
    if size is None:
        return None
    rounded = round(size, 2)
    return rounded if abs(rounded - size) < _NOISE else size


# -- what is answered ------------------------------------------------------------------------------------------------


class _InstructionReport(msgspec.Struct, rename="camel"):
    """Of any of the four calls. What clients do not need is not read, and may be there."""

    status: str = FAILURE
    error_code: str | None = None
    order_status: str | None = None
    bet_id: str | int | None = None
    placed_date: str | None = None
    average_price_matched: float | None = None
    size_matched: float | None = None
    size_cancelled: float | None = None
    instruction: dict[str, Any] | None = None
    cancel_instruction_report: _InstructionReport | None = None
    place_instruction_report: _InstructionReport | None = None


class _ExecutionReport(msgspec.Struct, rename="camel"):
    status: str
    error_code: str | None = None
    instruction_reports: list[_InstructionReport] | None = None


_decode = msgspec.json.Decoder(_ExecutionReport, strict=False).decode


@dataclasses.dataclass(slots=True)
class Judged:
    """What a call has done.

    Attributes:
        reports: of what the exchange has told.
        facts: how placed bets stand, where their reports tell it.
        unknown: reports in form only, of what it has not told: the order and the operation.
        pending: orders that are placed later (async): their bet ids come by the stream.
        reason: the exchange's code for the whole of it, where something failed.
    """

    reports: list[Report] = dataclasses.field(default_factory=list)
    facts: list[OrderFact] = dataclasses.field(default_factory=list)
    unknown: list[Report] = dataclasses.field(default_factory=list)
    pending: list[str] = dataclasses.field(default_factory=list)
    reason: str | None = None


def judge(kind: str, market_id: str, instructions: Sequence[Instruction], result: bytes) -> Judged:
    """Read the execution report of a call. It never raises: a report that cannot be read tells nothing.

    Args:
        result: JSON.
    """
    try:
        execution = _decode(result)
    except UNREADABLE:
        return all_unknown(kind, instructions)
    found = execution.instruction_reports or []
    if execution.status == TIMEOUT or execution.error_code == DUPLICATE:
        judged = all_unknown(kind, instructions)
        judged.reason = execution.error_code or TIMEOUT
        return judged
    if len(found) != len(instructions):
        if execution.status == FAILURE and execution.error_code and not found:
            return all_failed(kind, instructions, execution.error_code)
        return all_unknown(kind, instructions)
    judged = Judged(reason=execution.error_code)
    if kind in (CANCEL, UPDATE):
        found = _by_bet(instructions, found)
    for asked, report in zip(instructions, found, strict=True):
        if not _sound(report):
            judged.unknown.append(Report(asked.order_id, kind, FAILURE))
        elif isinstance(asked, PlaceInstruction):
            _judge_placing(judged, market_id, asked, report)
        elif isinstance(asked, ReplaceInstruction):
            _judge_replace(judged, market_id, asked, report)
        else:
            _judge_change(judged, kind, asked, report)
    return judged


def _sound(report: _InstructionReport) -> bool:
    """Whether its sizes are sizes; if one is not, nothing that it says is to be relied on."""
    parts = (report, report.cancel_instruction_report, report.place_instruction_report)
    sizes = [size for each in parts if each is not None for size in (each.size_matched, each.size_cancelled)]
    return all(size is None or size >= 0 for size in sizes)


def all_failed(kind: str, instructions: Sequence[Instruction], code: str) -> Judged:
    """The exchange has done nothing of a call."""
    operation = CANCEL if kind == REPLACE else kind
    return Judged([Report(each.order_id, operation, FAILURE, code) for each in instructions], reason=code)


def all_unknown(kind: str, instructions: Sequence[Instruction]) -> Judged:
    """Nobody knows what became of a call."""
    return Judged(unknown=[Report(each.order_id, kind, FAILURE) for each in instructions])


def _by_bet(instructions: Sequence[Instruction], found: list[_InstructionReport]) -> list[_InstructionReport]:
    """Reports in the order of the instructions: by the bets that they name; by their places if they name none."""
    named = {str(each.instruction["betId"]): each for each in found if each.instruction and "betId" in each.instruction}
    if len(named) < len(found):
        return found
    ordered = [None if isinstance(each, PlaceInstruction) else named.get(each.bet_id or "") for each in instructions]
    return [each for each in ordered if each is not None] if None not in ordered else found


def _judge_placing(judged: Judged, market_id: str, asked: PlaceInstruction, report: _InstructionReport) -> None:
    order_id = asked.order_id
    bet_id = None if report.bet_id is None else str(report.bet_id)
    if report.status == SUCCESS:
        if bet_id is None:
            judged.pending.append(order_id)
        at = moment(report.placed_date) or None
        judged.reports.append(Report(order_id, PLACE, SUCCESS, None, bet_id, report.size_matched or 0.0, at))
        fact = _fact(market_id, asked, report, bet_id, at)
        if fact is not None:
            judged.facts.append(fact)
    elif report.status == FAILURE:
        judged.reports.append(Report(order_id, PLACE, FAILURE, report.error_code or "UNEXPECTED_ERROR", bet_id))
    else:
        judged.unknown.append(Report(order_id, PLACE, FAILURE))


def _fact(
    market_id: str, asked: PlaceInstruction, report: _InstructionReport, bet_id: str | None, at: int | None
) -> OrderFact | None:
    """How a limit order stands after its placing; None where its report does not tell what became of all of it."""
    size, matched, status = asked.size, report.size_matched, report.order_status
    if asked.order_type != _LIMIT or size is None or matched is None or bet_id is None or at is None:
        return None
    matched = pence(matched)
    rest = pence(size - matched)
    killed = status == "EXPIRED" or asked.time_in_force == _FILL_OR_KILL
    if status != "EXECUTABLE" and rest > 0 and not killed:
        return None
    executable = status == "EXECUTABLE" and rest > 0
    return OrderFact(
        market_id,
        asked.order_id,
        bet_id,
        REPORT,
        at,
        executable,
        asked.price,
        size,
        asked.persistence_type,
        matched,
        (report.average_price_matched or 0.0) if matched else 0.0,
        rest if executable else 0.0,
        0.0 if executable else rest,
    )


def _judge_change(judged: Judged, kind: str, asked: Instruction, report: _InstructionReport) -> None:
    if report.status not in (SUCCESS, FAILURE):
        judged.unknown.append(Report(asked.order_id, kind, FAILURE))
        return
    bet_id = None if isinstance(asked, PlaceInstruction) else asked.bet_id
    code = None if report.status == SUCCESS else report.error_code or "UNEXPECTED_ERROR"
    size = report.size_cancelled or 0.0
    judged.reports.append(Report(asked.order_id, kind, report.status, code, bet_id, 0.0 if code else size))


def _judge_replace(judged: Judged, market_id: str, asked: ReplaceInstruction, report: _InstructionReport) -> None:
    """The bet is cancelled, and another is placed: each has a report of its own. The latter may fail alone."""
    cancel, place = report.cancel_instruction_report, report.place_instruction_report
    if report.status not in (SUCCESS, FAILURE) or (report.status == SUCCESS and (cancel is None or place is None)):
        judged.unknown.append(Report(asked.order_id, REPLACE, FAILURE))
        return
    if cancel is None or cancel.status == FAILURE:
        code = (None if cancel is None else cancel.error_code) or report.error_code or "UNEXPECTED_ERROR"
        judged.reports.append(Report(asked.order_id, CANCEL, FAILURE, code, asked.bet_id))
        return
    if cancel.status != SUCCESS:
        judged.unknown.append(Report(asked.order_id, REPLACE, FAILURE))
        return
    judged.reports.append(
        Report(asked.order_id, CANCEL, SUCCESS, None, asked.bet_id, pence(cancel.size_cancelled or 0.0))
    )
    if asked.new_order_id is None:
        return
    echo = {} if place is None or place.instruction is None else place.instruction
    placed = PlaceInstruction(
        asked.new_order_id,
        asked.new_customer_order_ref or "",
        0,
        0.0,
        str(echo.get("side", "")),
        str(echo.get("orderType", _LIMIT)),
        asked.new_price,
        cancel.size_cancelled,
        persistence_type=(echo.get("limitOrder") or {}).get("persistenceType"),
    )
    _judge_placing(judged, market_id, placed, place or _InstructionReport(TIMEOUT))
