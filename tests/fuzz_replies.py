"""Replies of the exchange to calls, as bytes: each request has an answer, whatever they are."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from builders import MARKET
from headrace.actors.betfair.bet_rows import cleared_row, current_order, fact_of_current
from headrace.actors.betfair.classification import ANSWERED, classify
from headrace.actors.betfair.placing import judge
from headrace.actors.betfair.posts import REPLIED, Got
from headrace.strategies.errors import MessageError
from headrace.strategies.messages import (
    CANCEL,
    PLACE,
    REPLACE,
    UPDATE,
    CancelInstruction,
    Instruction,
    PlaceInstruction,
    ReplaceInstruction,
    UpdateInstruction,
)

ASKED: dict[str, list[Instruction]] = {
    PLACE: [PlaceInstruction(each, "ref", 1, 0.0, "BACK", "LIMIT", price=3.0, size=5.0) for each in ("a", "b")],
    CANCEL: [CancelInstruction("a", "1", 2.0), CancelInstruction("b", "2")],
    UPDATE: [UpdateInstruction("a", "1", "PERSIST")],
    REPLACE: [ReplaceInstruction("a", "1", 4.0, "c", "ref-c")],
}


def replies(data: bytes) -> None:
    """The body of a reply: classified, and read as whatever it may have been asked for."""
    answer = classify(Got(REPLIED, 200, data, "", 0, 1))
    if answer.verdict != ANSWERED:
        assert answer.why
        return
    for kind, asked in ASKED.items():
        judged = judge(kind, MARKET, asked, answer.result)
        told = {report.order_id for report in (*judged.reports, *judged.unknown)}
        # Nobody is left waiting: each instruction has a report, or is one whose outcome is unknown.
        assert {each.order_id for each in asked} <= told, (kind, judged)
        for report in judged.reports:
            assert 0 <= report.size < math.inf, report
        for fact in judged.facts:
            assert all(math.isfinite(each) for each in (fact.matched, fact.remaining, fact.average, fact.lapsed))
            assert min(fact.matched, fact.remaining, fact.lapsed) >= 0, fact
    _rows(answer.result)


def _rows(result: bytes) -> None:
    try:
        found = msgspec.json.decode(result)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    for name in ("currentOrders", "clearedOrders"):
        rows: Any = found.get(name) if isinstance(found, dict) else None
        for row in rows if isinstance(rows, list) else ():
            if not isinstance(row, dict):
                continue
            try:
                cleared_row(row)
                fact = fact_of_current(current_order(row), 1)
            except MessageError:
                continue
            numbers = (fact.size, fact.matched, fact.average, fact.remaining, fact.cancelled, fact.lapsed, fact.voided)
            assert all(math.isfinite(each) for each in numbers), fact


def _reply(result: Any) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "result": result, "id": 1})


_PLACED = {
    "status": "SUCCESS", "orderStatus": "EXECUTABLE", "betId": "1", "placedDate": "2026-01-31T12:00:00.000Z",
    "averagePriceMatched": 3.05, "sizeMatched": 2.0, "instruction": {"selectionId": 1, "side": "BACK"},
}  # fmt: skip
_DONE = {"status": "SUCCESS", "instruction": {"betId": "1"}, "sizeCancelled": 2.0, "cancelledDate": "x"}
_ROW = {
    "betId": "1", "marketId": MARKET, "selectionId": 1, "side": "BACK", "status": "EXECUTABLE", "handicap": 0.0,
    "priceSize": {"price": 3.0, "size": 5.0}, "bspLiability": 0.0, "orderType": "LIMIT", "persistenceType": "LAPSE",
    "placedDate": "2026-01-31T12:00:00.000Z", "averagePriceMatched": 3.0, "sizeMatched": 2.0, "sizeRemaining": 3.0,
    "sizeLapsed": 0, "sizeCancelled": 0, "sizeVoided": 0, "customerOrderRef": "ref-a", "customerStrategyRef": "mine",
}  # fmt: skip
_CLEARED = {
    "betId": "1", "marketId": MARKET, "settledDate": "2026-01-31T12:00:00.000Z", "betOutcome": "WON", "profit": 2.5,
    "priceMatched": 3.0, "sizeSettled": 5.0, "commission": 0.1,
}  # fmt: skip
REPLIES = [
    _reply({"status": "SUCCESS", "marketId": MARKET, "instructionReports": [_PLACED, {**_PLACED, "betId": 2}]}),
    _reply({"status": "FAILURE", "errorCode": "BET_ACTION_ERROR", "instructionReports": [
        {"status": "FAILURE", "errorCode": "INVALID_ODDS"}, {"status": "TIMEOUT"}]}),
    _reply({"status": "SUCCESS", "instructionReports": [_DONE, {**_DONE, "instruction": {"betId": "2"}}]}),
    _reply({"status": "SUCCESS", "instructionReports": [
        {"status": "SUCCESS", "cancelInstructionReport": _DONE, "placeInstructionReport": _PLACED}]}),
    _reply({"status": "PROCESSED_WITH_ERRORS", "errorCode": "DUPLICATE_TRANSACTION", "instructionReports": [_DONE]}),
    _reply({"currentOrders": [_ROW, {**_ROW, "status": "EXECUTION_COMPLETE"}], "moreAvailable": False}),
    _reply({"clearedOrders": [_CLEARED], "moreAvailable": False}),
    msgspec.json.encode({"jsonrpc": "2.0", "error": {"code": -32099, "message": "ANGX-0003", "data": {
        "exceptionname": "APINGException", "APINGException": {"errorCode": "SERVICE_BUSY", "errorDetails": "x"}}}}),
]  # fmt: skip
