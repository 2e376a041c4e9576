"""Writing the Parquet files of a packed archive, and the folder that they make."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

from ..results.folders import not_written
from ..simulate.reading.locations import is_uri, require_text
from ..simulate.reading.packed import FORMAT, INDEX
from ..strategies.errors import InputError
from .segmenter import PackedSegment

#: Bytes of lines in a row group, which is unpacked at once: a group ends with the segment that fills it, or with a
#: recording from which on it is not small, so that few recordings share one, or with a phase that is not all too small.
_GROUP_BYTES, _SMALL_GROUP_BYTES, _SMALL_PHASE_BYTES = 2 * 1024 * 1024, 256 * 1024, 32 * 1024
#: The level of zstd: the next higher one packs 5% better in half as long again.
_LEVEL = 5
#: The columns that are packed.
_PACKED = ("image", "definitions", "lines", "overview")
#: Where files are kept until all of them are written. Its name makes it a hidden folder, which is never read.
_UNFINISHED = ".unfinished"


def _schema() -> Any:
    import pyarrow as pa

    columns = [
        ("recording", pa.string()),
        ("segment", pa.int32()),
        ("market_id", pa.string()),
        ("event_id", pa.string()),
        ("line", pa.int64()),
        ("first_ms", pa.int64()),
        ("last_ms", pa.int64()),
        ("changes", pa.int64()),
        ("skippable", pa.bool_()),
        ("defined_first", pa.bool_()),
        ("image", pa.binary()),
        ("definitions", pa.binary()),
        ("lines", pa.binary()),
        ("problem", pa.string()),
        ("overview", pa.binary()),
    ]
    return pa.schema(columns)


class PackedWriter:
    """One Parquet file under way; it gets its name when it is whole."""

    def __init__(self, folder: Path, name: str) -> None:
        import pyarrow.parquet as pq

        folder.mkdir(parents=True, exist_ok=True)
        self._beside = folder / f".{name}-{uuid.uuid4().hex[:8]}"
        self._path = folder / f"{name}.parquet"
        self._schema = _schema()
        self._writer = pq.ParquetWriter(
            self._beside,
            self._schema,
            # Of a few numbers nothing is saved, and unpacking them takes longer than reading them.
            compression={name: "zstd" if name in _PACKED else "none" for name in self._schema.names},
            compression_level=dict.fromkeys(_PACKED, _LEVEL),
            use_dictionary=["recording", "market_id", "event_id"],
            write_statistics=["first_ms", "last_ms"],
            data_page_size=4 * _GROUP_BYTES,
            store_schema=False,
            write_page_checksum=True,  # as bz2 has; zstd alone would let damage pass
        )
        self._rows: list[PackedSegment] = []
        self._size = 0
        self._written = 0
        self._index: list[list[Any]] = []

    def add(self, row: PackedSegment) -> None:
        """The next segment; those of a recording come one after the other."""
        if self._rows and self._size >= self._enough(row):
            self._flush()
        if row.segment == 0:
            self._index.append([row.recording, row.event_id, self._written, 0, 0])
        self._index[-1][3] += 1
        self._index[-1][4] += len(row.lines)
        self._written += 1
        self._rows.append(row)
        self._size += len(row.lines)
        if self._size >= _GROUP_BYTES:
            self._flush()

    def _enough(self, row: PackedSegment) -> int:
        """Bytes of lines from which on a row group ends before a segment."""
        if row.segment == 0:
            # What is left of a large recording is a group by itself, too: the next one is read elsewhere.
            return 1 if self._index[-1][4] >= _SMALL_GROUP_BYTES else _SMALL_GROUP_BYTES
        return _GROUP_BYTES if row.phase == self._rows[-1].phase else _SMALL_PHASE_BYTES

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            columns = [
                pa.array([getattr(row, field.name) for row in self._rows], type=field.type) for field in self._schema
            ]
            self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._rows, self._size = [], 0

    def close(self) -> None:
        self._flush()
        self._writer.add_key_value_metadata({INDEX: json.dumps({"format": FORMAT, "recordings": self._index})})
        self._writer.close()
        self._beside.replace(self._path)

    def abandon(self) -> None:
        self._writer.close()
        self._beside.unlink(missing_ok=True)


class UnfinishedFolder:
    """A folder that shows what was written only when all of it is there.

    Args:
        out: a folder that is new or empty.

    Attributes:
        path: where to write.

    Raises:
        InputError: `out` is something else, or cannot be written.
    """

    def __init__(self, out: str | os.PathLike[str]) -> None:
        self._made = not os.path.exists(out)
        self._out = new_folder(out)
        self.path = self._out.resolve() / _UNFINISHED
        self.path.mkdir()

    def finish(self) -> None:
        """Show what was written."""
        for left in list(self.path.rglob(".part-*")):  # of workers that died
            left.unlink(missing_ok=True)
        for each in sorted(self.path.iterdir()):
            each.rename(self._out / each.name)
        self.path.rmdir()

    def abandon(self) -> None:
        """Remove what was written, as far as it can be: a worker may be writing still."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._made:
            with contextlib.suppress(OSError):  # it holds something
                self._out.rmdir()


def new_folder(out: str | os.PathLike[str]) -> Path:
    """Make a folder.

    Raises:
        InputError: it is there and not empty, or cannot be made.
    """
    if is_uri(os.fspath(out)):
        raise InputError(f"{os.fspath(out)}: expected a folder of this machine; write there, then copy it to the store")
    require_text(os.fspath(out))
    folder = Path(out)
    try:
        if (folder / _UNFINISHED).exists():
            raise InputError(
                f"{folder}: holds what `headrace pack` left behind when it was stopped, or writes now; remove it, or "
                "name another folder"
            )
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder}: exists and is not empty; name another folder, or remove it")
        folder.mkdir(parents=True, exist_ok=True)
        # That it is there does not say that it can be written.
        if not os.access(folder, os.W_OK | os.X_OK):
            raise InputError(f"{folder}: cannot be written: permission denied")
    except OSError as error:
        raise not_written(f"{folder}: cannot be written", error) from None
    return folder
