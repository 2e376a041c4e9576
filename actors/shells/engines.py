"""Engines by name, for whoever starts a live system, or goes on with one."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ...strategies.errors import RunError
from ..letters import Gone
from ..live.instance import Instance
from ..live.supervision import Supervision
from .engine import Engine
from .retold_logs import RetoldLogs
from .thread_engine import ThreadEngine

logger = logging.getLogger("headrace")

#: Below the instance's folder: what each actor on Ray has logged in the last session.
LOGS = "logs"
#: What the note of an instance calls the folder of its mailboxes.
MAILBOXES = "mailboxes"


class Begun:
    """An engine, and what belongs to it.

    Args:
        name: "local" or "ray".
        instance: held by this process.
        gone: told, in a thread of the engine, of each actor that has ended.
        own: a cluster of its own is started, whatever this process is connected to.

    Attributes:
        logs: what its actors log elsewhere; None: they log in this process.
        joined: the actors of a former process run, and are gone on with.

    Raises:
        RunError: it cannot start.
    """

    def __init__(
        self,
        name: str,
        instance: Instance,
        gone: Callable[[Gone], object],
        supervision: Supervision,
        own: bool = False,
    ) -> None:
        self.logs: RetoldLogs | None = None
        self.joined = False
        if name == "local":
            self.engine: Engine = ThreadEngine(gone)
            return
        from .ray_engine import RayEngine
        from .ray_head import end_head, head_runs

        logs, namespace = instance.folder / LOGS, f"headrace-{instance.reference}"
        before = instance.before.note.get(MAILBOXES) if supervision.again and not own else None
        if before and head_runs(Path(before)):
            try:
                joined = RayEngine(namespace, gone, logs=os.fspath(logs), supervision=supervision, joins=Path(before))
                self.engine, self.joined = joined, True
                instance.tell(**{MAILBOXES: before})
            except RunError as error:
                logger.warning("The actors of before cannot be gone on with, and are ended: %s", error)
        if not self.joined:
            if before:
                end_head(Path(before))
                shutil.rmtree(before, ignore_errors=True)
            if not (supervision.again or own):
                shutil.rmtree(logs, ignore_errors=True)  # those of the session before
            logs.mkdir(mode=0o700, exist_ok=True)
            engine = self.engine = RayEngine(namespace, gone, logs=os.fspath(logs), supervision=supervision, own=own)
            instance.tell(**{MAILBOXES: str(engine.folder)})
        self.logs = RetoldLogs(logs, supervision.died_at if supervision.again else 0.0)
