"""One day of a journal: a SQLite file in WAL mode.

Entries of markets that are over are packed: some hundred of them in one row, compressed, without what was kept for a
restart. What stands in a file is never changed otherwise, and a file that is complete is never written again but to
pack what has become over.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from ...values import UNREADABLE
from .lease import JournalError

#: Of the format: files of a later one are not touched.
VERSION = 1
#: Marks a file as a journal of headrace ("hdrj").
_APPLICATION = 0x6864726A
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
create table if not exists markets (market_id text primary key, open integer not null) without rowid;
create table if not exists packs (
    id integer primary key,
    market_id text not null,
    first integer not null,
    last integer not null,
    from_at integer not null,
    to_at integer not null,
    count integer not null,
    data blob not null
);
create index if not exists packs_of_markets on packs (market_id);
create index if not exists packs_of_numbers on packs (last, first, to_at, market_id);
"""
#: A row of the table of entries: number, at, market, kind, actor, message and what is kept with it.
Row = tuple[int, int, str, str, str, bytes, bytes]
#: Its columns, by name: of a damaged file not even these are certain.
COLUMNS = "number, at, market_id, kind, actor, message, kept"
#: A condition: the number of an entry is among those of a list, as JSON.
OF_NUMBERS = "number in (select value from json_each(?))"
_VALUES = "(?, ?, ?, ?, ?, ?, ?)"
_INSERT, _MORE = f"insert into entries values {_VALUES}", f", {_VALUES}"
_COLUMNS = (
    f"{COLUMNS} from entries",
    "market_id, open from markets",
    "id, market_id, first, last, from_at, to_at, count, data from packs",
)
#: Bytes that the WAL keeps once it begins anew: a commit that need not make the file longer takes half of the time.
WAL_KEPT = 4_000_000
#: Rows that one statement writes: it is a transaction by itself.
_AT_ONCE = 16
#: Bytes that a transaction writes to it beside what is in its rows, about: every page that it changes is written whole.
_OF_TRANSACTION = 16_000
#: Results of SQLite that mean that the file is not what it was: the general one is for tables and columns that are not
#: there, and for a format of the file that there is not; the last for a length that nothing in it has.
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG)
#: What comes of SQLite: the text of an error may quote what is damaged, and then be no text.
SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
#: Numbers that are passed over, at most, where a damaged file is read.
_FURTHEST = 1 << 24

_ENCODER = msgspec.msgpack.Encoder()
_PACK: msgspec.msgpack.Decoder[list[tuple[int, int, str, str, bytes]]] = msgspec.msgpack.Decoder(
    list[tuple[int, int, str, str, bytes]]
)


def is_damage(error: Exception) -> bool:
    """Whether an error says that the file is damaged, and not that it cannot be used now."""
    if isinstance(error, UnicodeDecodeError):
        return True
    if not isinstance(error, sqlite3.Error):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGED


def packed_rows(rows: Iterable[Row]) -> bytes:
    """Number, at, kind, actor and message of entries, as the data of a pack."""
    told = [(number, at, kind, actor, message) for number, at, _, kind, actor, message, _ in rows]
    return zlib.compress(_ENCODER.encode(told), 1)


def unpacked_rows(data: bytes, market_id: str) -> Iterator[Row]:
    """The entries of a pack.

    Raises:
        ValueError: it is damaged.
    """
    try:
        found = _PACK.decode(zlib.decompress(data))
    except (zlib.error, *UNREADABLE) as error:
        raise ValueError(f"a pack of market {market_id} cannot be read: {error}") from None
    for number, at, kind, actor, message in found:
        yield number, at, market_id, kind, actor, message, b""


