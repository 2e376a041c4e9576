"""What the page shows of refusals, read from the ledger."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.simulate.exchange.ledger import Ledger
from headrace.simulate.exchange.refusals import Refusals

FAILED = {
    "status": "FAILURE",
    "errorCode": "BET_ACTION_ERROR",
    "instructionReports": [
        {"status": "FAILURE", "errorCode": "INVALID_ODDS"},
        {"status": "FAILURE", "errorCode": "ERROR_IN_ORDER"},
        {"status": "FAILURE", "errorCode": "INVALID_BET_SIZE"},
        {"status": "FAILURE", "errorCode": "INVALID_ODDS"},
    ],
}


def watched(keep: int = 50) -> tuple[Ledger, Refusals]:
    ledger, refusals = Ledger(), Refusals(keep)
    ledger.watchers.append(refusals.note)
    return ledger, refusals


@pytest.mark.parametrize(
    ("kind", "values", "operation", "code", "why"),
    [
        ("REPLY", {"operation": "login", "error": "X", "why": "it is so"}, "login", "X", "it is so"),
        ("REPLY", {"operation": "login", "error": "X"}, "login", "X", ""),
        ("REPLY", {"operation": "p", "result": FAILED}, "p", "BET_ACTION_ERROR", "INVALID_ODDS, INVALID_BET_SIZE"),
        ("REPLY", {"operation": "p", "result": {"errorCode": "MARKET_SUSPENDED"}}, "p", "MARKET_SUSPENDED", ""),
        ("CONNECTION", {"what": "REFUSED", "code": "NO_SESSION", "message": "none"}, "stream", "NO_SESSION", "none"),
        ("ERROR", {"operation": "p", "error": "KeyError(3)"}, "p", "ERROR", "KeyError(3)"),
    ],
)
def test_a_refusal_is_a_row_with_its_cause(
    kind: str, values: dict[str, Any], operation: str, code: str, why: str
) -> None:
    ledger, refusals = watched()
    entry = ledger.write(kind, 5, username="alice", **values)
    row = {"at": round(entry.wall), "username": "alice", "operation": operation, "code": code, "why": why}
    assert refusals.rows() == [row]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("REPLY", {"result": {"status": "SUCCESS", "instructionReports": []}}),
        ("REPLY", {"status": 200}),
        ("REPLY", {"error": None, "why": None}),
        ("REQUEST", {"params": {"error": "X"}}),
        ("CONNECTION", {"what": "OPENED"}),
        ("BET", {"error": "X"}),
    ],
)
def test_what_is_not_refused_is_not_there(kind: str, values: dict[str, Any]) -> None:
    ledger, refusals = watched()
    ledger.write(kind, 5, **values)
    assert (refusals.rows(), refusals.count) == ([], 0)


def test_the_last_are_kept_and_all_are_counted() -> None:
    ledger, refusals = watched(keep=2)
    for code in "ABC":
        ledger.write("REPLY", 5, operation="login", error=code)
    assert ([row["code"] for row in refusals.rows()], refusals.count) == (["C", "B"], 3)
