"""Parts of a sweep: what batches gave, for which parameter sets, as rows or as tables."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from ..simulate.rows import DIGESTED, DIGESTED_COLUMNS, FIELDS, Rows
from ..simulate.units import Unit
from .parts import Batch, Part

if TYPE_CHECKING:
    import pyarrow as pa

_SET = (("set", "whole"),)
#: Tables that a sweep keeps. Orders, fills, records and transactions only if they were asked for.
TABLES = {
    name: (*FIELDS[name], *_SET)
    for name in ("markets", "violations", "failures", "orders", "fills", "records", "transactions")
}
_MARKET = {table: [name for name, _ in FIELDS[table]].index("market_id") for table in DIGESTED}

#: What each market adds to the digest of each set.
Shares = dict[str, dict[int, int]]


@dataclasses.dataclass(frozen=True)
class SweepUnit(Unit):
    """What is read together, and for which sets.

    Attributes:
        sets: numbers of parameter sets, ascending.
        first: the lowest number in its reading.
        reading: those of one reading find markets in the same units; other sets may have them read by event.
    """

    sets: tuple[int, ...] = ()
    first: int = 0
    reading: int = 0


@dataclasses.dataclass(frozen=True)
class SweepBatch(Batch):
    """Units of which the rows are kept together, whether one batch replayed them or several."""

    @property
    def part(self) -> str:
        """The name of its part of a result: a hash of its units and their sets."""
        names = "\n".join(f"{unit.name}\n{numbers_text(sets_of(unit))}" for unit in self.units)
        return hashlib.sha256(names.encode()).hexdigest()[:24]


@dataclasses.dataclass
class TabledPart(Part):
    """A part whose rows are tables already, but for its failures: the process of the run has little to do with it.

    Attributes:
        tables: by name.
        shares: what its markets add to the digests of the sets.
    """

    tables: dict[str, pa.Table] = dataclasses.field(default_factory=dict)
    shares: Shares = dataclasses.field(default_factory=dict)

    @property
    def orders(self) -> int:
        import pyarrow.compute as pc

        return int(pc.sum(self.tables["markets"]["orders"]).as_py() or 0)

    def drop_left_out(self) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self.left_out:
            return
        left = pa.array(sorted(self.left_out), pa.string())
        for name, table in self.tables.items():
            if "market_id" in table.column_names:
                self.tables[name] = table.filter(pc.invert(pc.is_in(table["market_id"], left)))
        self.shares = {market: share for market, share in self.shares.items() if market not in self.left_out}


def tabled(part: Part) -> TabledPart:
    """The same part with tables in place of its rows."""
    from .tables import from_rows

    told = {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
    rows: Rows = {name: found if name == "failures" else [] for name, found in part.rows.items()}
    tables = {name: from_rows(part.rows[name], fields) for name, fields in TABLES.items() if name != "failures"}
    return TabledPart(**{**told, "rows": rows}, tables=tables, shares=shares_of(part.rows))


def shares_of(rows: Rows) -> Shares:
    """What rows add to the digest of each set: each row as a backtest of the set alone has it."""
    found: Shares = {}
    encode = msgspec.json.Encoder().encode
    for table in DIGESTED:
        name, at, width = table.encode(), _MARKET[table], DIGESTED_COLUMNS[table]
        for row in rows[table]:
            share = int.from_bytes(hashlib.sha256(name + encode(row[:width])).digest(), "big")
            sets = found.setdefault(row[at], {})
            sets[row[-1]] = sets.get(row[-1], 0) + share
    return found


def sets_of(unit: Unit) -> tuple[int, ...]:
    """The numbers of a unit's parameter sets; none if it is not a sweep's."""
    return unit.sets if isinstance(unit, SweepUnit) else ()


def reading_of(unit: Unit) -> int:
    """The number of a unit's reading; 0 if it is not a sweep's."""
    return unit.reading if isinstance(unit, SweepUnit) else 0


def numbers_text(numbers: Iterable[int]) -> str:
    """Ascending numbers as a text: "0-99,105"; "" for none."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in found)


def numbers_of(text: str) -> list[int]:
    """The numbers of such a text.

    Raises:
        ValueError: it is not one.
    """
    found: list[int] = []
    for piece in filter(None, text.split(",")):
        low, _, high = piece.partition("-")
        found.extend(range(int(low), int(high or low) + 1))
    return found


def in_order(name: str, table: pa.Table) -> pa.Table:
    """A table by set and market: parts come in any order, and equal sweeps are to have equal tables."""
    if name == "transactions":
        keys = ["set", "client", "hour", "strategy"]
    elif name == "failures":
        keys = ["set", "market_id", "unit"]
    else:
        keys = ["set", "market_id"]
    return table.sort_by([(key, "ascending") for key in keys])


def told_once(failures: pa.Table) -> pa.Table:
    """A table of failures in which what is broken in a recording stands once, however many sets met it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    nobodys = pc.is_null(failures["set"])
    seen: set[tuple[Any, ...]] = set()
    kept = []
    for row in failures.filter(nobodys).to_pylist():
        key = tuple(value for name, value in row.items() if name != "command")  # that is another for each set
        kept.append(key not in seen)
        seen.add(key)
    if all(kept):
        return failures
    answers = iter(kept)
    return failures.filter(pa.array([next(answers) if each else True for each in nobodys.to_pylist()], pa.bool_()))
