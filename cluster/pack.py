"""Packed archives: recordings rewritten as few Parquet files, by year and month of their markets' start, and back."""

from __future__ import annotations

import bz2
import contextlib
import functools
import gzip
import itertools
import json
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from ..simulate.keyframes import image_of
from ..simulate.locations import Source, absolute
from ..simulate.packed import FORMAT, INDEX
from ..simulate.recordings import DAMAGED, Paths, Recording, decode_lines, event_of_path, find_recordings
from ..simulate.replay import Unit, parts_of_unit, unit_of_files
from ..simulate.rows import empty_rows
from ..strategies.book import MarketBook
from ..strategies.changes import ChangeMessage
from ..strategies.clock import from_ms
from ..strategies.errors import InputError, RecordingError
from .dispatch import RayPool, connect
from .progress import ProgressOption, showing
from .units import Batch
from .worker import Part

Compression = Literal["none", "gz", "bz2"]

#: From so many bytes of recordings on the work is spread over processes.
_LARGE = 100 * 1024 * 1024
#: Bytes of recordings that make a batch, at least and at most: each writes a file for each month that it meets.
_BATCH = (16 * 1024 * 1024, 256 * 1024 * 1024)
#: A keyframe is due after so much market time (milliseconds) and so many bytes of lines, or after so many bytes alone.
_KEYFRAME_MS, _KEYFRAME_BYTES, _SEGMENT_BYTES = 120_000, 256 * 1024, 1024 * 1024
#: Bytes of lines in a row group: what is unpacked at once.
_GROUP_BYTES = 2 * 1024 * 1024
#: The level of zstd: higher ones pack little better, and slower than bz2 is unpacked.
_LEVEL = 6
#: Pieces that are unpacked at once, before any of them is looked at.
_BURST = 32
_ENDINGS = (".bz2", ".gz", ".zst")

Row = dict[str, Any]


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
        ("image", pa.binary()),
        ("definitions", pa.binary()),
        ("lines", pa.binary()),
        ("problem", pa.string()),
    ]
    return pa.schema(columns)


