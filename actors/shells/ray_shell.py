"""The Ray actor around a role: it gives the role its mail and a thread, and holds no rules."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from ..letters import Stop
from ..logs import LOGGER, json_formatter
from ..mailboxes.folder import TakenError, holder, lives
from ..mailboxes.socket_post import ZmqPost
from ..mailboxes.sockets import ZmqMail
from ..role import run
from .engine import COORDINATOR, unforeseen, why_ended

logger = logging.getLogger(LOGGER)

#: Seconds for which the mailbox of a former self may still be claimed, for its process is dying; and after which it is
#: ended.
_DYING, _PATIENCE = 5.0, 0.5
#: Seconds from the end of the role to that of its process: time enough for the answer to be fetched.
_LEAVING = 5.0


class RoleShell:
    """The process of a role: of any that it is told to run. One thread runs it; all other calls only leave a letter.

    Args:
        owner: the process that tells it what to run.
        logs: a folder for what the process logs, one file for each role; empty: standard error only.
        level: from which lines are logged.
        path: where the process that started this one looks for modules: so does this one, after its own places.
    """

    def __init__(self, post: ZmqPost, owner: int, logs: str, level: int, path: Sequence[str]) -> None:
        self._post = post
        self._owner = owner
        self._idle = True
        self._lock = threading.Lock()
        self._logs = logs
        self._mail: ZmqMail | None = None
        self._why = ""
        self._asked: str | None = None
        self._started = threading.Event()
        self._loaded: dict[bytes, object] = {}
        sys.path.extend(place for place in path if place not in sys.path)
        logger.setLevel(level)

    def _log_as(self, name: str) -> None:
        if self._logs:
            path = Path(self._logs) / f"{name}.log"
            with contextlib.suppress(OSError):  # the handler will tell
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            handler = logging.FileHandler(path, encoding="utf-8")
            handler.setFormatter(json_formatter())
            logger.addHandler(handler)

    def claim(self, owner: int) -> bool:
        """Be another process's from now on, if nothing was told to run here, and the one that might do so has died."""
        with self._lock:
            if not self._idle or lives(self._owner):
                return False
            self._owner = owner
        return True

    def load(self, function: bytes) -> None:
        """Have what a role needs imported before it is started."""
        with contextlib.suppress(Exception):  # `run` will tell
            self._load(function)

    def _load(self, function: bytes) -> object:
        if function not in self._loaded:
            self._loaded[function] = pickle.loads(function)
        return self._loaded[function]

    def run(self, name: str, incarnation: int, function: bytes, arguments: bytes, coordinator: str) -> str:
        """Run the role that a pickled function makes of pickled arguments, until it ends.

        Returns:
            Why it ended; empty: it was asked to.
        """
        try:
            with self._lock:
                self._idle = False
            self._log_as(name)
            mail = self._mail = self._opened(name, incarnation)
            if coordinator and name != COORDINATOR:
                mail.know(COORDINATOR, coordinator)
            if self._asked is not None:
                mail.put(Stop(self._asked))
            make = self._load(function)
            assert callable(make)
            run(make(*pickle.loads(arguments)), mail, self._has_started)
        except Exception as error:
            self._why = why_ended(error)
            logger.error("%s has ended: %s", name, self._why, exc_info=unforeseen(error))
        finally:
            self._started.set()
            if self._mail is not None:
                self._mail.why = self._why
                self._mail.close()
            self._post.close()
            threading.Thread(target=_leave, daemon=True).start()
        return self._why

    def _opened(self, name: str, incarnation: int) -> ZmqMail:
        began = time.monotonic()
        while True:
            try:
                return self._post.open(name, incarnation)
            except TakenError:
                if time.monotonic() > began + _DYING:
                    raise
            if time.monotonic() > began + _PATIENCE:
                self._end_former(name, incarnation)
            time.sleep(0.02)

    def _end_former(self, name: str, incarnation: int) -> None:
        """End a former self that does not end: whoever has started it has died since, and nobody knows of it."""
        former = holder(Path(self._post.folder), name)
        if former is not None and former.held and former.incarnation < incarnation and former.pid != os.getpid():
            logger.warning("%s.%d is in the way of its successor, and is ended", name, former.incarnation)
            with contextlib.suppress(ProcessLookupError):
                os.kill(former.pid, signal.SIGKILL)

    def _has_started(self) -> None:
        # What is there now stays: the collector of garbage need not stop the role to look through it.
        gc.collect()
        gc.freeze()
        self._started.set()

    def ready(self, seconds: float) -> str | None:
        """Wait until the role has started, or could not.

        Returns:
            Why it has ended, empty if it has not or was asked to; None: it has not started yet.
        """
        return self._why if self._started.wait(seconds) else None

    def stop(self, why: str) -> None:
        """Ask the role to end."""
        self._asked = why
        if self._mail is not None:
            self._mail.put(Stop(why))


def _leave() -> None:
    time.sleep(_LEAVING)
    os._exit(0)
