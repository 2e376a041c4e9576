"""Whoever looks at a page: each is sent states by server-sent events, as long as it reads them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web


class Watchers:
    """The pages that are open.

    Args:
        most: pages that are told at once; beyond, the oldest is ended.
    """

    def __init__(self, most: int = 20) -> None:
        self._most = most
        self._open: dict[asyncio.Task[Any], None] = {}

    def __len__(self) -> int:
        return len(self._open)

    async def tell(self, request: web.BaseRequest, states: AsyncIterator[bytes]) -> web.StreamResponse:
        """Answer a request with states, JSON without line breaks, as they come."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = None
        if len(self._open) > self._most:
            next(iter(self._open)).cancel()
        try:
            # A page that is closed is noticed when it is written to.
            with contextlib.suppress(ConnectionError):
                async for state in states:
                    await response.write(b"data: " + state + b"\n\n")
        finally:
            self._open.pop(task, None)
        return response

    def close(self) -> None:
        """End all of them."""
        for task in list(self._open):
            task.cancel()
