"""Grants: one stream of an account connects at a time.

Many connections at once meet the exchange's limits of connections and of logins (live.md 1.7). A stream asks, is given
the session, and holds the turn until it is subscribed or down, or for so long that it must be stuck.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

#: Venue and username.
Owner = tuple[str, str]
#: Milliseconds that a stream may hold its turn without saying how it stands.
_PATIENCE_MS = 20_000


@dataclasses.dataclass(slots=True)
class _Queue:
    waiting: list[str] = dataclasses.field(default_factory=list)
    turn: str = ""
    since: int = 0


class Grants:
    """Whose turn it is.

    Args:
        grant: gives a stream of an account leave to connect: owner, stream. It answers False if that has to wait, as
            for a login; `serve` is then to be called when it need not any more.
    """

    def __init__(self, grant: Callable[[Owner, str], bool]) -> None:
        self._grant = grant
        self._queues: dict[Owner, _Queue] = {}

    def want(self, owner: Owner, stream: str, at_ms: int) -> None:
        """A stream wants to connect. One whose turn it is asks anew: its connection has failed."""
        queue = self._queues.setdefault(owner, _Queue())
        if queue.turn == stream:
            queue.turn = ""
        if stream not in queue.waiting:
            queue.waiting.append(stream)
        self.serve(owner, at_ms)

    def settled(self, stream: str, at_ms: int) -> None:
        """A stream is subscribed, is down, or has ended: the next one may connect."""
        for owner, queue in self._queues.items():
            if queue.turn == stream:
                queue.turn = ""
                self.serve(owner, at_ms)

    def gone(self, stream: str, at_ms: int) -> None:
        """A stream is no more."""
        for queue in self._queues.values():
            if stream in queue.waiting:
                queue.waiting.remove(stream)
        self.settled(stream, at_ms)

    def serve(self, owner: Owner, at_ms: int) -> None:
        """Give the turn to the next stream of an account."""
        queue = self._queues.get(owner)
        if queue is None:
            return
        if queue.turn and at_ms - queue.since >= _PATIENCE_MS:
            queue.turn = ""
        if not queue.turn and queue.waiting and self._grant(owner, queue.waiting[0]):
            queue.turn, queue.since = queue.waiting.pop(0), at_ms

    def look(self, at_ms: int) -> None:
        """Time has passed."""
        for owner in self._queues:
            self.serve(owner, at_ms)
