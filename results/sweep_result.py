"""The result of a sweep: a row a parameter set, and what can be read off them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ..simulate.rows import DIGESTED, FIELDS, Rows
from ..strategies.errors import InputError
from ..strategies.parameters import Values, column_value
from . import measures
from .commits import MANIFEST, read_manifest, why_unread
from .folders import Folder, encoded
from .parts import Part
from .result import Result, require_format
from .violations import advice, reasons

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

#: The format of sweep folders.
FORMAT = 2
_SET = (("set", "whole"),)
#: Tables that a sweep keeps, the last three and the orders only where they were asked for.
TABLES = {
    name: (*FIELDS[name], *_SET)
    for name in ("markets", "violations", "failures", "orders", "fills", "records", "transactions")
}
#: Rows kept as they are; beyond that tables take less memory.
_MOST_ROWS = 50_000

#: Columns of `SweepResult.table` after the number of the set and its parameters.
MEASURES = (*measures.MEASURES, ("violations", "whole"), ("failures", "whole"))
_OUT_OF_SAMPLE = "out_of_sample_net_profit"
_SPLIT = (("in_sample_net_profit", "number"), (_OUT_OF_SAMPLE, "number"))
#: What a search adds.
SCORE = "score"
_SEARCH = (("round", "whole"), (SCORE, "number"))
#: Names that columns of `SweepResult.table` have beside the parameters.
MEASURED = frozenset(name for name, _ in (*MEASURES, *_SPLIT, *_SEARCH))
#: Measures of which less is better.
LEAST = (*measures.LEAST, "violations", "failures")
#: A file that shows that a folder can be written.
_PROBE = "probe.part"


class SweepStore:
    """Gathers parts as they come."""

    def __init__(self, sets: int) -> None:
        self._rows: Rows = {name: [] for name in TABLES}
        self._tables: dict[str, list[Any]] = {name: [] for name in TABLES}
        self._digests = [0] * sets

    def add(self, part: Part) -> None:
        part.drop_left_out()
        for name, fields in TABLES.items():
            width = len(fields)
            # What the dispatcher adds of its own has no set.
            self._rows[name].extend(row if len(row) == width else (*row, None) for row in part.rows[name])
        self._count_digests(part.rows)
        if sum(map(len, self._rows.values())) > _MOST_ROWS:
            self._convert()

    def end(self, failures: Sequence[tuple[Any, ...]]) -> None:
        """Keep what failed of the sweep as a whole, each row with its set."""
        self._rows["failures"].extend(failures)

    def _count_digests(self, rows: Rows) -> None:
        """Add each set's share of the digest: its rows as a backtest has them."""
        encode = msgspec.json.Encoder().encode
        for table in DIGESTED:
            name, width = table.encode(), len(FIELDS[table])
            for row in rows[table]:
                self._digests[row[-1]] += int.from_bytes(hashlib.sha256(name + encode(row[:width])).digest(), "big")

    def _convert(self) -> None:
        from .tables import from_rows

        for name, rows in self._rows.items():
            if rows:
                self._tables[name].append(from_rows(rows, TABLES[name]))
                self._rows[name] = []

    def result(self, manifest: dict[str, Any], parameters: Sequence[Values]) -> SweepResult:
        import pyarrow as pa

        from .tables import digest_text, schema

        self._convert()
        tables = {
            name: pa.concat_tables(found) if found else schema(TABLES[name]).empty_table()
            for name, found in self._tables.items()
        }
        digests = [digest_text(each) for each in self._digests]
        return SweepResult({**manifest, "digests": digests}, parameters, _in_order(tables))


