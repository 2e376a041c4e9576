"""The exchange's HTTP: identity, API-NG as JSON-RPC and REST, the navigation menu, and whatever pages it is given.

It speaks and refuses; what calls do is in the modules whose `operations()` it is given. Nothing that a client sends, or
does not read, stops it from serving the others.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from ...strategies.clock import from_ms
from .arguments import arguments_of
from .certificates import Certificates
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
from .errors import ApiError, ParameterError
from .exchange import Exchange
from .faults import Fault, Faults
from .identity import Answer, Identity
from .listening import listen
from .queues import CallQueues
from .sessions import Sessions
from .settings import AccountSettings

logger = logging.getLogger("headrace")

Operation = Callable[[AccountSettings, dict[str, Any]], Awaitable[Any]]
#: Serves what is no part of the exchange: a page, or calls that control it.
Page = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_JSON = "application/json"
_MEDIA_TYPES = frozenset({_JSON, "text/json"})
_FORM = "application/x-www-form-urlencoded"
#: Calls whose answers the ledger keeps whole: what became of bets. Others are told by their size.
_KEPT = frozenset({"placeOrders", "cancelOrders", "updateOrders", "replaceOrders", "heartbeat", "getAccountFunds"})
#: Replies shorter than this are not compressed.
_SMALL = 512
#: Parameters longer than this are not in the ledger: those of calls about bets, and of the others; names neither.
_LONG, _SHORT, _NAME = 100_000, 5_000, 100


class _Refused(Exception):
    """A request is answered with a status of HTTP and nothing else; its connection is closed."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _Call:
    """One call: its number in the ledger, what was asked, what became of it."""

    __slots__ = ("arguments", "market_id", "number", "operation", "outcome", "request", "service")

    def __init__(self, number: int, operation: str, service: Service | None = None) -> None:
        self.number = number
        self.operation = operation
        self.service = service
        self.request: dict[str, Any] | None = None
        self.arguments: dict[str, Any] = {}
        self.market_id: str | None = None
        self.outcome: Outcome | None = None


