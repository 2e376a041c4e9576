"""Reading a journal from outside: while the system runs that writes it, or later."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from .day_file import SQLITE_ERRORS, Row
from .entries import Entry
from .files import day_files
from .journal import entry_of
from .lease import JournalError
from .reading import DayReader


class JournalReader:
    """The entries of a journal, those of markets that are over too. It holds nobody up, and changes nothing.

    Args:
        folder: of the journal.

    Attributes:
        unread: what could not be read so far, a sentence each.

    Raises:
        JournalError: there is no journal.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.unread: list[str] = []
        if not self.folder.is_dir() or not day_files(self.folder):
            raise JournalError(f"{self.folder}: there is no journal here")

    @property
    def last(self) -> int:
        """The number of the last entry; 0: there is none."""
        for path in reversed(day_files(self.folder)):
            with self._opened(path) as reader:
                number = 0 if reader is None else reader.bounds()[1]
                if number:
                    return number
        return 0

    def entries(
        self,
        *,
        market_id: str | None = None,
        since: int | None = None,
        after: int = 0,
        kept: bool = False,
        wanted: Callable[[Row], bool] | None = None,
    ) -> Iterator[Entry]:
        """Entries in the order of writing.

        Args:
            market_id: of this market only.
            since: written since then, milliseconds since the epoch.
            after: with greater numbers only.
            kept: with what a restart needs, as long as their market is open; else it is left out.
            wanted: says of a row, before it is decoded, whether it is one of them.

        Raises:
            JournalError: it is of a later version.
        """
        for path in day_files(self.folder, since):
            with self._opened(path) as reader:
                for entry in self._decoded(path, reader, after, kept, False, market_id, since, wanted):
                    after = entry.number
                    yield entry

    def latest(
        self,
        count: int,
        *,
        market_id: str | None = None,
        since: int | None = None,
        kept: bool = False,
        wanted: Callable[[Row], bool] | None = None,
    ) -> list[Entry]:
        """The last entries, in the order of writing. Arguments: as for `entries`.

        Raises:
            JournalError: it is of a later version.
        """
        found: list[Entry] = []
        for path in reversed(day_files(self.folder, since)):
            with self._opened(path) as reader:
                for entry in self._decoded(path, reader, 0, kept, True, market_id, since, wanted):
                    found.append(entry)
                    if len(found) == count:
                        return found[::-1]
        return found[::-1]

    @contextlib.contextmanager
    def _opened(self, path: Path) -> Iterator[DayReader | None]:
        try:
            reader = DayReader(path)
        except SQLITE_ERRORS as error:
            if path.exists():  # else it was removed: it had become too old
                self._failed(path, error)
            yield None
            return
        try:
            yield reader
        except (*SQLITE_ERRORS, ValueError) as error:
            self._failed(path, error)
        finally:
            reader.close()

    def _decoded(
        self,
        path: Path,
        reader: DayReader | None,
        after: int,
        kept: bool,
        backwards: bool,
        market_id: str | None,
        since: int | None,
        wanted: Callable[[Row], bool] | None,
    ) -> Iterator[Entry]:
        if reader is None:
            return
        for rows in reader.windows(after, kept, backwards, market_id, since):
            for row in reversed(rows) if backwards else rows:
                if wanted is None or wanted(row):
                    try:
                        yield entry_of(row)
                    except ValueError as error:
                        self._failed(path, error)

    def _failed(self, path: Path, error: Exception) -> None:
        self.unread.append(f"{path}: part of it cannot be read: {error}")
