"""The stream's server on real sockets, from a loop in a thread of its own, and clients of it that block."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import betfairlightweight
from betfairlightweight.streaming import BetfairStream, StreamListener

from exchange_builders import ALICE, Fault, faults_of
from headrace.simulate.exchange.certificates import Certificates
from headrace.simulate.exchange.exchange import Exchange
from headrace.simulate.exchange.sessions import Sessions
from headrace.simulate.exchange.settings import AccountSettings
from headrace.simulate.exchange.stream.server import StreamServer

WAIT = 60.0


class StreamServed:
    """An exchange's stream that is being served. All of it lives in the loop's thread: tests ask through `do`."""

    def __init__(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self.exchange = exchange
        self.loop = loop
        self.faults = faults_of(exchange)
        self.sessions = Sessions(exchange.settings, self.faults)
        self.server: StreamServer

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(WAIT)

    def do(self, function: Callable[[], Any]) -> Any:
        """Call something in the loop's thread."""

        async def call() -> Any:
            return function()

        return self.run(call())

    def until(self, condition: Callable[[], Any], wait: float = WAIT) -> None:
        """Wait until something holds in the loop's thread."""
        end = time.monotonic() + wait
        while not self.do(condition):
            assert time.monotonic() < end, "it has not happened"
            time.sleep(0.01)

    def fault(self, kind: str, **of: Any) -> None:
        self.do(lambda: self.faults.add(Fault(kind, **of)))

    def token(self, account: AccountSettings = ALICE) -> str:
        return self.do(lambda: self.sessions.login(account.username, account.password))

    def port(self, tls: bool = False) -> int:
        return self.server.addresses["tls" if tls else "tcp"][1]

    def connect(self, tls: bool = False, host: str = "127.0.0.1") -> RawClient:
        return RawClient(self, tls, host)

    def betfairlightweight(
        self, listener: StreamListener, account: AccountSettings = ALICE, unique_id: int = 0
    ) -> BetfairStream:
        """The stock client's stream, pointed here; it has not connected."""
        client = betfairlightweight.APIClient(account.username, account.password, account.app_key)
        client.set_session_token(self.token(account))
        found = client.streaming.create_stream(unique_id, listener, timeout=WAIT)
        found.host = "127.0.0.1"
        found._BetfairStream__port = self.port(tls=True)
        return found


class RawClient:
    """A client that sends and reads lines."""

    def __init__(self, served: StreamServed, tls: bool, host: str) -> None:
        self._served = served
        self.socket: socket.socket = socket.create_connection((host, served.port(tls)), timeout=WAIT)
        if tls:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def line(self) -> dict[str, Any]:
        """The next line."""
        received = self._file.readline()
        assert received.endswith(b"\r\n"), received
        return json.loads(received)

    def rest(self) -> tuple[bytes, str]:
        """What comes until the end, and how it ended: "end" or "reset"."""
        found = b""
        try:
            while part := self._file.read1(65_536):
                found += part
        except ConnectionResetError:
            return found, "reset"
        except ssl.SSLEOFError:
            return found, "end"  # without TLS's own goodbye
        return found, "end"

    def send(self, **message: Any) -> None:
        self.socket.sendall(json.dumps(message).encode() + b"\r\n")

    def log_in(self, account: AccountSettings = ALICE) -> RawClient:
        assert self.line()["op"] == "connection"
        self.send(op="authentication", id=1, appKey=account.app_key, session=self._served.token(account))
        answer = self.line()
        assert answer["statusCode"] == "SUCCESS", answer
        return self

    def subscribe(self, request_id: int = 2, **request: Any) -> dict[str, Any]:
        """The image, or what else follows the status of a subscription to markets."""
        self.send(op="marketSubscription", id=request_id, **{"marketFilter": {}, **request})
        answer = self.line()
        assert answer["statusCode"] == "SUCCESS", answer
        return self.line()


@contextmanager
def served_stream(exchange: Exchange, certificates: Certificates | None = None) -> Iterator[StreamServed]:
    """Serve an exchange's stream."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="stream", daemon=True)
    thread.start()
    served = StreamServed(exchange, loop)

    async def start() -> None:
        served.server = StreamServer(exchange, served.sessions, served.faults, exchange.settings, certificates)
        await served.server.start()

    try:
        served.run(start())
        yield served
        served.run(served.server.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WAIT)
        loop.close()