def _in_order(tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """By set and market: parts come in any order, and equal sweeps are to have equal tables."""
    keys = [("set", "ascending"), ("market_id", "ascending")]
    return {name: table if name == "transactions" else table.sort_by(keys) for name, table in tables.items()}


class SweepResult:
    """What the sets of a sweep or of a search did.

    Attributes:
        parameters: the values of each set, by its number.
        manifest: configuration, inputs and timings.
    """

    def __init__(self, manifest: dict[str, Any], parameters: Sequence[Values], tables: Mapping[str, pa.Table]) -> None:
        self.manifest = manifest
        self.parameters = [dict(values) for values in parameters]
        self._tables = dict(tables)
        self._table: pa.Table | None = None

    # -- tables --------------------------------------------------------------------------------------------------

    @property
    def table(self) -> pa.Table:
        """A row a set: `set` (its number), its parameters, then

        `markets`; `orders`; `matched_orders` (with something matched); `matched` (size); `profit`; `commission`;
        `net_profit` (after commission); `return_on_matched` (net profit by size matched); `strike_rate` (matched
        orders with a profit, of all matched ones); `max_drawdown` (greatest fall of the net profit from a high, markets
        in the order of their starts, 0 or more); `standard_error` (of the mean net profit a market); `failures`; and,
        with `split`, `in_sample_net_profit` and `out_of_sample_net_profit`. Of a search also `round` (in which the set
        was tried first, from 0) and `score` (what the search went by). Money in the account's currency.
        """
        if self._table is None:
            self._table = self._made_table()
        return self._table

    @property
    def markets(self) -> pa.Table:
        """A row a set and market; `net_profit` is after commission, as if the set were alone in its account."""
        import pyarrow.compute as pc

        table = self._tables["markets"].drop_columns(["strategy", "parameters"])
        table = table.append_column("net_profit", pc.round(pc.subtract(table["profit"], table["commission"]), 2))
        if self.split is not None:
            table = table.append_column("in_sample", self._in_sample(table))
        names = table.column_names
        return table.select(["set", *(name for name in names if name != "set")])

    @property
    def failures(self) -> pa.Table:
        """What went wrong: broken recordings (without a set), errors of a set's strategy."""
        return self._tables["failures"]

    @property
    def violations(self) -> pa.Table:
        """What controls refused, and how often."""
        return self._tables["violations"]

    @property
    def orders(self) -> pa.Table:
        """A row an order, with the number of its set.

        Raises:
            InputError: the sweep kept no orders.
        """
        self._require_orders("orders")
        return self._tables["orders"]

    @property
    def fills(self) -> pa.Table:
        """A row a fill, with the number of its set.

        Raises:
            InputError: the sweep kept no orders.
        """
        self._require_orders("fills")
        return self._tables["fills"]

    @property
    def split(self) -> float | None:
        """The share of events that is in sample; None where there was no split."""
        return self.manifest.get("split")

    @property
    def search(self) -> dict[str, Any] | None:
        """How sets were searched for; None of a sweep.

        `by`, `seed`, `trials`, `batch`; `rounds`, a list a round with the number of the set that each trial came to (a
        set that is suggested again is run once); `scores`, a number or None a set.
        """
        return self.manifest.get("search")

    @property
    def digest(self) -> str:
        """64 hexadecimal digits over the sets and what each did; equal for equal sweeps, whatever the engine."""
        total = hashlib.sha256()
        for values, digest in zip(self.parameters, self.manifest["digests"], strict=True):
            shown = [(name, column_value(value)) for name, value in values.items()]
            total.update(repr(shown).encode() + digest.encode())
        return total.hexdigest()

    def result(self, number: int) -> Result:
        """One set as a backtest of it alone would give it, digest included.

        Raises:
            InputError: there is no such set, or the sweep kept no orders.
        """
        import pyarrow.compute as pc

        self._require_orders("the result of a set")
        if not 0 <= number < len(self.parameters):
            raise InputError(f"no set {number}: the sweep has sets 0 to {len(self.parameters) - 1}")
        tables = {
            name: table.filter(pc.equal(table["set"], number)).select([field for field, _ in FIELDS[name]])
            for name, table in self._tables.items()
        }
        return Result(dict(self.manifest), tables, int(self.manifest["digests"][number], 16))

    def best(self, by: str | None = None) -> dict[str, Any]:
        """The row of `table` with the greatest `by`; the least of what is better small, such as `max_drawdown`.

        Only sets that traded count: one whose orders were all refused, or that placed none, would beat every loss. Of
        equal sets the first.

        Args:
            by: a column; None: `net_profit`, or of a search `score`, what it went by.

        Raises:
            InputError: there is no such column of numbers, no set has a value there, or no set traded; the message
                says why.
        """
        best = self.best_sets(by, 1)[0]
        if not best["matched_orders"]:
            raise InputError(self.why_none_traded())
        return best

    def why_none_traded(self) -> str:
        """A sentence on sets that matched nothing: how many orders they placed, and what refused the others."""
        found = reasons(self.violations)
        placed = sum(self.table["orders"].to_pylist())
        text = f"no set traded: {placed:,} orders were placed, {sum(each.count for each in found):,} requests refused"
        if found:
            text += f", most of them by {found[0].control} ({found[0].text})"
            how = advice(found)
            text += f"; {how}" if how else ""
        return text

    def best_sets(self, by: str | None = None, count: int | None = None) -> list[dict[str, Any]]:
        """The rows of `table`, the best first as in `best`, at most `count`; those without a value are left out.

        Sets that did not trade come after those that did.

        Raises:
            InputError: there is no such column of numbers, or no set has a value there.
        """
        if by is None:
            by = self._goal
        self._require_measure(by)
        rows = [row for row in self.table.to_pylist() if row[by] is not None]
        if not rows:
            raise InputError(f"no set has a value for {by!r}")
        least = (self.search["by"] if self.search is not None and by == SCORE else by) in LEAST
        rows.sort(key=lambda row: row[by], reverse=not least)
        rows.sort(key=lambda row: not row["matched_orders"])
        return rows[:count]

    def scores(self, by: str) -> list[float | None]:
        """The column `by` of each set that traded, None for the others; with `split` over the markets in sample alone.

        `failures` and `violations` are over all markets: no choice of parameters could be fitted to them.

        Raises:
            InputError: there is no such column, or it is what the split keeps out of the choice.
        """
        require_goal(by, self.split)
        if self.split is None or by in ("violations", "failures", "in_sample_net_profit"):
            columns = (self.table[name].to_pylist() for name in (by, "matched_orders"))
            return [value if matched else None for value, matched in zip(*columns, strict=True)]
        return [each[by] if each["matched_orders"] else None for each in self._measures(in_sample=True)]

    def to_pandas(self) -> pd.DataFrame:
        """`table` as a pandas frame (extra `notebook`)."""
        return self.table.to_pandas()

    # -- figures -------------------------------------------------------------------------------------------------

    def heatmap(self, x: str, y: str, value: str = "net_profit") -> Any:
        """A plotly figure: `value` by two parameters, the mean over all others (extra `report`).

        The title says what the mean was taken over, and each cell its figure, where there is room for it.

        Raises:
            InputError: there is no such parameter or column.
            RunError: plotly is not installed.
        """
        from .display.sweep_figures import heatmap

        for name in (x, y):
            self._require_parameter(name)
        self._require_measure(value)
        return heatmap(self.table.to_pylist(), self._column(x), self._column(y), value, self.parameter_columns)

    def parallel_coordinates(self, value: str = "net_profit") -> Any:
        """A plotly figure: a line a set through its parameters to `value` (extra `report`).

        Raises:
            InputError: there is no such column.
            RunError: plotly is not installed.
        """
        from .display.sweep_figures import parallel_coordinates

        self._require_measure(value)
        return parallel_coordinates(self.table.to_pylist(), self.parameter_columns, value)

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write a page that stands alone: the sets, their profit, heatmaps, violations and failures.

        It fetches nothing, and runs no script but its own. Needs no extra.

        Raises:
            OSError: the file cannot be written.
        """
        from .display.sweep_report import write_sweep_page

        return write_sweep_page(self, path)

    # -- folders -------------------------------------------------------------------------------------------------

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write all tables as Parquet, with a manifest, into a new folder, named by its path or URI.

        Raises:
            InputError: the folder cannot be written, or holds something already.
            RunError: the disk is full, or fails.
        """
        place = new_folder(folder)
        for name, table in self._tables.items():
            place.write(f"{name}.parquet", encoded(table))
        place.write("sets.parquet", encoded(self.table))
        values = [{name: column_value(value) for name, value in each.items()} for each in self.parameters]
        text = json.dumps({**self.manifest, "parameters": values}, indent=1, default=str) + "\n"
        place.write(MANIFEST, text.encode())

    @classmethod
    def joined(cls, parts: Sequence[SweepResult], search: Mapping[str, Any]) -> SweepResult:
        """The sets of several sweeps over the same markets as those of one search, numbered on.

        What is broken in a recording all have found; it counts once.

        Args:
            search: the property `search` of the result.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        found: dict[str, list[pa.Table]] = {name: [] for name in TABLES}
        before = 0
        for part in parts:
            for name, table in part._tables.items():
                at = table.column_names.index("set")
                found[name].append(table.set_column(at, "set", pc.add(table["set"], before)))
            before += len(part.parameters)
        tables = {name: pa.concat_tables(some) for name, some in found.items()}
        failures = tables["failures"]
        tables["failures"] = failures.filter(pa.array(_first_of_recordings(failures), pa.bool_()))
        manifest = {
            **parts[0].manifest,
            "digests": [digest for part in parts for digest in part.manifest["digests"]],
            "changes": sum(part.manifest["changes"] for part in parts),
            "seconds": round(sum(part.manifest["seconds"] for part in parts), 3),
            "search": dict(search),
        }
        return cls(manifest, [values for part in parts for values in part.parameters], _in_order(tables))

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> SweepResult:
        """The sweep in a folder that `out=` or `save` wrote, by its path or URI.

        Raises:
            InputError: the folder holds no sweep.
        """
        place = Folder(folder)
        try:
            manifest = read_manifest(place)
        except (OSError, ValueError) as error:
            raise InputError(f"{place}: no sweep here: {MANIFEST} cannot be read ({why_unread(error)})") from None
        require_format(place, manifest, FORMAT)
        try:
            parameters = manifest.pop("parameters")
            tables = {name: place.read_table(f"{name}.parquet") for name in TABLES}
        except KeyError:
            raise InputError(f"{place}: no sweep here: {MANIFEST} names no parameters") from None
        except (OSError, ValueError) as error:
            raise InputError(
                f"{place}: the sweep is damaged: {why_unread(error)}; it cannot be repaired: run it again, in another "
                "folder"
            ) from None
        return cls(manifest, parameters, tables)

    # -- reading -------------------------------------------------------------------------------------------------

    @property
    def _goal(self) -> str:
        """The column that a choice goes by unless told otherwise."""
        return "net_profit" if self.search is None else SCORE

    @property
    def shown_by(self) -> str:
        """The column that the star goes by: with `split` the profit in sample, which the other half then checks.

        Else what `best` goes by, unless no set has a value there.
        """
        if self.search is None:
            return "net_profit" if self.split is None else "in_sample_net_profit"
        return self._goal if any(score is not None for score in self.search["scores"]) else "net_profit"

    @property
    def parameter_columns(self) -> list[str]:
        """The columns of `table` that hold the parameters' values."""
        return [self._column(name) for name in self._names]

    @property
    def _names(self) -> list[str]:
        return list(self.parameters[0])

    def _column(self, parameter: str) -> str:
        """The column of a parameter: its name, unless that is taken."""
        return f"parameter.{parameter}" if parameter in MEASURED or parameter == "set" else parameter

    def _require_orders(self, what: str) -> None:
        if not self.manifest.get("orders"):
            raise InputError(f"this sweep kept no orders, so it cannot tell {what}: run it with orders=True")

    def _require_parameter(self, name: str) -> None:
        if name not in self._names:
            raise InputError(f"no parameter {name!r} was swept; there are {', '.join(self._names)}")

    def _require_measure(self, name: str) -> None:
        if name != SCORE or self.search is None:
            require_measure(name, self.split)

    def _in_sample(self, table: pa.Table) -> pa.Array:
        import pyarrow as pa

        assert self.split is not None
        chosen: dict[str, bool] = {}
        answers = []
        for event_id, market_id in zip(table["event_id"].to_pylist(), table["market_id"].to_pylist(), strict=True):
            key = event_id or market_id
            answer = chosen.get(key)
            if answer is None:
                answer = chosen[key] = in_sample(key, self.split)
            answers.append(answer)
        return pa.array(answers, pa.bool_())

    def _made_table(self) -> pa.Table:
        import pyarrow as pa

        from .tables import schema

        fields = (*MEASURES, *(_SPLIT if self.split is not None else ()))
        rows = self._measures()
        for name, table in (("violations", self.violations), ("failures", self.failures)):
            for row in rows:
                row[name] = 0
            for number, count in zip(*(table[column].to_pylist() for column in ("set", "count")), strict=True):
                if number is not None:
                    rows[number][name] += count
        columns = {"set": pa.array(range(len(rows)), pa.int64())}
        for name in self._names:
            columns[self._column(name)] = _array([column_value(values[name]) for values in self.parameters])
        if self.search is not None:
            fields = (*_SEARCH, *fields)
            for number, score in enumerate(self.search["scores"]):
                rows[number][SCORE] = score
            for number, trials in reversed(list(enumerate(self.search["rounds"]))):
                for each in trials:
                    rows[each]["round"] = number
        for name, kind in fields:
            columns[name] = pa.array([row[name] for row in rows], schema(((name, kind),)).field(0).type)
        return pa.table(columns)

    def _measures(self, in_sample: bool = False) -> list[dict[str, Any]]:
        """Measures of each set, by number; of the markets in sample alone, where asked."""
        table = self.markets.sort_by([("set", "ascending"), ("start", "ascending"), ("market_id", "ascending")])
        flags = table["in_sample"].to_pylist() if self.split is not None else None
        columns, bootstrap = {name: table[name].to_pylist() for name in measures.NEEDED}, measures.Bootstrap()
        places: list[list[int]] = [[] for _ in self.parameters]
        for place, number in enumerate(table["set"].to_pylist()):
            if not in_sample or (flags is not None and flags[place]):
                places[number].append(place)
        found = [measures.measures(columns, mine, bootstrap) for mine in places]
        if flags is not None:
            net = table["net_profit"].to_pylist()
            for each, mine in zip(found, places, strict=True):
                inside = round(sum(net[place] for place in mine if flags[place]), 2)
                each["in_sample_net_profit"] = inside
                each[_OUT_OF_SAMPLE] = round(each["net_profit"] - inside, 2)
        return found

    def __repr__(self) -> str:
        markets = len(self._tables["markets"]["market_id"].unique())
        sets, failures = len(self.parameters), self.failures.num_rows
        best = self.best_sets(self.shown_by, 1)[0]
        values = ", ".join(f"{name}={best[self._column(name)]}" for name in self._names)
        score = "" if self.search is None else f"score {best[SCORE]}, "
        return f"<SweepResult {sets} sets, {markets} markets, {failures} failures; " + (
            f"best: {values}: {score}net profit {best['net_profit']}>" if best["matched_orders"] else "none traded>"
        )

    def _repr_html_(self) -> str:
        """The best sets, for notebooks."""
        from .display.notebook import sweep_html

        return sweep_html(self)


def is_sweep(place: Folder) -> bool:
    """Whether a folder holds a sweep, as far as its manifest can be read."""
    try:
        return "parameters" in read_manifest(place)
    except (OSError, ValueError):
        return False


def _first_of_recordings(failures: pa.Table) -> list[bool]:
    """Which rows are to stay: those of a set, and of equal ones without a set the first."""
    seen: set[tuple[Any, ...]] = set()
    kept = []
    for row in failures.to_pylist():
        key = tuple(value for name, value in row.items() if name != "command")  # that is another for each set
        kept.append(row["set"] is not None or key not in seen)
        seen.add(key)
    return kept


def in_sample(event_id: str, split: float) -> bool:
    """Whether an event is in sample: by a hash of its id, so that its markets stay together, in every sweep."""
    digest = hashlib.sha256(event_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") < split * 2**64


def require_measure(name: str, split: float | None) -> None:
    """Refuse a column that sets cannot be ranked by.

    Raises:
        InputError: names those that they can.
    """
    measures = [known for known, _ in (*MEASURES, *(_SPLIT if split is not None else ()))]
    if name not in measures:
        hint = "; give the sweep split=0.5" if name in dict(_SPLIT) else ""
        raise InputError(f"no column {name!r} to go by; there are {', '.join(measures)}{hint}")


def require_goal(by: str, split: float | None) -> None:
    """Refuse a column that a search cannot go by.

    Raises:
        InputError: there is no such column, or it is what the split keeps out of the choice.
    """
    require_measure(by, split)
    if by == _OUT_OF_SAMPLE:
        raise InputError(f"by={by!r}: that is what checks the choice; go by 'in_sample_net_profit'")


def new_folder(folder: str | os.PathLike[str]) -> Folder:
    """An empty folder, named by its path or URI; asked for before anything runs, for what it cannot take would be lost.

    Raises:
        InputError: it cannot be written, or holds something.
    """
    place = Folder(folder)
    if place.taken():
        raise InputError(f"{place}: exists and is not empty; name another folder for the sweep, or remove it")
    place.write_first(_PROBE, b"")
    place.remove(_PROBE)
    return place


def _array(values: list[Any]) -> Any:
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # of several types: as text
        return pa.array([None if value is None else str(value) for value in values], pa.string())