class DayFile:
    """A file of the journal, for writing. One thread at a time may use it.

    Args:
        path: it is made where it is not there.

    Raises:
        JournalError: it is of a later version of headrace.
        sqlite3.Error, OSError: it cannot be opened; see `is_damage`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Private from its first moment. One that is there is not opened here: to close it would end SQLite's own locks.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        self.inode = os.stat(path).st_ino
        self._db = connected(path)
        try:
            made = check_version(self._db, path)
            for columns in _COLUMNS if made else ():
                self._db.execute(f"select {columns} limit 0")  # else what is written could not be read
            self._db.execute("pragma journal_mode = wal")
            # Done by `checkpoint`, where nobody waits for it.
            self._db.execute("pragma wal_autocheckpoint = 0")
            self._db.execute(f"pragma journal_size_limit = {WAL_KEPT}")
            self._db.execute("pragma synchronous = normal")
            if not made:
                self._db.executescript(
                    f"begin; {_TABLES} pragma application_id = {_APPLICATION}; pragma user_version = {VERSION}; commit;"
                )
                _sync(path.parent)
        except BaseException:
            self._db.close()
            raise
        self._durable: sqlite3.Connection | None = None
        self._wal = 0
        #: Bytes that were written since the last checkpoint, about.
        self.unsaved = 0

    # -- writing -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _transaction(self, durable: bool = False) -> Iterator[sqlite3.Connection]:
        db = self._connection(durable)
        db.execute("begin immediate")
        try:
            yield db
            db.execute("commit")
            self.unsaved += _OF_TRANSACTION
        except BaseException:
            if db.in_transaction:  # some errors have rolled it back already
                db.execute("rollback")
            raise

    def _connection(self, durable: bool) -> sqlite3.Connection:
        """The one whose commits are on the disk when they return, or the other one."""
        if not durable:
            return self._db
        if self._durable is None:
            self._durable = connected(self.path)
            self._durable.execute("pragma wal_autocheckpoint = 0")
            self._durable.execute(f"pragma journal_size_limit = {WAL_KEPT}")
            self._durable.execute("pragma synchronous = full")
        return self._durable

    def add(self, rows: Sequence[Row], markets: Iterable[str], durable: bool) -> None:
        """Write rows, and that markets are open.

        Each call of SQLite lets other threads of Python go first, and then waits until they let it go on. So a few rows
        are one call: begin, write, commit and have on the disk.
        """
        opened = [(market_id,) for market_id in markets]
        if opened or len(rows) > _AT_ONCE:
            with self._transaction(durable) as db:
                db.executemany(_INSERT, rows)
                db.executemany("insert or replace into markets values (?, 1)", opened)
        else:
            insert = _INSERT + _MORE * (len(rows) - 1)
            self._connection(durable).execute(insert, list(itertools.chain.from_iterable(rows)))
            self.unsaved += _OF_TRANSACTION
        self.unsaved += sum(len(row[5]) + len(row[6]) for row in rows)

    def probe(self) -> None:
        """Write something, and have it on the disk: enough to find a disk that is full."""
        with self._transaction(durable=True) as db:
            db.execute("create table if not exists probe (data blob)")
            db.execute("insert into probe values (zeroblob(65536))")
            db.execute("drop table probe")

    def close_markets(self, market_ids: Iterable[str]) -> None:
        """Write that markets are over."""
        with self._transaction() as db:
            db.executemany("insert or replace into markets values (?, 0)", [(each,) for each in market_ids])

    def keep_only(self, kept: dict[int, bytes]) -> None:
        """Replace what is kept with entries, by their numbers."""
        nothing = json.dumps([number for number, data in kept.items() if not data])
        changes = [(data, number) for number, data in kept.items() if data]
        with self._transaction() as db:
            db.execute(f"update entries set kept = x'' where {OF_NUMBERS}", (nothing,))
            db.executemany("update entries set kept = ? where number = ?", changes)
        self.unsaved += sum(map(len, kept.values()))

    # -- packing -------------------------------------------------------------------------------------------------

    def pack(self, market_id: str, rows: Sequence[Row], data: bytes) -> None:
        """Put entries of one market, in order, in a pack. `data`: of them, see `packed_rows`."""
        first, last = rows[0][0], rows[-1][0]
        times = [row[1] for row in rows]
        numbers = json.dumps([row[0] for row in rows])
        with self._transaction() as db:
            db.execute(
                "insert into packs (market_id, first, last, from_at, to_at, count, data) values (?, ?, ?, ?, ?, ?, ?)",
                (market_id, first, last, min(times), max(times), len(rows), data),
            )
            db.execute(f"delete from entries where {OF_NUMBERS}", (numbers,))
        self.unsaved += len(data) + sum(len(row[5]) for row in rows)

    def drop_packs(self, count: int) -> int:
        """Remove the oldest packs. Returns: how many there were."""
        with self._transaction() as db:
            return db.execute(
                "delete from packs where id in (select id from packs order by last limit ?)", (count,)
            ).rowcount

    def fill_wal(self) -> None:
        """Make the WAL as long as it stays."""
        with self._transaction() as db:
            db.execute("create table filler (data blob)")
            db.execute("insert into filler values (zeroblob(?))", (WAL_KEPT * 95 // 100,))
            db.execute("drop table filler")
        self.unsaved += WAL_KEPT

    def shorten_wal(self) -> None:
        """Bring all that is in the WAL into the file, whoever waits meanwhile, and cut it."""
        self._db.execute("pragma wal_checkpoint(truncate)").fetchall()

    def vacuum(self) -> None:
        """Give back what nothing is in. It takes as long as the file is long."""
        self._db.execute("vacuum")
        self.shorten_wal()

    # -- looking -------------------------------------------------------------------------------------------------

    def markets(self) -> dict[str, bool]:
        """The markets that it has entries of, or knows the state of: whether they are open."""
        return {market: bool(is_open) for market, is_open in self._db.execute("select market_id, open from markets")}

    def last(self) -> int:
        """The greatest number in it; 0: it has no entries."""
        (found,) = self._db.execute(
            "select max(coalesce((select max(number) from entries), 0), coalesce((select max(last) from packs), 0))"
        ).fetchone()
        return int(found)

    def spare(self) -> int:
        """Bytes of the file that nothing is in, and that are written next."""
        size, free = (self._db.execute(f"pragma {name}").fetchone()[0] for name in ("page_size", "freelist_count"))
        return int(size * free)

    @property
    def wal_bytes(self) -> int:
        """Size of what waits for a checkpoint."""
        try:
            return os.stat(f"{self.path}-wal").st_size
        except OSError:
            return 0

    @property
    def moved(self) -> bool:
        """Whether the file is not there any more: what is written would be gone."""
        try:
            return os.stat(self.path).st_ino != self.inode
        except OSError:
            return True

    @property
    def wal_moved(self) -> bool:
        """Whether the WAL is not there any more: what is written would be gone, unless it is brought into the file."""
        try:
            inode = os.stat(f"{self.path}-wal").st_ino
        except OSError:
            return self._wal != 0
        self._wal = self._wal or inode
        return inode != self._wal

    def close(self) -> None:
        """Close it; where nobody else has it open, what waits for a checkpoint is written."""
        if self._durable is not None:
            self._durable.close()
        self._db.close()


def connected(path: Path) -> sqlite3.Connection:
    """A connection to a file."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)


