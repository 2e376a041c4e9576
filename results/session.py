"""The result of a live session: rows gathered while it runs, in memory or in a folder."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from typing import Any

from ..actors.failures import Failures
from ..actors.live.rows_file import unpacked
from ..simulate.row_parts import failure_rows
from ..simulate.rows import FIELDS, empty_rows
from ..simulate.session_rows import FailureCounts
from ..simulate.units import Unit
from ..strategies.errors import RunError
from .commits import manifest_of_run
from .folders import Folder
from .memory_store import MemoryStore
from .parts import Batch, Part
from .result import FORMAT, Result
from .run_manifest import run_manifest
from .session_store import SessionStore

logger = logging.getLogger("headrace")

#: What rows are of, as units of work: of the letters up to a place.
_UNIT = "rows "
#: Where the rows of markets have the market's id and its changes.
_MARKET, _CHANGES = ([name for name, _ in FIELDS["markets"]].index(name) for name in ("market_id", "changes"))


class SessionRows:
    """Gathers what the actors of a session tell, and makes a `Result` of it with the tables of a backtest.

    Args:
        letters: the rows that have come since the last look, such as a `RowsReader`.
        identity: what the session is made of, for the manifest.
        out: a new folder, by its path or URI, as in `backtest`; None: memory.
        goes_on: the session was killed, and started again: the folder may have a part of its rows already, and the
            letters begin with its first.

    Raises:
        InputError: the folder cannot be written, or holds something already.
    """

    def __init__(
        self,
        letters: Iterable[bytes],
        identity: dict[str, Any],
        out: str | os.PathLike[str] | None = None,
        goes_on: bool = False,
    ) -> None:
        self._letters = letters
        self._identity = {"format": FORMAT, "live": True, **identity, "inputs": []}
        self._store: MemoryStore | SessionStore = MemoryStore()
        self._read = self._kept = 0  # bytes of letters
        if out is not None:
            folder = Folder(out)
            folder.make_private()
            self._store = store = SessionStore(folder, self._identity, goes_on and _unfinished(folder))
            self._kept = max((int(unit.removeprefix(_UNIT)) for unit in store.done), default=0)
        self._failures = FailureCounts()
        self._number = 0
        self._changes: dict[str, int] = {}
        self._started = time.time()

    def take(self) -> int:
        """Keep what has come since the last time. From time to time, so that it stays if the process ends. What cannot
        be written waits.

        Returns:
            How many rows there were.
        """
        rows = empty_rows()
        for data in self._letters:
            self._read += len(data)
            for table, more in unpacked(data).items():
                if self._read > self._kept or table == "failures":
                    rows[table].extend(more)
                elif table == "markets":
                    self._changes_in(more)  # a part that is there has counted them
        count = sum(len(found) for found in rows.values())
        failures, rows["failures"] = rows["failures"], []
        if count > len(failures):
            batch = Batch(self._number, (Unit(f"{_UNIT}{self._read}", ()),))
            self._number += 1
            self._store.add(Part(batch, rows, self._changes_in(rows["markets"]), 0.0))
        if failures:
            self._failures.add(failures)
            self._store.end(self._failures.rows)
        if isinstance(self._store, SessionStore):
            self._store.look()
        return count

    def _changes_in(self, rows: Iterable[tuple[Any, ...]]) -> int:
        """How many changes rows of markets tell of: strategies that share a market have seen the same ones."""
        found = 0
        for row in rows:
            known = self._changes.get(row[_MARKET], 0)
            self._changes[row[_MARKET]] = max(known, row[_CHANGES])
            found += max(0, row[_CHANGES] - known)
        return found

    def result(self, more: dict[str, Any] | None = None, failed: Iterable[tuple[Any, ...]] = ()) -> Result:
        """The result, with all that has come. To be called when the session has ended; `take` no more then.

        Args:
            more: what else the manifest is to say.
            failed: rows of failures of the session as a whole.

        Raises:
            RunError: the folder cannot be written.
        """
        self.take()
        if failures := [*self._failures.rows, *failed]:
            self._store.end(failures)
        self._store.close()
        manifest = run_manifest(self._identity, self._started, sum(self._changes.values()), **(more or {}))
        return self._store.result(manifest)


def _unfinished(folder: Folder) -> bool:
    """Whether a folder holds a session that has not ended."""
    try:
        return folder.taken() and manifest_of_run(folder).get("finished") is False
    except (OSError, ValueError):
        return False


def lost_rows(why: str) -> list[tuple[Any, ...]]:
    """What is to be said where the coordinator has ended by itself: without it nothing is cancelled.

    Args:
        why: it has; empty: it has not.

    Returns:
        Rows of failures.
    """
    if not why:
        return []
    told = (
        f"the coordinator has ended: {why}. Nothing was cancelled, and what hosts have not told it is not "
        "in the result: look at the account's open orders"
    )
    logger.error("%s", told)
    failures = Failures("coordinator")
    failures.add(RunError(told), None, None)
    return failure_rows(failures, failures.unit)
