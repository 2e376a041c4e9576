"""What an HTTP call to the API says: answered, refused, not sent, or unknown. Values in, values out.

A call whose outcome is unknown may have been acted on: a reply that did not come, that cannot be read, that is of a
server that failed, or that says TIMEOUT, all mean the same ("placeOrders"; "Betting Exceptions").
"""

from __future__ import annotations

import dataclasses

import msgspec

from ...values import UNREADABLE
from .posts import NOT_SENT as UNSENT
from .posts import REPLIED, Got

#: The exchange has answered; it has refused, and done nothing; nothing was sent; it may have been acted on, or not.
ANSWERED, REFUSED, NOT_SENT, UNKNOWN = "ANSWERED", "REFUSED", "NOT_SENT", "UNKNOWN"
#: Refusals of a session that is over: log in, and ask again.
SESSION_CODES = frozenset({"INVALID_SESSION_INFORMATION", "NO_SESSION"})
#: Refusals that pass by themselves.
PASSING_CODES = frozenset({"TOO_MANY_REQUESTS", "SERVICE_BUSY"})
#: Codes of exceptions that say that nothing was done; any other may have been told of what was.
_REFUSALS = (
    SESSION_CODES
    | PASSING_CODES
    | {
        "ACCESS_DENIED",
        "CUSTOMER_ACCOUNT_CLOSED",
        "INVALID_APP_KEY",
        "INVALID_CLIENT_REF",
        "INVALID_INPUT_DATA",
        "NO_APP_KEY",
        "REQUEST_SIZE_EXCEEDS_LIMIT",
        "SUBSCRIPTION_EXPIRED",
        "TOO_MUCH_DATA",
    }
)
#: Faults of JSON-RPC by which a call is not understood, and nothing done.
_NOT_UNDERSTOOD = frozenset({-32700, -32600, -32601, -32602})
#: HTTP statuses of requests that were not taken.
_NOT_TAKEN = frozenset({400, 401, 403, 404, 405, 411, 413, 414, 415, 417, 429, 431})
#: Characters of an unreadable reply that are repeated.
_SHOWN = 80


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What a call says.

    Attributes:
        verdict: ANSWERED, REFUSED, NOT_SENT or UNKNOWN.
        result: JSON, of an answer.
        code: of a refusal: the exchange's own word for it.
        why: what is wrong, in words; empty of an answer.
        begun_ms, ended_ms: when it was asked and when that was over, milliseconds since the epoch.
    """

    verdict: str
    result: bytes = b""
    code: str = ""
    why: str = ""
    begun_ms: int = 0
    ended_ms: int = 0


class _Exception(msgspec.Struct, rename="camel"):
    error_code: str = "UNEXPECTED_ERROR"
    error_details: str | None = None


class _Data(msgspec.Struct):
    exceptionname: str = ""
    APINGException: _Exception | None = None
    AccountAPINGException: _Exception | None = None


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""
    data: _Data | None = None


class _Reply(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"")
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Reply).decode


def classify(got: Got) -> Answer:
    """What came of a call of JSON-RPC."""
    if got.state != REPLIED:
        return _answer(got, NOT_SENT if got.state == UNSENT else UNKNOWN, why=got.why)
    if got.status != 200:
        code = f"HTTP_{got.status}"
        return _answer(got, REFUSED if got.status in _NOT_TAKEN else UNKNOWN, code, f"HTTP status {got.status}")
    try:
        reply = _decode(got.body)
    except UNREADABLE:
        shown = got.body[:_SHOWN].decode(errors="replace")
        return _answer(got, UNKNOWN, why=f"the reply cannot be read: {shown!r}")
    if reply.error is not None:
        return _of_error(got, reply.error)
    result = bytes(reply.result)
    if not result:
        return _answer(got, UNKNOWN, why="the reply has no result")
    return Answer(ANSWERED, result, begun_ms=got.begun_ms, ended_ms=got.ended_ms)


def _of_error(got: Got, error: _Error) -> Answer:
    told = None if error.data is None else error.data.APINGException or error.data.AccountAPINGException
    if told is None:
        code = error.message or str(error.code)
        refused = error.code in _NOT_UNDERSTOOD
        return _answer(got, REFUSED if refused else UNKNOWN, code, f"the exchange answers {code} ({error.code})")
    details = f": {told.error_details}" if told.error_details else ""
    why = f"the exchange answers {told.error_code}{details}"
    return _answer(got, REFUSED if told.error_code in _REFUSALS else UNKNOWN, told.error_code, why)


def _answer(got: Got, verdict: str, code: str = "", why: str = "") -> Answer:
    return Answer(verdict, b"", code, why, got.begun_ms, got.ended_ms)
