"""Catalogs: an archive read once, a row a market, so that runs read only the markets they are about."""

from __future__ import annotations

import collections
import contextlib
import datetime
import functools
import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..actors.market_filter import admits
from ..actors.sieves import Sieve
from ..cluster.batches import plan_batches
from ..cluster.connection import connect
from ..cluster.dispatch import RayPool
from ..cluster.progress import ProgressOption, showing
from ..cluster.runner import Runner
from ..names import name_of_file, to_text
from ..results.folders import not_written
from ..results.parts import Batch, Part
from ..simulate.reading.locations import Source, absolute, is_uri, require_text
from ..simulate.reading.recordings import Paths, Recording, find_recordings
from ..simulate.rows import empty_rows
from ..simulate.units import parts_of_unit, unit_of_files
from ..strategies.book import MarketBook
from ..strategies.changes import MarketChange, MarketDefinition, OddMessage
from ..strategies.errors import InputError, RecordingError
from ..strategies.hosting import window_of
from ..strategies.parameters import check_names
from ..strategies.strategy import Strategy

#: From so many bytes of recordings on the work is spread over processes.
_LARGE = 100 * 1024 * 1024
_FORMAT = {b"headrace.catalog": b"1"}

#: Columns: name and kind. Times are UTC, bytes those of the file as it lies there, volume in pounds.
FIELDS: tuple[tuple[str, str], ...] = (
    ("market_id", "text"),
    ("event_id", "text"),
    ("event_type", "text"),
    ("name", "text"),
    ("event_name", "text"),
    ("country", "text"),
    ("venue", "text"),
    ("market_type", "text"),
    ("betting_type", "text"),
    ("race_type", "text"),
    ("start", "time"),
    ("first_published", "time"),
    ("last_published", "time"),
    ("runners", "whole"),
    ("winners", "whole"),
    ("turn_in_play", "flag"),
    ("began_inplay", "flag"),
    ("went_inplay", "flag"),
    ("bsp", "flag"),
    ("ladder", "text"),
    ("changes", "whole"),
    ("traded", "number"),
    ("bytes", "whole"),
    ("file", "text"),
    ("member", "text"),
    ("offset", "whole"),
    ("entry", "wholes"),
    ("rows", "wholes"),
    ("modified", "whole"),
    ("also_in", "text"),
    ("problems", "text"),
)
#: Columns that say where a recording lies: no conditions are made of them.
_PLACE = ("offset", "entry", "rows", "modified")
_NAMES = [name for name, _ in FIELDS]
_KINDS = dict(FIELDS)

Row = dict[str, Any]


# -- reading an archive ------------------------------------------------------------------------------------------------


class _MarketFacts:
    """What is found out about one market of a recording."""

    def __init__(self, book: MarketBook) -> None:
        self.book = book
        self.first: MarketDefinition | None = None
        self.first_ms = self.last_ms = self.changes = 0
        self.went_inplay = False
        self.ladder = "ltp"

    def see(self, publish_time: int, change: MarketChange) -> None:
        self.first_ms = self.first_ms or publish_time
        self.last_ms = publish_time
        self.changes += 1
        self.book.apply(publish_time, change)
        definition = change.market_definition
        if definition is not None:
            self.first = self.first or definition
            self.went_inplay = self.went_inplay or definition.in_play
        if self.ladder != "full":
            for rc in change.rc:
                if rc.atb is not None or rc.atl is not None:
                    self.ladder = "full"
                elif self.ladder == "ltp" and (rc.batb or rc.batl or rc.bdatb or rc.bdatl):
                    self.ladder = "best"

    def row(self) -> Row:
        book, first = self.book, self.first
        assert first is not None
        ladders = (runner.ex.traded.levels.values() for runner in book.runners)
        return {
            "market_id": book.market_id,
            "event_id": first.event_id,
            "event_type": first.event_type_id,
            "name": first.name,
            "event_name": first.event_name,
            "country": first.country_code,
            "venue": first.venue,
            "market_type": first.market_type,
            "betting_type": first.betting_type,
            "race_type": first.race_type,
            "start": None if first.market_time is None else round(first.market_time.timestamp() * 1000),
            "first_published": self.first_ms,
            "last_published": self.last_ms,
            "runners": len(first.runners),
            "winners": first.number_of_winners,
            "turn_in_play": first.turn_in_play_enabled,
            "began_inplay": first.in_play,
            "went_inplay": self.went_inplay,
            "bsp": first.bsp_market,
            "ladder": self.ladder,
            "changes": self.changes,
            "traded": book.total_matched
            or round(sum(runner.total_matched for runner in book.runners), 2)
            or round(sum(sum(levels) for levels in ladders), 2),
        }


