"""Rows of the session's result, as the coordinator writes them: each letter once, and whoever sent it is told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from ..letters import Letter, Rows, RowsTaken
from .alerts import Alerts
from .rows_file import RowsWriter, TableRows, packed

logger = logging.getLogger("headrace")

#: Letters of the coordinator's own that wait for a disk with room.
_MOST = 1_000
#: Milliseconds between two rows of what is counted.
_COUNTS_MS = 10_000


class RowsDesk:
    """See the module.

    Attributes:
        failures, counts: tell rows of the coordinator's own, new ones at each call.

    Args:
        path: the file that is written.
        alerts: told when it cannot be written, and when it can again.
        send: sends a letter to a host.
    """

    def __init__(self, path: Path, alerts: Alerts, send: Callable[[str, Letter], object]) -> None:
        self._writer, self._path = RowsWriter(path), path
        self._alerts, self._send = alerts, send
        self.failures: Callable[[], TableRows] = dict
        self.counts: Callable[[], TableRows] = dict
        self._counted_ms = 0
        self._left: list[bytes] = []
        self._fails = False

    def take(self, letter: Rows) -> None:
        """Write rows of a host, unless that was done before; what comes before its time is sent again."""
        try:
            last = max(self._writer.last_of(letter.source), letter.first - 1)
            if letter.number > last + 1:
                return
            if letter.number == last + 1:
                self._writer.add(letter.data, letter.source, letter.number)
                last = letter.number
        except OSError as error:
            self._cannot(error)
            return
        self._send(letter.host, RowsTaken(letter.source, last))
        self._can()

    def put(self, rows: TableRows) -> None:
        """Write rows of the coordinator's own; where that cannot be done now, later."""
        if any(rows.values()):
            self._left.append(packed(rows))
            del self._left[:-_MOST]
        self.look()

    def tell(self, at_ms: int | None = None) -> None:
        """Write what the coordinator itself has to tell. `at_ms`: now; None: it ends, and all of it is written."""
        self.put(self.failures())
        if at_ms is None or at_ms - self._counted_ms >= _COUNTS_MS:
            self._counted_ms = at_ms or 0
            self.put(self.counts())

    def look(self) -> None:
        """Write what could not be written."""
        try:
            while self._left:
                self._writer.add(self._left[0])
                del self._left[0]
                self._can()
        except OSError as error:
            self._cannot(error)

    def _cannot(self, error: OSError) -> None:
        if not self._fails:
            self._fails = True
            why = error.strerror or error
            self._alerts.alert("ROWS", f"{self._path}: rows of the result cannot be written: {why}; they are kept")

    def _can(self) -> None:
        if self._fails and not self._left:
            self._fails = False
            self._alerts.note("ROWS", "rows of the result can be written again")

    def crash(self) -> None:
        """As if the process had been killed."""
        self._writer.close()

    def close(self) -> None:
        """Write what is left, and no more."""
        self.look()
        if self._left:
            logger.error("%s: %d letters of the coordinator could not be written", self._path, len(self._left))
        self._writer.close()
