"""Rows of a session on their way from hosts to the result: a file that the coordinator adds to, and others read."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from .instance import write_private

#: Rows by table, as `simulate.rows` makes them.
TableRows = Mapping[str, Sequence[tuple[Any, ...]]]
#: The name of the file in an instance's folder.
ROWS = "rows.bin"
#: The name of the file in it that is there while a session is under way.
SESSION = "session.json"
_LENGTH = struct.Struct("<I")


def packed(rows: TableRows) -> bytes:
    """Rows as the data of a letter; tables without rows are left out."""
    return pickle.dumps({table: list(found) for table, found in rows.items() if found}, pickle.HIGHEST_PROTOCOL)


def unpacked(data: bytes) -> dict[str, list[tuple[Any, ...]]]:
    """The rows in the data of a letter. It must come from this instance's own processes."""
    found: dict[str, list[tuple[Any, ...]]] = pickle.loads(data)
    return found


def goes_on(folder: Path, accounts: Sequence[tuple[str, str]]) -> bool:
    """Whether the session that begins goes on with one that was killed, whose rows are in the folder; if it does not,
    they are removed. From now on until `has_ended` a session is under way there.

    Args:
        folder: of the instance.
        accounts: user names, each with the exchange's address: with others it is another session.
    """
    note, wanted = folder / SESSION, json.dumps(accounts).encode()
    with contextlib.suppress(OSError):
        if note.read_bytes() == wanted:
            return True
    with contextlib.suppress(FileNotFoundError):
        os.unlink(folder / ROWS)
    write_private(note, wanted)
    return False


def has_ended(folder: Path) -> None:
    """The session under way has ended, and its rows have been taken."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(folder / SESSION)


class RowsWriter:
    """Adds rows to the file of a session; each stays there once `add` has returned, whatever ends the process.

    Args:
        path: the file; what it holds already stays.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._file: IO[bytes] | None = None

    def add(self, data: bytes) -> None:
        """Add the data of a letter.

        Raises:
            OSError: it cannot be written.
        """
        if self._file is None:
            self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115 - closed by `close`
            whole = end_of_rows(self._path)
            if whole < self._file.tell():  # a former process ended in the middle of a write
                self._file.truncate(whole)
        self._file.write(_LENGTH.pack(len(data)) + data)

    def close(self) -> None:
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
                for data in _letters(file):
                    self._at += _LENGTH.size + len(data)
                    yield data
        except FileNotFoundError:
            return


def end_of_rows(path: str | os.PathLike[str]) -> int:
    """Where the last whole letter of a file ends."""
    with open(path, "rb") as file:
        return sum(_LENGTH.size + len(data) for data in _letters(file))


def _letters(file: IO[bytes]) -> Iterator[bytes]:
    while len(head := file.read(_LENGTH.size)) == _LENGTH.size:
        (length,) = _LENGTH.unpack(head)
        data = file.read(length)
        if len(data) < length:
            return
        yield data
