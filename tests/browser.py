"""A headless Chromium that tests speak to while it shows a page."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: Seconds that the browser may take for anything.
PATIENCE_S = 60.0
_LISTENING = re.compile(rb"DevTools listening on (ws://\S+)")


def browser() -> str | None:
    """The browser of this machine; None if there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


class Tab:
    """One page."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session: str | None = None) -> None:
        self._socket = socket
        self._session = session
        self._ids = itertools.count(1)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        await self._socket.send_json(message)
        async with asyncio.timeout(PATIENCE_S):
            async for received in self._socket:
                answer = json.loads(received.data)
                if answer.get("id") == number:
                    assert "error" not in answer, answer
                    result: dict[str, Any] = answer["result"]
                    return result
        raise AssertionError(f"the browser has gone, at {method}")

    async def value(self, expression: str) -> Any:
        """The value of an expression of JavaScript on the page."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until an expression is true on the page, which may not be there yet; its value."""
        async with asyncio.timeout(PATIENCE_S):
            while not (found := await self.value(f"(() => {{ try {{ return {expression} }} catch {{}} }})()")):
                await asyncio.sleep(0.05)
        return found

    async def screenshot(self, path: Path) -> None:
        """A picture of the whole page."""
        picture = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(picture["data"]))


@contextlib.asynccontextmanager
async def showing(url: str, width: int = 1280, height: int = 900) -> AsyncIterator[Tab]:
    """A tab that shows a page."""
    # Its sockets are below the profile: the path must be short.
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as profile:
        async with _started(profile) as (root, socket):
            target = await root.call("Target.createTarget", url="about:blank")
            session = await root.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            tab = Tab(socket, session["sessionId"])
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            await tab.call("Emulation.setDeviceMetricsOverride", **size)
            await tab.call("Page.navigate", url=url)
            yield tab


@contextlib.asynccontextmanager
async def _started(profile: str) -> AsyncIterator[tuple[Tab, aiohttp.ClientWebSocketResponse]]:
    found = browser()
    assert found is not None
    process = await asyncio.create_subprocess_exec(
        found,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--no-first-run",
        f"--user-data-dir={profile}",
        "--remote-debugging-port=0",
        "about:blank",
        env={**os.environ, "TMPDIR": profile},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE_S):
            while (listening := _LISTENING.search(line := await process.stderr.readline())) is None:
                assert line, "the browser has ended"
        draining = asyncio.ensure_future(process.stderr.read())
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(listening[1].decode(), max_msg_size=0) as socket,
        ):
            root = Tab(socket)
            yield root, socket
            await root.call("Browser.close")
        draining.cancel()
        await asyncio.wait_for(process.wait(), timeout=PATIENCE_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.wait_for(process.wait(), timeout=PATIENCE_S)
