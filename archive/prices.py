"""Price tables of an archive: one Parquet file a recording, made in parallel."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..actors.failures import raised_at
from ..cluster.batches import plan_batches
from ..cluster.connection import connect
from ..cluster.dispatch import RayPool
from ..cluster.progress import ProgressOption, showing
from ..cluster.runner import Runner
from ..results.parts import Batch, Part
from ..results.places import not_written, why_not_written
from ..simulate.reading.locations import Source
from ..simulate.reading.price_table import PRICE_FIELDS, price_rows
from ..simulate.reading.recordings import Paths, find_recordings
from ..simulate.rows import empty_rows
from ..simulate.units import parts_of_unit, unit_of_files
from ..strategies.errors import InputError, RecordingError

#: From so many bytes of recordings on the work is spread over processes.
_LARGE = 100 * 1024 * 1024


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
    """Write prices of recorded markets at regular times as Parquet, a file a recording.

    Args:
        markets: as of `backtest`.
        out: a new folder. `pyarrow.dataset.dataset(out)` reads it as one table.
        every: seconds between rows; times without a change are left out.
        engine: "local", "ray" or "auto", as of `backtest`.
        progress: as of `backtest`; a function is called after each batch with recordings done, recordings in all, and
            the batch's part.

    Returns:
        Rows of failures: broken recordings; the others are written.

    Raises:
        InputError: the markets or `out` cannot be used.
    """
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
        for part in _parts(units, str(folder.resolve()), every, engine):
            failures.extend(part.rows["failures"])
            done += len(part.batch.units)
            if shown is not None:
                shown(done, len(units), part)
    return failures


def _parts(units: Sequence[Any], out: str, every: float, engine: str) -> Any:
    if engine == "ray" or (engine == "auto" and sum(unit.size for unit in units) >= _LARGE):
        connect()
        pool = RayPool(functools.partial(PriceRunner, out, every))
        return pool.run(plan_batches(units, pool.size))
    runner = PriceRunner(out, every)
    return (runner.run(batch) for unit in units for batch in plan_batches([unit], 1))
