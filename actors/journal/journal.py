"""The journal of a live system: what it has asked the exchange for, written down before a byte of it is sent, and all
that was heard of it since.

A folder with a file of SQLite for each day (UTC). A write that is durable has reached the disk when `add` returns;
others have reached the operating system, and survive the end of the process. One process holds a journal at a time:
whoever holds it may send.

A market is open from its first entry to `close_market`, and a restart has to know all of its entries, on whichever day
they were written. What is over is packed, and goes in the end: see `keeper.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path

import msgspec

from ...strategies.messages import MarketFact, Request
from ...values import UNREADABLE
from .day_file import SQLITE_ERRORS, Row, is_damage
from .entries import Entry, Seated, Written
from .files import JournalFiles, day_files
from .keeper import Keeper
from .lease import JournalError, Lease
from .reading import DayReader, in_order

__all__ = ["Journal", "JournalError"]

#: Milliseconds for which a restart is told of entries that belong to no market.
_DAY_MS = 86_400_000
_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Written] = msgspec.msgpack.Decoder(Written)


def entry_of(row: Row) -> Entry:
    """A row as an entry.

    Raises:
        ValueError: its message cannot be read.
    """
    number, at, market_id, kind, actor, message, kept = row
    try:
        found = Entry(_DECODER.decode(message), at, market_id, actor, kept, number)
    except (*UNREADABLE, TypeError) as error:
        raise ValueError(f"entry {number}, a {kind}: {error}") from None
    if type(at) is not int or type(market_id) is not str or type(actor) is not str or type(kept) is not bytes:
        raise ValueError(f"entry {number}, a {kind}: one of its columns has what it cannot have")
    return found


class Journal:
    """The journal of an instance, held for writing. Any thread may call it; one at a time is served.

    Args:
        folder: of the journal, private; it is made where it is not there.
        days: files of days before these are removed, unless they have entries of open markets; 1 or more.
        megabytes: of 10^6 bytes: what is over is removed, the oldest first, where all files together have more.
        clock: milliseconds since the epoch, by which days change; None: the machine's.
        must_write: False: where it can be read but not written it opens all the same, and is not `writable`.

    Attributes:
        forgotten: entries up to this number are not told to a restart.

    Raises:
        JournalError: another process holds it, it is of a later version, or it cannot be written.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        days: int = 30,
        megabytes: float = 1000,
        clock: Callable[[], int] | None = None,
        must_write: bool = True,
    ) -> None:
        self.folder = Path(folder)
        self._clock = clock or _now
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.folder.stat().st_mode & 0o077:
                self.folder.chmod(0o700)
        except OSError as error:
            raise JournalError(f"{self.folder}: cannot be made, or made private: {error.strerror}") from None
        self._lease = Lease(self.folder)
        try:
            self._files = JournalFiles(self.folder, self._clock)
            if must_write and not self.writable:
                raise JournalError(self.why_not)
        except BaseException:
            self._lease.release()
            raise
        self._keeper = Keeper(self._files, days, megabytes)
        self.forgotten = 0

    @property
    def damage(self) -> list[str]:
        """What was found to be damaged since it was opened, a sentence each.

        Then part of what was written is not known, and a request that is not known may have been sent.
        """
        return self._files.damage

    # -- writing -------------------------------------------------------------------------------------------------

    @property
    def writable(self) -> bool:
        """Whether the last write succeeded. Where one failed it is tried again each second."""
        return not self._files.why_not

    @property
    def why_not(self) -> str:
        """Why it cannot be written, in a sentence; empty: it can."""
        return self._files.why_not

    @property
    def last(self) -> int:
        """The number of the last entry; 0: there is none."""
        return self._files.last

    @property
    def size(self) -> int:
        """Bytes of all its files, damaged ones included."""
        return self._files.size

    @property
    def open_markets(self) -> frozenset[str]:
        """The markets that a restart has to know of."""
        return self._files.open_markets

    def add(self, entries: Iterable[Entry], durable: bool = False) -> int:
        """Write entries, all or none.

        Args:
            durable: they are on the disk when this returns; False: they survive the process, not a loss of power.

        Returns:
            The number of the last one.

        Raises:
            JournalError: they cannot be written; a full disk is one reason.
        """
        files = self._files
        with files.mutex:
            rows: list[Row] = []
            number, opened = files.last, set()
            for entry in entries:
                message, market_id = entry.message, entry.market_id
                number += 1
                kind, data = type(message).__name__, _ENCODER.encode(message)
                rows.append((number, entry.at, market_id, kind, entry.actor, data, entry.kept))
                if files.opens(market_id, _begins(entry)):
                    opened.add(market_id)
                if entry.kept:
                    self._keeper.kept(market_id)
            if rows:
                files.add(rows, opened, durable)
            return files.last

    def close_market(self, market_id: str) -> None:
        """A market is over and its results are there: a restart need not know of it.

        Where that cannot be written now it is tried again; until then a restart would be told of the market.
        """
        self._files.close_market(market_id)

    def forget(self) -> None:
        """All that was written is over: a restart is told of none of it, though a market of it opens again."""
        self.forgotten = self.last
        for market_id in self.open_markets:
            self.close_market(market_id)

    def mend(self) -> bool:
        """Try again to write. Returns: whether it can be written now."""
        return self._files.mend()

    def tidy(self) -> None:
        """Do at once what is done each second: see `keeper.Keeper`."""
        self._keeper.tidy()

    # -- reading -------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Entry]:
        """What a restart has to know, in the order of writing: entries of open markets, and those of no market of the
        last day. It is what there was when the first is asked for.

        What cannot be read is left out, and is among `damage`.
        """
        since = self._clock() - _DAY_MS
        for entry in self._entries(lambda reader: reader.of_markets({*self.open_markets, ""}, self.last)):
            if entry.market_id or entry.at >= since:
                yield entry

    def of_markets(self, market_ids: Iterable[str]) -> Iterator[Entry]:
        """All entries of some markets, in the order of writing; what cannot be read is among `damage`."""
        wanted = set(market_ids)
        return self._entries(lambda reader: reader.of_markets(wanted, self.last))

    def since(self, at_ms: int, but: Container[str] = ()) -> Iterator[Entry]:
        """All entries since a moment, in the order of writing, those of markets that are over too; without what was
        kept. What cannot be read is left out, and is among `damage`.

        Args:
            but: markets whose entries are left out.
        """

        def found(reader: DayReader) -> Iterator[Row]:
            for rows in reader.windows(0, False, False, None, at_ms):
                yield from (row for row in rows if row[2] not in but)

        return self._entries(found, at_ms)

    def _entries(self, find: Callable[[DayReader], Iterator[Row]], since_ms: int | None = None) -> Iterator[Entry]:
        readers: dict[Path, DayReader] = {}
        try:
            for path in day_files(self.folder, since_ms):
                try:
                    readers[path] = DayReader(path)
                except SQLITE_ERRORS as error:
                    self._unread(path, error, -1)
            streams = {path: find(reader) for path, reader in readers.items()}

            def rescue(path: Path, error: Exception, after: int) -> list[Row]:
                readers.pop(path).close()
                return self._unread(path, error, after)

            for row in in_order(streams, rescue):
                if row[0] <= self.forgotten:
                    continue
                try:
                    yield entry_of(row)
                except ValueError as error:
                    self._files.damaged(f"{self.folder}: part of the journal cannot be read: {error}")
        finally:
            for reader in readers.values():
                reader.close()

    def _unread(self, path: Path, error: Exception, after: int) -> list[Row]:
        """What else there is of a file that cannot be read, after a number."""
        if is_damage(error):
            try:
                return [row for row in self._files.set_aside(path, error) if row[0] > after]
            except JournalError:  # as `why_not` says
                return []
        self._files.damaged(f"{path}: part of the journal cannot be read: {error}")
        return []

    # -- the end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Give it up, at once: another process may hold it. It may be called twice, and by another thread."""
        self._keeper.stopped.set()
        self._files.close()
        self._keeper.stop()
        self._lease.release()


def _now() -> int:
    return time.time_ns() // 1_000_000


def _begins(entry: Entry) -> bool:
    """Whether an entry opens a market again that was over: others may come late."""
    message = entry.message
    return isinstance(message, (Request, Seated)) or (isinstance(message, MarketFact) and message.what == "OPENED")
