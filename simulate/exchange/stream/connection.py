"""One client of the stream: lines in and out, the handshake, and how the connection ends.

Bytes are framed into lines of bounded length; requests are answered one after the other; what is to be sent in one
turn of the loop is written at once. While a client does not read, nothing more is read from it, and its
subscriptions collect what changes instead of sending it. Sources: Betfair Exchange Stream API; of the handshake, what
betfairlightweight reads: the connection line alone, and the status that answers authentication alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

import msgspec

from ....values import UNREADABLE
from ..errors import ApiError, StreamError
from ..faults import Fault
from ..settings import AccountSettings
from . import requests
from .framing import Lines, LineTooLongError, line, reset_at_close, shut
from .host import Host, Live
from .waiting import Waiting

logger = logging.getLogger("headrace")

#: Seconds for which a connection that was closed may still hold unsent bytes.
LINGER_S = 5.0
#: Faults of connections that happen where a message is sent.
_SENDING = tuple(f"stream.{each}" for each in ("drop", "reset", "half_line", "half_close", "fail_close", "silence"))


class Connection(asyncio.Protocol):
    """One client.

    Attributes: those of `Client`, and
        ended: why it has ended; None while it is open.
    """

    def __init__(self, server: Host, secure: bool) -> None:
        self._server = server
        self._loop = server.loop
        self.secure = secure
        self.connection_id = ""
        self.peer = ""
        self.account: AccountSettings | None = None
        self.subscriptions: dict[str, Live] = {}
        self._former: list[Live] = []
        self._waiting = Waiting(server, self)
        self.opened_at = server.now()
        self.sent_bytes = self.sent_messages = 0
        self.ended: str | None = None
        self.on_lost: Callable[[], object] | None = None
        self._transport: asyncio.Transport | None = None
        self._in = Lines(server.settings.limits.line_bytes)
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._full = False  # the transport holds more than the client may leave unread
        self._silent = False
        self._half_closed = False
        self._greeted = False
        self._resuming = False
        #: It has been slow, and not all that was collected meanwhile has been sent.
        self.strained = False
        self._timers: list[asyncio.TimerHandle] = []
        self._lingering: asyncio.TimerHandle | None = None

    # -- for the transport ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        address = transport.get_extra_info("peername") or ("?", 0)
        self.peer = f"{address[0]}:{address[1]}"
        limit = self._server.settings.limits.backlog_bytes
        self._transport.set_write_buffer_limits(high=limit, low=limit // 4)
        self._server.opened(self)
        self._call_later(self._server.settings.timers.subscribe, self._idle)
        fault = self._server.fault("stream.slow_connect", self)
        if fault is None:
            self._greet()
        else:
            self._call_later(fault.seconds, self._greet)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("closed by the client" if exc is None else f"lost: {exc}")
        self._transport = None  # of TLS it holds much memory
        if self._lingering is not None:
            self._lingering.cancel()
        if self.on_lost is not None:
            self.on_lost()

    def data_received(self, data: bytes) -> None:
        if self.ended is not None or self._half_closed:
            return
        self._in.add(data)
        self._read()

    def pause_writing(self) -> None:
        self._full = self.strained = True
        self._quieten()

    def resume_writing(self) -> None:
        self._full = False
        self._relieved()

    # -- reading -------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Handle the lines that are there: one request that is costly per turn of the loop."""
        while self.ended is None and self._greeted and not self._resuming:
            if self.slow:
                self._quieten()
                return
            try:
                received = self._in.take()
            except LineTooLongError as error:
                self._refuse(requests.invalid(str(error)), None)
                return
            if received is None:
                return
            if received and self._handle(received):
                self._turn_to_others()
        if self._in.crowded and self._transport is not None:
            self._transport.pause_reading()

    def _turn_to_others(self) -> None:
        if not self._resuming:
            self._resuming = True
            self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        self._resuming = False
        if self.ended is None and self._transport is not None:
            self._transport.resume_reading()
            self._read()

    def _quieten(self) -> None:
        """Ask nothing more of a client that does not read."""
        if self._transport is not None and self.ended is None:
            self._transport.pause_reading()

    def _relieved(self) -> None:
        """The client reads again: send what was collected, and go on with its requests."""
        if self.ended is not None or self.slow:
            return
        for subscription in list(self.subscriptions.values()):
            subscription.flush()
        if not self.slow:
            self.strained = False
            self._turn_to_others()

    def _handle(self, received: bytes) -> bool:
        """Handle one request; True if others are to be served before the next."""
        request_id: int | None = None
        operation: object = None
        try:
            try:
                request = msgspec.json.decode(received)
            except UNREADABLE:
                raise requests.invalid("The line is not JSON") from None
            if not isinstance(request, dict):
                raise requests.invalid("The line is not a JSON object")
            request_id = requests.whole(request, "id")
            operation = request.get("op")
            self._server.heard(self, operation, request)
            return self._answer(operation, request, request_id)
        except StreamError as error:
            self._refuse(error, request_id)
            if not error.closes and isinstance(operation, str):
                self._waiting.begin(operation, request_id)
        except Exception as error:
            logger.exception("Stream connection %s: a request failed", self.connection_id)
            self._refuse(StreamError("UNEXPECTED_ERROR", type(error).__name__), request_id)
        return False

    def _answer(self, operation: object, request: dict[str, Any], request_id: int | None) -> bool:
        server = self._server
        if server.fault("stream.unexpected", self, operation):
            raise StreamError("UNEXPECTED_ERROR", "The rehearsal wants it so")
        if operation == "authentication":
            self._authenticate(request, request_id)
            return True
        kind = server.subscription(operation)
        if kind is None and operation != "heartbeat":
            raise requests.invalid(f"op {operation!r} is not known")
        if self.account is None:
            raise StreamError("NOT_AUTHORIZED", "The connection is not authenticated")
        if kind is None:
            self._succeed(request_id)
            return False
        if server.fault("stream.subscription_limit", self, operation):
            raise StreamError("SUBSCRIPTION_LIMIT_EXCEEDED", "The rehearsal wants it so")
        subscription = kind(server, self, request)
        self._succeed(request_id)
        former = self.subscriptions.get(subscription.operation)
        self.subscriptions[subscription.operation] = subscription
        self._waiting.end()
        server.subscribed(self, subscription)
        subscription.muted = server.fault("stream.no_subscription", self, operation) is not None
        stale = server.fault("stream.stale_changes", self, operation) if former is not None else None
        if former is not None:
            self._former.append(former)
        if stale is None:
            self._supersede(subscription)
        else:
            self._call_later(stale.seconds, lambda: self._supersede(subscription))
        return True

    def _supersede(self, subscription: Live) -> None:
        for former in self._former:
            former.close()
        self._former.clear()
        subscription.start()  # nothing, if yet another has taken its place

    def _authenticate(self, request: dict[str, Any], request_id: int | None) -> None:
        if self.account is not None:
            raise StreamError("INVALID_REQUEST", "Connection is already authenticated")
        app_key, session = requests.text(request, "appKey"), requests.text(request, "session")
        try:
            account = self._server.sessions.account(app_key, session)
        except ApiError as error:
            raise StreamError(error.code, error.details or "Authentication failed") from None
        available = self._server.admit(self, account)
        self.account = account
        self._succeed(request_id, connectionsAvailable=available)
        self._write()  # alone: clients read this answer as one document

    # -- answering -----------------------------------------------------------------------------------------------

    def _greet(self) -> None:
        if self.ended is not None or self._transport is None:
            return
        self._transport.write(line({"op": "connection", "connectionId": self.connection_id}))
        self._greeted = True
        self._read_on()

    def _succeed(self, request_id: int | None, **more: Any) -> None:
        self._status(request_id, {"statusCode": "SUCCESS", "connectionClosed": False, **more})

    def _refuse(self, error: StreamError, request_id: int | None) -> None:
        told = {"errorCode": error.code, "errorMessage": error.message, "connectionClosed": error.closes}
        self._status(request_id, {"statusCode": "FAILURE", **told, "connectionId": self.connection_id})
        self._server.refused(self, error)
        if error.closes:
            self.close(error.code)

    def _status(self, request_id: int | None, values: dict[str, Any]) -> None:
        head: dict[str, Any] = {"op": "status"}
        if request_id is not None:
            head["id"] = request_id
        self._queue(line({**head, **values}))

    def _idle(self) -> None:
        """The time to subscribe is over."""
        if self.ended is None and not self.subscriptions and not self._waiting:
            waited = round(self._server.settings.timers.subscribe * 1000)
            self._refuse(StreamError("TIMEOUT", f"Connection is not subscribed and is idle: {waited} ms"), None)

    # -- sending -------------------------------------------------------------------------------------------------

    @property
    def slow(self) -> bool:
        """Nothing more is to be sent for now: the client does not read what was sent."""
        return self._full or self._silent or self._out_bytes > self._server.settings.limits.backlog_bytes

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the client has not taken."""
        waiting = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return waiting + self._out_bytes

    def send(self, data: bytes, operation: str) -> None:
        """Send a message of a subscription, at the end of this turn of the loop. `operation`: what it asked with."""
        if self.ended is not None or self._half_closed:
            return
        if self._server.faults.armed and self._fail(data, operation):
            return
        self.sent_messages += 1
        self._queue(data)

    def _queue(self, data: bytes) -> None:
        if self.ended is not None or self._half_closed:
            return
        if not self._out:
            self._loop.call_soon(self._write)
        self._out.append(data)
        self._out_bytes += len(data)

    def _write(self) -> None:
        if not self._out or self._silent or self._transport is None:
            return
        overfull = self._out_bytes > self._server.settings.limits.backlog_bytes
        data = b"".join(self._out)
        self._out.clear()
        self._out_bytes = 0
        if self.ended is None:
            self.sent_bytes += len(data)
            self._transport.write(data)
            if overfull:
                self.strained = True
                if not self._full:
                    self._loop.call_soon(self._relieved)

    # -- faults --------------------------------------------------------------------------------------------------

    def _fail(self, data: bytes, operation: str) -> bool:
        """Let a fault happen to a message that is about to be sent; True if that was its end."""
        for kind in _SENDING:
            fault = self._server.fault(kind, self, operation)
            if fault is None:
                continue
            if kind == "stream.silence":
                self._silent = self.strained = True
                self._call_later(fault.seconds, self._speak)
                return False  # it waits with all that follows
            self._write()
            self._break(kind, fault, data)
            return True
        return False

    def _break(self, kind: str, fault: Fault, data: bytes) -> None:
        assert self._transport is not None
        if kind == "stream.drop":
            self.close("a fault: drop")
        elif kind == "stream.fail_close":
            self._refuse(StreamError(fault.value or "UNEXPECTED_ERROR", "The rehearsal wants it so"), None)
            self.close("a fault: fail_close")
        elif kind == "stream.half_line":
            self._transport.write(data[: len(data) // 2])
            self.close("a fault: half a line")
        else:
            self._half_closed = True
            self._stop_subscriptions()
            if kind == "stream.half_close":
                self._call_later(0.0, self._shut)
            else:
                self._transport.write(data[: len(data) // 2])
                self._call_later(0.05, self._reset)

    def _speak(self) -> None:
        self._silent = False
        self._write()
        self._relieved()

    def _shut(self) -> None:
        """Tell the client that nothing more comes, and read on."""
        if self._transport is not None:
            try:
                shut(self._transport)
            except OSError:
                self.close("a fault: half_close")

    def _reset(self) -> None:
        if self._transport is not None:
            reset_at_close(self._transport)
            self.abort("a fault: reset")

    # -- the end -------------------------------------------------------------------------------------------------

    def close(self, why: str) -> None:
        """End the connection when what waits has been sent."""
        if self.ended is not None or self._transport is None:
            return
        self._silent = False
        self._write()
        transport = self._transport
        self._end(why)
        transport.close()
        self._lingering = self._loop.call_later(LINGER_S, transport.abort)

    def abort(self, why: str) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._end(why)
            self._transport.abort()

    def _end(self, why: str) -> None:
        if self.ended is not None:
            return
        self.ended = why
        self._stop_subscriptions()
        self._waiting.end()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._in.clear()
        self._out.clear()
        self._out_bytes = 0
        self._server.lost(self, why)

    def _stop_subscriptions(self) -> None:
        for subscription in (*self.subscriptions.values(), *self._former):
            subscription.close()
        self.subscriptions.clear()
        self._former.clear()

    def _call_later(self, seconds: float, function: Callable[[], object]) -> None:
        self._timers.append(self._loop.call_later(seconds, function))