class _Connection(web.RequestHandler):
    """One client's connection."""

    def __init__(self, owner: HttpServer, server: web.Server, **settings: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **settings)
        self._owner = owner
        self.busy = False
        self.since = 0.0
        #: Ends an idle connection early: a fault.
        self.early_end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._owner.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._owner.lost(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.early_end is not None:
            self.early_end.cancel()
            self.early_end = None
        super().data_received(data)

    def cut(self) -> None:
        """End it at once; what was not sent is lost."""
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is not HTTP is refused, and noted."""
        self._owner.not_http(status, exc)
        response = web.Response(status=status, text="")
        response.force_close()
        return response


class HttpServer:
    """The HTTP side of the exchange, on plain HTTP, and on HTTPS where it is given certificates.

    Args:
        operations: what calls do, by method: "SportsAPING/v1.0/placeOrders".
        certificates: None: no HTTPS.

    Attributes:
        port, https_port, certlogin_port: where it listens, once it has started; 0 for what is not served.
        pages: what else is served, by path; a path that ends with a slash stands for all below it.
    """

    def __init__(
        self,
        exchange: Exchange,
        sessions: Sessions,
        faults: Faults,
        operations: Mapping[str, Operation],
        certificates: Certificates | None = None,
    ) -> None:
        self._exchange = exchange
        self._sessions = sessions
        self._faults = faults
        self._operations = dict(operations)
        self._certificates = certificates
        self._settings = exchange.settings
        self._identity = Identity(sessions)
        self._queues = CallQueues(self._settings.limits.queued_calls)
        self._encoder = msgspec.json.Encoder()
        self._numbers = itertools.count(1)
        self._servers: list[asyncio.Server] = []
        self._web: web.Server | None = None
        self._connections: dict[_Connection, None] = {}
        self._held: dict[_Connection, int] = {}
        self.port = self.https_port = self.certlogin_port = 0
        self.pages: dict[str, Page] = {}

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: a port is in use.
        """
        server = self._web = web.Server(self._handle)
        chosen = self._settings

        def connection() -> _Connection:
            return _Connection(
                self,
                server,
                keepalive_timeout=chosen.timers.idle_http,
                access_log=None,
                auto_decompress=False,
                lingering_time=1.0,
            )

        try:
            self.port = await self._listen(connection, chosen.port)
            if self._certificates is not None:
                self.https_port = await self._listen(connection, chosen.https_port, self._certificates.server_context())
                self.certlogin_port = await self._listen(
                    connection, chosen.certlogin_port, self._certificates.certlogin_context()
                )
        except BaseException:
            await self.stop()
            raise

    async def _listen(
        self, connection: Callable[[], asyncio.BaseProtocol], port: int, context: ssl.SSLContext | None = None
    ) -> int:
        servers, found = await listen(connection, self._settings.host, port, context)
        self._servers += servers
        return found

    async def stop(self) -> None:
        """Listen no more, and end all connections."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for connection in list(self._connections):
            connection.cut()
        if self._web is not None:
            await self._web.shutdown(0.5)
            self._web = None

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    # -- connections ---------------------------------------------------------------------------------------------

    def opened(self, connection: _Connection) -> None:
        """A client has connected; beyond the limit another one goes, or this one if all are busy."""
        self._touch(connection)
        if len(self._connections) <= self._settings.limits.http_connections:
            return
        idle = next((each for each in self._connections if not each.busy), connection)
        del self._connections[idle]
        idle.cut()

    def lost(self, connection: _Connection) -> None:
        """A client is gone."""
        self._connections.pop(connection, None)
        self._held.pop(connection, None)
        if connection.early_end is not None:
            connection.early_end.cancel()

    def not_http(self, status: int, error: BaseException | None) -> None:
        """A client has sent what is not HTTP, or answering it has failed."""
        if status >= 500:
            logger.error("The rehearsal exchange failed to answer over HTTP: %s", error, exc_info=error)
        self._write("ERROR", what="HTTP", status=status, error=type(error).__name__)

    def _touch(self, connection: _Connection) -> None:
        """Make it the last in the order of idleness."""
        self._connections.pop(connection, None)
        self._connections[connection] = None

    def _hold(self, connection: _Connection, size: int) -> None:
        """So much memory is used for a client; beyond the limit the oldest lose theirs, with their connections."""
        self._held[connection] = size
        while sum(self._held.values()) > self._settings.limits.http_bytes:
            oldest = next(iter(self._held))
            del self._held[oldest]
            oldest.cut()

    # -- requests ------------------------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, _Connection)
        connection.busy = True
        try:
            if "Expect" in request.headers:
                raise _Refused(417)
            return await self._answer(request, connection)
        except _Refused as refused:
            self._not_a_call(request, refused.status, None)
            response = web.Response(status=refused.status)
            response.force_close()
            return response
        except (ConnectionError, TimeoutError):
            connection.cut()
            return web.Response(status=408)
        except Exception as error:
            logger.error("The rehearsal exchange failed at %s: %s", request.rel_url, error, exc_info=error)
            self._write("ERROR", what=request.path, error=str(error))
            status, body = framework_fault("DSC-0005")
            return web.Response(status=status, body=self._encoder.encode(body), content_type=_JSON)
        finally:
            connection.busy = False
            if connection in self._connections:
                self._touch(connection)

    def _tick(self) -> None:
        """Let the exchange's clock show what time it is. What fails at that is not the client's."""
        try:
            self._exchange.tick()
        except Exception as error:
            logger.error("The rehearsal exchange failed: %s", error, exc_info=error)
            self._write("ERROR", error=repr(error))

    async def _answer(self, request: web.BaseRequest, connection: _Connection) -> web.StreamResponse:
        self._tick()
        path = request.path
        for place, page in self.pages.items():
            if path == place or (place != "/" and place.endswith("/") and path.startswith(place)):
                return await page(request)
        match path.strip("/").split("/"):
            case ["api", ("login" | "certlogin" | "keepAlive" | "logout") as operation]:
                return await self._identify(request, connection, operation)
            case ["exchange", folder, "json-rpc", "v1"] if folder in SERVICES:
                return await self._json_rpc(request, connection)
            case ["exchange", folder, "rest", "v1.0", operation] if folder in SERVICES:
                return await self._rest(request, connection, SERVICES[folder], operation)
            case ["exchange", "betting", "rest", "v1", locale, "navigation", "menu.json"]:
                return await self._menu(request, connection, locale)
        return await self._refuse(request, connection, "DSC-0023")

    async def _refuse(self, request: web.BaseRequest, connection: _Connection, code: str) -> web.StreamResponse:
        """Answer with a fault of the framework what is not a call."""
        status, fault = framework_fault(code)
        self._not_a_call(request, status, code)
        return await self._send(request, connection, status, self._encoder.encode(fault))

    async def body(self, request: web.BaseRequest) -> bytes:
        """The body of a request, within the limits; refused with a status of HTTP beyond."""
        limit = self._settings.limits.body_bytes
        if (request.content_length or 0) > limit:
            raise _Refused(413)
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise _Refused(415)
        connection = request.protocol
        assert isinstance(connection, _Connection)
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._settings.timers.http_transfer):
                while part := await request.content.readany():
                    size += len(part)
                    if size > limit:
                        raise _Refused(413)
                    parts.append(part)
                    self._hold(connection, size)
        except TimeoutError:
            raise _Refused(408) from None
        except web.RequestPayloadError:
            raise _Refused(400) from None
        finally:
            self._held.pop(connection, None)
        return b"".join(parts)

    # -- identity ------------------------------------------------------------------------------------------------

    async def _identify(self, request: web.BaseRequest, connection: _Connection, operation: str) -> web.StreamResponse:
        if request.method != "POST" and not (operation == "keepAlive" and request.method == "GET"):
            raise _Refused(405)
        form = _form(request, await self.body(request))
        headers = {name.lower(): value for name, value in request.headers.items()}
        username = form.get("username", "")[:_NAME] or self._sessions.username(headers.get("x-authentication"))
        call = self._asked(_Call(next(self._numbers), operation), username)
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
                return 200, answer.body.encode(), "text/html"
            return 200, self._encoder.encode(answer.body), _JSON

        return await self._carry_out(request, connection, [call], username, act, reply)

    # -- API -----------------------------------------------------------------------------------------------------

    async def _json_rpc(self, request: web.BaseRequest, connection: _Connection) -> web.StreamResponse:
        if request.method != "POST":
            raise _Refused(405)
        if (code := _wrong_media(request)) is not None:
            return await self._refuse(request, connection, code)
        account, refusal = self._account(request)
        username = None if account is None else account.username
        try:
            asked = msgspec.json.decode(await self.body(request))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return await self._invalid(request, connection, PARSE_ERROR)
        several = isinstance(asked, list)
        if several and (not asked or len(asked) > self._settings.limits.calls):
            return await self._invalid(request, connection, INVALID_REQUEST)
        calls = [self._call(each, username) for each in (asked if several else [asked])]

        async def act() -> None:
            for call in calls:
                await self._run(call, account, refusal)

        def reply() -> tuple[int, bytes, str]:
            answers = [self._encoded(call) for call in calls]
            return 200, b"[" + b",".join(answers) + b"]" if several else answers[0], _JSON

        return await self._carry_out(request, connection, calls, username, act, reply)

    def _call(self, asked: Any, username: str | None) -> _Call:
        """One call of JSON-RPC, as far as it can be read."""
        number = next(self._numbers)
        method = asked.get("method") if isinstance(asked, dict) else None
        service = next(
            (each for each in SERVICES.values() if isinstance(method, str) and method.startswith(each.name)), None
        )
        if not isinstance(asked, dict) or service is None or not isinstance(method, str):
            call = _Call(number, method[:_NAME] if isinstance(method, str) else "")
            call.outcome = Outcome(fault=NO_SUCH_METHOD if isinstance(asked, dict) else INVALID_REQUEST)
        else:
            call = _Call(number, method.removeprefix(service.name), service)
            if method in self._operations:
                self._read(call, asked.get("params"))
            else:
                call.outcome = Outcome(fault=NO_SUCH_METHOD)
        call.request = asked if isinstance(asked, dict) else None
        return self._asked(call, username)

    async def _rest(
        self, request: web.BaseRequest, connection: _Connection, service: Service, operation: str
    ) -> web.StreamResponse:
        if (code := _wrong_media(request)) is not None:
            return await self._refuse(request, connection, code)
        if service.name + operation not in self._operations or request.method != "POST":
            return await self._refuse(request, connection, "DSC-0021")
        account, refusal = self._account(request)
        username = None if account is None else account.username
        body = await self.body(request)
        try:
            params = msgspec.json.decode(body) if body.strip() else {}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return await self._refuse(request, connection, "DSC-0008")
        call = _Call(next(self._numbers), operation, service)
        self._read(call, params)
        self._asked(call, username)

        async def act() -> None:
            await self._run(call, account, refusal)

        def reply() -> tuple[int, bytes, str]:
            assert call.outcome is not None
            status, answer = rest(service, call.outcome)
            return status, self._encoder.encode(answer), _JSON

        return await self._carry_out(request, connection, [call], username, act, reply)

    async def _menu(self, request: web.BaseRequest, connection: _Connection, locale: str) -> web.StreamResponse:
        operation = self._operations.get("navigation")
        if operation is None or request.method != "GET":
            raise _Refused(404 if operation is None else 405)
        service = SERVICES["betting"]
        account, refusal = self._account(request)
        username = None if account is None else account.username
        call = _Call(next(self._numbers), "navigation", service)
        call.arguments = {"locale": locale}
        self._asked(call, username)

        async def act() -> None:
            await self._run(call, account, refusal)

        def reply() -> tuple[int, bytes, str]:
            assert call.outcome is not None
            status, answer = rest(service, call.outcome)
            return status, self._encoder.encode(answer), _JSON

        return await self._carry_out(request, connection, [call], username, act, reply)

    def _account(self, request: web.BaseRequest) -> tuple[AccountSettings | None, ApiError | None]:
        """Whose request it is, or why that is not known."""
        try:
            headers = request.headers
            return self._sessions.account(headers.get("X-Application"), headers.get("X-Authentication")), None
        except ApiError as error:
            return None, error

    def _read(self, call: _Call, params: Any) -> None:
        try:
            call.arguments = arguments_of(params)
        except ParameterError as error:
            call.outcome = Outcome.of(error, self._uuid(call))
        else:
            market_id = call.arguments.get("marketId")
            call.market_id = market_id if isinstance(market_id, str) else None

    async def _run(self, call: _Call, account: AccountSettings | None, refusal: ApiError | None) -> None:
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
        except Exception as error:
            logger.error("The rehearsal exchange failed at %s: %s", call.operation, error, exc_info=error)
            self._write("ERROR", request=call.number, operation=call.operation, error=repr(error))
            call.outcome = Outcome(error=ApiError("UNEXPECTED_ERROR"), uuid=uuid)

    def _encoded(self, call: _Call) -> bytes:
        """The answer to one call of JSON-RPC."""
        assert call.outcome is not None
        service = call.service or SERVICES["betting"]
        try:
            return self._encoder.encode(json_rpc(service, call.outcome, call.request))
        except Exception as error:
            logger.error("The answer of %s cannot be written: %s", call.operation, error, exc_info=error)
            self._write("ERROR", request=call.number, operation=call.operation, error=repr(error))
            return self._encoder.encode(json_rpc(service, Outcome(fault=INTERNAL_ERROR), call.request))

    async def _invalid(
        self, request: web.BaseRequest, connection: _Connection, fault: tuple[int, str]
    ) -> web.StreamResponse:
        """Answer as JSON-RPC what holds no calls."""
        self._not_a_call(request, 200, fault[1])
        answer = json_rpc(SERVICES["betting"], Outcome(fault=fault), None)
        return await self._send(request, connection, 200, self._encoder.encode(answer))

    def _uuid(self, call: _Call) -> str:
        return f"rehearsal-{from_ms(self._exchange.clock.now_ms):%m%d%H%M}-{call.number:010x}"

    # -- carrying out --------------------------------------------------------------------------------------------

    async def _carry_out(
        self,
        request: web.BaseRequest,
        connection: _Connection,
        calls: list[_Call],
        username: str | None,
        act: Callable[[], Awaitable[None]],
        reply: Callable[[], tuple[int, bytes, str]],
    ) -> web.StreamResponse:
        """Act and reply, with the faults that are due."""

        def take(kind: str) -> Fault | None:
            return self._take(kind, calls, username)

        if take("http.refused") is not None:
            self._replied(calls, username, 0, 0)
            return _cut(connection)
        if (fault := take("http.status")) is not None:
            return await self._status(request, connection, calls, username, fault)
        if (fault := take("http.late")) is not None:
            await asyncio.sleep(fault.seconds)
        try:
            self._exchange.tick()
            await act()
            if (fault := take("http.slow")) is not None:
                await asyncio.sleep(fault.seconds)
            status, body, media = reply()
            if take("http.lost") is not None:
                self._replied(calls, username, 0, 0)
                return _cut(connection)
            if (fault := take("http.status_done")) is not None:
                return await self._status(request, connection, calls, username, fault)
            if take("http.garbage") is not None:
                body, media = b"<html><body>Bad Gateway</body></html>", "text/html"
            half = take("http.cut") is not None
            idle = take("http.idle_close")
            self._replied(calls, username, 0 if half else status, len(body))
            response = await self._send(request, connection, status, body, media, half=half)
            if idle is not None and connection.transport is not None:
                connection.early_end = asyncio.get_running_loop().call_later(idle.seconds, connection.cut)
            return response
        finally:
            for call in calls:
                self._queues.leave(call.number)

    async def _status(
        self,
        request: web.BaseRequest,
        connection: _Connection,
        calls: list[_Call],
        username: str | None,
        fault: Fault,
    ) -> web.StreamResponse:
        status = int(fault.value or 503)
        self._replied(calls, username, status, 0)
        return await self._send(request, connection, status, b"", "text/html")

    def _take(self, kind: str, calls: list[_Call], username: str | None) -> Fault | None:
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

    async def _send(
        self,
        request: web.BaseRequest,
        connection: _Connection,
        status: int,
        body: bytes,
        media: str = _JSON,
        half: bool = False,
    ) -> web.StreamResponse:
        """Send a reply to a client that has its time to read it; half of it, and the end, if asked."""
        response = web.StreamResponse(status=status, headers={"Cache-Control": "no-cache"})
        response.content_type = media
        if len(body) >= _SMALL and _takes_gzip(request):
            body = gzip.compress(body, compresslevel=1, mtime=0)
            response.headers["Content-Encoding"] = "gzip"
        response.content_length = len(body)
        self._hold(connection, len(body))
        try:
            async with asyncio.timeout(self._settings.timers.http_transfer):
                await response.prepare(request)
                if half:
                    await response.write(body[: len(body) // 2])
                    if connection.transport is not None:
                        connection.transport.close()
                elif request.method != "HEAD":
                    await response.write_eof(body)
        except (TimeoutError, ConnectionError):
            connection.cut()
        finally:
            self._held.pop(connection, None)
        return response

    # -- ledger --------------------------------------------------------------------------------------------------

    def _not_a_call(self, request: web.BaseRequest, status: int, code: str | None) -> None:
        """Note a request that was answered, and is not a call."""
        number = next(self._numbers)
        self._write("REQUEST", request=number, username=None, operation=request.path[:_NAME], params={})
        self._write("REPLY", request=number, username=None, operation=request.path[:_NAME], status=status, error=code)

    def _asked(self, call: _Call, username: str | None) -> _Call:
        params: Any = call.arguments
        length = len(repr(params))
        if length > (_LONG if call.operation in _KEPT else _SHORT):
            params = {"left_out": length}
        self._write("REQUEST", request=call.number, username=username, operation=call.operation, params=params)
        return call

    def _replied(self, calls: list[_Call], username: str | None, status: int, size: int) -> None:
        """Note what was answered. `status`: of HTTP; 0 if the client gets no reply, or half of it."""
        for call in calls:
            outcome = call.outcome
            values: dict[str, Any] = {"status": status, "bytes": size}
            if outcome is not None and outcome.code is not None:
                values["error"] = outcome.code
            elif outcome is not None and call.operation in _KEPT:
                values["result"] = outcome.result
            self._write("REPLY", request=call.number, username=username, operation=call.operation, **values)

    def _write(self, kind: str, **values: Any) -> None:
        self._exchange.ledger.write(kind, self._exchange.clock.now_ms, **values)


def _cut(connection: _Connection) -> web.StreamResponse:
    connection.cut()
    return web.Response(status=503)


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
        if media not in _MEDIA_TYPES:
            return "DSC-0011"
    accepted = request.headers.get("Accept", "*/*").lower()
    if not any(each in accepted for each in ("*/*", "application/*", "text/*", *_MEDIA_TYPES)):
        return "DSC-0013"
    return None


def _takes_gzip(request: web.BaseRequest) -> bool:
    for each in request.headers.get("Accept-Encoding", "").lower().split(","):
        coding, _, quality = each.strip().partition(";")
        if coding.strip() in ("gzip", "*"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0")
    return False


def _with_extra_fields(result: Any) -> Any:
    """Reports, and reports within reports, with a field that no client knows."""
    if isinstance(result, list):
        return [_with_extra_fields(each) for each in result]
    if not isinstance(result, dict):
        return result
    within = {key: _with_extra_fields(value) for key, value in result.items()}
    return {**within, "rehearsalField": "unknown"} if "status" in within else within
