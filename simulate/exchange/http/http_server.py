"""The exchange's HTTP server: ports, addresses of calls, and whatever pages it is given."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web

from ..certificates import Certificates
from ..exchange import Exchange
from ..faults import Faults
from ..listening import Listening
from ..operations import Operation
from ..sessions import Sessions
from .call_log import CallLog, plain
from .envelope import SERVICES, framework_fault
from .http_calls import HttpCalls
from .http_connection import JSON, Connections, Refused, connection_of

logger = logging.getLogger("headrace")

#: Serves what is not part of the exchange: a page, or calls that control it.
Page = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


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
        self._certificates = certificates
        self._settings = settings = exchange.settings
        self._connections = Connections(settings.limits, settings.timers, self._not_http)
        self._log = CallLog(exchange)
        self._calls = HttpCalls(exchange, sessions, faults, operations, self._connections, self._log)
        self._listening: list[Listening] = []
        self._web: web.Server | None = None
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

        def connection() -> asyncio.BaseProtocol:
            return self._connections.make(server)

        try:
            self.port = self._listen(connection, chosen.port)
            if self._certificates is not None:
                self.https_port = self._listen(connection, chosen.https_port, self._certificates.server_context())
                self.certlogin_port = self._listen(
                    connection, chosen.certlogin_port, self._certificates.certlogin_context()
                )
        except BaseException:
            await self.stop()
            raise

    def _listen(
        self, connection: Callable[[], asyncio.BaseProtocol], port: int, context: ssl.SSLContext | None = None
    ) -> int:
        listening = Listening(connection, context)
        found = listening.open(self._settings.host, port)
        self._listening.append(listening)
        return found

    async def stop(self) -> None:
        """Listen no more, and end all connections."""
        for listening in self._listening:
            await listening.stop()
        self._listening.clear()
        self._connections.cut_all()
        if self._web is not None:
            await self._web.shutdown(0.5)
            self._web = None

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    # -- requests ------------------------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = connection_of(request)
        self._connections.begin(connection)
        try:
            self._log.tick()
            if "Expect" in request.headers:
                raise Refused(417)
            return await self._answer(request)
        except Refused as refused:
            self._log.not_a_call(request, refused.status, None)
            response = web.Response(status=refused.status)
            response.force_close()
            return response
        except (ConnectionError, TimeoutError):
            connection.cut()
            return web.Response(status=408)
        except Exception as error:
            logger.error("The rehearsal exchange failed at %s: %s", request.rel_url, error, exc_info=error)
            self._log.write("ERROR", what=plain(request.path), error=repr(error))
            status, body = framework_fault("DSC-0005")
            return web.Response(status=status, body=msgspec.json.encode(body), content_type=JSON)
        finally:
            self._connections.end(connection)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        for place, page in self.pages.items():
            if path == place or (place != "/" and place.endswith("/") and path.startswith(place)):
                return await page(request)
        match path.strip("/").split("/"):
            case ["api", ("login" | "certlogin" | "keepAlive" | "logout") as operation]:
                return await self._calls.identify(request, operation)
            case ["exchange", folder, "json-rpc", "v1", *_] if folder in SERVICES:  # some clients add the method
                return await self._calls.json_rpc(request)
            case ["exchange", folder, "rest", "v1.0", operation] if folder in SERVICES:
                return await self._calls.rest(request, SERVICES[folder], operation)
            case ["exchange", "betting", "rest", "v1", locale, "navigation", "menu.json"]:
                return await self._calls.menu(request, locale)
        return await self._calls.refuse(request, "DSC-0023")

    def _not_http(self, status: int, error: BaseException | None) -> None:
        """A client has sent what is not HTTP, or answering it has failed."""
        if status >= 500:
            logger.error("The rehearsal exchange failed to answer over HTTP: %s", error, exc_info=error)
        self._log.write("ERROR", what="HTTP", status=status, error=type(error).__name__)
