"""Catalogs, and markets chosen from them, so that runs read only the recordings they are about."""

from __future__ import annotations

import collections
import os
from collections.abc import Iterable
from typing import Any

from ..actors.market_filter import admits
from ..actors.sieves import Sieve
from ..names import name_of_file
from ..simulate.reading.locations import Source, is_uri
from ..simulate.reading.recordings import Paths
from ..strategies.changes import MarketDefinition
from ..strategies.errors import InputError
from ..strategies.hosting import window_of
from ..strategies.parameters import check_names
from ..strategies.strategy import Strategy
from .catalog_columns import FORMAT, NAMES, PLACE, Row, row_name
from .conditions import meets


class Catalog:
    """A catalog that `write_catalog` or `headrace catalog` wrote.

    Args:
        path: the file.

    Raises:
        InputError: the file is not one, or not there.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        import pyarrow.parquet as pq

        self.path = os.fspath(path)
        try:
            self.table = pq.read_table(self.path)
        except FileNotFoundError:
            raise InputError(f"{self.path}: no such catalog; `headrace catalog` writes one") from None
        except Exception as error:
            raise InputError(f"{self.path}: is not a catalog: {str(error).splitlines()[0]}") from None
        if (self.table.schema.metadata or {}).get(b"headrace.catalog") != FORMAT[b"headrace.catalog"]:
            raise InputError(f"{self.path}: is not a catalog that this headrace reads; `headrace catalog` writes one")

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
            check_names(conditions, [name for name in NAMES if name not in PLACE], "the catalog")
        except TypeError as error:
            raise InputError(str(error).replace("parameter", "column")) from None
        for name, condition in conditions.items():
            table = table.filter(meets(table[name], name, condition))
        return Selection(table, self._catalog)

    def sources(self) -> list[Source]:
        """The recordings to read.

        Raises:
            InputError: no market is selected, or a file has changed since it was catalogued.
        """
        if not len(self) and not self._narrowed:
            raise InputError("the selection holds no market; widen its conditions")
        markets = collections.Counter(row_name(row) for row in self._catalog.select(["file", "member"]).to_pylist())
        chosen: dict[str, list[Row]] = {}
        columns = ["market_id", "event_id", "bytes", "file", "member", "offset", "entry", "rows", "modified"]
        for row in self.table.select(columns).to_pylist():
            chosen.setdefault(row_name(row), []).append(row)
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


def wanted_markets(markets: Paths, strategies: Iterable[Strategy]) -> Paths:
    """What of `markets` strategies want, as far as that is known without reading."""
    return markets.wanted(strategies) if isinstance(markets, Selection) else markets
