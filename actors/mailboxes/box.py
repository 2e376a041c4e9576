"""What all mail has: who it is of, a bell, and counts of what became of letters."""

from __future__ import annotations

from .bell import Bell


class Box:
    """The mail of an actor, but for how letters travel.

    Attributes:
        name: the actor's.
        incarnation: how often an actor of this name was started before.
        address: where others send to it.
        why: it ends, if nobody has asked it to; read when it is closed.
    """

    def __init__(self, name: str, incarnation: int, address: str) -> None:
        self.name = name
        self.incarnation = incarnation
        self.address = address
        self.why = ""
        self._bell = Bell()
        self._stopped = False
        self._received = self._sent = self._lost = self._dropped = self._undelivered = self._stale = 0

    @property
    def stopped(self) -> bool:
        """The loop is to end. Any thread may say so; an actor that waits wakes."""
        return self._stopped

    @stopped.setter
    def stopped(self, value: bool) -> None:
        self._stopped = value
        self._bell.ring()

    @property
    def counts(self) -> dict[str, int]:
        """See `Mail`."""
        return {
            "received": self._received,
            "sent": self._sent,
            "lost": self._lost,
            "dropped": self._dropped,
            "undelivered": self._undelivered,
            "stale": self._stale,
        }
