"""The way from one mailbox to another: how far letters have been sent on it, and how far they have been dealt with."""

from __future__ import annotations

import collections
import time
from typing import Protocol

from .bounds import Bounds


class Socket(Protocol):
    """What a way needs of a socket."""

    def send(self, data: bytes, flags: int = 0) -> object: ...

    def close(self, linger: int | None = None) -> None: ...


class Way:
    """The way to a receiver.

    The sender asks for credit now and then; the receiver gives it once it has dealt with all letters up to the one that
    asked. So the sender knows how many of them wait, within a quarter of the bound, and how long the eldest has waited,
    within a tenth.

    Attributes:
        place: of the last letter in the sequence; those left out have theirs.
        full: letters that may be left out are: until the receiver has dealt with all that was sent before.
    """

    __slots__ = ("_asked", "_asked_at", "_asked_to", "_bounds", "_credit", "address", "full", "place", "socket")

    def __init__(self, address: str, socket: Socket, bounds: Bounds, place: int) -> None:
        self.address = address
        self.socket = socket
        self.place = place
        self.full = False
        self._bounds = bounds
        self._credit = place
        # Places at which credit was asked for and not given yet, and when.
        self._asked: collections.deque[tuple[int, float]] = collections.deque()
        self._asked_to = place
        self._asked_at = 0.0

    def send(self, frame: bytes) -> None:
        """Send; it never waits."""
        self.socket.send(frame, 1)

    def fill(self) -> None:
        """Leave out what may be left out from now on; the receiver is asked for credit at this place."""
        self.full = True
        self._asked.append((self.place, time.monotonic()))

    def has_room(self) -> bool:
        """Whether a letter that may be left out is to be sent."""
        if self.full:
            return False
        if self.place - self._credit >= self._bounds.letters:
            return False
        return not self._asked or time.monotonic() - self._asked[0][1] < self._bounds.seconds

    def asks(self, droppable: bool) -> bool:
        """Whether the letter that is sent next asks for credit. `place` is its own already."""
        now = 0.0
        if self.place - self._asked_to < max(1, self._bounds.letters // 4):
            if not droppable:
                return False
            now = time.monotonic()
            if now - self._asked_at < self._bounds.seconds / 10:
                return False
        self._asked_at = now or time.monotonic()
        self._asked_to = self.place
        self._asked.append((self.place, self._asked_at))
        return True

    def credit(self, place: int) -> None:
        """The receiver has dealt with everything up to here."""
        self._credit = max(self._credit, place)
        while self._asked and self._asked[0][0] <= place:
            self._asked.popleft()
        if self.full and not self._asked:
            self.full = False
            self._credit = self._asked_to = self.place