class _Segmenter:
    """Cuts one recording into segments.

    Keyframes are made while the recording is that of one market, all of it can be decoded, and it begins with a
    definition; after that it is kept all the same, and read from front to back.
    """

    def __init__(self, name: str, event_id: str | None) -> None:
        self._name = name
        self._event_id = event_id
        self._book: MarketBook | None = None
        self._regular = True
        self._count = 0
        self._head: int | None = None
        self.start_ms: int | None = None
        self._open(1, None)

    def _open(self, line: int, image: bytes | None) -> None:
        self._lines: list[bytes] = []
        self._size = 0
        self._row: Row = {"line": line, "first_ms": 0, "last_ms": 0, "changes": 0, "image": image}
        self._definitions: list[bytes] = []
        self._skippable = self._regular

    def take(self, number: int, lines: bytes) -> Iterator[Row]:
        """Whole lines, the first of this number; segments that are complete."""
        messages = self._messages(lines)
        if messages is None:
            if self._size >= _SEGMENT_BYTES:
                yield from self._cut(number)
            self._add(lines)
            return
        if self._due(messages):
            yield from self._cut(number)
        parts: list[bytes] | None = None
        taken = 0
        book, row = self._book, self._row
        for at, message in enumerate(messages):
            if not message.mc:
                continue
            assert book is not None
            (change,) = message.mc
            definition, publish_time = change.market_definition, message.pt
            if definition is not None:
                if parts is None:
                    parts = lines.splitlines(keepends=True)
                if definition.in_play and not book.inplay and book.market_definition is not None:
                    self._add(b"".join(parts[taken:at]))
                    taken = at
                    yield from self._cut(number + at)
                    row = self._row
                self._definitions.append(parts[at])
            book.apply(publish_time, change)
            row["changes"] += 1
            if publish_time > row["last_ms"]:
                row["last_ms"] = publish_time
                row["first_ms"] = row["first_ms"] or publish_time
        self._add(b"".join(parts[taken:]) if parts is not None else lines)

    def _messages(self, lines: bytes) -> list[ChangeMessage] | None:
        """The messages, where they can be made keyframes of; None where they cannot, from here on."""
        if not self._regular and self.start_ms is not None:
            return None
        try:
            messages = decode_lines(lines)
        except (msgspec.DecodeError, UnicodeDecodeError):
            messages = list(_readable(lines))
            self._spoil()
        if self.start_ms is None:
            self._find_start(messages)
        if not self._regular:
            return None
        whole = len(messages) == lines.count(b"\n") + (not lines.endswith(b"\n"))
        if not whole or not self._fit(messages):
            self._spoil()
        return messages if self._regular else None

    def _fit(self, messages: Sequence[ChangeMessage]) -> bool:
        """Whether all messages are of the recording's only market, which is defined first."""
        market_id = self._book.market_id if self._book is not None else None
        for message in messages:
            changes = message.mc
            if not changes:
                continue
            change = changes[0]
            if self._book is None and change.id and change.market_definition is not None and message.pt:
                market_id = change.id
                self._book = MarketBook(market_id)
            # One message, one change: else the first showing would not end with its line.
            if len(changes) > 1 or change.id is None or change.id != market_id:
                return False
        return True

    def _spoil(self) -> None:
        """From here on the recording is kept without keyframes."""
        self._regular = self._skippable = False

    def _find_start(self, messages: Sequence[ChangeMessage]) -> None:
        for message in messages:
            for change in message.mc:
                if change.market_definition is not None:
                    moment = change.market_definition.market_time
                    self.start_ms = round(moment.timestamp() * 1000) if moment else message.pt
                    self._event_id = self._event_id or change.market_definition.event_id
                    return

    def _due(self, messages: Sequence[ChangeMessage]) -> bool:
        if self._size >= _SEGMENT_BYTES:
            return True
        first = self._row["first_ms"]
        now = messages[0].pt if messages else 0
        return self._size >= _KEYFRAME_BYTES and bool(first) and now - first >= _KEYFRAME_MS

    def _add(self, lines: bytes) -> None:
        if lines:
            self._lines.append(lines)
            self._size += len(lines)

    def _cut(self, line: int) -> Iterator[Row]:
        """End the segment before a line."""
        if not self._size:
            return
        image = image_of(self._book) if self._regular and self._book is not None else None
        yield from self._rows()
        self._open(line, image)

    def _rows(self, problem: str | None = None) -> Iterator[Row]:
        lines = b"".join(self._lines)
        row = {
            **self._row,
            "recording": self._name,
            "event_id": self._event_id,
            "market_id": self._book.market_id if self._book is not None else None,
            "skippable": self._skippable,
            "definitions": b"".join(self._definitions) or None,
            "lines": lines,
            "problem": problem,
        }
        if self._count == 0 and self._skippable and problem is None and self._head_length(lines):
            # The market's first message stands alone: it is always shown, what follows may be left out.
            cut = self._head_length(lines)
            (opening,) = [each for each in decode_lines(lines[:cut]) if each.mc]
            first = {**row, "last_ms": opening.pt, "changes": 1, "lines": lines[:cut]}
            first["definitions"], rest = self._definitions[0], self._definitions[1:]
            yield self._numbered(first)
            row["line"] += lines[:cut].count(b"\n")
            row["changes"] -= 1
            row["definitions"], row["lines"] = b"".join(rest) or None, lines[cut:]
        yield self._numbered(row)

    @staticmethod
    def _head_length(lines: bytes) -> int:
        """Bytes up to and with the first line that has changes; 0 where nothing follows it."""
        at = 0
        for line in lines.splitlines(keepends=True):
            at += len(line)
            if decode_lines(line)[0].mc:
                return at if at < len(lines) else 0
        return 0

    def _numbered(self, row: Row) -> Row:
        self._count += 1
        return {**row, "segment": self._count - 1}

    def end(self, problem: str | None) -> Iterator[Row]:
        """The recording has ended, or cannot be read on for the reason `problem`."""
        if problem is not None:
            self._skippable = False
        if self._count == 0 and self._size < _KEYFRAME_BYTES:
            self._skippable = False  # too small to leave anything out
        yield from self._rows(problem)


def _readable(lines: bytes) -> Iterator[ChangeMessage]:
    for line in lines.splitlines():
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            yield from decode_lines(line)


def _burst(
    pieces: Iterator[tuple[int, bytes]],
) -> tuple[list[tuple[int, bytes]], RecordingError | None, bool]:
    """The next pieces, what kept more from coming, and whether they are the last.

    Many at once: to unpack bz2 takes the processor's caches, and half as long again where other work comes between.
    """
    found: list[tuple[int, bytes]] = []
    try:
        for piece in pieces:
            found.append(piece)
            if len(found) == _BURST:
                return found, None, False
    except RecordingError as error:
        return found, error, True
    return found, None, True


