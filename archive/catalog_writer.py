"""Writing a catalog: an archive is read once, a row per market; a catalog that is there is brought up to date."""

from __future__ import annotations

import collections
import contextlib
import os
from pathlib import Path
from typing import Any

from ..cluster.batch_runner import Runner
from ..cluster.engines import require_engine, spread
from ..cluster.progress import ProgressOption, showing
from ..results.folders import not_written
from ..results.parts import Batch, Part
from ..simulate.reading.locations import Source, absolute, require_text
from ..simulate.reading.recordings import Paths, find_recordings
from ..simulate.rows import empty_rows
from ..simulate.units import Unit, parts_of_unit, unit_of_files
from ..strategies.errors import InputError
from .catalog import Catalog
from .catalog_columns import FIELDS, NAMES, Row, row_name, schema
from .market_facts import place_of, rows_of


class CatalogRunner(Runner):
    """Reads the facts of batches. A part's rows of "catalog" are the rows."""

    def run(self, batch: Batch) -> Part:
        part = Part(batch, empty_rows(), 0, 0.0)
        found: list[Any] = []
        for unit in batch.units:
            for piece in parts_of_unit(unit):
                found.extend(rows_of(_source(piece)))
        part.rows["catalog"] = found
        return part


def _source(unit: Unit) -> Source:
    """The recording that a unit is."""
    path = unit.paths[0]
    return path if isinstance(path, Source) else Source(path)


def write_catalog(
    markets: Paths,
    out: str | os.PathLike[str],
    *,
    engine: str = "auto",
    progress: ProgressOption = None,
) -> Catalog:
    """Write a catalog of recorded markets as Parquet, a row per market.

    Where `out` is a catalog already, only recordings are read that are new, or whose size or time of change is another;
    what is gone from the archive goes from the catalog.

    Args:
        markets: as in `backtest`.
        out: the file, such as "catalog.parquet".
        engine: "local", "ray" or "auto", as in `backtest`.
        progress: as in `backtest`; a function is called after each batch with recordings done, recordings in all, and
            the batch's part.

    Returns:
        The catalog. What is wrong with recordings is in its column `problems`.

    Raises:
        InputError: the markets, `out` or the engine cannot be used.
    """
    require_engine(engine)
    path = Path(out)
    require_text(os.fspath(out))
    known = _known(path)
    kept: list[Row] = []
    sources: list[Source] = []
    for source in map(absolute, find_recordings(markets)):
        rows = known.get(_key(place_of(source)))
        # Of a compressed tar the members are known only by reading it.
        if rows is None or (source.packed and source.member is None):
            sources.append(source)
        else:
            kept.extend(rows)
    units = [unit_of_files([source]) for source in sources]
    done = 0
    with showing(progress, "cataloguing") as shown:
        for part in spread(units, CatalogRunner, engine):
            found: list[Any] = part.rows.pop("catalog", [])
            kept.extend(found)
            done += len(part.batch.units)
            # A recording that took its worker with it has a row of failures in place of its own.
            for row in part.rows["failures"]:
                kept.append({**place_of(_source(part.batch.units[0])), "problems": row[5]})
            if shown is not None:
                shown(done, len(units), part)
    kept.sort(key=lambda row: (row.get("start") or 0, row.get("market_id") or "", row["file"], row["member"] or ""))
    _mark_copies(kept)
    _write(kept, path)
    return Catalog(path)


def _key(row: Row) -> tuple[Any, ...]:
    return (row["file"], row["member"], row["offset"], row["bytes"], row["modified"])


def _known(path: Path) -> dict[tuple[Any, ...], list[Row]]:
    """The rows of the catalog that is there, by recording."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    if path.exists():
        for row in Catalog(path).table.to_pylist():
            for name, kind in FIELDS:
                if kind == "time" and row[name] is not None:
                    row[name] = round(row[name].timestamp() * 1000)
            if row["also_in"] is not None:
                row["problems"] = (row["problems"] or "").removesuffix(_copy_text(row)).removesuffix("; ") or None
            row["also_in"] = None
            found.setdefault(_key(row), []).append(row)
    elif not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent} to write the catalog into")
    return found


def _copy_text(row: Row) -> str:
    return f"the market is in {row['also_in']} as well, which is read instead"


def _mark_copies(rows: list[Row]) -> None:
    """Of a market that appears several times one copy is read: that of a file of its own, else the first."""
    in_file = collections.Counter(row_name(row) for row in rows)
    best: dict[str, Row] = {}
    for row in rows:
        market_id = row.get("market_id")
        if market_id is not None:
            known = best.get(market_id)
            # A copy that is broken comes last.
            if known is None or _rank(row, in_file) < _rank(known, in_file):
                best[market_id] = row
    for row in rows:
        chosen = best.get(row.get("market_id") or "")
        if chosen is not None and chosen is not row:
            row["also_in"] = row_name(chosen)
            row["problems"] = "; ".join(text for text in (row.get("problems"), _copy_text(row)) if text)


def _rank(row: Row, in_file: collections.Counter[str]) -> tuple[bool, bool, str]:
    return row["problems"] is not None, in_file[row_name(row)] > 1, row_name(row)


def _write(rows: list[Row], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    beside = path.with_name(f".{path.name}.part")
    try:
        table = pa.Table.from_pylist([{name: row.get(name) for name in NAMES} for row in rows], schema=schema())
        pq.write_table(table, beside, compression="zstd")
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise not_written(f"{path}: the catalog cannot be written here", error) from None
