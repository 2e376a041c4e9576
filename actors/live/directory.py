"""The directory: where each live actor is, and who has been told of whom."""

from __future__ import annotations

import dataclasses

from ..letters import Introduce, Letter
from ..mailboxes.mail import Mail


@dataclasses.dataclass(slots=True)
class Entry:
    """A live actor.

    Attributes:
        kind: HOST, STREAM, PAGE or another word; empty until it has said so.
        pid: its process; 0 until it has said so.
    """

    name: str
    address: str
    kind: str = ""
    incarnation: int = 0
    pid: int = 0


class Directory:
    """Where actors are. Whoever is introduced to another hears of its later addresses, and of its end.

    Args:
        mail: the coordinator's.
    """

    def __init__(self, mail: Mail) -> None:
        self._mail = mail
        self.entries: dict[str, Entry] = {}
        self._knows: dict[str, set[str]] = {}

    def arrived(self, name: str, address: str, kind: str = "", incarnation: int = 0, pid: int = 0) -> bool:
        """An actor is at an address; True if that is news. One that came back has to be introduced to others anew."""
        known = self.entries.get(name)
        if known is not None and known.address == address:
            known.kind, known.pid = kind or known.kind, pid or known.pid
            return False
        self._mail.know(name, address)
        self.entries[name] = Entry(name, address, kind, incarnation, pid)
        self._knows.pop(name, None)
        for other, whom in self._knows.items():
            if name in whom:
                self._mail.send(other, Introduce(name, address))
        return True

    def introduce(self, to: str, whom: str) -> None:
        """See that `to` knows where `whom` is, or hears of it once that is known."""
        known = self._knows.setdefault(to, set())
        if whom in known or to not in self.entries:
            return
        known.add(whom)
        entry = self.entries.get(whom)
        if entry is not None:
            self._mail.send(to, Introduce(whom, entry.address))

    def gone(self, name: str) -> Entry | None:
        """An actor has ended. Those who know it are told."""
        entry = self.entries.pop(name, None)
        self._knows.pop(name, None)
        if entry is not None:
            for other, whom in self._knows.items():
                if name in whom:
                    self._mail.send(other, Introduce(name, ""))
            self._mail.forget(name)
        return entry

    def named(self, *kinds: str) -> list[str]:
        """The actors of some kinds, in the order in which they came."""
        return [entry.name for entry in self.entries.values() if entry.kind in kinds]

    def tell(self, kind: str, letter: Letter) -> None:
        """Send a letter to all actors of a kind."""
        for name in self.named(kind):
            self._mail.send(name, letter)
