"""Rows of a session on their way from hosts to the result: a file that the coordinator adds to, and others read."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pickle
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from .instance import write_private
from .journal_place import PAPER_KIND

#: Rows by table, as `simulate.rows` makes them.
TableRows = Mapping[str, Sequence[tuple[Any, ...]]]
#: Before each letter: bytes of its data, bytes of its source's name, its number.
_HEAD = struct.Struct("<IHQ")


def packed(rows: TableRows) -> bytes:
    """Rows as the data of a letter; tables without rows are left out."""
    return pickle.dumps({table: list(found) for table, found in rows.items() if found}, pickle.HIGHEST_PROTOCOL)


def unpacked(data: bytes) -> dict[str, list[tuple[Any, ...]]]:
    """The rows in the data of a letter. It must come from this instance's own processes."""
    found: dict[str, list[tuple[Any, ...]]] = pickle.loads(data)
    return found


def rows_path(folder: Path, kind: str = "") -> Path:
    """The file in an instance's folder that has the rows of a session.

    Args:
        kind: of journal: a rehearsal does not get in the way of a session with money (see `journal_place.kind_of`).
    """
    return folder / f"rows{kind}.bin"


def _session_path(folder: Path, kind: str) -> Path:
    """The file that is there while a session is under way."""
    return folder / f"session{kind}.json"


def goes_on(folder: Path, accounts: Sequence[tuple[str, str]], kind: str = "") -> bool:
    """Whether the session that begins goes on with one that was killed, whose rows are in the folder; if it does not,
    they are removed. From now on until `has_ended` a session is under way there.

    Args:
        folder: of the instance.
        accounts: user names, each with the exchange's address: with others it is another session.
        kind: see `rows_path`.
    """
    note, wanted = _session_path(folder, kind), json.dumps(accounts).encode()
    with contextlib.suppress(OSError):
        if note.read_bytes() == wanted:
            return True
    with contextlib.suppress(FileNotFoundError):
        rows_path(folder, kind).unlink()
    write_private(note, wanted)
    return False


def under_way(folder: Path) -> bool:
    """Whether a session with money or on paper has begun in an instance's folder, and was not ended.

    Rehearsals are not asked about: of most the exchange has ended with them, and with it all that they have left.
    """
    return any(_session_path(folder, kind).exists() for kind in ("", PAPER_KIND))


def has_ended(folder: Path, kind: str = "") -> None:
    """The session under way has ended, and its rows have been taken."""
    _session_path(folder, kind).unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    """Open a file that, if it is made, only its owner can read."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


class RowsWriter:
    """Adds rows to the file of a session; each stays there once `add` has returned, whatever ends the process.

    Args:
        path: the file; what it holds already stays.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._file: IO[bytes] | None = None
        self._end = 0
        self._last: dict[str, int] = {}
        self._closed = False

    def last_of(self, source: str) -> int:
        """The number of the last letter of a source that is in the file; 0: none is.

        Raises:
            OSError: it cannot be read.
        """
        self._opened()
        return self._last.get(source, 0)

    def add(self, data: bytes, source: str = "", number: int = 0) -> None:
        """Add the data of a letter.

        Args:
            source, number: whose letter it is, and which; empty: nobody asks.

        Raises:
            OSError: it cannot be written; then nothing of it is there.
        """
        file, name = self._opened(), source.encode()
        left = memoryview(_HEAD.pack(len(data), len(name), number) + name + data)
        size = len(left)
        try:
            while left:  # a disk that is all but full takes a part
                left = left[file.write(left) :]
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(self._end)
            raise
        self._end += size
        if source:
            self._last[source] = number

    def _opened(self) -> IO[bytes]:
        if self._closed:
            raise OSError(errno.EBADF, "it was closed", self._path)
        if self._file is None:
            file = open(self._path, "ab", buffering=0, opener=_private)  # noqa: SIM115 - closed by `close`
            try:
                self._end, self._last = _whole(self._path)
                if self._end < file.tell():  # a former process ended in the middle of a write
                    file.truncate(self._end)
            except BaseException:
                file.close()
                raise
            self._file = file
        return self._file

    def close(self) -> None:
        self._closed = True
        if self._file is not None:
            self._file.close()
            self._file = None


class RowsReader:
    """Reads rows while others are added.

    Args:
        path: the file; it need not be there yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._at = 0

    def __iter__(self) -> Iterator[bytes]:
        """What was added since the last time, letter by letter; of one that is being written nothing yet."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                while len(head := file.read(_HEAD.size)) == _HEAD.size:
                    length, name, _ = _HEAD.unpack(head)
                    data = file.read(name + length)
                    if len(data) < name + length:
                        return
                    self._at += _HEAD.size + len(data)
                    yield data[name:]
        except FileNotFoundError:
            return


def _whole(path: str) -> tuple[int, dict[str, int]]:
    """Where the last whole letter of a file ends, and the last number of each source."""
    end, last = 0, dict[str, int]()
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, name, number = _HEAD.unpack(head)
            source = file.read(name).decode(errors="replace")
            if end + _HEAD.size + name + length > size:
                break
            end = file.seek(length, os.SEEK_CUR)
            if source:
                last[source] = number
    return end, last
