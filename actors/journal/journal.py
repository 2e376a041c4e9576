"""The journal of a live system: what it has asked the exchange for, written down before a byte of it is sent, and all
that was heard of it since.

SQLite in WAL mode. A write that is durable has reached the disk when `add` returns; others have reached the operating
system, and survive the end of the process. One process holds a journal at a time: whoever holds it may send.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from ...strategies.errors import RunError
from .entries import Entry, Written

#: Seconds for which the end of a former holder, which is dying, is waited for.
_DYING_S = 5.0
_TABLES = """
create table if not exists entries (
    number integer primary key,
    at integer not null,
    market_id text not null,
    kind text not null,
    actor text not null,
    message blob not null,
    kept blob not null
);
create index if not exists entries_of_markets on entries (market_id);
create table if not exists open_markets (market_id text primary key) without rowid;
"""
_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Written] = msgspec.msgpack.Decoder(Written)


class JournalError(RunError):
    """The journal cannot be written, or read; the message says where, why, and what to do."""


class Journal:
    """The journal of an instance, held for writing.

    Args:
        folder: of the journal, private; it is made where it is not there.

    Raises:
        JournalError: another process holds it, or it cannot be opened.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = self._locked()
        path = self.folder / "journal.sqlite"
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("pragma journal_mode = wal")
            self._db.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            os.close(self._lock)
            raise JournalError(f"{path}: cannot be opened: {error}") from error

    def _locked(self) -> int:
        path = self.folder / "lock"
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + _DYING_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return lock
            except OSError as error:
                if time.monotonic() > until:
                    os.close(lock)
                    raise JournalError(f"{path}: another process holds this journal: {error}") from None
            time.sleep(0.02)

    # -- writing -------------------------------------------------------------------------------------------------

    def add(self, entries: Iterable[Entry], durable: bool = False) -> None:
        """Write entries, all or none.

        Args:
            durable: they are on the disk when this returns; False: they survive the process, not a loss of power.

        Raises:
            JournalError: they cannot be written; a full disk is one reason.
        """
        rows = [
            (each.at, each.market_id, type(each.message).__name__, each.actor, _ENCODER.encode(each.message), each.kept)
            for each in entries
        ]
        opened = {(row[1],) for row in rows if row[1]}
        try:
            self._db.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
            self._db.execute("begin immediate")
            try:
                self._db.executemany(
                    "insert into entries (at, market_id, kind, actor, message, kept) values (?, ?, ?, ?, ?, ?)", rows
                )
                self._db.executemany("insert or ignore into open_markets values (?)", opened)
                self._db.execute("commit")
            except BaseException:
                self._db.execute("rollback")
                raise
        except sqlite3.Error as error:
            raise JournalError(f"{self.folder}: {error}") from error

    def close_market(self, market_id: str) -> None:
        """A market is over and its results are there: a restart need not know of it."""
        self._db.execute("delete from open_markets where market_id = ?", (market_id,))

    # -- reading -------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Entry]:
        """What a restart has to know, in the order of writing: entries of open markets, and those of no market."""
        found = self._db.execute(
            "select at, market_id, actor, message, kept, number from entries"
            " where market_id = '' or market_id in (select market_id from open_markets) order by number"
        )
        for at, market_id, actor, message, kept, number in found:
            yield Entry(_DECODER.decode(message), at, market_id, actor, kept, number)

    def of_markets(self, market_ids: Iterable[str]) -> Iterator[Entry]:
        """All entries of some markets, in the order of writing."""
        wanted = list(dict.fromkeys(market_ids))
        found = self._db.execute(
            "select at, market_id, actor, message, kept, number from entries"
            f" where market_id in ({','.join('?' * len(wanted))}) order by number",
            wanted,
        )
        for at, market_id, actor, message, kept, number in found:
            yield Entry(_DECODER.decode(message), at, market_id, actor, kept, number)

    def close(self) -> None:
        """Give it up."""
        self._db.close()
        os.close(self._lock)
