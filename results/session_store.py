"""The folder of a live session, which goes on whatever becomes of the folder: what cannot be written waits."""

from __future__ import annotations

import collections
import logging
import time
from concurrent.futures import Future
from typing import Any

from ..simulate.rows import empty_rows
from ..strategies.errors import InputError, RunError
from .folder_store import FolderStore
from .parts import Batch, Part

logger = logging.getLogger("headrace")

#: Seconds until what could not be written is tried again.
_AGAIN_S = 10.0


class SessionStore(FolderStore):
    """Parts of a session's result. A full disk, or a store that does not answer, ends no session: parts wait in memory
    (and in the instance's folder), and are tried again. A session that goes on may have other settings than before.
    """

    what = "session"
    chooses = False
    resumable = False

    def __init__(self, *args: Any) -> None:
        self._waiting: collections.deque[Part] = collections.deque()
        self._writing: Future[dict[str, Any]] | None = None
        self._again_at = 0.0
        self._refused = False
        super().__init__(*args)

    def add(self, part: Part) -> None:
        """Keep a part, now or when that is possible."""
        self._waiting.append(part)
        self.look()

    def end(self, failures: list[tuple[Any, ...]]) -> None:
        """Keep what has failed so far of the session, in place of what was kept so before; now or when possible."""
        if not failures:
            return
        part = Part(Batch(0, ()), {**empty_rows(), "failures": failures}, 0, 0.0)
        at_work = [self._waiting.popleft()] if self._writing is not None else []
        kept = [each for each in self._waiting if each.batch.units]
        self._waiting = collections.deque([*at_work, *kept, part])
        self.look()

    def look(self) -> None:
        """Write what waits, unless that failed a moment ago."""
        if not self._waiting or time.monotonic() < self._again_at:
            return
        try:
            self._write(wait=False)
        except RunError as error:
            self._again_at = time.monotonic() + _AGAIN_S
            if not self._refused:
                self._refused = True
                logger.error("The result waits, and the session goes on: %s", error)
            return
        if self._refused and not self._waiting:
            self._refused = False
            logger.warning("The result is written again: %s", self.place)

    def _write(self, wait: bool) -> None:
        """Write what waits, part by part.

        Args:
            wait: until all is written. Else a store is not waited for.

        Raises:
            RunError: a part cannot be written; it goes on waiting, and so do those behind it.
        """
        while self._waiting:
            part = self._waiting[0]
            if self._writers is None:
                commit = self._keep(part)
            else:
                self._writing = self._writing or self._writers.submit(self._keep, part)
                if not wait and not self._writing.done():
                    return
                try:
                    commit = self._writing.result()
                finally:
                    self._writing = None
            self._commits = [each for each in self._commits if each.part != commit["part"]]
            self._count(commit)
            self._waiting.popleft()

    def close(self) -> None:
        """Write all that waits.

        Raises:
            RunError: it cannot be written.
        """
        try:
            self._write(wait=True)
        except RunError as error:
            raise RunError(
                f"{error}. The rows of the session are kept in the instance's folder: the next session at the same "
                "exchange, with this folder or another one for the result, goes on with them"
            ) from None
        super().close()
        self._writers = None

    def _require_same(self, known: dict[str, Any]) -> None:
        """Other settings, or other code, stop nothing, for money is at stake: it is said."""
        try:
            super()._require_same(known)
        except InputError as error:
            logger.warning("The session goes on, though it is not as it was: %s", error)
