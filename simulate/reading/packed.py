"""Packed recordings, for reading: Parquet files whose rows are segments of recordings, in order.

A row holds the raw lines of a stretch of one recording, byte for byte. Beside them lie what a reader needs to leave
stretches out: an image of the book before the first line, the lines that carry a market definition, times and counts.
The last row of a recording holds all of that but most images once more, as its overview: one column of one row group
is read, not nine of each. Archives that were packed before there were overviews are read by their columns. The index of
a file (which rows are which recording) is in its footer. `headrace pack` writes them.
"""

from __future__ import annotations

import bisect
import functools
import io
import itertools
import json
import os
from collections.abc import Sequence
from typing import Any

import msgspec

from ...names import to_text
from .locations import Source, is_uri, open_file

#: The key of the footer that holds the index, and the version of the format.
INDEX = b"headrace.pack"
FORMAT = 1
#: Files kept open: their footers are read once.
_OPEN = 16
#: Columns that tell whether a segment is needed.
_BESIDE = ("line", "first_ms", "last_ms", "changes", "market_id", "skippable", "defined_first", "image", "definitions")


class Segment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A stretch of a recording. An overview is a list of these, in MessagePack.

    Attributes:
        line: number of its first line in the recording.
        first_ms, last_ms: publish times of its first and last message.
        changes: market changes in it.
        market_id: the only market of the recording up to here; None where there are several.
        skippable: it may be left out, where the next segment has an image.
        defined_first: its first line carries a definition: nothing in it is under the one before.
        image: the book before its first line, as a stream message; empty: `Lines.image` has it; None: it can only be
            read on from the one before.
        definitions: its lines that carry a market definition.
        whole: `definitions` holds all of its lines, of which some may carry none, and nothing is wrong after them.
    """

    line: int
    first_ms: int
    last_ms: int
    changes: int
    market_id: str | None
    skippable: bool
    defined_first: bool
    image: bytes | None
    definitions: bytes | None
    whole: bool


_overviews = msgspec.msgpack.Decoder(list[Segment])


class _ParquetFile:
    """An open file. It keeps what was read last of a row group: small recordings share one."""

    def __init__(self, path: str) -> None:
        import pyarrow.parquet as pq

        by_name = not is_uri(path) and to_text(path) == path
        self._file = pq.ParquetFile(
            path if by_name else open_file(path, seekable=True), page_checksum_verification=True
        )
        self.metadata = self._file.metadata
        groups = (self.metadata.row_group(group).num_rows for group in range(self.metadata.num_row_groups))
        #: The first row of each row group, and one past the last.
        self.starts = tuple(itertools.accumulate(groups, initial=0))
        #: The columns that are kept, each set with its row group.
        self._kept: dict[tuple[str, ...], tuple[int, Any] | None] = {}
        self.has_overviews = "overview" in self._file.schema_arrow.names

    def read(self, groups: Sequence[int], columns: Sequence[str]) -> Any:
        # Threads gain nothing on a few row groups, and cost a handover.
        return self._file.read_row_groups(list(groups), columns=list(columns), use_threads=False)

    def kept(self, group: int, *columns: str) -> Any:
        """Columns of a row group, kept until those of another are asked for."""
        kept = self._kept.get(columns)
        if kept is None or kept[0] != group:
            kept = self._kept[columns] = None  # the former is freed before the next is unpacked
            kept = self._kept[columns] = (group, self.read([group], columns))
        return kept[1]

    def groups(self, source: Source) -> list[tuple[int, int, int]]:
        """The row groups of a recording: number, and which of its rows (from, to)."""
        assert source.rows is not None
        first, count = source.rows
        found = []
        for group in range(max(bisect.bisect_right(self.starts, first) - 1, 0), len(self.starts) - 1):
            low, high = self.starts[group], self.starts[group + 1]
            if low >= first + count:
                break
            found.append((group, max(first, low) - low, min(first + count, high) - low))
        return found


@functools.lru_cache(maxsize=_OPEN)
def _opened(path: str, stamp: tuple[int, int]) -> _ParquetFile:
    return _ParquetFile(path)


def _file(path: str) -> _ParquetFile:
    if is_uri(path):
        return _opened(path, (0, 0))
    found = os.stat(path)
    return _opened(path, (found.st_size, found.st_mtime_ns))


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


def segments(source: Source) -> list[Segment]:
    """What is known of a recording's segments without their lines."""
    file, found = _file(source.path), list[Segment]()
    assert source.rows is not None
    groups = file.groups(source)
    if file.has_overviews:
        last, _, end = groups[-1]
        return _overviews.decode(file.kept(last, "overview")["overview"][end - 1].as_buffer())
    # One after the other: the rows of a recording lie together, from a row of the first group on.
    table = file.read([group for group, _, _ in groups], _BESIDE).slice(groups[0][1], source.rows[1])
    following = [*table["line"].to_pylist()[1:], None]
    for values, after in zip(zip(*(table[name].to_pylist() for name in _BESIDE), strict=True), following, strict=True):
        segment = msgspec.convert((*values, False), Segment)
        defined = segment.definitions
        if after is not None and segment.skippable and defined and defined.count(b"\n") == after - segment.line:
            segment = msgspec.structs.replace(segment, whole=True)
        found.append(segment)
    return found


class Lines:
    """The lines of a recording's segments, row by row; a row group is read once."""

    def __init__(self, source: Source) -> None:
        self._file = _file(source.path)
        self._rows = [(group, row) for group, low, high in self._file.groups(source) for row in range(low, high)]

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, number: int) -> tuple[memoryview, str | None]:
        """Lines of the recording's segment of this number, from 0, and what was wrong after them.

        The bytes are those that were unpacked, not a copy.
        """
        group, row = self._rows[number]
        table = self._file.kept(group, "lines", "problem")
        return memoryview(table["lines"][row].as_buffer()).cast("B"), table["problem"][row].as_py()

    def image(self, number: int) -> bytes:
        """The book before the segment of this number, which has an image, as a stream message."""
        group, row = self._rows[number]
        found: bytes = self._file.kept(group, "image")["image"][row].as_py()
        return found


class PackedLines(io.RawIOBase):
    """Lines of a segment as a file."""

    def __init__(self, lines: memoryview) -> None:
        self._now = lines

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer) as view:
            count = min(len(view), len(self._now))
            view[:count] = self._now[:count]
        self._now = self._now[count:]
        return count


class PackedFile(PackedLines):
    """The lines of a packed recording as a file, as they were before packing."""

    def __init__(self, source: Source) -> None:
        super().__init__(memoryview(b""))
        self._rows = Lines(source)
        self._number = 0
        self._problem: str | None = None

    def readinto(self, buffer: Any) -> int:
        while not self._now:
            if self._problem is not None:
                raise ValueError(self._problem)
            if self._number == len(self._rows):
                return 0
            self._now, self._problem = self._rows.read(self._number)
            self._number += 1
        return super().readinto(buffer)
