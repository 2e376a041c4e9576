"""Tables of a sweep as they are shown: in order, with what is left after commission, and in sample or out of it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..strategies.errors import InputError
from ..strategies.parameters import Values
from .failure_groups import FailureGroup, grouped_failures
from .sweep_parts import TABLES, in_order, told_once
from .sweep_rows import HeldRows, SweepRows, distinct, groups_of_sets
from .violations import Reason, reasons

if TYPE_CHECKING:
    import pyarrow as pa

#: Columns of `markets` that say what was run, and not what it gave.
_SAID = ("strategy", "parameters")


#: What the tables are sorted by.
_KEYS = ("set", "market_id")
#: What columns that are not stored are made of.
_MADE_OF = {"net_profit": ("profit", "commission"), "in_sample": ("event_id", "market_id")}


class SweepTables:
    """The rows of a sweep as tables.

    Args:
        tables: by name, or where they lie.
    """

    def __init__(
        self, manifest: Mapping[str, Any], parameters: Sequence[Values], tables: Mapping[str, pa.Table] | SweepRows
    ) -> None:
        self.manifest = {name: value for name, value in manifest.items() if name != "parameters"}
        self.parameters = [dict(values) for values in parameters]
        self._rows = tables if isinstance(tables, SweepRows) else HeldRows(tables)
        self._met: pa.Table | None = None

    @property
    def markets(self) -> pa.Table:
        """A row per set and market; `net_profit` is after commission, as if the set were alone in its account.

        All rows, in memory: of a sweep with very many, `rows` reads a few sets or columns.
        """
        return self.rows("markets")

    @property
    def failures(self) -> pa.Table:
        """What went wrong: broken recordings (without a set), errors of a set's strategy."""
        return self.rows("failures")

    @property
    def violations(self) -> pa.Table:
        """What controls refused, and how often."""
        return self.rows("violations")

    @property
    def orders(self) -> pa.Table:
        """A row per order, with the number of its set.

        Raises:
            InputError: the sweep kept no orders.
        """
        return self.rows("orders")

    @property
    def fills(self) -> pa.Table:
        """A row per fill, with the number of its set.

        Raises:
            InputError: the sweep kept no orders.
        """
        return self.rows("fills")

    def rows(self, name: str, *, sets: Iterable[int] | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of one of the tables, by set and market: all, or those of some sets, or some columns of them.

        Rows lie in a folder where there are many; no more of them is read than what is asked for.

        Args:
            name: "markets", "violations", "failures", or, where the sweep kept orders, "orders", "fills", "records".
            sets: numbers of sets; None: all, and with them what failed in recordings, which belongs to no set.
            columns: names of columns, in this order; None: all.

        Raises:
            InputError: there is no such table, set or column, the sweep kept no orders, or a file cannot be read.
        """
        self._require_table(name, columns)
        chosen = None if sets is None else list(sets)
        for number in chosen or ():
            self._require_set(number)
        return self._read(name, chosen, columns)

    def pieces(self, name: str, *, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows of one of the tables in the same order, those of some sets at a time: see `rows`.

        Raises:
            InputError: there is no such table or column, the sweep kept no orders, or a file cannot be read.
        """
        self._require_table(name, columns)
        for sets in groups_of_sets(self._rows, name, len(self.parameters)):
            table = self._read(name, sets, columns)
            if table.num_rows:
                yield table

    @property
    def markets_met(self) -> pa.Table:
        """A row per market that any set came to: `market_id`, `event_id`, `start`."""
        if self._met is None:
            self._met = distinct(self._rows, "markets", ("market_id", "event_id", "start"))
        return self._met

    @property
    def refused(self) -> list[Reason]:
        """The reasons of all violations, the most frequent first."""
        return reasons(self.pieces("violations", columns=("control", "reason", "count")))

    @property
    def failure_groups(self) -> list[FailureGroup]:
        """All failures by their place, those that happened most often first."""
        return grouped_failures(row for piece in self.pieces("failures") for row in piece.to_pylist())

    @property
    def split(self) -> float | None:
        """The share of events that is in sample; None where there was no split."""
        return self.manifest.get("split")

    def _require_orders(self, what: str) -> None:
        if not self.manifest.get("orders"):
            raise InputError(f"this sweep kept no orders, so it cannot tell {what}: run it with orders=True")

    def _require_set(self, number: int) -> None:
        if not 0 <= number < len(self.parameters):
            raise InputError(f"no set {number}: the sweep has sets 0 to {len(self.parameters) - 1}")

    def _require_table(self, name: str, columns: Sequence[str] | None) -> None:
        names = [each for each in TABLES if each != "transactions"]
        if name not in names:
            raise InputError(f"no table {name!r}; a sweep has {', '.join(names)}")
        if name not in ("markets", "violations", "failures"):
            self._require_orders(name)
        known = self._columns(name)
        unknown = next((column for column in columns or () if column not in known), None)
        if unknown is not None:
            raise InputError(f"{name} has no column {unknown!r}; there are {', '.join(known)}")

    def _columns(self, name: str) -> list[str]:
        """The columns of a table as it is shown."""
        kept = [column for column, _ in TABLES[name]]
        if name != "markets":
            return kept
        made = ["net_profit", *(["in_sample"] if self.split is not None else [])]
        return ["set", *(column for column in kept if column not in (*_SAID, "set")), *made]

    def _read(self, name: str, sets: Collection[int | None] | None, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows as they are shown.

        Args:
            sets: see `SweepRows.pieces`.
        """
        shown = self._columns(name)
        if name == "failures":
            # Equal rows are told once: all of a row is looked at.
            table = told_once(in_order(name, self._rows.read(name, sets=sets)))
            return table if columns is None else table.select(list(columns))
        wanted = shown if columns is None else list(columns)
        needed = {*_KEYS, *wanted, *(each for column in wanted for each in _MADE_OF.get(column, ()))}
        table = in_order(name, self._rows.read(name, [each for each, _ in TABLES[name] if each in needed], sets))
        if "net_profit" in wanted:
            table = with_net_profit(table)
        if "in_sample" in wanted and self.split is not None:
            table = table.append_column("in_sample", sides(table, self.split))
        return table.select(wanted)


def with_net_profit(table: pa.Table) -> pa.Table:
    """A table of markets with what is left after commission."""
    import pyarrow.compute as pc

    return table.append_column("net_profit", pc.round(pc.subtract(table["profit"], table["commission"]), 2))


def sides(table: pa.Table, split: float) -> Any:
    """Whether each market of a table is in sample: those of one event are on the same side."""
    import pyarrow as pa
    import pyarrow.compute as pc

    events = pc.fill_null(table["event_id"], "")
    keys = pc.if_else(pc.equal(events, ""), table["market_id"], events)
    known = keys.unique()
    flags = pa.array([in_sample(key, split) for key in known.to_pylist()], pa.bool_())
    return flags.take(pc.index_in(keys, value_set=known).combine_chunks())


def in_sample(event_id: str, split: float) -> bool:
    """Whether an event is in sample: by a hash of its id, so that its markets stay together, in every sweep."""
    digest = hashlib.sha256(event_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") < split * 2**64
