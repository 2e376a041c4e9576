"""The files of a journal that is held: one for each day (UTC), and which markets are open in them."""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

from .day_file import SQLITE_ERRORS, DayFile, Row, is_damage, salvaged
from .lease import JournalError
from .reading import SET_BACK_MS, DayReader

logger = logging.getLogger("headrace")

#: The name of a file: the day, and which one of it. None is used again, for whoever reads may have the file open.
_DAY = re.compile(r"(\d{4}-\d\d-\d\d)-(\d+)\.sqlite")


def day_files(folder: Path, since_ms: int | None = None) -> list[Path]:
    """The files of a journal, the oldest first; damaged ones that were set aside are not among them.

    Args:
        since_ms: those that may have entries since then. A file is written to until a new one was begun, which is a
            moment after the end of its day.
    """
    first = "" if since_ms is None else day(max(0, since_ms - SET_BACK_MS))
    try:
        found = [path for path in folder.iterdir() if _DAY.fullmatch(path.name)]
    except OSError:
        return []
    return sorted((path for path in found if day_of(path)[0] >= first), key=day_of)


def day_of(path: Path) -> tuple[str, int]:
    """The day of a file, and which one of that day it is."""
    found = _DAY.fullmatch(path.name)
    assert found is not None
    return found[1], int(found[2])


