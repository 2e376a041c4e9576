"""The result of a sweep: one row per parameter set, and what follows from them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..simulate.rows import FIELDS
from ..strategies.errors import InputError
from ..strategies.parameters import Values, column_value
from .chosen_models import unusual_models
from .commits import MANIFEST, read_commits, read_manifest, why_unread
from .folders import Folder
from .result import Result, require_format
from .saved_sweep import SavedSweep
from .sweep_folder import COMMIT, FORMAT, digests_of, manifest_of_sweep, new_folder
from .sweep_measures import LEAST, MEASURED, SCORE, measured, require_goal, require_measure, set_table
from .sweep_parts import TABLES, in_order
from .sweep_rows import FolderRows, JoinedRows, SweepCommit, SweepRows
from .sweep_tables import SweepTables
from .violations import advice

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class SweepResult(SweepTables):
    """The results of the sets of a sweep or a search.

    Attributes:
        parameters: the values of each set, by its number.
        manifest: configuration, inputs and timings.
    """

    def __init__(
        self, manifest: Mapping[str, Any], parameters: Sequence[Values], tables: Mapping[str, pa.Table] | SweepRows
    ) -> None:
        super().__init__(manifest, parameters, tables)
        self._table: pa.Table | None = None

    # -- sets ----------------------------------------------------------------------------------------------------

    @property
    def table(self) -> pa.Table:
        """One row per set: `set` (its number), its parameters, then

        `markets`; `orders`; `matched_orders` (with something matched); `matched` (size); `profit`; `commission`;
        `net_profit` (after commission); `return_on_matched` (net profit by size matched); `strike_rate` (matched
        orders with a profit, of all matched ones); `max_drawdown` (greatest fall of the net profit from a high, markets
        in the order of their starts, 0 or more); `standard_error` (of the mean net profit a market); `failures`; and,
        with `split`, `in_sample_net_profit` and `out_of_sample_net_profit`. Of a search also `round` (in which the set
        was tried first, from 0) and `score` (what the search went by). Money in the account's currency.
        """
        if self._table is None:
            columns = {self._column(name): [values[name] for values in self.parameters] for name in self._names}
            self._table = set_table(self._rows, columns, len(self.parameters), self.split, self.search)
        return self._table

    @property
    def search(self) -> dict[str, Any] | None:
        """How sets were searched for; None of a sweep.

        `by`, `seed`, `trials`, `batch`; `rounds`, a list a round with the number of the set that each trial came to (a
        set that is suggested again is run once); `scores`, a number or None for each set.
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
        self._require_orders("the result of a set")
        self._require_set(number)
        tables = {}
        for name in TABLES:
            found = in_order(name, self._rows.read(name, sets=[number]))
            tables[name] = found.select([field for field, _ in FIELDS[name]])
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
        found = self.refused
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
        return [
            each[by] if each["matched_orders"] else None
            for each in measured(self._rows, len(self.parameters), self.split, inside=True)
        ]

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
        """A plotly figure: one line per set, through its parameters to `value` (extra `report`).

        Raises:
            InputError: there is no such column.
            RunError: plotly is not installed.
        """
        from .display.sweep_figures import parallel_coordinates

        self._require_measure(value)
        return parallel_coordinates(self.table.to_pylist(), self.parameter_columns, value)

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write a self-contained page: the sets, their profit, heatmaps, violations and failures.

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
        saved = SavedSweep(new_folder(folder), len(self.parameters), self.manifest, self.parameters)
        try:
            self.append_to(saved)
            saved.finish(self.manifest, self.parameters, self.table)
        finally:
            saved.close()

    def append_to(self, saved: SavedSweep) -> None:
        """Write the sets into a folder, behind those that are there.

        Raises:
            RunError: they cannot be written.
        """
        saved.add(self._rows, self.manifest["digests"])

    @classmethod
    def joined(cls, parts: Sequence[SweepResult], search: Mapping[str, Any]) -> SweepResult:
        """The sets of several sweeps over the same markets as those of one search, numbered on.

        What is broken in a recording all have found; it counts once.

        Args:
            search: the property `search` of the result.
        """
        manifest = {
            **parts[0].manifest,
            "digests": [digest for part in parts for digest in part.manifest["digests"]],
            "changes": sum(part.manifest["changes"] for part in parts),
            "seconds": round(sum(part.manifest["seconds"] for part in parts), 3),
            "search": dict(search),
        }
        rows = JoinedRows([(part._rows, len(part.parameters)) for part in parts])
        return cls(manifest, [values for part in parts for values in part.parameters], rows)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> SweepResult:
        """The sweep in a folder that `out=` or `save` wrote, by its path or URI.

        Raises:
            InputError: the folder holds no sweep.
        """
        place = Folder(folder)
        try:
            manifest = manifest_of_sweep(place)
        except (OSError, ValueError) as error:
            raise InputError(f"{place}: no sweep here: {MANIFEST} cannot be read ({why_unread(error)})") from None
        require_format(place, manifest, FORMAT)
        parameters = manifest["parameters"]
        commits = read_commits(place, also=COMMIT)
        manifest["digests"] = digests_of(commits, len(parameters))
        return cls(manifest, parameters, FolderRows(place, map(SweepCommit.of, commits)))

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

    def _require_parameter(self, name: str) -> None:
        if name not in self._names:
            raise InputError(f"no parameter {name!r} was swept; there are {', '.join(self._names)}")

    def _require_measure(self, name: str) -> None:
        if name != SCORE or self.search is None:
            require_measure(name, self.split)

    def __repr__(self) -> str:
        markets = len(self.markets_met["market_id"].unique())
        sets, failures = len(self.parameters), sum(piece.num_rows for piece in self.pieces("failures"))
        best = self.best_sets(self.shown_by, 1)[0]
        values = ", ".join(f"{name}={best[self._column(name)]}" for name in self._names)
        score = "" if self.search is None else f"score {best[SCORE]}, "
        models = unusual_models(self.manifest)
        told = f"{models}; " if models else ""
        return f"<SweepResult {sets} sets, {markets} markets, {failures} failures; {told}" + (
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
