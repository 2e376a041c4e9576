"""The ends of roles that another process has started: seen by the claims of their names, which go with their processes.

Nothing here knows Ray: where its head has died, who runs is still known.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from ..mailboxes.folder import Holder, holder, holders

#: Seconds between two looks at claims.
_EVERY = 0.05
#: How the names of the mail of engines begin.
ENGINES = "engine-"


class Watching:
    """Watches roles of a folder.

    Args:
        folder: of the mailboxes.
        ended: called for each role that has ended, in a thread: its name, its incarnation, and why; empty: it was asked
            to.
    """

    def __init__(self, folder: Path, ended: Callable[[str, int, str], object]) -> None:
        self._folder, self._ended = folder, ended
        self._watched: dict[str, int] = {}
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def found(self, names: Iterable[str]) -> dict[str, Holder]:
        """Those of some roles that run."""
        found = ((name, holder(self._folder, name)) for name in names)
        return {name: each for name, each in found if each is not None and each.held}

    def last(self, name: str) -> Holder | None:
        """The last role of a name, whether it runs or not."""
        return holder(self._folder, name)

    def all(self) -> dict[str, Holder]:
        """All roles that run. Engines have mail as well, and are none."""
        return {name: each for name, each in holders(self._folder).items() if not name.startswith(ENGINES)}

    def died(self) -> dict[str, Holder]:
        """The last role of each name that has died: those that were asked to end have not."""
        names = {path.name.removesuffix(".lock") for path in self._folder.glob("*.lock")}
        found = ((name, holder(self._folder, name)) for name in names if not name.startswith((".", ENGINES)))
        return {name: each for name, each in found if each is not None and not each.held and each.why}

    def watch(self, name: str, incarnation: int) -> None:
        """Tell of the end of this one."""
        with self._lock:
            self._watched[name] = incarnation
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._run, name="headrace-watching", daemon=True)
                self._thread.start()

    def kill(self, name: str) -> None:
        """End the process of a role at once. One that does not run is left alone."""
        found = holder(self._folder, name)
        if found is None or not found.held or found.pid == os.getpid():
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(found.pid, signal.SIGKILL)

    def close(self) -> None:
        """Watch no longer."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(_EVERY):
            for name, incarnation in list(self._watched.items()):
                found = holder(self._folder, name)
                if found is None or not found.held or found.incarnation != incarnation:
                    with self._lock:
                        if self._watched.get(name) == incarnation:  # else its successor is watched already
                            del self._watched[name]
                    why = "" if found is None else found.why
                    self._ended(name, incarnation, why)