def _rows_of(source: Source) -> list[Row]:
    """A row for each market of a recording; one without a market where it has none."""
    facts: dict[str, _MarketFacts] = {}
    undefined: dict[str, None] = {}
    broken: list[RecordingError] = []
    odd: dict[str, str] = {}
    try:
        for number, messages in Recording(source).messages():
            for line, message in enumerate(messages, number):
                if isinstance(message, RecordingError):
                    broken.append(message)
                    continue
                if isinstance(message, OddMessage):
                    for each in message.oddities:
                        odd.setdefault(each.field, f"line {line}: {each.message}")
                for change in message.mc:
                    if change.id is None:
                        continue
                    known = facts.get(change.id)
                    if known is None:
                        if change.market_definition is None:
                            undefined[change.id] = None
                            continue
                        known = facts[change.id] = _MarketFacts(MarketBook(change.id))
                    known.see(message.pt, change)
    except RecordingError as error:
        broken.append(error)
    problems = [f"line {each.line}: {each.message}" if each.line else each.message for each in broken[:1]]
    if len(broken) > 1:
        problems.append(f"{len(broken) - 1} more lines cannot be read")
    problems.extend(itertools.islice(odd.values(), 1))
    if len(odd) > 1:
        problems.append(f"{len(odd) - 1} more fields hold what says nothing")
    lost = [market_id for market_id in undefined if market_id not in facts]
    if lost:
        problems.append(f"without a definition: {', '.join(lost[:5])}")
    if not facts and not problems:
        problems.append("holds no market changes")
    place = {**_place(source), "problems": "; ".join(problems) or None}
    return [{**each.row(), **place} for each in facts.values()] or [place]


def _place(source: Source) -> Row:
    return {
        "bytes": source.size,
        "file": to_text(source.path),
        "member": source.member,
        "offset": source.offset,
        "entry": source.entry,
        "rows": source.rows,
        "modified": _modified(source),
    }


def _modified(source: Source) -> int:
    """When a file was last changed, nanoseconds since the epoch."""
    if is_uri(source.path):
        return source.modified
    try:
        return os.stat(source.path).st_mtime_ns
    except OSError:
        return 0


class CatalogRunner(Runner):
    """Reads the facts of batches. A part's rows of "catalog" are the rows."""

    def run(self, batch: Batch) -> Part:
        part = Part(batch, empty_rows(), 0, 0.0)
        found: list[Any] = []
        for unit in batch.units:
            for piece in parts_of_unit(unit):
                source = piece.paths[0]
                found.extend(_rows_of(source if isinstance(source, Source) else Source(source)))
        part.rows["catalog"] = found
        return part


