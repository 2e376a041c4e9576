"""The exchange's page at its HTTP address, kept up to date by server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from .page import PageState, page

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"


class PageServer:
    """Serves the page, and its state to whoever looks.

    Args:
        state: what is shown.
        every: seconds between two states.
        watchers: most pages that are told; beyond, the oldest is.
    """

    def __init__(self, state: PageState, every: float = 0.5, watchers: int = 20) -> None:
        self._state = state
        self._every = every
        self._most = watchers
        self._watchers: dict[asyncio.Task[Any], None] = {}
        self._encoder = msgspec.json.Encoder()

    def pages(self) -> dict[str, Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]]:
        """What it serves, by path."""
        return {"/": self.show, "/rehearsal/events": self.events}

    async def show(self, request: web.BaseRequest) -> web.StreamResponse:
        """The page itself."""
        headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return web.Response(text=page(), content_type="text/html", headers=headers)

    async def events(self, request: web.BaseRequest) -> web.StreamResponse:
        """States, one after another, as long as somebody reads them."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        task = asyncio.current_task()
        assert task is not None
        self._watchers[task] = None
        if len(self._watchers) > self._most:
            next(iter(self._watchers)).cancel()
        try:
            last = b""
            # A page that is closed is noticed when it is written to.
            with contextlib.suppress(ConnectionError):
                while True:
                    state = self._encoder.encode(self._state.state())
                    if state != last:
                        await response.write(b"data: " + state + b"\n\n")
                        last = state
                    await asyncio.sleep(self._every)
        finally:
            self._watchers.pop(task, None)
        return response

    def close(self) -> None:
        """End all of them."""
        for task in list(self._watchers):
            task.cancel()
