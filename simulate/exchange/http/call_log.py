"""Calls over HTTP as the ledger has them: what was asked, and what was answered."""

from __future__ import annotations

import itertools
import logging
from typing import Any

from aiohttp import web

from ..exchange import Exchange
from ..ledger import brief
from .envelope import MEANINGS, Outcome, Service

logger = logging.getLogger("headrace")

#: Calls whose answers the ledger keeps whole: what became of bets. Others are told by their size.
_KEPT = frozenset({"placeOrders", "cancelOrders", "updateOrders", "replaceOrders", "heartbeat", "getAccountFunds"})
#: Parameters longer than this are not in the ledger: those of calls about bets, and of the others.
_LONG, _SHORT = 100_000, 5_000
#: Names that clients send are cut to this length.
NAME = 100


class Call:
    """One call.

    Attributes:
        number: in the ledger.
        service: None for calls of the identity service, and for those that are not known.
        request: as it came, of JSON-RPC; None if it is not an object.
        outcome: what became of it; None before.
    """

    __slots__ = ("arguments", "market_id", "number", "operation", "outcome", "request", "service")

    def __init__(self, number: int, operation: str, service: Service | None = None) -> None:
        self.number = number
        self.operation = operation
        self.service = service
        self.request: dict[str, Any] | None = None
        self.arguments: dict[str, Any] = {}
        self.market_id: str | None = None
        self.outcome: Outcome | None = None


class CallLog:
    """Writes to the ledger, and numbers what is asked."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._numbers = itertools.count(1)

    def next_number(self) -> int:
        """The number of the next call."""
        return next(self._numbers)

    def tick(self) -> None:
        """Let the exchange's clock show what time it is. What fails at that is not the client's."""
        try:
            self._exchange.tick()
        except Exception as error:
            logger.error("The rehearsal exchange failed: %s", error, exc_info=error)
            self.write("ERROR", error=repr(error))

    def not_a_call(self, request: web.BaseRequest, status: int, code: str | None) -> None:
        """Note a request that was answered, and is not a call."""
        number, path = self.next_number(), plain(request.path[:NAME])
        self.write("REQUEST", request=number, username=None, operation=path, params={})
        self.write(
            "REPLY",
            request=number,
            username=None,
            operation=path,
            status=status,
            error=code,
            why=MEANINGS.get(code or ""),
        )

    def asked(self, call: Call, username: str | None) -> Call:
        """Note a call that is about to be done; the call."""
        params = brief(call.arguments, _LONG if call.operation in _KEPT else _SHORT)
        self.write("REQUEST", request=call.number, username=username, operation=call.operation, params=params)
        return call

    def replied(self, calls: list[Call], username: str | None, status: int, size: int) -> None:
        """Note what was answered. `status`: of HTTP; 0 if the client gets no reply, or half of it."""
        for call in calls:
            outcome = call.outcome
            values: dict[str, Any] = {"status": status, "bytes": size}
            if outcome is not None and outcome.code is not None:
                values["error"] = outcome.code
                if outcome.why is not None:
                    values["why"] = outcome.why
            elif outcome is not None and call.operation in _KEPT:
                values["result"] = outcome.result
            self.write("REPLY", request=call.number, username=username, operation=call.operation, **values)

    def write(self, kind: str, **values: Any) -> None:
        """Add an entry to the ledger."""
        self._exchange.ledger.write(kind, self._exchange.clock.now_ms, **values)


def unread(params: Any) -> dict[str, Any]:
    """Parameters that cannot be read, as far as the ledger shows them."""
    try:
        return {"unread": plain(repr(params)[:_SHORT])}
    except RecursionError:
        return {"unread": "nested too deeply"}


def plain(text: str) -> str:
    """A text of a request's head, without what is not UTF-8."""
    return text.encode(errors="replace").decode()