def write_catalog(
    markets: Paths,
    out: str | os.PathLike[str],
    *,
    engine: str = "auto",
    progress: ProgressOption = None,
) -> Catalog:
    """Write a catalog of recorded markets as Parquet, a row a market.

    Where `out` is a catalog already, only recordings are read that are new, or whose size or time of change is another;
    what is gone from the archive goes from the catalog.

    Args:
        markets: as of `backtest`.
        out: the file, such as "catalog.parquet".
        engine: "local", "ray" or "auto", as of `backtest`.
        progress: as of `backtest`; a function is called after each batch with recordings done, recordings in all, and
            the batch's part.

    Returns:
        The catalog. What is wrong with recordings is in its column `problems`.

    Raises:
        InputError: the markets or `out` cannot be used.
    """
    path = Path(out)
    require_text(os.fspath(out))
    known = _known(path)
    kept: list[Row] = []
    sources: list[Source] = []
    for source in map(absolute, find_recordings(markets)):
        rows = known.get(_key(_place(source)))
        # Of a compressed tar the members are known only by reading it.
        if rows is None or (source.packed and source.member is None):
            sources.append(source)
        else:
            kept.extend(rows)
    units = [unit_of_files([source]) for source in sources]
    done = 0
    with showing(progress, "cataloguing") as shown:
        for part in _parts(units, engine):
            kept.extend(part.rows.pop("catalog", []))
            done += len(part.batch.units)
            # A recording that took its worker with it has a row of failures in place of its own.
            for row in part.rows["failures"]:
                kept.append({**_place(part.batch.units[0].paths[0]), "problems": row[5]})
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


def _parts(units: Sequence[Any], engine: str) -> Any:
    if engine not in ("auto", "local", "ray"):
        raise InputError(f"engine={engine!r}: expected 'auto', 'local' or 'ray'")
    if units and (engine == "ray" or (engine == "auto" and sum(unit.size for unit in units) >= _LARGE)):
        connect()
        pool = RayPool(CatalogRunner)
        return pool.run(plan_batches(units, pool.size))
    runner = CatalogRunner()
    return (runner.run(batch) for unit in units for batch in plan_batches([unit], 1))


def _name(row: Row) -> str:
    return str(row["file"]) if row["member"] is None else f"{row['file']}!{row['member']}"


def _copy_text(row: Row) -> str:
    return f"the market is in {row['also_in']} as well, which is read instead"


def _mark_copies(rows: list[Row]) -> None:
    """Of a market that appears several times one copy is read: that of a file of its own, else the first."""
    in_file = collections.Counter(_name(row) for row in rows)
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
            row["also_in"] = _name(chosen)
            row["problems"] = "; ".join(text for text in (row.get("problems"), _copy_text(row)) if text)


def _rank(row: Row, in_file: collections.Counter[str]) -> tuple[bool, bool, str]:
    return row["problems"] is not None, in_file[_name(row)] > 1, _name(row)


@functools.cache
def _schema() -> Any:
    import pyarrow as pa

    kinds = {
        "text": pa.string(),
        "number": pa.float64(),
        "whole": pa.int64(),
        "wholes": pa.list_(pa.int64()),
        "flag": pa.bool_(),
        "time": pa.timestamp("ms", tz="UTC"),
    }
    return pa.schema([pa.field(name, kinds[kind]) for name, kind in FIELDS], metadata=_FORMAT)


