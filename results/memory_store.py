"""Parts of a result in memory: as rows while they are few, then as tables."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..actors.sieves import Sieve
from ..simulate.rows import FIELDS, empty_rows
from .commits import (
    table_without,
)
from .copies import Copies
from .parts import Part, without_markets
from .result import Result

#: Rows kept as they are; beyond that tables take less memory.
_MOST_ROWS = 50_000


class MemoryStore:
    """Keeps parts in this process: as rows while they are few, then as tables."""

    done: frozenset[str] = frozenset()
    sieves: Mapping[str, Sieve] = types.MappingProxyType({})

    def __init__(self) -> None:
        #: Number and name of parts, their tables, and what their markets add to the digest.
        self._tables: list[tuple[int, str, dict[str, Any], dict[str, int]]] = []
        self._waiting: list[Part] = []
        self._count = 0
        self._last: list[tuple[Any, ...]] = []
        self._copies = Copies()

    def add(self, part: Part) -> None:
        self._copies.add(part.batch.part, part.markets, part.copies)
        self._waiting.append(part)
        self._count += sum(len(rows) for rows in part.rows.values())
        if self._count > _MOST_ROWS:
            self._convert()

    def end(self, failures: list[tuple[Any, ...]]) -> None:
        """Keep what failed of the run as a whole, in place of what was kept so before."""
        self._last = failures

    def close(self) -> None:
        """Nothing is on its way."""

    def stop(self, reason: str, parts: Sequence[str]) -> None:
        """Nothing is kept of a run that is stopped."""

    def _convert(self) -> None:
        from .tables import digests_by_market, to_tables

        for part in self._waiting:
            shares = digests_by_market(part.rows)
            self._tables.append((part.batch.number, part.batch.part, to_tables(part.rows), shares))
        self._waiting, self._count = [], 0

    def result(self, manifest: Callable[[], dict[str, Any]]) -> Result:
        left_out, units = self._copies.left_out(), self._copies.units()
        last = [*self._copies.failures(), *self._last]
        if not self._tables:
            rows = empty_rows()
            for part in sorted(self._waiting, key=lambda part: part.batch.number):
                for name, more in part.rows.items():
                    rows[name].extend(without_markets(name, more, left_out.get(part.batch.part, ())))
            rows["failures"].extend(last)
            return Result(manifest, rows=rows, units=units)
        import pyarrow as pa

        self._convert()
        self._tables.sort(key=lambda part: part[0])
        digest = 0
        found: dict[str, list[Any]] = {name: [] for name in FIELDS}
        for _, part_name, of_part, shares in self._tables:
            left = left_out.get(part_name, set())
            digest += sum(share for market_id, share in shares.items() if market_id not in left)
            for name, table in of_part.items():
                found[name].append(table if name == "failures" else table_without(table, left))
        if last:
            from .tables import from_rows

            found["failures"].append(from_rows(last, FIELDS["failures"]))
        tables = {name: pa.concat_tables(each) for name, each in found.items()}
        return Result(manifest, tables, digest, units=units)
