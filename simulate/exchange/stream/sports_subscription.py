"""Subscriptions to races and to cricket: a request has an id and no filter.

Sources: Betfair's race and cricket streams, as betfairlightweight reads them.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from .clocks import Image
from .host import Client, Host
from .sports_board import CRICKET, RACES
from .subscription import Subscription

_encode = msgspec.json.Encoder().encode


class SportsSubscription(Subscription):
    """What one client is told of all races, or of all cricket matches."""

    fault_group: ClassVar[str] = "market"

    def __init__(self, server: Host, connection: Client, request: dict[str, Any]) -> None:
        super().__init__(server, connection, request)
        self._pending: list[bytes] = []
        self.check_clocks()

    @property
    def criteria(self) -> tuple[object, ...]:
        return ()

    @property
    def latest(self) -> int:
        return self.server.board.sequence[self.op]

    def sports(self, at: int, operation: str, change: dict[str, Any]) -> None:
        if operation == self.op and self.started:
            self._pending.append(_encode(change))

    @property
    def due(self) -> bool:
        return bool(self._pending)

    def take(self, most: int | None = None) -> list[bytes]:
        taken, self._pending = self._pending[:most], [] if most is None else self._pending[most:]
        return taken

    def whole(self) -> list[bytes]:
        self._pending.clear()
        return self._changed(0)

    def since(self, image: Image, sequence: int) -> list[bytes]:
        return self._changed(sequence)

    def _changed(self, after: int) -> list[bytes]:
        return [_encode(match) for match in self.server.board.matches(after)] if self.op == CRICKET else []


class RaceSubscription(SportsSubscription):
    """Races, where they are: without an image, changes only."""

    operation: ClassVar[str] = "raceSubscription"
    op: ClassVar[str] = RACES
    lookup: ClassVar[str] = "rc"


class CricketSubscription(SportsSubscription):
    """Cricket matches: an image of each, and changes."""

    operation: ClassVar[str] = "cricketSubscription"
    op: ClassVar[str] = CRICKET
    lookup: ClassVar[str] = "cc"
