"""Connections of HTTP: their limits, bodies within limits, replies to those who read them.

Nothing that a client sends, or does not read, stops others from being served.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from typing import Any

from aiohttp import web

from ..settings import Limits, Timers

JSON, HTML = "application/json", "text/html"
#: Replies shorter than this are not compressed.
_SMALL = 512


class Refused(Exception):
    """A request is answered with a status of HTTP and nothing else; its connection is closed."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Connection(web.RequestHandler):
    """One client's connection."""

    def __init__(self, owner: Connections, server: web.Server, **settings: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **settings)
        self._owner = owner
        self.busy = False
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


class Connections:
    """All connections, in order of idleness.

    Args:
        not_http: told what a client has sent that is not HTTP: the status that it is answered, and the error.
    """

    def __init__(self, limits: Limits, timers: Timers, not_http: Callable[[int, BaseException | None], object]) -> None:
        self._limits = limits
        self._timers = timers
        self.not_http = not_http
        self._open: dict[Connection, None] = {}
        self._held: dict[Connection, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def make(self, server: web.Server) -> Connection:
        """A connection that is about to be opened."""
        return Connection(
            self,
            server,
            keepalive_timeout=self._timers.idle_http,
            access_log=None,
            auto_decompress=False,
            lingering_time=1.0,
        )

    def opened(self, connection: Connection) -> None:
        """A client has connected; beyond the limit the idlest goes, or this one if all are busy."""
        self._touch(connection)
        if len(self._open) <= self._limits.http_connections:
            return
        idle = next((each for each in self._open if not each.busy), connection)
        del self._open[idle]
        idle.cut()

    def lost(self, connection: Connection) -> None:
        """A client is gone."""
        self._open.pop(connection, None)
        self._held.pop(connection, None)
        if connection.early_end is not None:
            connection.early_end.cancel()

    def begin(self, connection: Connection) -> None:
        """A request of the connection is being answered."""
        connection.busy = True

    def end(self, connection: Connection) -> None:
        """It has been answered: the connection is the least idle."""
        connection.busy = False
        if connection in self._open:
            self._touch(connection)

    def cut_all(self) -> None:
        """End all of them."""
        for connection in list(self._open):
            connection.cut()

    def _touch(self, connection: Connection) -> None:
        self._open.pop(connection, None)
        self._open[connection] = None

    def _hold(self, connection: Connection, size: int) -> None:
        """So much memory is used for a client; beyond the limit the oldest lose theirs, with their connections."""
        self._held[connection] = size
        while sum(self._held.values()) > self._limits.http_bytes:
            oldest = next(iter(self._held))
            del self._held[oldest]
            oldest.cut()

    async def body(self, request: web.BaseRequest) -> bytes:
        """The body of a request.

        Raises:
            Refused: it is too long, takes too long, is compressed, or is not what its headers say.
        """
        limit = self._limits.body_bytes
        if (request.content_length or 0) > limit:
            raise Refused(413)
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refused(415)
        connection = connection_of(request)
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._timers.http_transfer):
                while part := await request.content.readany():
                    size += len(part)
                    if size > limit:
                        raise Refused(413)
                    parts.append(part)
                    self._hold(connection, size)
        except TimeoutError:
            raise Refused(408) from None
        except web.RequestPayloadError:
            raise Refused(400) from None
        finally:
            self._held.pop(connection, None)
        return b"".join(parts)

    async def send(
        self, request: web.BaseRequest, status: int, body: bytes, media: str = JSON, half: bool = False
    ) -> web.StreamResponse:
        """Send a reply to a client that has its time to read it; half of it, and the end, if asked."""
        connection = connection_of(request)
        headers = {"Cache-Control": "no-cache", "Content-Type": media}
        if len(body) >= _SMALL and _takes_gzip(request):
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        response: web.StreamResponse
        if half:
            response = web.StreamResponse(status=status, headers=headers)
            response.content_length = len(body)
        else:
            response = web.Response(status=status, headers=headers, body=body)
        self._hold(connection, len(body))
        try:
            async with asyncio.timeout(self._timers.http_transfer):
                await response.prepare(request)
                if not half:
                    await response.write_eof()
                    return response
                await response.write(body[: len(body) // 2])
                if connection.transport is not None:
                    connection.transport.close()
        except (TimeoutError, ConnectionError):
            connection.cut()
        finally:
            self._held.pop(connection, None)
        return response


def connection_of(request: web.BaseRequest) -> Connection:
    """The connection on which a request came."""
    connection = request.protocol
    assert isinstance(connection, Connection)
    return connection


def _takes_gzip(request: web.BaseRequest) -> bool:
    for each in request.headers.get("Accept-Encoding", "").lower().split(","):
        coding, _, quality = each.strip().partition(";")
        if coding.strip() in ("gzip", "*"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0")
    return False
