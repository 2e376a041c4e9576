"""Folders into which a sweep, or a search, is written some sets at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..simulate.rows import empty_rows
from ..strategies.parameters import Values, column_value
from .folders import Folder
from .sweep_folder import KeptPart, SweepFolder, with_files
from .sweep_parts import TABLES, SweepBatch, told_once
from .sweep_rows import MOST_ROWS, HeldRows, JoinedRows, SweepRows

if TYPE_CHECKING:
    import pyarrow as pa


class SavedSweep:
    """A folder into which a sweep is written some sets at a time.

    Args:
        place: an empty folder.
        sets: how many the sweep is to have at most.
        manifest: of the sweep.
        parameters: the values of its sets, as far as they are known.

    Raises:
        InputError, RunError: the folder cannot be written.
    """

    def __init__(self, place: Folder, sets: int, manifest: Mapping[str, Any], parameters: Sequence[Values]) -> None:
        self._complete = bool(manifest.get("complete"))
        self._store = SweepFolder(place, {**manifest, "parameters": _told(parameters), "saved": True}, sets)
        self._sets = self._parts = 0

    def add(self, rows: SweepRows, digests: Sequence[str]) -> None:
        """Write the next sets, numbered on.

        Args:
            rows: their sets are numbered from 0.
            digests: of each set.

        Raises:
            RunError: they cannot be written.
        """
        before, count = self._sets, len(digests)
        self._sets += count
        numbered = JoinedRows([(HeldRows({}), before), (rows, count)])
        most = max(rows.count(name) for name in TABLES)
        step = max(1, MOST_ROWS * count // max(most, 1))
        for least in range(0, count, step):
            sets = [*range(before, self._sets)][least : least + step]
            # What failed in recordings belongs to no set.
            chosen = sets if least else [*sets, None]
            tables = {name: numbered.read(name, sets=chosen) for name in TABLES}
            tables["failures"] = told_once(tables["failures"])
            told = {number: int(digests[number - before], 16) for number in sets}
            batch = _SavedBatch(self._parts, ())
            part = KeptPart(batch, empty_rows(), 0, 0.0, set_digests=told, complete=self._complete)
            self._store.add(with_files(part, batch.part, tables))
            self._parts += 1

    def note(self, manifest: Mapping[str, Any], parameters: Sequence[Values]) -> None:
        """Say what the sets are that were written, and that there are more to come.

        Raises:
            RunError: it, or a part, cannot be written.
        """
        self._store.note({**manifest, "parameters": _told(parameters)})

    def finish(self, manifest: Mapping[str, Any], parameters: Sequence[Values], table: pa.Table) -> None:
        """All sets are there.

        Args:
            table: of sets.

        Raises:
            RunError: it, or a part, cannot be written.
        """
        self._store.finish({**manifest, "parameters": _told(parameters)}, table)

    def close(self) -> None:
        """Let what is on its way arrive."""
        self._store.close()


def _told(parameters: Sequence[Values]) -> list[Values]:
    return [{name: column_value(value) for name, value in each.items()} for each in parameters]


@dataclasses.dataclass(frozen=True)
class _SavedBatch(SweepBatch):
    """Of a part that has no units, but all that there is of some sets."""

    @property
    def part(self) -> str:
        return f"saved-{self.number}"
