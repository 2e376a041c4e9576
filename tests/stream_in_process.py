"""The stream's server without sockets and without waiting: its clock is moved by hand, its clients are lists."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from exchange_builders import ALICE, faults_of
from headrace.simulate.exchange.exchange import Exchange
from headrace.simulate.exchange.faults import Fault
from headrace.simulate.exchange.sessions import Sessions
from headrace.simulate.exchange.settings import AccountSettings
from headrace.simulate.exchange.stream.connection import Connection
from headrace.simulate.exchange.stream.server import StreamServer


class _Loop(asyncio.SelectorEventLoop):
    """A loop whose time stands still."""

    at = 1_000.0

    def time(self) -> float:
        return self.at


class _Transport:
    """What a connection writes to. A client that does not read leaves all in the buffer."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._buffer = b""
        self._limit = 0
        self._full = False
        self.reading = True
        self.most = 0

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 50_000) if name == "peername" else None

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        self._limit = high

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def write(self, data: bytes) -> None:
        self._buffer += data
        self.most = max(self.most, len(self._buffer))
        if self._client.reads:
            self.drain()
        elif len(self._buffer) > self._limit and not self._full:
            self._full = True
            self._client.connection.pause_writing()

    def drain(self) -> None:
        """The client reads all that there is."""
        data, self._buffer = self._buffer, b""
        self._client.received += data
        if self._full:
            self._full = False
            self._client.connection.resume_writing()

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self._client.closed = True

    abort = close


class Client:
    """One client.

    Attributes:
        reads: what is sent is read at once; else not before `read_on`.
        closed: by the server.
    """

    def __init__(self, stream: InProcess) -> None:
        self._stream = stream
        self.reads = True
        self.closed = False
        self.received = b""
        self.connection = Connection(stream.server, False)
        self.transport = _Transport(self)
        self.connection.connection_made(cast(asyncio.BaseTransport, self.transport))

    def send(self, **message: Any) -> list[dict[str, Any]]:
        """Send a message; what has come since the last look."""
        return self.send_bytes(json.dumps(message).encode() + b"\r\n")

    def send_bytes(self, data: bytes) -> list[dict[str, Any]]:
        self.connection.data_received(data)
        return self.read()

    def read(self) -> list[dict[str, Any]]:
        """What has come since the last look."""
        self._stream.turn()
        data, self.received = self.received, b""
        assert data == b"" or data.endswith(b"\r\n")
        return [json.loads(line) for line in data.split(b"\r\n") if line]

    def read_on(self) -> list[dict[str, Any]]:
        """The client reads again."""
        self.reads = True
        self.transport.drain()
        return self.read()

    def log_in(self, account: AccountSettings = ALICE, request_id: int = 1) -> Client:
        token = self._stream.sessions.login(account.username, account.password)
        answer = self.send(op="authentication", id=request_id, appKey=account.app_key, session=token)
        assert answer[-1]["statusCode"] == "SUCCESS", answer
        return self

    def leave(self) -> None:
        """The client goes."""
        self.connection.connection_lost(None)


class InProcess:
    """An exchange and its stream's server."""

    def __init__(self, exchange: Exchange) -> None:
        self.loop = _Loop()
        self.exchange = exchange
        self.faults = faults_of(exchange)
        self.sessions = Sessions(exchange.settings, self.faults, lambda: 0.0)

        async def make() -> StreamServer:
            return StreamServer(exchange, self.sessions, self.faults, exchange.settings)

        self.server = self.loop.run_until_complete(make())

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.run_until_complete(self.server.stop())
        self.loop.close()

    def turn(self) -> None:
        """Let the loop do what is due now."""

        async def turns() -> None:
            for _ in range(6):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    def let_pass(self, milliseconds: float) -> None:
        """Real time goes on."""
        self.loop.at += milliseconds / 1000
        self.turn()

    def connect(self) -> Client:
        return Client(self)

    def fault(self, kind: str, **of: Any) -> None:
        self.faults.add(Fault(kind, **of))
