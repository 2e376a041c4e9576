"""Where the parts of a sweep go: into this process while they are few, else into a folder, many at a time."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..actors.sieves import Sieve
from ..strategies.errors import RunError
from ..strategies.parameters import Values
from .folders import NotWritten
from .parts import Part, add_sieves
from .sweep_copies import SweepCopies
from .sweep_folder import MOST_IN_PART, KeptPart, SweepFolder, kept_part
from .sweep_parts import TABLES, SweepUnit, TabledPart, reading_of, shares_of
from .sweep_result import SweepResult
from .sweep_rows import SweepRows

if TYPE_CHECKING:
    import pyarrow as pa

#: Seconds that what was done may wait to be written: so much is lost at most where the process is killed.
_SECONDS = 20.0
#: What to do if there is no room for rows.
_ROOM = "give it out=, or set TMPDIR to a folder with room"


class _Gathered:
    """Parts that are not written yet."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self.count = 0

    def add(self, part: Part) -> None:
        self._parts.append(part)
        self.count += sum(map(len, part.rows.values()))
        if isinstance(part, TabledPart):
            self.count += sum(table.num_rows for table in part.tables.values())

    def drop(self, market_id: str, reading: int) -> None:
        """Drop the rows of a market: another unit has the copy that counts."""
        for part in self._parts:
            if reading_of(part.batch.units[0]) == reading:
                part.left_out.add(market_id)
                part.drop_left_out()

    @property
    def units(self) -> list[SweepUnit]:
        return [unit for part in self._parts for unit in part.batch.units if isinstance(unit, SweepUnit)]

    def digests(self) -> dict[int, int]:
        """What the rows add to the digest of each set."""
        found: dict[int, int] = {}
        for part in self._parts:
            shares = part.shares if isinstance(part, TabledPart) else shares_of(part.rows)
            for sets in shares.values():
                for number, share in sets.items():
                    found[number] = found.get(number, 0) + share
        return found

    def tables(self, failures: Sequence[tuple[Any, ...]] = ()) -> dict[str, pa.Table]:
        """All rows.

        Args:
            failures: further ones.
        """
        import pyarrow as pa

        from .tables import from_rows

        found = {}
        for name, fields in TABLES.items():
            # What the dispatcher adds of its own has no set.
            rows = [row if len(row) == len(fields) else (*row, None) for part in self._parts for row in part.rows[name]]
            rows += failures if name == "failures" else ()
            parts = (part for part in self._parts if isinstance(part, TabledPart))
            tables = [part.tables[name] for part in parts if name in part.tables]
            found[name] = pa.concat_tables([*tables, from_rows(rows, fields)])
        return found

    def part(self, number: int) -> KeptPart:
        """One part of all of them."""
        markets: dict[tuple[str, int], str] = {}
        lost: set[tuple[str, str, int]] = set()
        sieves: dict[str, Sieve] = {}
        for part in self._parts:
            reading = reading_of(part.batch.units[0])
            for market_id, unit in part.markets:
                if market_id in part.left_out:
                    lost.add((market_id, unit, reading))
                else:
                    markets[market_id, reading] = unit
            lost.update((market_id, unit, reading) for market_id, unit in part.copies)
            add_sieves(sieves, part.sieves)
        return kept_part(
            number,
            self.units,
            self.tables(),
            markets=[(market_id, unit) for (market_id, _), unit in markets.items()],
            readings=[reading for _, reading in markets],
            lost=sorted(lost),
            sieves=sieves,
            set_digests=self.digests(),
            changes=sum(part.changes for part in self._parts),
            seconds=sum(part.seconds for part in self._parts),
        )


class TemporaryFolder:
    """A temporary folder, which is removed with this object, or with the process.

    Raises:
        RunError: none can be made.
    """

    def __init__(self) -> None:
        try:
            self.path = tempfile.mkdtemp(prefix="headrace-sweep-")
        except OSError as error:
            raise RunError(f"no temporary folder can be made for the rows of the sweep ({error}); {_ROOM}") from None
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


