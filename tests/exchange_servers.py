"""A rehearsal exchange's HTTP served on real sockets, from a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import betfairlightweight
import requests

from exchange_builders import ALICE, T0, Fault, faults_of
from headrace.simulate.exchange.certificates import Certificates
from headrace.simulate.exchange.exchange import Exchange
from headrace.simulate.exchange.http.http_server import HttpServer
from headrace.simulate.exchange.ledger import Entry
from headrace.simulate.exchange.operations import Operation
from headrace.simulate.exchange.sessions import Sessions
from headrace.simulate.exchange.settings import AccountSettings

WAIT = 60.0


class Served:
    """An exchange that is being served. Everything of it lives in the loop's thread: tests ask through `run`."""

    def __init__(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self.exchange = exchange
        self.loop = loop
        self.now = 0.0
        self.faults = faults_of(exchange)
        self.sessions = Sessions(exchange.settings, self.faults, lambda: self.now, lambda: T0)
        self.http: HttpServer
        self.certificates: Certificates | None = None

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run something in the loop's thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(WAIT)

    def do(self, function: Callable[[], Any]) -> Any:
        """Call something in the loop's thread."""

        async def call() -> Any:
            return function()

        return self.run(call())

    def fault(self, kind: str, **of: Any) -> None:
        """Set up a fault."""
        self.do(lambda: self.faults.add(Fault(kind, **of)))

    def entries(self, kind: str, after: int = 0) -> list[Entry]:
        return self.do(lambda: self.exchange.ledger.entries(after, kind))

    @property
    def ledger_number(self) -> int:
        """Of the last entry."""
        return self.exchange.ledger.number

    # -- clients -------------------------------------------------------------------------------------------------

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.http.port}"

    def client(self, account: AccountSettings = ALICE, session: Any = None) -> betfairlightweight.APIClient:
        """The stock client, pointed here and logged in."""
        client = self.stranger(account, session)
        client.login_interactive()
        return client

    def stranger(self, account: AccountSettings = ALICE, session: Any = None) -> betfairlightweight.APIClient:
        """The stock client, pointed here and not logged in."""
        client = betfairlightweight.APIClient(account.username, account.password, account.app_key, session=session)
        point(client, self.base)
        return client

    def token(self, account: AccountSettings = ALICE) -> str:
        return self.do(lambda: self.sessions.login(account.username, account.password))

    def headers(self, account: AccountSettings = ALICE) -> dict[str, str]:
        """Headers of a call of the API."""
        return {
            "X-Application": account.app_key,
            "X-Authentication": self.token(account),
            "Content-Type": "application/json",
        }

    def rpc(self, method: str, params: Any = None, account: AccountSettings = ALICE, **envelope: Any) -> Any:
        """The answer to a call of JSON-RPC."""
        service = "account" if method.startswith("Account") else "betting"
        call = {"jsonrpc": "2.0", "method": method, "params": params or {}, "id": 1, **envelope}
        return requests.post(
            f"{self.base}/exchange/{service}/json-rpc/v1", json=call, headers=self.headers(account), timeout=WAIT
        ).json()

    def rest(
        self, operation: str, params: Any = None, account: AccountSettings = ALICE, folder: str = "betting"
    ) -> requests.Response:
        """The response to a call of REST."""
        url = f"{self.base}/exchange/{folder}/rest/v1.0/{operation}/"
        return requests.post(url, json=params or {}, headers=self.headers(account), timeout=WAIT)

    def raw(self, data: bytes, wait: float = WAIT) -> bytes:
        """What comes back for raw bytes, until the end."""
        with self.connect() as client:
            client.settimeout(wait)
            client.sendall(data)
            return read_all(client)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.http.port), timeout=WAIT)


def read_all(client: socket.socket) -> bytes:
    """Read until the end; a reset is an end."""
    found = b""
    try:
        while part := client.recv(65_536):
            found += part
    except ConnectionResetError:
        pass
    return found


def point(client: Any, base: str, certlogin: str | None = None) -> None:
    """Point betfairlightweight at an exchange."""
    client.identity_uri = f"{base}/api/"
    client.identity_cert_uri = f"{certlogin or base}/api/"
    client.api_uri = f"{base}/exchange/"
    client.navigation_uri = f"{base}/exchange/betting/rest/v1/en/navigation/menu.json"


@contextmanager
def served(
    exchange: Exchange,
    operations: Callable[[Served], Mapping[str, Operation]] | None = None,
    certificates: Certificates | None = None,
) -> Iterator[Served]:
    """Serve an exchange. `operations` is called in the loop's thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="exchange", daemon=True)
    thread.start()
    server = Served(exchange, loop)

    async def start() -> None:
        made = operations(server) if operations is not None else {}
        server.http = HttpServer(exchange, server.sessions, server.faults, made, certificates)
        await server.http.start()

    try:
        server.certificates = certificates
        server.run(start())
        try:
            yield server
        finally:
            server.run(server.http.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WAIT)
        loop.close()


def merged(*modules: Any) -> dict[str, Callable[[AccountSettings, dict[str, Any]], Awaitable[Any]]]:
    """The operations of several modules."""
    return {name: function for module in modules for name, function in module.operations().items()}


def eventually(condition: Callable[[], Any], wait: float = WAIT) -> Any:
    """What a condition becomes, once it is true."""
    end = time.monotonic() + wait
    while not (found := condition()):
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.01)
    return found
