"""The process that has started a live system, as its coordinator sees it from another one.

It may be killed, and detached actors go on without it: nobody sees to the system any more, and nothing would ever end
it. So the coordinator then stops the system as it would have been stopped, and leaves nothing behind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from .instance import Instance
from .shutdown import Shutdown

#: Milliseconds that cancelling may take where nobody is left to see that it does not come to an end.
_PATIENCE_MS = 120_000


class Left(Protocol):
    """What stops the system."""

    shutdown: Shutdown | None

    def stop_system(self, why: str, leave: bool | None = None) -> None: ...


class Starter:
    """Watches the process that has started the system.

    Args:
        folder: of the instance, which is held beside that process.
        reference: of the instance.

    Attributes:
        gone: it has died; in the coordinator's own process it cannot have.
    """

    def __init__(self, folder: str, reference: str) -> None:
        self._instance = Instance(reference, Path(folder).parent)
        self._shared = self._instance.share()
        self._since: int | None = None
        self._given_up = False

    @property
    def gone(self) -> bool:
        return self._since is not None

    def look(self, at_ms: int, system: Left) -> None:
        """See whether it is still there; stop the system if it is not."""
        if self._since is None:
            if self._shared and self._instance.left_alone:
                self._since = at_ms
                system.stop_system("the process that started the system has died")
                self._instance.take_over()
        elif at_ms - self._since > _PATIENCE_MS and not self._given_up and system.shutdown is not None:
            self._given_up = True
            system.shutdown.give_up()

    def release(self) -> None:
        """The coordinator has ended."""
        self._instance.release_shared()
