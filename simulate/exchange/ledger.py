"""The witness: what the exchange was asked, did and sent, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import msgspec

from .timeline import wall_ms


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line of the ledger.

    Attributes:
        number: counts from 1.
        at: exchange time, milliseconds since the epoch.
        wall: machine's time, milliseconds since the epoch.
        kind: REQUEST, REPLY, BET, MARKET, MESSAGE, CONNECTION, ACCOUNT, FAULT or ERROR.
        values: what of it; no password and no session token.
    """

    number: int
    at: int
    wall: int
    kind: str
    values: dict[str, Any]


#: The kinds of entries.
KINDS = ("REQUEST", "REPLY", "BET", "MARKET", "MESSAGE", "CONNECTION", "ACCOUNT", "FAULT", "ERROR")


class Ledger:
    """Entries in order: the last `keep` of them in memory, all of them in a file if one is given.

    Args:
        path: a file of lines of JSON; an existing one is replaced.

    Attributes:
        number: of the last entry.
        watchers: called with each entry that is kept in memory.
    """

    def __init__(self, path: Path | None = None, keep: int = 200_000) -> None:
        self.number = 0
        self.watchers: list[Callable[[Entry], object]] = []
        self._entries: deque[Entry] = deque(maxlen=keep)
        self._file: IO[bytes] | None = None if path is None else path.open("wb")
        self._encoder = msgspec.json.Encoder()

    def write(self, kind: str, at: int, **values: Any) -> Entry:
        """Add an entry. `at`: exchange time."""
        self.number += 1
        entry = Entry(self.number, at, wall_ms(), kind, values)
        self._entries.append(entry)
        for watcher in self.watchers:
            watcher(entry)
        if self._file is not None:
            self._file.write(self._encoder.encode(entry) + b"\n")
        return entry

    @property
    def has_file(self) -> bool:
        """Entries are written to a file as well."""
        return self._file is not None

    def pass_by(self, kind: str, at: int, **values: Any) -> None:
        """Add an entry to the file, if there is one, but keep it not in memory: there are very many of its kind."""
        if self._file is not None:
            self.number += 1
            self._file.write(self._encoder.encode(Entry(self.number, at, wall_ms(), kind, values)) + b"\n")

    def entries(self, after: int = 0, kind: str | None = None) -> list[Entry]:
        """The entries with a greater number than `after`, of one kind or of all."""
        return [each for each in self._entries if each.number > after and kind in (None, each.kind)]

    def flush(self) -> None:
        """Write out what waits for the disk."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
