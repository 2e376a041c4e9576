"""Packed archives: recordings rewritten as few Parquet files, by year and month of their markets' start."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..cluster.batch_runner import Runner
from ..cluster.engines import require_engine, spread
from ..cluster.progress import ProgressOption, showing
from ..results.parts import Batch, Part
from ..simulate.reading.locations import Source, absolute
from ..simulate.reading.recordings import DAMAGED, Paths, Recording, event_of_path, find_recordings
from ..simulate.rows import empty_rows
from ..simulate.units import Unit, parts_of_unit, unit_of_files
from ..strategies.clock import from_ms
from ..strategies.errors import RecordingError
from .packed_writer import PackedWriter, UnfinishedFolder
from .segmenter import PackedSegment, Segmenter

#: Bytes of recordings that make a batch, at least and at most: each writes a file for each month that it meets.
_BATCH = (16 * 1024 * 1024, 256 * 1024 * 1024)
#: Bytes of lines that are unpacked at once, before any of them is looked at.
_BURST = 2 * 1024 * 1024


def _burst(
    pieces: Iterator[tuple[int, bytes]],
) -> tuple[list[tuple[int, bytes]], RecordingError | None, bool]:
    """The next pieces, what kept more from coming, and whether they are the last.

    Many at once: to unpack bz2 takes the processor's caches, and half as long again where other work comes between.
    """
    found: list[tuple[int, bytes]] = []
    size = 0
    try:
        for number, lines in pieces:
            found.append((number, lines))
            size += len(lines)
            if size >= _BURST:
                return found, None, False
    except RecordingError as error:
        return found, error, True
    return found, None, True


class PackRunner(Runner):
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
        files: dict[str, PackedWriter] = {}
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

    def _pack(self, unit: Unit, files: dict[str, PackedWriter], name: str, part: Part) -> None:
        source = unit.paths[0]
        recording = Recording(source)
        packed_as = str(source).replace("!", "/").removeprefix(self._root)
        segmenter = Segmenter(packed_as, event_of_path(source))
        waiting: list[PackedSegment] = []
        target: PackedWriter | None = None
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
                    part.changes += row.changes
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

    def _target(self, files: dict[str, PackedWriter], start_ms: int, name: str) -> PackedWriter:
        start = from_ms(start_ms)
        place = f"year={start.year}/month={start.month:02d}"
        if place not in files:
            files[place] = PackedWriter(self._out / place, name)
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
        markets: as in `backtest`.
        out: a new folder.
        engine: "local", "ray" or "auto", as in `backtest`.
        progress: as in `backtest`; a function is called after each batch with recordings done, recordings in all, and
            the batch's part.

    Returns:
        Rows of failures. Of a recording that is cut short what can be read is packed, with what is wrong; one that has
        no market definition is left out; the others are packed.

    Raises:
        InputError: the markets, `out` or the engine cannot be used.
    """
    require_engine(engine)
    # By one path each: a file that is named twice is packed once.
    found = map(absolute, find_recordings(markets))
    sources = list({(source.path, source.member): source for source in found}.values())
    folder = UnfinishedFolder(out)
    try:
        failures = _pack_into(folder.path, sources, engine, progress)
        folder.finish()
    except BaseException:
        folder.abandon()
        raise
    return failures


def _pack_into(folder: Path, sources: Sequence[Source], engine: str, progress: ProgressOption) -> list[tuple[Any, ...]]:
    units = [unit_of_files([source]) for source in sources]
    runner = functools.partial(PackRunner, str(folder), _root_of(sources))
    failures: list[tuple[Any, ...]] = []
    done = 0
    with showing(progress, "packing") as shown:
        for part in spread(units, runner, engine, _batches):
            failures.extend(part.rows["failures"])
            done += len(part.batch.units)
            if shown is not None:
                shown(done, len(units), part)
    return failures


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


def _batches(units: Sequence[Unit], workers: int) -> list[Batch]:
    """Batches in the order of names, which mostly is that of time, so that a file holds much of one month."""
    least, most = _BATCH
    total = sum(unit.size for unit in units)
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
