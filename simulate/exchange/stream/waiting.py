"""Clients whose subscription was refused, and whose connection stays: SUBSCRIPTION_LIMIT_EXCEEDED.

They are told that the connection lives, and nothing else, for as long as they wait (what betfairlightweight shows of
such a connection: heartbeats for ever, no error and no data).
"""

from __future__ import annotations

import asyncio

from .framing import line
from .host import Client, Host


class Waiting:
    """Heartbeats of one client that waits."""

    def __init__(self, server: Host, client: Client) -> None:
        self._server = server
        self._client = client
        self._timer: asyncio.TimerHandle | None = None
        self._operation = ""
        self._id: int | None = None

    def __bool__(self) -> bool:
        """Whether it waits."""
        return self._timer is not None

    def begin(self, operation: str, request_id: int | None) -> None:
        """A subscription was refused. One of the kind that is in force goes on, and has heartbeats of its own."""
        if operation in self._client.subscriptions:
            return
        self.end()
        self._operation, self._id = operation, request_id
        self._arm()

    def end(self) -> None:
        """Something is subscribed, or the connection has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        seconds = self._server.settings.timers.heartbeat_ms / 1000
        self._timer = self._server.loop.call_later(seconds, self._beat)

    def _beat(self) -> None:
        self._arm()
        kind = self._server.subscription(self._operation)
        if kind is not None and not self._client.slow:
            told = {} if self._id is None else {"id": self._id}
            beat = {"op": kind.op, **told, "pt": self._server.publish_time, "ct": "HEARTBEAT"}
            self._client.send(line(beat), self._operation)
