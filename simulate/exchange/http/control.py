"""Calls that control a rehearsal exchange: its state, its ledger, its faults, steps, and its end.

The real exchange has none of them. All of them are below /rehearsal/ and need the exchange's token, in the
header `X-Rehearsal-Token`.
"""

from __future__ import annotations

import dataclasses
import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from ....strategies.errors import InputError
from ....values import UNREADABLE, either
from ..asking import faults_of
from ..faults import KINDS, Fault, Faults
from ..ledger import KINDS as ENTRY_KINDS
from ..ledger import Ledger
from ..plan import TOKEN_HEADER

#: Below which path the calls are.
PATH = "/rehearsal/"
#: Entries of the ledger in one answer, and messages in one step, at most.
MOST_ENTRIES, MOST_STEPS = 20_000, 1_000_000
_BODY = 1_000_000


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Control:
    """Serves the control calls.

    Args:
        token: what callers must show.
        state: what the exchange is like now, ready for JSON.
        step: plays so many messages; how many were played.
        stop: ends the exchange.
    """

    def __init__(
        self,
        token: str,
        faults: Faults,
        ledger: Ledger,
        state: Callable[[], dict[str, Any]],
        step: Callable[[int], Awaitable[int]],
        stop: Callable[[], object],
    ) -> None:
        self._token = token
        self._faults = faults
        self._ledger = ledger
        self._state = state
        self._step = step
        self._stop = stop
        self._encoder = msgspec.json.Encoder()

    async def page(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one call."""
        try:
            if not hmac.compare_digest(request.headers.get(TOKEN_HEADER, "").encode(), self._token.encode()):
                raise _Refused(403, f"the header {TOKEN_HEADER} is not the token of this exchange")
            found = await self._answer(request)
        except _Refused as refused:
            return self._reply(refused.status, {"error": str(refused)})
        return self._reply(200, found)

    def _reply(self, status: int, found: Any) -> web.Response:
        return web.Response(status=status, body=self._encoder.encode(found), content_type="application/json")

    async def _answer(self, request: web.BaseRequest) -> Any:
        name = request.path.removeprefix(PATH).strip("/")
        match request.method, name:
            case "GET", "state":
                return self._state()
            case "GET", "ledger":
                return self._entries(request)
            case "GET", "faults":
                return self._fault_list()
            case "POST", "faults":
                return await self._add_faults(request)
            case "DELETE", "faults":
                self._faults.clear()
                return self._fault_list()
            case "POST", "step":
                return {"played": await self._step(await self._steps(request))}
            case "POST", "stop":
                self._stop()
                return {"stopping": True}
            case _, ("state" | "ledger" | "faults" | "step" | "stop"):
                raise _Refused(405, f"{PATH}{name} does not take {request.method}")
        raise _Refused(404, f"{PATH}{name} is not known; expected state, ledger, faults, step or stop below {PATH}")

    # -- ledger --------------------------------------------------------------------------------------------------

    def _entries(self, request: web.BaseRequest) -> dict[str, Any]:
        try:
            after = int(request.query.get("after", 0))
            most = max(min(int(request.query.get("most", MOST_ENTRIES)), MOST_ENTRIES), 0)
        except ValueError:
            raise _Refused(400, "after and most: expected whole numbers") from None
        kind = request.query.get("kind")
        if kind not in (None, *ENTRY_KINDS):
            raise _Refused(400, f"kind is {kind!r}, expected {either(ENTRY_KINDS)}")
        entries = self._ledger.entries(after, kind, most + 1)
        return {"entries": entries[:most], "last": self._ledger.number, "more": len(entries) > most}

    # -- faults --------------------------------------------------------------------------------------------------

    def _fault_list(self) -> dict[str, Any]:
        pending = [dataclasses.asdict(fault) for fault in self._faults.pending]
        return {"pending": pending, "counts": dict(self._faults.counts), "kinds": KINDS}

    async def _add_faults(self, request: web.BaseRequest) -> dict[str, Any]:
        for fault in _faults(await self._json(request)):
            self._faults.add(fault)
        return self._fault_list()

    # -- bodies --------------------------------------------------------------------------------------------------

    async def _steps(self, request: web.BaseRequest) -> int:
        asked = await self._json(request)
        messages = asked.get("messages", 1) if isinstance(asked, dict) else None
        if not isinstance(messages, int) or isinstance(messages, bool) or not 0 <= messages <= MOST_STEPS:
            raise _Refused(400, f'expected {{"messages": N}}, N from 0 to {MOST_STEPS}')
        return messages

    async def _json(self, request: web.BaseRequest) -> Any:
        body = bytearray()
        while part := await request.content.readany():
            body += part
            if len(body) > _BODY:
                raise _Refused(413, f"expected {_BODY} bytes at most")
        try:
            return msgspec.json.decode(bytes(body)) if body.strip() else {}
        except UNREADABLE:
            raise _Refused(400, "the body is not JSON") from None


def _faults(asked: Any) -> list[Fault]:
    each = asked if isinstance(asked, list) else [asked]
    if not all(isinstance(one, (dict, str)) for one in each):
        raise _Refused(400, 'expected a fault such as {"kind": "stream.drop"}, or a list of them')
    try:
        return faults_of(each)
    except InputError as error:
        raise _Refused(400, str(error)) from None
