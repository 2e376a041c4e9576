"""Where the parts of a sweep go: into this process while they are few, else into a folder, many at a time."""

from __future__ import annotations

import contextlib
import dataclasses
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
from .sweep_folder import MOST_IN_PART, SweepFolder, kept_part
from .sweep_parts import TABLES, SweepUnit, TabledPart, reading_of, shares_of
from .sweep_result import SweepResult
from .sweep_rows import SweepRows

if TYPE_CHECKING:
    import pyarrow as pa

#: Seconds that what was done may wait to be written: so much is lost at most where the process is killed.
_SECONDS = 20.0
#: What helps where there is no room for rows.
_ROOM = "give it out=, or set TMPDIR to a folder with room"


@dataclasses.dataclass
class _Gathered:
    """What parts gave that is not written yet.

    Attributes:
        count: rows.
        markets: each with its reading, and the unit it came in.
    """

    rows: dict[str, list[tuple[Any, ...]]] = dataclasses.field(default_factory=lambda: {name: [] for name in TABLES})
    tables: dict[str, list[pa.Table]] = dataclasses.field(default_factory=lambda: {name: [] for name in TABLES})
    count: int = 0
    units: list[SweepUnit] = dataclasses.field(default_factory=list)
    markets: dict[tuple[str, int], str] = dataclasses.field(default_factory=dict)
    sieves: dict[str, Sieve] = dataclasses.field(default_factory=dict)
    digests: dict[int, int] = dataclasses.field(default_factory=dict)
    changes: int = 0
    seconds: float = 0.0

    def add(self, part: Part) -> None:
        for name, fields in TABLES.items():
            # What the dispatcher adds of its own has no set.
            rows = [row if len(row) == len(fields) else (*row, None) for row in part.rows[name]]
            self.rows[name].extend(rows)
            self.count += len(rows)
        if isinstance(part, TabledPart):
            for name, table in part.tables.items():
                if table.num_rows:
                    self.tables[name].append(table)
                    self.count += table.num_rows
        shares = part.shares if isinstance(part, TabledPart) else shares_of(part.rows)
        for sets in shares.values():
            for number, share in sets.items():
                self.digests[number] = self.digests.get(number, 0) + share
        self.units.extend(unit for unit in part.batch.units if isinstance(unit, SweepUnit))
        reading = reading_of(part.batch.units[0])
        for market_id, unit in part.markets:
            if market_id not in part.left_out:
                self.markets[market_id, reading] = unit
        add_sieves(self.sieves, part.sieves)
        self.changes += part.changes
        self.seconds += part.seconds

    def as_tables(self) -> dict[str, pa.Table]:
        import pyarrow as pa

        from .tables import from_rows

        return {
            name: pa.concat_tables([*self.tables[name], from_rows(self.rows[name], fields)])
            for name, fields in TABLES.items()
        }


class TemporaryFolder:
    """A folder of this process, which goes with this object, or with the process.

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

    @property
    def sieves(self) -> Mapping[str, Sieve]:
        """What filters let pass in parts of an earlier run, by set."""
        return self._folder.sieves if self._folder is not None else {}

    @property
    def owners(self) -> Mapping[int, list[tuple[str, str]]]:
        """Of each reading the markets of an earlier run, each with its unit."""
        return self._folder.owners if self._folder is not None else {}

    def left(self, units: Sequence[SweepUnit]) -> list[SweepUnit]:
        """What an earlier run has left to do."""
        return list(units) if self._folder is None else self._folder.left(units)

    def add(self, part: Part) -> None:
        """Keep a part.

        Raises:
            RunError: what has come together cannot be written.
        """
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
        part = kept_part(
            len(self._parts),
            gathered.units,
            gathered.as_tables(),
            markets=[(market_id, unit) for (market_id, _), unit in gathered.markets.items()],
            readings=[reading for _, reading in gathered.markets],
            sieves=gathered.sieves,
            set_digests=gathered.digests,
            changes=gathered.changes,
            seconds=gathered.seconds,
        )
        self._parts.append(part.batch.part)
        try:
            self._folder.add(part)
        except NotWritten as error:
            if self._lasting:
                raise
            raise NotWritten(f"{error}; a sweep with so many rows keeps them in a temporary folder: {_ROOM}") from None

    def end(self, failures: Sequence[tuple[Any, ...]]) -> None:
        """Keep what failed of the sweep as a whole, each row with its set.

        Raises:
            RunError: it cannot be written.
        """
        if self._folder is None:
            self._gathered.rows["failures"].extend(failures)
        elif failures:
            self._folder.end(list(failures))

    def stop(self, reason: str) -> None:
        """Say why the sweep was stopped; all parts of this run hold nothing but that.

        Raises:
            RunError: it cannot be written.
        """
        self.flush()
        if self._folder is not None and self._lasting:
            self._folder.stop(reason, self._parts)

    def keep(self) -> None:
        """Write what can be written still, whatever ended the run."""
        if self._lasting:
            with contextlib.suppress(NotWritten):
                self.flush()

    def close(self) -> None:
        """Let what is on its way arrive."""
        if self._folder is not None:
            self._folder.close()

    def result(self, manifest: Mapping[str, Any], parameters: Sequence[Values]) -> SweepResult:
        """What the sweep did.

        Raises:
            RunError: it cannot be written.
        """
        if self._folder is None:
            from .tables import digest_text

            digests = [digest_text(self._gathered.digests.get(number, 0)) for number in range(self._sets)]
            return SweepResult({**manifest, "digests": digests}, parameters, self._gathered.as_tables())
        self.flush()
        rows: SweepRows = self._folder.rows(self._temporary)
        result = SweepResult({**manifest, **self._folder.counted()}, parameters, rows)
        if self._lasting:
            self._folder.finish(result.manifest, result.table)
        return result
