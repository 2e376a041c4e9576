"""Price tables of an archive: prices at regular times, one Parquet file per recording, made in parallel."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..actors.failures import raised_at
from ..cluster.batch_runner import Runner
from ..cluster.engines import require_engine, spread
from ..cluster.progress import ProgressOption, showing
from ..results.folders import not_written, why_not_written
from ..results.parts import Batch, Part
from ..simulate.reading.books import changes_of
from ..simulate.reading.locations import Source
from ..simulate.reading.recordings import Paths, Recording, find_recordings
from ..simulate.rows import empty_rows
from ..simulate.units import parts_of_unit, unit_of_files
from ..strategies.book import MarketBook
from ..strategies.errors import InputError, RecordingError

#: Levels of each side in a row.
LEVELS = 3

#: Columns: name and kind, as in result tables.
PRICE_FIELDS: tuple[tuple[str, str], ...] = (
    ("market_id", "text"),
    ("event_id", "text"),
    ("market_type", "text"),
    ("time", "time"),
    ("seconds_to_start", "number"),
    ("status", "text"),
    ("inplay", "flag"),
    ("selection_id", "whole"),
    ("handicap", "number"),
    ("runner_status", "text"),
    ("last_price_traded", "number"),
    ("total_matched", "number"),
    *(
        (f"{side}_{kind}_{level}", "number")
        for side in ("back", "lay")
        for level in range(1, LEVELS + 1)
        for kind in ("price", "size")
    ),
    ("bsp", "number"),
)

_EVERY = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h)?")
_UNITS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def parse_interval(text: str) -> float:
    """Seconds of an interval such as "1s", "500ms", "5m" or "2".

    Raises:
        InputError: it is not one, or not above 0.
    """
    match = _EVERY.fullmatch(text.strip())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if seconds <= 0:
        raise InputError(f"{text!r} is not an interval: expected such as 1s, 500ms or 5m")
    return seconds


def price_rows(source: Source | str, every: float) -> Iterator[tuple[Any, ...]]:
    """Rows of a recording: each runner at each multiple of `every` seconds, as the book stood then.

    Times without a change since the last row are left out: the row before holds.

    Raises:
        RecordingError: the recording is broken.
    """
    step = max(1, round(every * 1000))
    slots: dict[str, int] = {}
    last: dict[str, MarketBook] = {}

    def about_to_change(book: MarketBook, publish_time: int) -> list[tuple[Any, ...]]:
        """The rows of the step that a change ends, while the book still shows it."""
        slot, known = publish_time // step, slots.get(book.market_id)
        slots[book.market_id] = slot
        last[book.market_id] = book
        if known is None or known == slot:
            return []
        return list(_rows(book, (known + 1) * step))

    yield from changes_of(Recording(source), about_to_change)
    for book in last.values():
        yield from _rows(book, (slots[book.market_id] + 1) * step)


def _rows(book: MarketBook, time_ms: int) -> Iterator[tuple[Any, ...]]:
    definition = book.market_definition
    if definition is None:
        return
    start = definition.market_time
    to_start = start.timestamp() - time_ms / 1000 if start else None
    for runner in book.runners:
        ex, sp = runner.ex, runner.sp.actual_sp
        levels: list[float | None] = []
        for side in (ex.available_to_back, ex.available_to_lay):
            for at in range(LEVELS):
                levels.extend(tuple(side[at]) if at < len(side) else (None, None))
        yield (
            book.market_id,
            definition.event_id,
            definition.market_type,
            time_ms,
            to_start,
            book.status,
            book.inplay,
            runner.selection_id,
            runner.handicap,
            runner.status,
            runner.last_price_traded,
            runner.total_matched,
            *levels,
            sp if isinstance(sp, float) and sp == sp and abs(sp) != float("inf") else None,
        )


class PriceRunner(Runner):
    """Writes the price tables of batches.

    Args:
        out: the folder.
        every: seconds between rows.
    """

    def __init__(self, out: str, every: float) -> None:
        self._out = Path(out)
        self._every = every

    def run(self, batch: Batch) -> Part:
        part = Part(batch, empty_rows(), 0, 0.0)
        for unit in batch.units:
            for piece in parts_of_unit(unit):
                try:
                    part.changes += self._write(piece.paths[0])
                except (RecordingError, OSError) as error:
                    line = getattr(error, "line", None)
                    part.rows["failures"].append(
                        (None, None, (line and f"{piece.name}:{line}") or raised_at(error), 1, type(error).__name__,
                         str(error) if isinstance(error, RecordingError) else why_not_written(error), None, piece.name,
                         "", "")
                    )  # fmt: skip
        return part

    def _write(self, source: Source | str) -> int:
        import pyarrow.parquet as pq

        from ..results.tables import from_rows

        rows = list(price_rows(source, self._every))
        name = os.path.basename(str(source)).split("!")[-1].split(".bz2")[0].split(".gz")[0]
        mark = hashlib.sha256(str(source).encode()).hexdigest()[:8]
        pq.write_table(from_rows(rows, PRICE_FIELDS), self._out / f"{name}-{mark}.parquet", compression="zstd")
        return len(rows)


def write_prices(
    markets: Paths,
    out: str | os.PathLike[str],
    every: float = 1.0,
    engine: str = "auto",
    *,
    progress: ProgressOption = None,
) -> list[tuple[Any, ...]]:
    """Write prices of recorded markets at regular times as Parquet, a file per recording.

    Args:
        markets: as in `backtest`.
        out: a new folder. `pyarrow.dataset.dataset(out)` reads it as one table.
        every: seconds between rows; times without a change are left out.
        engine: "local", "ray" or "auto", as in `backtest`.
        progress: as in `backtest`; a function is called after each batch with recordings done, recordings in all, and
            the batch's part.

    Returns:
        Rows of failures: broken recordings; the others are written.

    Raises:
        InputError: the markets, `out` or the engine cannot be used.
    """
    require_engine(engine)
    sources = find_recordings(markets)
    folder = Path(out)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder}: exists and is not empty; name another folder for the prices, or remove it")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(f"{folder}: prices cannot be written here", error) from None
    units = [unit_of_files([source]) for source in sources]
    failures: list[tuple[Any, ...]] = []
    done = 0
    with showing(progress, "sampling prices") as shown:
        for part in spread(units, functools.partial(PriceRunner, str(folder.resolve()), every), engine):
            failures.extend(part.rows["failures"])
            done += len(part.batch.units)
            if shown is not None:
                shown(done, len(units), part)
    return failures
