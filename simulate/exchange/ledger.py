"""The witness: what the exchange was asked, did and sent, in order."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import msgspec


def brief(asked: Any, longest: int) -> Any:
    """What a client asked, for the ledger; if it is longer than so many characters, its length alone."""
    length = len(repr(asked))
    return asked if length <= longest else {"left_out": length}


def _wall() -> float:
    return time.time_ns() // 1000 / 1000


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line of the ledger.

    Attributes:
        number: counts from 1.
        at: exchange time, milliseconds since the epoch.
        wall: machine's time, milliseconds since the epoch, to the microsecond: what is between two entries can be told.
        kind: REQUEST, REPLY, BET, MARKET, MESSAGE, CONNECTION, ACCOUNT, FAULT or ERROR.
        values: what of it; no password and no session token.
    """

    number: int
    at: int
    wall: float
    kind: str
    values: dict[str, Any]


#: The kinds of entries.
KINDS = ("REQUEST", "REPLY", "BET", "MARKET", "MESSAGE", "CONNECTION", "ACCOUNT", "FAULT", "ERROR")


class Ledger:
    """Entries in order: the last of them in memory, as JSON; all of them in a file if one is given.

    Args:
        path: a file of lines of JSON; an existing one is replaced.
        keep, keep_bytes: how many entries are in memory, and how long they are together: whichever is reached first.

    Attributes:
        number: of the last entry.
        watchers: called with each entry that is kept in memory.
    """

    def __init__(self, path: Path | None = None, keep: int = 200_000, keep_bytes: int = 200_000_000) -> None:
        self.number = 0
        self.watchers: list[Callable[[Entry], object]] = []
        self._keep = keep
        self._keep_bytes = keep_bytes
        self._entries: deque[tuple[int, str, bytes]] = deque()
        self._bytes = 0
        self._file: IO[bytes] | None = None if path is None else path.open("wb")
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(Entry)

    def write(self, kind: str, at: int, **values: Any) -> Entry:
        """Add an entry. `at`: exchange time."""
        self.number += 1
        entry = Entry(self.number, at, _wall(), kind, values)
        data = self._encoder.encode(entry)
        self._entries.append((entry.number, kind, data))
        self._bytes += len(data)
        while len(self._entries) > self._keep or self._bytes > self._keep_bytes:
            self._bytes -= len(self._entries.popleft()[2])
        for watcher in self.watchers:
            watcher(entry)
        if self._file is not None:
            self._file.write(data + b"\n")
        return entry

    @property
    def has_file(self) -> bool:
        """Entries are written to a file as well."""
        return self._file is not None

    def pass_by(self, kind: str, at: int, **values: Any) -> None:
        """Add an entry to the file, if there is one, but keep it not in memory: there are very many of its kind."""
        if self._file is not None:
            self.number += 1
            self._file.write(self._encoder.encode(Entry(self.number, at, _wall(), kind, values)) + b"\n")

    def entries(self, after: int = 0, kind: str | None = None, most: int | None = None) -> list[Entry]:
        """The entries with a greater number than `after`, of one kind or of all; at most `most`, the first."""
        found = (data for number, each, data in self._entries if number > after and kind in (None, each))
        return [self._decoder.decode(data) for data in itertools.islice(found, most)]

    def flush(self) -> None:
        """Write out what waits for the disk."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
