"""The page of a live system at an address of this machine: states for those who know its token, and the stop switch."""

from __future__ import annotations

import asyncio
import hmac
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import resources

from aiohttp import web

from ...strategies.errors import RunError
from .frame import HEADERS, page_of
from .port import HOST, bound
from .watchers import Watchers

logger = logging.getLogger("headrace")

#: Seconds that it may take to start, and that a question for one state may.
_STARTS_S, _ANSWERS_S = 20.0, 5.0


def page() -> str:
    """The page: it asks for `events` and `stop`, and nothing else."""
    style, head, script = (
        resources.files(__package__).joinpath(f"page.{kind}").read_text(encoding="utf-8")
        for kind in ("css", "html", "js")
    )
    return page_of("Headrace", script, head, style)


class LivePage:
    """Serves the page, in a thread of its own.

    Only programs of this machine reach it, and only those that know the token are answered: as `?token=`, or as a
    header `Authorization: Bearer`. Other names of this machine in the header `Host` are refused, so that no page of
    another site can ask it by a name that leads here, and so are requests that pages of other sites make (`Origin`).

    Args:
        port: where it listens; 0: any that is free.
        token: what one has to know.
        looked: called, in its thread, when somebody begins to look.
        stop: called, in its thread, when the stop switch was confirmed.

    Attributes:
        port: where it listens.

    Raises:
        InputError: the port is in use.
    """

    def __init__(self, port: int, token: str, looked: Callable[[], object], stop: Callable[[], object]) -> None:
        self._token = token.encode()
        self._looked = looked
        self._stop = stop
        self._watchers = Watchers()
        self._state = b""
        self._number = 0
        self._news = asyncio.Event()
        self._end = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._socket = bound(port)
        self.port: int = self._socket.getsockname()[1]
        self._hosts = {f"{name}:{self.port}" for name in (HOST, "localhost")}
        self._origins = {None, *(f"http://{host}" for host in self._hosts)}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    @property
    def url(self) -> str:
        """Its address, without the token."""
        return f"http://{HOST}:{self.port}/"

    @property
    def watched(self) -> bool:
        """Whether anybody looks."""
        return len(self._watchers) > 0

    def start(self) -> None:
        self._thread.start()
        if not self._ready.wait(_STARTS_S):
            raise RunError(f"the page at {self.url} has not started within {_STARTS_S:g} seconds")

    def tell(self, state: bytes) -> None:
        """Show a state, JSON; from any thread."""
        self._loop.call_soon_threadsafe(self._take, state)

    def close(self) -> None:
        """End it, with all that are looking."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(_STARTS_S)
        self._socket.close()

    # -- in its thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except Exception:
            logger.exception("The page has ended")
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _serve(self) -> None:
        runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.SockSite(runner, self._socket).start()
            self._ready.set()
            await self._end.wait()
        finally:
            self._watchers.close()
            await runner.cleanup()

    def _take(self, state: bytes) -> None:
        self._state = state
        self._number += 1
        self._news.set()
        self._news = asyncio.Event()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Host") not in self._hosts:
            return _refusal(421, f"This page is at {self.url} only")
        if request.headers.get("Origin") not in self._origins:
            return _refusal(403, "Pages of other sites may not ask this one")
        if not self._knows(request):
            return _refusal(401, "The address needs the token that the system has shown when it started: ?token=...")
        answers: dict[tuple[str, str], Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]] = {
            ("GET", "/"): self._show,
            ("GET", "/events"): self._events,
            ("GET", "/state"): self._last,
            ("POST", "/stop"): self._stopped,
        }
        answer = answers.get((request.method, request.path))
        if answer is None:
            return _refusal(404, "There is nothing here")
        return await answer(request)

    def _knows(self, request: web.BaseRequest) -> bool:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        # A page of another site could send what is in an address, so that will do for looking only.
        if kind.lower() != "bearer":
            given = request.query.get("token", "") if request.method == "GET" else ""
        return hmac.compare_digest(given.encode(errors="surrogatepass"), self._token)

    async def _show(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=page(), content_type="text/html", headers=HEADERS)

    async def _events(self, request: web.BaseRequest) -> web.StreamResponse:
        self._looked()
        return await self._watchers.tell(request, self._states())

    async def _states(self) -> AsyncIterator[bytes]:
        told = 0
        while True:
            news = self._news
            if self._number > told:
                told = self._number
                yield self._state
            else:
                await news.wait()

    async def _last(self, request: web.BaseRequest) -> web.StreamResponse:
        """One state, as JSON, for programs."""
        self._looked()
        news = self._news
        try:
            async with asyncio.timeout(_ANSWERS_S):
                await news.wait()
        except TimeoutError:
            return _refusal(503, "The coordinator does not answer")
        return web.Response(body=self._state, content_type="application/json", headers=HEADERS)

    async def _stopped(self, request: web.BaseRequest) -> web.StreamResponse:
        logger.warning("The stop switch of the page was confirmed")
        self._stop()
        return web.Response(status=202, text="Stopping")


def _refusal(status: int, why: str) -> web.Response:
    return web.Response(status=status, text=why + "\n", headers={**HEADERS, "Connection": "close"})
