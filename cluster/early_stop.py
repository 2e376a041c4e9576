"""The end of a run whose first units all fail for one reason: that is a mistake in the call, not in the data."""

from __future__ import annotations

from typing import Any

from ..results.failure_groups import grouped_failures
from ..results.parts import Part
from ..results.sweep_parts import sets_of
from ..simulate.rows import FIELDS
from ..simulate.units import Unit
from ..strategies.errors import RunError

#: Where the rows of failures have their unit, and those of a sweep their set.
_UNIT, _SET = [name for name, _ in FIELDS["failures"]].index("unit"), len(FIELDS["failures"])
#: Units that fail alike at the start of a run stop it.
_ALIKE = 50


class StoppedRun(RunError):
    """Why a run was stopped.

    Args:
        reason: the error, where it was, what repeats it, and where the failures are.
        traceback: of the first failure; a note of the error, for log lines have shown it.

    Attributes:
        result: what the run gave until then, if that is not kept elsewhere.
    """

    def __init__(self, reason: str, traceback: str = "") -> None:
        super().__init__(reason)
        self.traceback = traceback
        self.result: Any = None
        if traceback:
            self.add_note(traceback)

    def kept(self, where: str) -> StoppedRun:
        """The same, with where the failures are."""
        return StoppedRun(f"{self}\n{where}", self.traceback)

    def kept_in(self, place: object, reader: str, what: str) -> StoppedRun:
        """The same, where the failures are in a folder of a run or sweep, which can go on there."""
        return self.kept(
            f"the failures are in {place} ({reader}.load reads them); put right what failed, and the same {what} with "
            "resume=True (--resume) replays these units"
        )


class AllFailAlike:
    """Watches the parts of a run as they come.

    Attributes:
        parts: names of the parts so far, as long as all of their units failed alike.
    """

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._units = 0
        self._rows: list[tuple[Any, ...]] = []
        self._reasons: set[tuple[str | None, str | None]] | None = set()

    def __call__(self, part: Part) -> StoppedRun | None:
        """Why the run is to stop: the error, where, and what repeats it; None where it goes on."""
        if self._reasons is None:
            return None
        rows = part.rows["failures"]
        failed = _failed(part)
        self._reasons |= {(row[4], row[2] if row[0] else None) for row in rows}
        if len(failed) < len(part.batch.units) or len(self._reasons) > 1:
            self._reasons = None
            return None
        self.parts.append(part.batch.part)
        self._units += len(failed)
        self._rows.extend(rows)
        return self._why() if self._units >= _ALIKE else None

    def _why(self) -> StoppedRun:
        names = [name for name, _ in FIELDS["failures"]]
        place = grouped_failures(dict(zip(names, row, strict=False)) for row in self._rows)[0]
        reason = f"the first {self._units} units all failed alike, the run stops: {place.line}"
        if place.first["command"]:
            reason += f"\n  again: {place.first['command']}"
        return StoppedRun(reason, place.first["traceback"].rstrip())


def _failed(part: Part) -> list[Unit]:
    """The units of a part that failed: of a sweep those in which all sets did, or whose recordings are broken."""
    found: dict[str, set[Any]] = {}
    for row in part.rows["failures"]:
        found.setdefault(row[_UNIT], set()).add(row[_SET] if len(row) > _SET else None)
    units = ((unit, found.get(unit.name, set())) for unit in part.batch.units)
    return [unit for unit, sets in units if sets and (None in sets or sets.issuperset(sets_of(unit)))]
