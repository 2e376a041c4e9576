"""What a supervisor tells the process that it starts, and starts anew when that dies."""

from __future__ import annotations

import dataclasses
import os


@dataclasses.dataclass(frozen=True)
class Supervision:
    """How the process of a system is looked after.

    Attributes:
        session: the session's id, which stays when the process is started anew; empty: it is made here.
        again: the process was started before, and has died; what it has started may go on.
        died_at: when, seconds since the epoch.
        lifeline: the end of a pipe that can be read once nobody looks after the system any more; None: there is no
            supervisor.
        guarded: the instance is held for this process.
    """

    session: str = ""
    again: bool = False
    died_at: float = 0.0
    lifeline: int | None = None
    guarded: bool = False

    def opened(self) -> tuple[int, int | None]:
        """The end of a pipe that can be read once this process and its supervisor are gone; and the other end, which
        this process is to keep open; None: that is kept by the supervisor."""
        if self.lifeline is not None:
            return os.dup(self.lifeline), None
        return os.pipe()