class _PartFile:
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
            compression="zstd",
            compression_level=_LEVEL,
            use_dictionary=["recording", "market_id", "event_id"],
            write_statistics=["first_ms", "last_ms"],
            data_page_size=4 * _GROUP_BYTES,
            store_schema=False,
        )
        self._rows: list[Row] = []
        self._size = 0
        self._written = 0
        self._index: list[list[Any]] = []

    def add(self, row: Row) -> None:
        if row["segment"] == 0:
            self._index.append([row["recording"], row["event_id"], self._written, 0, 0])
        self._index[-1][3] += 1
        self._index[-1][4] += len(row["lines"])
        self._written += 1
        self._rows.append(row)
        self._size += len(row["lines"])
        if self._size >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._size = [], 0

    def close(self) -> None:
        self._flush()
        self._writer.add_key_value_metadata({INDEX: json.dumps({"format": FORMAT, "recordings": self._index})})
        self._writer.close()
        self._beside.replace(self._path)

    def abandon(self) -> None:
        self._writer.close()
        self._beside.unlink(missing_ok=True)


class PackRunner:
    """Packs batches.

    Args:
        out: the folder.
        root: what the names of all sources begin with; it is left out.
    """

    def __init__(self, out: str, root: str) -> None:
        self._out = Path(out)
        self._root = root

    def run(self, batch: Batch) -> Part:
        part = Part(batch, empty_rows(), 0, 0.0)
        files: dict[str, _PartFile] = {}
        try:
            for unit in batch.units:
                for piece in parts_of_unit(unit):
                    self._pack(piece, files, f"part-{batch.part}", part)
            for file in files.values():
                file.close()
            files.clear()
        finally:
            for file in files.values():
                file.abandon()
        return part

    def _pack(self, unit: Unit, files: dict[str, _PartFile], name: str, part: Part) -> None:
        source = unit.paths[0]
        recording = Recording(source)
        packed_as = str(source).replace("!", "/").removeprefix(self._root)
        segmenter = _Segmenter(packed_as, event_of_path(source))
        waiting: list[Row] = []
        target: _PartFile | None = None
        error: RecordingError | None = None
        pieces = recording.pieces()
        ended = False
        while not ended:
            burst, error, ended = _burst(pieces)
            for number, lines in burst:
                waiting.extend(segmenter.take(number, lines))
            if ended:
                waiting.extend(segmenter.end(error.message.removeprefix(DAMAGED) if error else None))
            if segmenter.start_ms is not None:
                if target is None:
                    target = self._target(files, segmenter.start_ms, name)
                for row in waiting:
                    part.changes += row["changes"]
                    target.add(row)
                waiting.clear()
        if target is None and error is None:
            error = RecordingError("holds no market definition", recording.name)
        if error is not None:
            what = "it is left out" if target is None else "what can be read of it is packed"
            part.rows["failures"].append(
                (None, error.market_id, error.line and f"{error.path}:{error.line}", 1, type(error).__name__,
                 f"{error}; {what}", None, unit.name, "", "")
            )  # fmt: skip

    def _target(self, files: dict[str, _PartFile], start_ms: int, name: str) -> _PartFile:
        start = from_ms(start_ms)
        place = f"year={start.year}/month={start.month:02d}"
        if place not in files:
            files[place] = _PartFile(self._out / place, name)
        return files[place]