def check_version(db: sqlite3.Connection, path: Path) -> bool:
    """Refuse a file of a later format.

    Returns:
        Whether its tables have been made.

    Raises:
        JournalError: it is one.
        sqlite3.Error: it is no file of SQLite, or is damaged.
    """
    (version,) = db.execute("pragma user_version").fetchone()
    if version > VERSION:
        raise JournalError(
            f"{path}: this journal was written by a later version of headrace (format {version}, this one knows "
            f"{VERSION}): use that version, or move the file away to begin without it"
        )
    # Reads the first page.
    db.execute("select count(*) from sqlite_master").fetchone()
    return bool(version)


def salvaged(path: Path, market_ids: Iterable[str] | None = None) -> Iterator[Row]:
    """What can still be read of a damaged file: the entries of markets that were open in it, in order.

    Args:
        market_ids: those that count; None: what the file itself says.
    """
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
    except SQLITE_ERRORS:
        return
    with contextlib.closing(db):
        try:
            # Else SQLite does not open a file that is shorter than it was.
            db.execute("pragma writable_schema = on")
            wanted = (
                set(market_ids)
                if market_ids is not None
                else {market for (market,) in db.execute("select market_id from markets where open = 1")}
            )
        except SQLITE_ERRORS:
            return
        at, step = 0, 1
        while step < _FURTHEST:
            before = at
            try:
                for row in db.execute(f"select {COLUMNS} from entries where number > ? order by number", (at,)):
                    at = row[0]
                    if row[2] in wanted:
                        yield row
                return
            except SQLITE_ERRORS:
                step = 1 if at > before else step * 2
                at += step


def _sync(folder: Path) -> None:
    """Have a folder's list of files on the disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
