"""Reports of betting calls, as clients read them: no field too many, none too few.

Sources: "placeOrders", "cancelOrders", "updateOrders", "replaceOrders", "Betting Type Definitions".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...accounts.bet_rules import FILL_OR_KILL, LIMIT
from ..account_bet import AccountBet
from ..timeline import written_to_second
from .validation import Placing

SUCCESS, FAILURE, TIMEOUT = "SUCCESS", "FAILURE", "TIMEOUT"
PROCESSED_WITH_ERRORS, BET_ACTION_ERROR = "PROCESSED_WITH_ERRORS", "BET_ACTION_ERROR"
ERROR_IN_ORDER, CANCELLED_NOT_PLACED = "ERROR_IN_ORDER", "CANCELLED_NOT_PLACED"
EXECUTABLE, EXECUTION_COMPLETE = "EXECUTABLE", "EXECUTION_COMPLETE"
EXPIRED, PENDING = "EXPIRED", "PENDING"

#: Codes of instruction reports ("Betting Enums", InstructionReportErrorCode).
INSTRUCTION_CODES = frozenset(
    {
        "INVALID_BET_SIZE",
        "INVALID_RUNNER",
        "BET_TAKEN_OR_LAPSED",
        "BET_IN_PROGRESS",
        "RUNNER_REMOVED",
        "MARKET_NOT_OPEN_FOR_BETTING",
        "LOSS_LIMIT_EXCEEDED",
        "MARKET_NOT_OPEN_FOR_BSP_BETTING",
        "INVALID_PRICE_EDIT",
        "INVALID_ODDS",
        "INSUFFICIENT_FUNDS",
        "INVALID_PERSISTENCE_TYPE",
        "ERROR_IN_MATCHER",
        "INVALID_BACK_LAY_COMBINATION",
        "ERROR_IN_ORDER",
        "INVALID_BID_TYPE",
        "INVALID_BET_ID",
        "CANCELLED_NOT_PLACED",
        "RELATED_ACTION_FAILED",
        "NO_ACTION_REQUIRED",
        "TIME_IN_FORCE_CONFLICT",
        "UNEXPECTED_PERSISTENCE_TYPE",
        "INVALID_ORDER_TYPE",
        "UNEXPECTED_MIN_FILL_SIZE",
        "INVALID_MIN_FILL_SIZE",
        "INVALID_CUSTOMER_ORDER_REF",
        "INVALID_CUSTOMER_STRATEGY_REF",
        "BET_LAPSED_PRICE_IMPROVEMENT_TOO_LARGE",
        "INVALID_PROFIT_RATIO",
    }
)
#: Codes of execution reports (ExecutionReportErrorCode, and three that only an adapter has seen).
EXECUTION_CODES = frozenset(
    {
        "ERROR_IN_MATCHER",
        "PROCESSED_WITH_ERRORS",
        "BET_ACTION_ERROR",
        "INVALID_ACCOUNT_STATE",
        "INVALID_WALLET_STATUS",
        "INSUFFICIENT_FUNDS",
        "LOSS_LIMIT_EXCEEDED",
        "MARKET_SUSPENDED",
        "MARKET_NOT_OPEN_FOR_BETTING",
        "DUPLICATE_TRANSACTION",
        "INVALID_ORDER",
        "INVALID_MARKET_ID",
        "PERMISSION_DENIED",
        "DUPLICATE_BETIDS",
        "NO_ACTION_REQUIRED",
        "SERVICE_UNAVAILABLE",
        "REJECTED_BY_REGULATOR",
        "NO_CHASING",
        "REGULATOR_IS_NOT_AVAILABLE",
        "TOO_MANY_INSTRUCTIONS",
        "INVALID_MARKET_VERSION",
        "INVALID_PROFIT_RATIO",
        "EVENT_EXPOSURE_LIMIT_EXCEEDED",
        "EVENT_MATCHED_EXPOSURE_LIMIT_EXCEEDED",
        "EVENT_BLOCKED",
    }
)

Report = dict[str, Any]


def execution(
    market_id: str | None,
    customer_ref: str | None,
    reports: list[Report] | None,
    code: str | None = None,
    status: str | None = None,
) -> Report:
    """The report of a call.

    Args:
        reports: of its instructions; None: it has none.
        code: for which all of it failed.
        status: if it does not follow from the others: all succeeded, all failed, or some did.
    """
    if status is None and code is None:
        failed = sum(each["status"] != SUCCESS for each in reports or ())
        if not failed:
            status = SUCCESS
        elif failed == len(reports or ()):
            status, code = FAILURE, BET_ACTION_ERROR
        else:
            status, code = PROCESSED_WITH_ERRORS, PROCESSED_WITH_ERRORS
    report = {
        "customerRef": customer_ref,
        "status": status or FAILURE,
        "errorCode": code,
        "marketId": market_id,
        "instructionReports": reports,
    }
    return {name: value for name, value in report.items() if value is not None}


def failures(instructions: Iterable[Report], culprits: dict[int, str] | None = None) -> list[Report]:
    """Reports of instructions that all failed: the culprits with their codes, by their places, the others because the
    order did."""
    codes = culprits or {}
    return [
        {"status": FAILURE, "errorCode": codes.get(place, ERROR_IN_ORDER), "instruction": instruction}
        for place, instruction in enumerate(instructions)
    ]


# -- placing ---------------------------------------------------------------------------------------------------------


def placed(placing: Placing, bet: AccountBet | None, code: str | None) -> Report:
    """The report of one placing that was judged by itself.

    Args:
        bet: what it became; None where it was refused. One that lapsed at once has a code, and is a bet.
        code: for which it failed.
    """
    report: Report = {"status": FAILURE if code else SUCCESS, "errorCode": code, "instruction": placing.echo}
    if bet is not None:
        report |= {"betId": bet.bet_id, "placedDate": written_to_second(bet.placed_ms)}
        if placing.asked.order_type == LIMIT:
            report["orderStatus"] = order_status(placing, bet)
            report |= {"averagePriceMatched": bet.average, "sizeMatched": bet.matched}
    return {name: value for name, value in report.items() if value is not None}


def order_status(placing: Placing, bet: AccountBet) -> str:
    """How a limit order stands after its placing."""
    if bet.executable:
        return EXECUTABLE
    killed = placing.asked.time_in_force == FILL_OR_KILL and not bet.matched and not bet.lapsed
    return EXPIRED if killed else EXECUTION_COMPLETE


def pending(placing: Placing) -> Report:
    """The report of a placing that is answered before it is done."""
    return {"status": SUCCESS, "instruction": placing.echo, "orderStatus": PENDING}


# -- changes ---------------------------------------------------------------------------------------------------------


def cancelled(instruction: Report, size: float, at: int) -> Report:
    """The report of a cancel. `size`: what was cancelled; `at`: milliseconds."""
    return {
        "status": SUCCESS,
        "instruction": instruction,
        "sizeCancelled": size,
        "cancelledDate": written_to_second(at),
    }


def failed(instruction: Report, code: str) -> Report:
    """The report of a cancel or update that failed."""
    return {"status": FAILURE, "errorCode": code, "instruction": instruction}


def replaced(cancel: Report, place: Report, code: str | None = None) -> Report:
    """The report of a replace: both parts, whatever became of them."""
    report: Report = {"status": FAILURE if code else SUCCESS, "errorCode": code}
    if code is None:
        del report["errorCode"]
    return report | {"cancelInstructionReport": cancel, "placeInstructionReport": place}


def not_replaced(instruction: Report, code: str) -> Report:
    """The report of a replace whose bet was not cancelled, so that nothing was placed either."""
    return replaced(failed(instruction, code), {"status": FAILURE, "errorCode": "RELATED_ACTION_FAILED"}, code)