def write_pack(
    markets: Paths,
    out: str | os.PathLike[str],
    *,
    engine: str = "auto",
    progress: ProgressOption = None,
) -> list[tuple[Any, ...]]:
    """Rewrite recordings as few Parquet files, `OUT/year=2024/month=07/part-*.parquet`, that are read as fast as plain
    files. `backtest(..., markets=OUT)` gives the same result as the recordings themselves.

    Args:
        markets: as of `backtest`.
        out: a new folder.
        engine: "local", "ray" or "auto", as of `backtest`.
        progress: as of `backtest`; a function is called after each batch with recordings done, recordings in all, and
            the batch's part.

    Returns:
        Rows of failures. Of a recording that is cut short what can be read is packed, with what is wrong; one that has
        no market definition is left out; the others are packed.

    Raises:
        InputError: the markets or `out` cannot be used.
    """
    sources = [absolute(source) for source in find_recordings(markets)]
    folder = _new_folder(out)
    units = [unit_of_files([source]) for source in sources]
    total = sum(unit.size for unit in units)
    runner = functools.partial(PackRunner, str(folder.resolve()), _root_of(sources))
    if engine == "ray" or (engine == "auto" and total >= _LARGE):
        connect()
        pool = RayPool(runner)
        parts: Any = pool.run(_batches(units, total, pool.size))
    else:
        local = runner()
        parts = (local.run(batch) for batch in _batches(units, total, 1))
    failures: list[tuple[Any, ...]] = []
    done = 0
    with showing(progress, "packing") as shown:
        for part in parts:
            failures.extend(part.rows["failures"])
            done += len(part.batch.units)
            if shown is not None:
                shown(done, len(units), part)
    for left in folder.rglob(".part-*"):  # of workers that died
        left.unlink(missing_ok=True)
    return failures


def _new_folder(out: str | os.PathLike[str]) -> Path:
    folder = Path(out)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder}: exists and is not empty; name another folder, or remove it")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from None
    return folder


def _root_of(sources: Sequence[Source]) -> str:
    """What all names begin with, up to a slash; folders that name the event of a file stay."""
    common: list[str] | None = None
    for source in sources:
        folders = str(source).replace("!", "/").split("/")[:-1]
        if event_of_path(source) is not None:
            folders = folders[:-1]
        if common is not None:
            pairs = zip(common, folders, strict=False)
            folders = [mine for mine, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)]
        common = folders
    return "".join(f"{folder}/" for folder in common or ())


def _batches(units: Sequence[Unit], total: int, workers: int) -> list[Batch]:
    """Batches in the order of names, which mostly is that of time, so that a file holds much of one month."""
    least, most = _BATCH
    target = min(max(total // (workers * 4), least), most)  # a worker is given four, so that they end together
    batches: list[Batch] = []
    waiting: list[Unit] = []
    size = 0
    for unit in units:
        waiting.append(unit)
        size += unit.size
        if size >= target:
            batches.append(Batch(len(batches), tuple(waiting)))
            waiting, size = [], 0
    if waiting:
        batches.append(Batch(len(batches), tuple(waiting)))
    return batches


# -- unpacking ---------------------------------------------------------------------------------------------------------


def unpack(
    packed: Paths,
    out: str | os.PathLike[str],
    *,
    compression: Compression = "bz2",
    progress: Callable[[int, int], None] | bool | None = None,
) -> list[str]:
    """Write packed recordings as files again, line for line as they were before packing.

    Args:
        packed: a folder that `write_pack` wrote, or some of its files.
        out: a new folder.
        compression: "bz2", "gz" or "none".
        progress: as of `backtest`; a function is called after each recording with the number written and the number
            in all.

    Returns:
        What is wrong with recordings, a sentence each; what can be read of them is written.

    Raises:
        InputError: `packed` holds no packed recordings, or `out` cannot be used.
    """
    if compression not in ("none", "gz", "bz2"):
        raise InputError(f"compression={compression!r}: expected 'none', 'gz' or 'bz2'")
    sources = find_recordings(packed)
    other = next((source for source in sources if source.rows is None and source.problem is None), None)
    if other is not None:
        raise InputError(f"{other}: is no packed archive; expected a folder that `headrace pack` wrote")
    folder = _new_folder(out)
    problems: list[str] = []
    ending = "" if compression == "none" else f".{compression}"
    written: set[Path] = set()
    with showing(progress, "unpacking") as shown:
        for done, source in enumerate(sources, 1):
            path = folder / _file_name(source.member or "unnamed", ending)
            if path in written or not path.resolve().is_relative_to(folder.resolve()):
                path = folder / f"{done}-{path.name}"
            written.add(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with _opened(path, compression) as file:
                    for _, lines in Recording(source).pieces():
                        file.write(lines)
            except RecordingError as error:
                problems.append(str(error))
            if shown is not None:
                shown(done, len(sources))
    return problems


def _file_name(name: str, ending: str) -> str:
    for each in _ENDINGS:
        name = name.removesuffix(each)
    return name + ending


def _opened(path: Path, compression: str) -> Any:
    if compression == "bz2":
        return bz2.open(path, "wb")
    # A time in the header would make two runs differ.
    return gzip.GzipFile(path, "wb", mtime=0) if compression == "gz" else path.open("wb")
