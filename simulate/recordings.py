"""Recordings: files of stream messages, one JSON object a line; plain, gzip or bzip2, told apart by their first bytes.

Betfair's own historical files (BASIC, ADVANCED, PRO) and what stream recorders write. A file is read in pieces, never
whole.
"""

from __future__ import annotations

import bz2
import glob
import gzip
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from ..strategies.changes import ChangeMessage, MarketDefinition
from ..strategies.errors import InputError, RecordingError

#: Bytes decoded at once: enough to spread the cost of a call, few enough to stay in the processor's caches.
_PIECE = 32 * 1024
_MAGIC: dict[bytes, Callable[[BinaryIO], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open}
#: What a damaged file raises while it is unpacked.
_UNPACKING = (EOFError, OSError, zlib.error, ValueError)

_decoder = msgspec.json.Decoder(ChangeMessage)

#: What `markets=` takes.
Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def find_recordings(markets: Paths) -> list[str]:
    """The files that paths, glob patterns and folders name, in order; each once.

    Folders are walked; what their names sort to is the order. Hidden files are left out.

    Raises:
        InputError: a path does not exist, a pattern or a folder gives no file, or nothing is named at all.
    """
    named: Sequence[str | os.PathLike[str]]
    named = [markets] if isinstance(markets, (str, os.PathLike)) else list(markets)
    if not named:
        raise InputError(
            "no markets are named: give a path, a folder, a pattern such as 'recordings/**/*.bz2', or a list"
        )
    found: dict[str, None] = {}
    for each in named:
        if not isinstance(each, (str, os.PathLike)):
            raise InputError(f"markets: {each!r} is no path; give a path, a folder, a pattern, or a list of these")
        for path in _files(os.path.expanduser(os.fspath(each))):
            found[path] = None
    return list(found)


def _files(path: str) -> list[str]:
    if os.path.isdir(path):
        files = [
            os.path.join(folder, name)
            for folder, folders, names in os.walk(path)
            for name in names
            if not name.startswith(".") and not os.path.basename(folder).startswith(".")
        ]
        if not files:
            raise InputError(f"{path}: the folder holds no files; expected recordings (plain, .gz or .bz2)")
        return sorted(files)
    if os.path.exists(path):
        return [path]
    if glob.has_magic(path):
        files = sorted(each for each in glob.glob(path, recursive=True) if os.path.isfile(each))
        if not files:
            raise InputError(f"{path}: the pattern matches no file")
        return files
    raise InputError(f"{path}: no such file or folder")


class Recording:
    """One file of messages.

    Args:
        path: the file.
        name: how messages call it; default: the path.
    """

    def __init__(self, path: str, name: str | None = None) -> None:
        self.path = path
        self.name = name or path

    def _open(self) -> BinaryIO:
        try:
            file = open(self.path, "rb")  # noqa: SIM115 - closed by the reader
        except OSError as error:
            raise RecordingError(f"cannot be read: {error.strerror or error}", self.name) from None
        start = file.read(4)
        file.seek(0)
        if start[:2] == b"PK":
            file.close()
            raise RecordingError("is a zip archive; unpack it first: plain, gzip and bzip2 files are read", self.name)
        for magic, opener in _MAGIC.items():
            if start.startswith(magic):
                return cast(BinaryIO, opener(file))
        return file

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Whole lines as bytes, many at once, with the number of the first (from 1).

        Raises:
            RecordingError: the file cannot be read, is empty, or is damaged.
        """
        number, rest = 1, b""
        with self._open() as file:
            while True:
                try:
                    piece = file.read(_PIECE)
                except _UNPACKING as error:
                    # `rest` is a line of which the end is missing: it tells nothing.
                    raise RecordingError(f"is damaged or cut short: {error}", self.name, number) from None
                if not piece:
                    break
                end = piece.rfind(b"\n") + 1
                if not end:
                    rest += piece
                    continue
                lines_now = rest + piece[:end]
                rest = piece[end:]
                yield number, lines_now
                number += lines_now.count(b"\n")
            if rest:
                yield number, rest
            elif number == 1:
                raise RecordingError("is empty; expected stream messages, one JSON object a line", self.name)

    def messages(self) -> Iterator[tuple[int, Sequence[ChangeMessage | RecordingError]]]:
        """Decoded messages, many at once, with the number of the first line.

        A line that cannot be decoded stands among them as a `RecordingError`.

        Raises:
            RecordingError: the file cannot be read on.
        """
        decode = _decoder.decode_lines
        for number, lines in self.pieces():
            try:
                found: Sequence[ChangeMessage | RecordingError] = decode(lines)
            except (msgspec.DecodeError, UnicodeDecodeError):
                found = self._line_by_line(number, lines)
            yield number, found

    def _line_by_line(self, number: int, lines: bytes) -> list[ChangeMessage | RecordingError]:
        found: list[ChangeMessage | RecordingError] = []
        for at, line in enumerate(lines.splitlines(), number):
            if not line.strip():
                continue
            try:
                found.append(_decoder.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                kind = "a field is not of its type" if isinstance(error, msgspec.ValidationError) else "is not JSON"
                shown = line[:60].decode("utf-8", "replace")
                found.append(RecordingError(f"{kind}: {error} (the line begins {shown!r})", self.name, at))
        return found

    def first_definition(self) -> tuple[int, str, MarketDefinition] | None:
        """Publish time, market id and definition of the first market; None where there is none in the first piece.

        Raises:
            RecordingError: the file cannot be read.
        """
        for _, messages in self.messages():
            for message in messages:
                if isinstance(message, RecordingError):
                    continue
                for change in message.mc:
                    if change.market_definition is not None and change.id:
                        return message.pt, change.id, change.market_definition
            return None
        return None


def event_of_path(path: str) -> str | None:
    """The event id that Betfair's archives give the folder of a market's file; None where the layout is another."""
    folder = Path(path).parent.name
    return folder if folder.isdigit() and len(folder) > 4 and Path(path).name.startswith("1.") else None