class SweepStore:
    """Gathers the parts of a sweep.

    Args:
        sets: how many the sweep has.
        folder: where they are kept, within some seconds; None: in this process, and beyond some rows in a temporary
            folder that goes with the result.
    """

    def __init__(self, sets: int, folder: SweepFolder | None = None) -> None:
        self._sets = sets
        self._folder = folder
        self._lasting = folder is not None
        self._temporary: TemporaryFolder | None = None
        self._gathered = _Gathered()
        self._since = time.monotonic()
        self._parts: list[str] = []
        self._failures: list[tuple[Any, ...]] = []
        self._copies = SweepCopies()
        if folder is not None:
            self._copies.known(folder.owners, folder.lost)

    @property
    def sieves(self) -> Mapping[str, Sieve]:
        """What filters let pass in parts of an earlier run, by set."""
        return self._folder.sieves if self._folder is not None else {}

    def left(self, units: Sequence[SweepUnit]) -> list[SweepUnit]:
        """What an earlier run has left to do."""
        return list(units) if self._folder is None else self._folder.left(units)

    def add(self, part: Part) -> None:
        """Keep a part.

        Raises:
            RunError: what has come together cannot be written.
        """
        reading = reading_of(part.batch.units[0])
        for market_id in self._copies.add(part, reading):
            self._gathered.drop(market_id, reading)
        part.drop_left_out()
        self._gathered.add(part)
        waited = self._lasting and time.monotonic() - self._since >= _SECONDS
        if self._gathered.count >= MOST_IN_PART or waited:
            self.flush()

    def flush(self) -> None:
        """Write what has come together.

        Raises:
            RunError: it cannot be written.
        """
        gathered, self._gathered, self._since = self._gathered, _Gathered(), time.monotonic()
        if not gathered.units:
            return
        if self._folder is None:
            self._temporary = TemporaryFolder()
            self._folder = SweepFolder(self._temporary.path, {}, self._sets)
        part = gathered.part(len(self._parts))
        self._parts.append(part.batch.part)
        try:
            self._folder.add(part)
        except NotWritten as error:
            if self._lasting:
                raise
            raise NotWritten(f"{error}; a sweep with so many rows keeps them in a temporary folder: {_ROOM}") from None

    def again(self, units: Sequence[SweepUnit]) -> list[SweepUnit]:
        """What must be replayed again at the end: parts with a copy of a market that does not count.

        A better copy came when they were written; they are dropped, and their units replayed without it.

        Raises:
            InputError: a part cannot be dropped.
            RunError: what has come together cannot be written.
        """
        stale, self._copies.stale = self._copies.stale, set()
        if self._folder is None or not stale:
            return []
        self.flush()
        return self._folder.withdrawn(stale, units)

    def end(self, failures: Sequence[tuple[Any, ...]]) -> None:
        """Keep what failed of the sweep as a whole, each row with its set, and the copies of markets that do not count.

        Raises:
            RunError: it cannot be written.
        """
        self._failures = [*self._copies.failures(), *failures]
        if self._folder is not None and self._failures:
            self._folder.end(self._failures)

    def stop(self, reason: str) -> None:
        """Say why the sweep was stopped; all parts of this run hold nothing but that.

        Raises:
            RunError: it cannot be written.
        """
        if self._folder is not None and self._lasting:
            self.flush()
            self._folder.stop(reason, self._parts)

    def keep(self) -> None:
        """Write what can be written still, whatever ended the run."""
        if self._lasting:
            with contextlib.suppress(NotWritten):
                self.flush()

    def close(self) -> None:
        """Finish the writes under way."""
        if self._folder is not None:
            self._folder.close()

    def result(self, manifest: Mapping[str, Any], parameters: Sequence[Values]) -> SweepResult:
        """What the sweep did.

        Raises:
            RunError: it cannot be written.
        """
        if self._folder is None:
            from .tables import digest_text

            shares, tables = self._gathered.digests(), self._gathered.tables(self._failures)
            digests = [digest_text(shares.get(number, 0)) for number in range(self._sets)]
            return SweepResult({**manifest, "digests": digests}, parameters, tables)
        self.flush()
        rows: SweepRows = self._folder.rows(self._temporary)
        result = SweepResult({**manifest, **self._folder.counted()}, parameters, rows)
        if self._lasting:
            self._folder.finish(result.manifest, result.table)
        return result