def _write(rows: list[Row], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    beside = path.with_name(f".{path.name}.part")
    try:
        table = pa.Table.from_pylist([{name: row.get(name) for name in _NAMES} for row in rows], schema=_schema())
        pq.write_table(table, beside, compression="zstd")
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise not_written(f"{path}: the catalog cannot be written here", error) from None


# -- choosing markets --------------------------------------------------------------------------------------------------


class Catalog:
    """A catalog that `write_catalog` or `headrace catalog` wrote.

    Args:
        path: the file.

    Raises:
        InputError: it is none.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        import pyarrow.parquet as pq

        self.path = os.fspath(path)
        try:
            self.table = pq.read_table(self.path)
        except FileNotFoundError:
            raise InputError(f"{self.path}: no such catalog; `headrace catalog` writes one") from None
        except Exception as error:
            raise InputError(f"{self.path}: is no catalog: {str(error).splitlines()[0]}") from None
        if (self.table.schema.metadata or {}).get(b"headrace.catalog") != _FORMAT[b"headrace.catalog"]:
            raise InputError(f"{self.path}: is no catalog that this headrace reads; `headrace catalog` writes one")

    def __len__(self) -> int:
        """The number of markets, each counted once."""
        return len(self.select())

    def __repr__(self) -> str:
        return f"<Catalog {self.path}: {len(self)} markets>"

    @property
    def problems(self) -> Any:
        """A table of what is wrong: market, file, member, problems."""
        import pyarrow.compute as pc

        found = self.table.filter(pc.is_valid(self.table["problems"]))
        return found.select(["market_id", "file", "member", "problems"])

    def select(self, **conditions: Any) -> Selection:
        """The markets that meet all conditions; see `Selection.select`."""
        import pyarrow.compute as pc

        table = self.table
        single = table.filter(pc.and_(pc.is_valid(table["market_id"]), pc.is_null(table["also_in"])))
        return Selection(single, table).select(**conditions)


class Selection:
    """Markets of a catalog; `markets=` takes it.

    Attributes:
        table: their rows of the catalog.
        sieves: what filters did to those that no strategy wants, by strategy.
    """

    def __init__(self, table: Any, catalog: Any, narrowed: bool = False) -> None:
        self.table = table
        self.sieves: dict[str, Sieve] = {}
        self._catalog = catalog
        self._narrowed = narrowed

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __repr__(self) -> str:
        return f"<Selection of {len(self)} markets>"

    @property
    def market_ids(self) -> list[str]:
        return list(self.table["market_id"].to_pylist())

    def to_pandas(self) -> Any:
        return self.table.to_pandas()

    def select(self, **conditions: Any) -> Selection:
        """The markets among these that meet all conditions.

        A condition is a column's name with a value, a list of values, or, for times and numbers, a pair of limits: from
        the first on, and before the second; None leaves a side open. Times are texts such as "2024-07-01", dates, or
        datetimes; UTC unless they say otherwise.

            catalog.select(event_type="7", country=["GB", "IE"], start=("2024-01-01", "2024-07-01"))

        Raises:
            InputError: there is no such column, or a value is not of its kind.
        """
        table = self.table
        try:
            check_names(conditions, [name for name in _NAMES if name not in _PLACE], "the catalog")
        except TypeError as error:
            raise InputError(str(error).replace("parameter", "column")) from None
        for name, condition in conditions.items():
            table = table.filter(_mask(table[name], name, condition))
        return Selection(table, self._catalog)

    def sources(self) -> list[Source]:
        """The recordings to read.

        Raises:
            InputError: no market is selected, or a file has changed since it was catalogued.
        """
        if not len(self) and not self._narrowed:
            raise InputError("the selection holds no market; widen its conditions")
        markets = collections.Counter(_name(row) for row in self._catalog.select(["file", "member"]).to_pylist())
        chosen: dict[str, list[Row]] = {}
        columns = ["market_id", "event_id", "bytes", "file", "member", "offset", "entry", "rows", "modified"]
        for row in self.table.select(columns).to_pylist():
            chosen.setdefault(_name(row), []).append(row)
        _check_unchanged(chosen.values())
        return [
            _source(rows, tuple(row["market_id"] for row in rows) if len(rows) < markets[name] else None)
            for name, rows in sorted(chosen.items())
        ]

    def wanted(self, strategies: Iterable[Strategy]) -> Selection:
        """Those that a strategy wants by its filters; what no strategy wants need not be read."""
        if not len(self):
            return self
        strategies = list(strategies)
        keep = []
        sieves: dict[str, Sieve] = {}
        for row in self.table.to_pylist():
            definition = _definition(row)
            wanted = any(_wants(strategy, row["market_id"], definition) for strategy in strategies)
            keep.append(wanted)
            for strategy in () if wanted else strategies:
                sieves.setdefault(strategy.name, Sieve()).pass_over(strategy, row["market_id"], definition)
        narrowed = Selection(self.table.filter(keep), self._catalog, narrowed=True)
        narrowed.sieves = sieves
        return narrowed


def _wants(strategy: Strategy, market_id: str, definition: MarketDefinition) -> bool:
    sport = window_of(strategy).admits_sport(definition.event_type_id)
    return sport and admits(strategy.market_filter, market_id, definition)


def _definition(row: Row) -> MarketDefinition:
    """What filters test of a market's first definition."""
    return MarketDefinition(
        event_id=row["event_id"],
        event_type_id=row["event_type"],
        market_type=row["market_type"],
        betting_type=row["betting_type"],
        country_code=row["country"],
        venue=row["venue"],
        race_type=row["race_type"],
        bsp_market=row["bsp"],
        turn_in_play_enabled=row["turn_in_play"],
        in_play=row["began_inplay"],
        market_time=row["start"],
    )


def _check_unchanged(chosen: Iterable[list[Row]]) -> None:
    checked: set[str] = set()
    for rows in chosen:
        row = rows[0]
        if row["file"] in checked or is_uri(row["file"]):
            continue
        checked.add(row["file"])
        try:
            changed = os.stat(name_of_file(row["file"])).st_mtime_ns != row["modified"]
        except OSError:
            raise InputError(f"{row['file']}: is in the catalog, but not there; write the catalog again") from None
        if changed:
            raise InputError(f"{row['file']}: has changed since it was catalogued; write the catalog again")


def _source(rows: list[Row], only: tuple[str, ...] | None) -> Source:
    row = rows[0]
    return Source(
        name_of_file(row["file"]),
        row["member"],
        row["offset"],
        row["bytes"],
        entry=tuple(row["entry"]) if row["entry"] else None,
        packed=row["member"] is not None and row["offset"] is None and row["rows"] is None,
        rows=tuple(row["rows"]) if row["rows"] else None,
        event=row["event_id"],
        only=only,
    )


def _mask(column: Any, name: str, condition: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = _KINDS[name]
    limits = isinstance(condition, tuple) and kind in ("time", "number", "whole")
    if limits:
        if len(condition) != 2:
            raise InputError(f"{name}={condition!r}: expected (from, before)")
        low, high = (None if each is None else _value(name, kind, each) for each in condition)
        mask = pc.is_valid(column)
        if low is not None:
            mask = pc.and_(mask, pc.greater_equal(column, pa.scalar(low, column.type)))
        if high is not None:
            mask = pc.and_(mask, pc.less(column, pa.scalar(high, column.type)))
    elif condition is None:
        mask = pc.is_null(column)
    else:
        several = isinstance(condition, (list, tuple, set, frozenset))
        values = [_value(name, kind, each) for each in (condition if several else [condition])]
        mask = pc.is_in(column, value_set=pa.array(values, column.type))
    return pc.fill_null(mask, False)


def _value(name: str, kind: str, value: Any) -> Any:
    """A condition's value as the column has it."""
    try:
        if kind == "time":
            if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
                value = value.isoformat()
            found = value if isinstance(value, datetime.datetime) else datetime.datetime.fromisoformat(value)
            return found.replace(tzinfo=datetime.UTC) if found.tzinfo is None else found
        if kind == "flag" and isinstance(value, bool):
            return value
        if kind == "text" and isinstance(value, (str, int)) and not isinstance(value, bool):
            return str(value)
        if kind in ("number", "whole") and isinstance(value, (int, float)) and not isinstance(value, bool):
            return value if kind == "number" else int(value)
    except (TypeError, ValueError):
        pass
    expected = {"time": "a date such as '2024-07-01'", "flag": "True or False", "text": "a text"}.get(kind, "a number")
    raise InputError(f"{name}={value!r}: expected {expected}")


def wanted_markets(markets: Paths, strategies: Iterable[Strategy]) -> Paths:
    """What of `markets` strategies want, as far as that is known without reading."""
    return markets.wanted(strategies) if isinstance(markets, Selection) else markets
