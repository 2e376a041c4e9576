"""Calls over HTTP: identity, API-NG as JSON-RPC and REST, and the navigation menu; with the faults that are due.

What calls do is in the modules whose `operations()` are given.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from ....strategies.clock import from_ms
from ....values import UNREADABLE
from ..errors import ApiError, ConnectionCut, ParameterError
from ..exchange import Exchange
from ..faults import Fault, Faults
from ..operations import Operation
from ..sessions import Sessions
from ..settings import AccountSettings
from .arguments import arguments_of
from .call_log import NAME, Call, CallLog, plain, unread
from .envelope import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    NO_SUCH_METHOD,
    PARSE_ERROR,
    SERVICES,
    Outcome,
    Service,
    framework_fault,
    json_rpc,
    rest,
)
from .http_connection import HTML, JSON, Connections, Refused, connection_of
from .identity import Answer, Identity
from .queues import CallQueues

logger = logging.getLogger("headrace")

_MEDIA_TYPES = frozenset({JSON, "text/json"})
#: What calls come as: some clients send all with the type that login wants, and are answered.
_SENT_TYPES = _MEDIA_TYPES | {"application/x-www-form-urlencoded"}
_FORM = "application/x-www-form-urlencoded"
#: Status of HTTP that a fault answers, if it names none.
_STATUS = 503


class HttpCalls:
    """Answers requests that are calls.

    Args:
        operations: what calls do, by method: "SportsAPING/v1.0/placeOrders".
    """

    def __init__(
        self,
        exchange: Exchange,
        sessions: Sessions,
        faults: Faults,
        operations: Mapping[str, Operation],
        connections: Connections,
        log: CallLog,
    ) -> None:
        self._exchange = exchange
        self._sessions = sessions
        self._faults = faults
        self._operations = dict(operations)
        self._connections = connections
        self._log = log
        self._limits = exchange.settings.limits
        self._identity = Identity(sessions)
        self._queues = CallQueues(self._limits.queued_calls)
        self._encoder = msgspec.json.Encoder()

    async def refuse(self, request: web.BaseRequest, code: str) -> web.StreamResponse:
        """Answer with a fault of the framework what is not a call."""
        status, fault = framework_fault(code)
        self._log.not_a_call(request, status, code)
        return await self._connections.send(request, status, self._encoder.encode(fault))

    # -- identity ------------------------------------------------------------------------------------------------

    async def identify(self, request: web.BaseRequest, operation: str) -> web.StreamResponse:
        """Answer as the identity service: login, certlogin, keepAlive or logout."""
        if request.method != "POST" and not (operation == "keepAlive" and request.method == "GET"):
            raise Refused(405)
        form = _form(request, await self._connections.body(request))
        headers = {name.lower(): plain(value) for name, value in request.headers.items()}
        username = form.get("username", "")[:NAME] or self._sessions.username(headers.get("x-authentication"))
        call = self._log.asked(Call(self._log.next_number(), operation), username)
        answer = Answer({})

        async def act() -> None:
            nonlocal answer
            if operation == "login":
                answer = self._identity.login(headers, form)
            elif operation == "certlogin":
                answer = self._identity.certificate_login(headers, form, _certified(request))
            elif operation == "keepAlive":
                answer = self._identity.keep_alive(headers)
            else:
                answer = self._identity.logout(headers)
            call.outcome = Outcome(error=None if answer.code is None else ApiError(answer.code))

        def reply() -> tuple[int, bytes, str]:
            if isinstance(answer.body, str):
                return 200, answer.body.encode(), HTML
            return 200, self._encoder.encode(answer.body), JSON

        return await self._carry_out(request, [call], username, act, reply)

    # -- API -----------------------------------------------------------------------------------------------------

    async def json_rpc(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer as JSON-RPC: one call, or several."""
        if request.method != "POST":
            raise Refused(405)
        if (code := _wrong_media(request)) is not None:
            return await self.refuse(request, code)
        account, refusal = self._account(request)
        username = None if account is None else account.username
        try:
            asked = msgspec.json.decode(await self._connections.body(request))
        except UNREADABLE:
            return await self._invalid(request, PARSE_ERROR)
        several = isinstance(asked, list)
        if several and (not asked or len(asked) > self._limits.calls):
            return await self._invalid(request, INVALID_REQUEST)
        calls = [self._call(each, username) for each in (asked if several else [asked])]

        async def act() -> None:
            for call in calls:
                await self._run(call, account, refusal)

        def reply() -> tuple[int, bytes, str]:
            answers = [self._encoded(call) for call in calls]
            return 200, b"[" + b",".join(answers) + b"]" if several else answers[0], JSON

        return await self._carry_out(request, calls, username, act, reply)

    def _call(self, asked: Any, username: str | None) -> Call:
        """One call of JSON-RPC, as far as it can be read."""
        number = self._log.next_number()
        method = asked.get("method") if isinstance(asked, dict) else None
        service = next(
            (each for each in SERVICES.values() if isinstance(method, str) and method.startswith(each.name)), None
        )
        if not isinstance(asked, dict) or service is None or not isinstance(method, str):
            call = Call(number, method[:NAME] if isinstance(method, str) else "")
            call.outcome = Outcome(fault=NO_SUCH_METHOD if isinstance(asked, dict) else INVALID_REQUEST)
        else:
            call = Call(number, method.removeprefix(service.name), service)
            if method in self._operations:
                self._read(call, asked.get("params"))
            else:
                call.outcome = Outcome(fault=NO_SUCH_METHOD)
        call.request = asked if isinstance(asked, dict) else None
        return self._log.asked(call, username)

    async def rest(self, request: web.BaseRequest, service: Service, operation: str) -> web.StreamResponse:
        """Answer as REST: one call."""
        if (code := _wrong_media(request)) is not None:
            return await self.refuse(request, code)
        if service.name + operation not in self._operations or request.method != "POST":
            return await self.refuse(request, "DSC-0021")
        body = await self._connections.body(request)
        try:
            params = msgspec.json.decode(body) if body.strip() else {}
        except UNREADABLE:
            return await self.refuse(request, "DSC-0008")
        call = Call(self._log.next_number(), operation, service)
        self._read(call, params)
        return await self._one(request, call)

    async def menu(self, request: web.BaseRequest, locale: str) -> web.StreamResponse:
        """Answer with the navigation menu."""
        if "navigation" not in self._operations or request.method != "GET":
            raise Refused(405 if "navigation" in self._operations else 404)
        call = Call(self._log.next_number(), "navigation", SERVICES["betting"])
        call.arguments = {"locale": locale}
        return await self._one(request, call)

    async def _one(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        """Do one call, and answer as REST does."""
        account, refusal = self._account(request)
        username = None if account is None else account.username
        self._log.asked(call, username)

        async def act() -> None:
            await self._run(call, account, refusal)

        def reply() -> tuple[int, bytes, str]:
            assert call.outcome is not None
            assert call.service is not None
            status, answer = rest(call.service, call.outcome)
            return status, self._encoder.encode(answer), JSON

        return await self._carry_out(request, [call], username, act, reply)

    def _account(self, request: web.BaseRequest) -> tuple[AccountSettings | None, ApiError | None]:
        """Whose request it is, or why that is not known."""
        try:
            headers = request.headers
            return self._sessions.account(headers.get("X-Application"), headers.get("X-Authentication")), None
        except ApiError as error:
            return None, error

    def _read(self, call: Call, params: Any) -> None:
        try:
            call.arguments = arguments_of(params)
        except ParameterError as error:
            call.outcome, call.arguments = Outcome.of(error, self._uuid(call)), unread(params)
        else:
            market_id = call.arguments.get("marketId")
            call.market_id = market_id if isinstance(market_id, str) else None

    async def _run(self, call: Call, account: AccountSettings | None, refusal: ApiError | None) -> None:
        """Do what a call asks for, if it can be done."""
        if call.outcome is not None:
            return
        assert call.service is not None
        uuid = self._uuid(call)
        method = "navigation" if call.operation == "navigation" else call.service.name + call.operation
        try:
            if account is None:
                raise refusal or ApiError("UNEXPECTED_ERROR")
            username = account.username
            if (fault := self._take("http.error", [call], username)) is not None:
                raise ApiError(fault.value or "UNEXPECTED_ERROR")
            self._queues.enter(call.number, username, call.operation, call.arguments)
            result = await self._operations[method](account, call.arguments)
            if self._take("http.timeout_error", [call], username) is not None:
                raise ApiError("TIMEOUT_ERROR")
            if self._take("http.extra_fields", [call], username) is not None:
                result = _with_extra_fields(result)
            call.outcome = Outcome(result=result, uuid=uuid)
        except (ApiError, ParameterError) as error:
            call.outcome = Outcome.of(error, uuid)
        except ConnectionCut:
            raise
        except Exception as error:
            logger.error("The rehearsal exchange failed at %s: %s", call.operation, error, exc_info=error)
            self._log.write("ERROR", request=call.number, operation=call.operation, error=repr(error))
            call.outcome = Outcome(error=ApiError("UNEXPECTED_ERROR"), uuid=uuid)

    def _encoded(self, call: Call) -> bytes:
        """The answer to one call of JSON-RPC."""
        assert call.outcome is not None
        service = call.service or SERVICES["betting"]
        try:
            return self._encoder.encode(json_rpc(service, call.outcome, call.request))
        except Exception as error:
            logger.error("The answer of %s cannot be written: %s", call.operation, error, exc_info=error)
            self._log.write("ERROR", request=call.number, operation=call.operation, error=repr(error))
            return self._encoder.encode(json_rpc(service, Outcome(fault=INTERNAL_ERROR), call.request))

    async def _invalid(self, request: web.BaseRequest, fault: tuple[int, str]) -> web.StreamResponse:
        """Answer as JSON-RPC what holds no calls."""
        self._log.not_a_call(request, 200, fault[1])
        answer = json_rpc(SERVICES["betting"], Outcome(fault=fault), None)
        return await self._connections.send(request, 200, self._encoder.encode(answer))

    def _uuid(self, call: Call) -> str:
        return f"rehearsal-{from_ms(self._exchange.clock.now_ms):%m%d%H%M}-{call.number:010x}"

    # -- carrying out --------------------------------------------------------------------------------------------

    async def _carry_out(
        self,
        request: web.BaseRequest,
        calls: list[Call],
        username: str | None,
        act: Callable[[], Awaitable[None]],
        reply: Callable[[], tuple[int, bytes, str]],
    ) -> web.StreamResponse:
        """Act and reply, with the faults that are due."""

        def take(kind: str) -> Fault | None:
            return self._take(kind, calls, username)

        if take("http.refused") is not None:
            self._log.replied(calls, username, 0, 0)
            return _cut(request)
        if (fault := take("http.status")) is not None:
            return await self._status(request, calls, username, fault)
        if (fault := take("http.late")) is not None:
            await asyncio.sleep(fault.seconds)
            self._log.tick()
        try:
            await act()
            if (fault := take("http.slow")) is not None:
                await asyncio.sleep(fault.seconds)
                self._log.tick()
            status, body, media = reply()
            if take("http.lost") is not None:
                self._log.replied(calls, username, 0, 0)
                return _cut(request)
            if (fault := take("http.status_done")) is not None:
                return await self._status(request, calls, username, fault)
            if take("http.garbage") is not None:
                body, media = b"<html><body>Bad Gateway</body></html>", HTML
            half = take("http.cut") is not None
            idle = take("http.idle_close")
            self._log.replied(calls, username, 0 if half else status, len(body))
            response = await self._connections.send(request, status, body, media, half=half)
            connection = connection_of(request)
            if idle is not None and connection.transport is not None:
                connection.early_end = asyncio.get_running_loop().call_later(idle.seconds, connection.cut)
            return response
        except ConnectionCut:
            self._log.replied(calls, username, 0, 0)
            return _cut(request)
        finally:
            for call in calls:
                self._queues.leave(call.number)

    async def _status(
        self,
        request: web.BaseRequest,
        calls: list[Call],
        username: str | None,
        fault: Fault,
    ) -> web.StreamResponse:
        status = int(fault.value or _STATUS)
        self._log.replied(calls, username, status, 0)
        return await self._connections.send(request, status, b"", HTML)

    def _take(self, kind: str, calls: list[Call], username: str | None) -> Fault | None:
        for call in calls:
            fault = self._faults.take(
                kind,
                at=self._exchange.clock.now_ms,
                username=username,
                operation=call.operation,
                market_id=call.market_id,
            )
            if fault is not None:
                return fault
        return None


def _cut(request: web.BaseRequest) -> web.StreamResponse:
    connection_of(request).cut()
    return web.Response(status=_STATUS)


def _form(request: web.BaseRequest, body: bytes) -> dict[str, str]:
    """The fields of a form; none if it is not one."""
    if request.headers.get("Content-Type", _FORM).partition(";")[0].strip().lower() != _FORM:
        return {}
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def _certified(request: web.BaseRequest) -> bool:
    """Whether the client has shown a certificate; over plain HTTP nobody can."""
    return not request.secure or request.get_extra_info("peercert") not in (None, {})


def _wrong_media(request: web.BaseRequest) -> str | None:
    """The framework's fault of a request whose content is not JSON, or that does not accept JSON."""
    if request.method == "POST" and "Content-Type" in request.headers:
        media = request.headers["Content-Type"].partition(";")[0].strip().lower()
        if media not in _SENT_TYPES:
            return "DSC-0011"
    accepted = request.headers.get("Accept", "*/*").lower()
    if not any(each in accepted for each in ("*/*", "application/*", "text/*", *_MEDIA_TYPES)):
        return "DSC-0013"
    return None


def _with_extra_fields(result: Any) -> Any:
    """Reports, and reports within reports, with a field that no client knows."""
    if isinstance(result, list):
        return [_with_extra_fields(each) for each in result]
    if not isinstance(result, dict):
        return result
    within = {key: _with_extra_fields(value) for key, value in result.items()}
    return {**within, "rehearsalField": "unknown"} if "status" in within else within
