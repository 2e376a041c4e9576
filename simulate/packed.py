"""Packed recordings, for reading: Parquet files whose rows are segments of recordings, in order.

A row holds the raw lines of a stretch of one recording, byte for byte. Beside them lie what a reader needs to leave
stretches out: an image of the book before the first line, the lines that carry a market definition, times and counts.
The index of a file (which rows are which recording) is in its footer. `headrace pack` writes them.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import itertools
import json
import os
from collections.abc import Iterator
from typing import Any

from .locations import Source, is_uri, open_file

#: The key of the footer that holds the index, and the version of the format.
INDEX = b"headrace.pack"
FORMAT = 1
#: Files kept open: their footers are read once.
_OPEN = 8
#: Columns that tell whether a segment is needed.
_BESIDE = ("line", "first_ms", "last_ms", "changes", "market_id", "skippable", "image", "definitions")


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a recording.

    Attributes:
        row: its row in the file.
        line: number of its first line in the recording.
        first_ms, last_ms: publish times of its first and last message.
        changes: market changes in it.
        market_id: the only market of the recording up to here; None where there are several.
        skippable: it may be left out, where the next segment has an image.
        image: the book before its first line, as a stream message; None: it can only be read on from the one before.
        definitions: its lines that carry a market definition.
    """

    row: int
    line: int
    first_ms: int
    last_ms: int
    changes: int
    market_id: str | None
    skippable: bool
    image: bytes | None
    definitions: bytes | None


@functools.lru_cache(maxsize=_OPEN)
def _opened(path: str, stamp: tuple[int, int]) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(open_file(path, seekable=True) if is_uri(path) else path)


def _file(path: str) -> Any:
    if is_uri(path):
        return _opened(path, (0, 0))
    found = os.stat(path)
    return _opened(path, (found.st_size, found.st_mtime_ns))


@functools.lru_cache(maxsize=4 * _OPEN)
def _starts(path: str, stamp: tuple[int, int]) -> tuple[int, ...]:
    """The first row of each row group, and one past the last."""
    metadata = _opened(path, stamp).metadata
    found = [0]
    for group in range(metadata.num_row_groups):
        found.append(found[-1] + metadata.row_group(group).num_rows)
    return tuple(found)


def index_packed(archive: Source) -> list[Source]:
    """The recordings of a packed file.

    Raises:
        ValueError: it is Parquet of another kind, or of a later version.
    """
    metadata = _file(archive.path).metadata
    text = (metadata.metadata or {}).get(INDEX)
    if text is None:
        raise ValueError("it is Parquet, but no recordings that `headrace pack` wrote")
    found = json.loads(text)
    if found["format"] != FORMAT:
        raise ValueError(f"it is a packed archive of format {found['format']}; this headrace reads {FORMAT}")
    unpacked = sum(size for *_, size in found["recordings"]) or 1
    share = archive.size / unpacked
    return [
        Source(archive.path, name, size=round(size * share), rows=(first, count), event=event_id)
        for name, event_id, first, count, size in found["recordings"]
    ]


def _groups(source: Source) -> Iterator[tuple[int, int, int]]:
    """The row groups of a recording: number, and which of its rows (from, to)."""
    assert source.rows is not None
    first, count = source.rows
    _file(source.path)
    stamp = (0, 0) if is_uri(source.path) else (os.stat(source.path).st_size, os.stat(source.path).st_mtime_ns)
    starts = _starts(source.path, stamp)
    for group, (low, high) in enumerate(itertools.pairwise(starts)):
        if low < first + count and first < high:
            yield group, max(first, low) - low, min(first + count, high) - low


def segments(source: Source) -> list[Segment]:
    """What is known of a recording's segments without their lines."""
    file, found = _file(source.path), []
    assert source.rows is not None
    row = source.rows[0]
    for group, low, high in _groups(source):
        table = file.read_row_group(group, columns=list(_BESIDE)).slice(low, high - low)
        for values in zip(*(table[name].to_pylist() for name in _BESIDE), strict=True):
            found.append(Segment(row, *values))
            row += 1
    return found


class Lines:
    """The lines of a recording's segments, row by row; a row group is read once."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._groups = list(_groups(source))
        self._group: int | None = None
        self._lines: Any = None
        self._problems: Any = None

    def __len__(self) -> int:
        return self._source.rows[1] if self._source.rows else 0

    def read(self, number: int) -> tuple[bytes, str | None]:
        """Lines of the recording's segment of this number, from 0, and what was wrong after them."""
        for group, low, high in self._groups:
            if number < high - low:
                if group != self._group:
                    table = _file(self._source.path).read_row_group(group, columns=["lines", "problem"])
                    self._group, self._lines, self._problems = group, table["lines"], table["problem"]
                return self._lines[low + number].as_py(), self._problems[low + number].as_py()
            number -= high - low
        raise IndexError(number)


class PackedFile(io.RawIOBase):
    """The lines of a packed recording as a file, as they were before packing."""

    def __init__(self, source: Source) -> None:
        self._rows = Lines(source)
        self._number = 0
        self._now = memoryview(b"")
        self._problem: str | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._now:
            if self._problem is not None:
                raise ValueError(self._problem)
            if self._number == len(self._rows):
                return 0
            lines, self._problem = self._rows.read(self._number)
            self._now = memoryview(lines)
            self._number += 1
        with memoryview(buffer) as view:
            count = min(len(view), len(self._now))
            view[:count] = self._now[:count]
        self._now = self._now[count:]
        return count
