"""The result of a run: tables, and what can be read off them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..simulate.reading.recordings import Paths
from ..simulate.rows import FIELDS, Rows
from ..strategies.errors import InputError
from .charges import by_hour, by_strategy
from .chosen_models import unusual_models
from .commits import MANIFEST, Parts, commits_to_read, manifest_of_run, why_unread
from .extras import needed
from .folders import Folder
from .measures import MEASURES, NEEDED, Bootstrap, measures

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

#: The format of result folders.
FORMAT = 3

#: Columns of `Result.summary`: name and kind, as in `FIELDS`.
SUMMARY_FIELDS = (
    ("strategy", "text"),
    *MEASURES,
    ("transaction_charge", "number"),
    ("violations", "whole"),
    ("failures", "whole"),
)


class Result:
    """Tables of a run.

    Attributes:
        digest: equal for runs that computed the same, whatever the engine, the workers and the order of completion.
    """

    def __init__(
        self,
        manifest: dict[str, Any] | Callable[[], dict[str, Any]],
        tables: Mapping[str, pa.Table] | None = None,
        digest: int = 0,
        rows: Rows | None = None,
        parts: Parts | None = None,
        units: Mapping[str, str] | None = None,
    ) -> None:
        """Made by a run, or by `Result.load`.

        Args:
            manifest: or what makes it when it is first asked for.
            tables, digest: parts of the run that are tables already.
            rows: what comes after them; made into tables when first asked for.
            parts: what lies in a folder instead; a table is read when it is first asked for.
            units: of each market the unit of replay that it came in, where it is known and `parts` do not tell.
        """
        self._units = units
        self._manifest = manifest
        self._parts = parts
        self._tables = dict(tables or {})
        self._digest = digest
        self._rows = rows

    @property
    def manifest(self) -> dict[str, Any]:
        """Versions, configuration, inputs and timings."""
        if callable(self._manifest):
            self._manifest = self._manifest()
        return self._manifest

    def _settle(self) -> None:
        """Make tables of the rows that wait."""
        if self._rows is None:
            return
        import pyarrow as pa

        from .tables import digest_of, to_tables

        rows, self._rows = self._rows, None
        self._digest += digest_of(rows)
        for name, more in to_tables(rows).items():
            self._tables[name] = pa.concat_tables([self._tables[name], more]) if name in self._tables else more

    def table(self, name: str) -> pa.Table:
        """A table by name.

        Raises:
            KeyError: there is no such table; the message names those there are.
        """
        if name not in FIELDS:
            raise KeyError(f"no table {name!r}; a result has {', '.join(FIELDS)}")
        self._settle()
        found = self._tables.get(name)
        if found is None and self._parts is not None:
            found = self._tables[name] = self._parts.table(name)
        if found is None:
            from .tables import schema

            found = schema(FIELDS[name]).empty_table()
        return found

    def _columns(self, name: str, *columns: str) -> pa.Table:
        """Some columns of a table; from a folder only these are read."""
        if self._parts is not None and name not in self._tables:
            return self._parts.table(name, columns)
        return self.table(name).select(columns)

    def _count(self, name: str) -> int:
        """How many rows a table has."""
        count = self._parts.count(name) if self._parts is not None and name not in self._tables else None
        return int(self.table(name).num_rows) if count is None else count

    @property
    def orders(self) -> pa.Table:
        """A row per order."""
        return self.table("orders")

    @property
    def fills(self) -> pa.Table:
        """A row per fill."""
        return self.table("fills")

    @property
    def markets(self) -> pa.Table:
        """A row per strategy and market. Commission as if the strategy were alone in its account.

        Of a run with a band also the least and the most of its three queues, and what each of the other two came to;
        None in other runs.
        """
        return self.table("markets")

    @property
    def records(self) -> pa.Table:
        """What strategies recorded."""
        return self.table("records")

    @property
    def violations(self) -> pa.Table:
        """What controls refused, and how often."""
        return self.table("violations")

    @property
    def failures(self) -> pa.Table:
        """What went wrong: broken recordings, errors of strategies."""
        return self.table("failures")

    @property
    def transactions(self) -> pa.Table:
        """Counted transactions of each client in each clock hour, over all markets together, with their charge."""
        return by_hour(self.table("transactions"))

    @property
    def digest(self) -> str:
        """64 hexadecimal digits over the rows of orders, fills, markets and records."""
        from .tables import digest_text

        self._settle()
        return digest_text(self._digest if self._parts is None else self._parts.digest)

    def unit_of(self, market_id: str) -> str | None:
        """The unit of replay that a market came in: a recording, or an event; None where that is not known."""
        if self._units is None:
            self._units = {} if self._parts is None else self._parts.units()
        return self._units.get(market_id)

    def summary(self) -> pa.Table:
        """A row per strategy: markets, orders, money, and what strategies are compared by; see `measures`."""
        from .tables import from_dicts

        markets = self._columns("markets", "strategy", "market_id", "start", *NEEDED)
        places: dict[str, list[int]] = {name: [] for name in dict.fromkeys(markets["strategy"].to_pylist())}
        markets = markets.sort_by([("start", "ascending"), ("market_id", "ascending")])
        violations = _counts(self._columns("violations", "strategy", "count"))
        failures = _counts(self._columns("failures", "strategy", "count"))
        counted = self._columns("transactions", "strategy", "client", "hour", "charge_each", "placed", "failed")
        charges = by_strategy(counted, markets)
        for place, name in enumerate(markets["strategy"].to_pylist()):
            places[name].append(place)
        columns, bootstrap = {name: markets[name].to_pylist() for name in NEEDED}, Bootstrap()
        rows = [
            {
                "strategy": name,
                **measures(columns, mine, bootstrap),
                "transaction_charge": charges.get(name, 0.0),
                "violations": violations.get(name, 0),
                "failures": failures.get(name, 0),
            }
            for name, mine in places.items()
        ]
        return from_dicts(rows, SUMMARY_FIELDS)

    def to_pandas(self, table: str = "orders") -> pd.DataFrame:
        """A table as a pandas frame (extra `notebook`)."""
        return self.table(table).to_pandas()

    def sql(self, statement: str) -> pa.Table:
        """The answer of DuckDB to a statement over the tables, by their names (extra `sql`).

        Times are in UTC. Sums of whole numbers are whole numbers.

        Raises:
            RunError: duckdb is not installed.
            InputError: the statement is wrong, or gives no table.
        """
        duckdb = needed("duckdb", "sql", "Result.sql")
        # Only the result's tables have names, not the caller's variables, and nothing is downloaded.
        settings = {"python_enable_replacements": "false", "autoinstall_known_extensions": "false"}
        with duckdb.connect(":memory:", config=settings) as connection:
            connection.execute("set TimeZone = 'UTC'")
            for name in FIELDS:
                connection.register(name, getattr(self, name))
            try:
                answer = connection.sql(statement)
                found = None if answer is None else answer.to_arrow_table()
            except duckdb.Error as error:
                raise InputError(f"the statement {statement!r} is wrong: {error}") from None
        if found is None:
            raise InputError(f"the statement {statement!r} gives no table; expected one such as select * from orders")
        return _whole_sums(found)

    def plot(self) -> Any:
        """Profit after commission and drawdown, a line for each strategy: a plotly figure (extra `report`).

        By the number of the market, in order of the scheduled starts; a button puts the same points by time.

        Raises:
            RunError: plotly is not installed.
        """
        from .display.figures import profit_figure

        return profit_figure(self)

    def plot_market(self, market_id: str, *, strategy: str | None = None, markets: Paths | None = None) -> Any:
        """A market and what was done in it: a plotly figure (extra `report`).

        Of each runner that was bet on: traded price, best prices to back and to lay, and when orders were placed,
        matched, cancelled or lapsed; suspensions and play are shaded. The recording is read again, as far as it can be.

        Args:
            strategy: whose orders; None: those of all.
            markets: where the recording is, as in `backtest`; None: where the run found it.

        Raises:
            InputError: the result has no such market, or its recording is not there any more.
            RunError: plotly is not installed.
        """
        from .display.figures import market_figure
        from .display.market_chart import market_chart

        return market_figure(market_chart(self, market_id, strategy, markets))

    def to_html(self, path: str | os.PathLike[str], *, show: Sequence[str] = (), markets: Paths | None = None) -> Path:
        """Write a self-contained page: charts and tables to look at, in a browser or on paper.

        It fetches nothing, and runs no script but its own. Needs no extra.

        Args:
            show: ids of markets whose prices it shows, with the orders in them, as `plot_market` does.
            markets: where their recordings are, as in `backtest`; None: where the run found them.

        Raises:
            InputError: the result has no such market, or its recording is not there any more.
            OSError: the file cannot be written.
        """
        from .display.report import write_page

        folder = "RESULT" if self._parts is None else str(self._parts.place)
        return write_page(self, path, show, markets, folder)

    # -- folders -------------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Result:
        """The result in a folder that `out=` wrote, by its path or URI; only what was committed.

        A table is read when it is first asked for.

        Raises:
            InputError: the folder holds no result.
        """
        place = Folder(folder)
        try:
            manifest = manifest_of_run(place)
        except (OSError, ValueError) as error:
            raise InputError(f"{place}: no result here: {MANIFEST} cannot be read ({why_unread(error)})") from None
        require_format(place, manifest, FORMAT)
        return cls(manifest, parts=Parts(place, commits_to_read(place, manifest.get("parts", ()))))

    def __repr__(self) -> str:
        orders, failures = self._count("orders"), self._count("failures")
        table = self._columns("markets", "market_id", "profit", "pessimistic_profit", "optimistic_profit")
        markets = len(table["market_id"].unique())
        own, *others = (table[name].to_pylist() for name in ("profit", "pessimistic_profit", "optimistic_profit"))
        profit, band = round(sum(own), 2), ""
        if any(value is not None for column in others for value in column):
            pairs = ((zip(column, own, strict=True)) for column in others)
            totals = [profit, *(round(sum(mine if one is None else one for one, mine in each), 2) for each in pairs)]
            band = f" ({min(totals)} to {max(totals)})"
        models = unusual_models(self.manifest)
        told = f"; {models}" if models else ""
        return f"<Result {markets} markets, {orders} orders, profit {profit}{band}, {failures} failures{told}>"

    def _repr_html_(self) -> str:
        """The summary, for notebooks."""
        from .display.notebook import result_html

        return result_html(self)


def require_format(place: Folder, manifest: Mapping[str, Any], wanted: int) -> None:
    """Refuse a folder that another headrace wrote with other columns.

    Raises:
        InputError: says which format it has.
    """
    found = manifest.get("format")
    if found != wanted:
        raise InputError(
            f"{place}: holds a result of format {found}; this headrace reads format {wanted}: run it again, or read it "
            "with the headrace that wrote it"
        )


def _whole_sums(table: pa.Table) -> pa.Table:
    """DuckDB adds whole numbers up in 128 bits, which arrow shows as decimals; back to 64 bits where they fit."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if field.type == pa.decimal128(38, 0):
            try:
                table = table.set_column(place, field.name, table.column(place).cast(pa.int64()))
            except pa.ArrowInvalid:
                continue
    return table


def _counts(table: pa.Table) -> dict[str, int]:
    """The column `count` added up by strategy."""
    found = table.group_by("strategy").aggregate([("count", "sum")])
    return dict(zip(found["strategy"].to_pylist(), found["count_sum"].to_pylist(), strict=True))
