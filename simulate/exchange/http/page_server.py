"""The exchange's page at its HTTP address, kept up to date by server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from aiohttp import web

from ....actors.page.frame import HEADERS
from ....actors.page.watchers import Watchers
from .page import PageState, page


class PageServer:
    """Serves the page, and its state to whoever looks.

    Args:
        state: what is shown.
        every: seconds between two states.
        watchers: most pages that are told; beyond, the oldest is ended.
    """

    def __init__(self, state: PageState, every: float = 0.5, watchers: int = 20) -> None:
        self._state = state
        self._every = every
        self._watchers = Watchers(watchers)
        self._encoder = msgspec.json.Encoder()

    def pages(self) -> dict[str, Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]]:
        """What it serves, by path."""
        return {"/": self.show, "/rehearsal/events": self.events}

    async def show(self, request: web.BaseRequest) -> web.StreamResponse:
        """The page itself."""
        return web.Response(text=page(), content_type="text/html", headers=HEADERS)

    async def events(self, request: web.BaseRequest) -> web.StreamResponse:
        """States, one after another, as long as somebody reads them."""
        return await self._watchers.tell(request, self._states())

    async def _states(self) -> AsyncIterator[bytes]:
        last = b""
        while True:
            state = self._encoder.encode(self._state.state())
            if state != last:
                yield state
                last = state
            await asyncio.sleep(self._every)

    def close(self) -> None:
        """End all of them."""
        self._watchers.close()