class JournalFiles:
    """Writes rows where they belong. Any thread may call it; one at a time is served.

    Args:
        folder: of the journal.
        clock: milliseconds since the epoch, by which days change.

    Attributes:
        damage: what was found to be damaged, a sentence each.
        mutex: held by whoever writes.
        older: files of earlier days, with the markets in them that are open.
        over: markets that are over and may have entries in the present file that are not packed.
        last: the number of the last entry; 0: there is none.
        why_not: why nothing can be written, in a sentence; empty: it can.
        file: the one that is written to; None: there is none that could be opened.

    Raises:
        JournalError: it is of a later version, or cannot be read.
    """

    def __init__(self, folder: Path, clock: Callable[[], int]) -> None:
        self.folder, self.clock = folder, clock
        self.damage: list[str] = []
        self.mutex = threading.RLock()
        self.older: dict[Path, set[str]] = {}
        self.over: set[str] = set()
        self.last = 0
        self.why_not = ""
        self.file: DayFile | None = None
        self._open: set[str] = set()
        self._here: set[str] = set()
        self._ended: set[str] = set()
        self._to_close: set[str] = set()
        self._closed = False
        self._open_files()

    def _open_files(self) -> None:
        paths = day_files(self.folder)
        if not paths or day_of(paths[-1])[0] < self.today:
            paths.append(self.new_path())
        state: dict[str, bool] = {}
        damaged: list[tuple[Path, Exception]] = []
        for path in reversed(paths):
            try:
                if path == paths[-1]:
                    found = self._begin(path, damaged)
                else:
                    found, last = self._look(path)
                    self.last = max(self.last, last)
            except (*SQLITE_ERRORS, OSError) as error:
                if not is_damage(error):
                    raise JournalError(f"{path}: cannot be read: {error}") from None
                damaged.append((path, error))
                continue
            for market_id, is_open in found.items():
                state.setdefault(market_id, is_open)
            if path != paths[-1]:
                self.older[path] = {market_id for market_id, is_open in found.items() if is_open}
            else:
                self._here = {market_id for market_id, is_open in found.items() if is_open}
        self._open = {market_id for market_id, is_open in state.items() if is_open}
        self._ended = set(state) - self._open
        for path, why in damaged:
            with contextlib.suppress(JournalError):  # as `why_not` says
                self.set_aside(path, why)

    def _begin(self, path: Path, damaged: list[tuple[Path, Exception]]) -> dict[str, bool]:
        """Open the file that is written to, or find out what is wrong with it."""
        try:
            self.file = DayFile(path)
            self.last = max(self.last, self.file.last())
            return self.file.markets()
        except (*SQLITE_ERRORS, OSError) as error:
            if is_damage(error):
                damaged.append((path, error))
                return {}
            self._failed(path, error)
        try:
            found, last = self._look(path)
        except (*SQLITE_ERRORS, OSError):  # it was not there, and cannot be made
            return {}
        self.last = max(self.last, last)
        return found

    @staticmethod
    def _look(path: Path) -> tuple[dict[str, bool], int]:
        with DayReader(path) as reader:
            return reader.markets(), reader.bounds()[1]

    # -- writing -------------------------------------------------------------------------------------------------

    def is_open(self, market_id: str) -> bool:
        """Whether a market is, as far as it was written."""
        return market_id in self._open

    @property
    def open_markets(self) -> frozenset[str]:
        """The markets that are open."""
        return frozenset(self._open)

    def opens(self, market_id: str, begins: bool) -> bool:
        """Whether an entry of a market makes it open in the present file.

        Args:
            begins: the entry is one that makes open again what was over; others may come late.
        """
        if not market_id or market_id in self._here:
            return False
        if market_id in self._ended and not begins:
            self.over.add(market_id)
            return False
        return True

    def add(self, rows: list[Row], opened: set[str], durable: bool) -> None:
        """Write rows, and that markets are open; all or nothing.

        Raises:
            JournalError: they cannot be written.
        """
        with self.mutex:
            if self._closed:
                raise JournalError(f"{self.folder}: this journal was given up")
            for attempt in (1, 2):
                file = self.file
                if file is None:
                    raise JournalError(self.why_not)
                try:
                    file.add(rows, opened, durable)
                    break
                except (*SQLITE_ERRORS, OSError) as error:
                    if is_damage(error) and attempt == 1:
                        opened |= {row[2] for row in rows if self.is_open(row[2])}
                        self.set_aside(file.path, error)
                        continue
                    self._failed(file.path, error)
                    raise JournalError(self.why_not) from error
            self.why_not = ""
            self.last = rows[-1][0]
            self._open |= opened
            self._here |= opened
            self._ended -= opened
            self.over -= opened

    def _failed(self, path: Path, error: Exception) -> None:
        self.why_not = f"{path}: the journal cannot be written: {error}"

    def close_market(self, market_id: str) -> None:
        """Write that a market is over; where that is not possible now it is tried again."""
        with self.mutex:
            if market_id in self._open:
                self._open.discard(market_id)
                self._here.discard(market_id)
                self._ended.add(market_id)
                self.over.add(market_id)
                self._to_close.add(market_id)
                self.write_closed()

    def write_closed(self) -> None:
        """Write which markets are over, as far as that is possible now."""
        with self.mutex:
            if self._to_close and self.file is not None and not self._closed:
                try:
                    self.file.close_markets(self._to_close - self._open)
                    self._to_close.clear()
                except SQLITE_ERRORS as error:
                    self._failed(self.file.path, error)

    def mend(self) -> bool:
        """Try again to write. Returns: whether it can be written now."""
        with self.mutex:
            if self._closed or not self.why_not:
                return not self.why_not
            path = self.file.path if self.file is not None and not self.file.moved else self.new_path()
            try:
                file = DayFile(path)
                try:
                    file.probe()
                except BaseException:
                    file.close()
                    raise
            except (*SQLITE_ERRORS, OSError) as error:
                if not is_damage(error):
                    self._failed(path, error)
                    return False
                self.set_aside(path, error)
                return not self.why_not
            self._take(file)
            self.why_not = ""
            return True

    # -- its files -----------------------------------------------------------------------------------------------

    @property
    def today(self) -> str:
        """The day, by its clock."""
        return day(self.clock())

    def new_path(self) -> Path:
        """The next file: of today, or of the last day that there is, should the clock have been set back."""
        names = os.listdir(self.folder) if self.folder.is_dir() else []
        day, number = self.today, 0
        for name in names:
            found = re.match(_DAY.pattern.partition(r"\.")[0], name)  # those set aside as well
            if found is not None and (found[1], int(found[2])) > (day, number):
                day, number = found[1], int(found[2])
        return self.folder / f"{day}-{number + 1}.sqlite"

    @property
    def size(self) -> int:
        """Bytes of all that is in the folder."""
        return self._bytes("")

    @property
    def room_taken(self) -> int:
        """Bytes of files, damaged ones included, without what waits for a checkpoint."""
        return self._bytes(".sqlite")

    def _bytes(self, end: str) -> int:
        total = 0
        for name in os.listdir(self.folder) if self.folder.is_dir() else ():
            with contextlib.suppress(OSError):  # it has just gone
                total += os.stat(self.folder / name).st_size if name.endswith(end) else 0
        return total

    def turn_over(self, path: Path) -> None:
        """Go on in another file."""
        file = DayFile(path)
        with self.mutex:
            before = self._take(file)
            if before is not None and before.path != path:
                self.older[before.path] = set(self._here)
                self._here = set()
        if before is not None:
            before.close()

    def _take(self, file: DayFile) -> DayFile | None:
        before, self.file = self.file, file
        if before is not None and before.path == file.path:
            before.close()
            before = None
        return before

    def set_aside(self, path: Path, error: Exception) -> list[Row]:
        """Go on without a damaged file: what can still be read of its open markets is written anew.

        Returns:
            That.

        Raises:
            JournalError: nothing can be written.
        """
        with self.mutex:
            current = self.file is not None and self.file.path == path
            wanted = self.older.pop(path, set(self._here) if current else None)
            if current and self.file is not None:
                self.file.close()
                self.file = None
            rows = [row for row in salvaged(path, wanted) if row[2] not in self._ended]
            aside = path.with_name(f"{path.stem}.damaged.sqlite")
            for end in ("", "-wal", "-shm"):
                if os.path.exists(f"{path}{end}"):
                    os.replace(f"{path}{end}", f"{aside}{end}")
            self.damaged(
                f"{path} is damaged ({error}): it was set aside as {aside.name}; {len(rows)} of its entries, of "
                "markets that are open, could be read"
            )
            try:
                if self.file is None:
                    self.file = DayFile(self.new_path())
                    self._here = set()
                markets = {row[2] for row in rows}
                if rows:
                    self.file.add(rows, markets, durable=True)
                    self.last = max(self.last, rows[-1][0])
                self._here |= markets
                self._open |= markets
            except (*SQLITE_ERRORS, OSError) as why:
                self._failed(path, why)
                raise JournalError(self.why_not) from why
            return rows

    def damaged(self, text: str) -> None:
        """Note that something is."""
        self.damage.append(text)
        logger.error("%s", text)

    def close(self) -> None:
        """Write nothing more."""
        with self.mutex:
            self._closed = True
            file, self.file = self.file, None
            if file is not None:
                with contextlib.suppress(*SQLITE_ERRORS):
                    file.close()


def day(at_ms: int) -> str:
    """The day of a moment."""
    return datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC).date().isoformat()
