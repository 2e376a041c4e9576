"""A callback that does not return: seen by a second thread, which tells the coordinator and the log where it stands."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

from ..failures import installed_folders

logger = logging.getLogger("headrace")

#: Seconds between two looks.
LOOK = 0.5
#: Milliseconds from which on a callback is told of.
TOLD_MS = 1000


class Watch:
    """Watches a thread at work.

    Args:
        name: the actor's.
        what: says what is running: a strategy and a market, or what else there is.
        tell: called every half second with the milliseconds for which it has been running, and where it stands.
        logged_s: seconds after which a line of the log says so.
    """

    def __init__(
        self, name: str, what: Callable[[], str], tell: Callable[[int, str], object], logged_s: float = 5.0
    ) -> None:
        self._name = name
        self._what = what
        self._tell = tell
        self._logged_ms = logged_s * 1000
        self._since = 0.0
        self._thread_id = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{name}: watch", daemon=True)

    def start(self) -> None:
        """Watch the thread that calls."""
        self._thread_id = threading.get_ident()
        self._thread.start()

    def __enter__(self) -> None:
        self.begin()

    def __exit__(self, *error: object) -> None:
        self.end()

    def begin(self) -> None:
        """A piece of work begins."""
        self._since = time.monotonic()

    def end(self) -> None:
        """It has ended."""
        self._since = 0.0

    def close(self) -> None:
        """Watch no longer."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        logged = 0.0
        while not self._ended.wait(LOOK):
            since = self._since
            busy_ms = int((time.monotonic() - since) * 1000) if since else 0
            if busy_ms < TOLD_MS:
                continue
            what, place = self._what(), self._place()
            if busy_ms >= self._logged_ms and logged != since:
                logged = since
                logger.warning(
                    "%s: %s has not returned for %.0f s, at %s; its markets wait",
                    self._name, what, busy_ms / 1000, place,
                )  # fmt: skip
            try:
                self._tell(busy_ms, f"{what} at {place}")
            except Exception as error:  # whoever watches goes on watching
                logger.debug("%s: %s", self._name, error)

    def _place(self) -> str:
        """File and line of the innermost frame of user code, or else of any."""
        frame = sys._current_frames().get(self._thread_id)
        if frame is None:
            return "an unknown place"
        frames = traceback.extract_stack(frame)
        theirs = [each for each in frames if not each.filename.startswith(installed_folders())]
        found = (theirs or frames)[-1]
        return f"{found.filename}:{found.lineno}"
