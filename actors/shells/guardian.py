"""Keeps roles of a live system running that nobody else keeps: the coordinator and the page, in the process that has
started them. One that ends by itself is started again at once; one that keeps ending, ever later.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import threading
import time
from collections.abc import Callable

from ..letters import Gone
from ..role import Role
from .engine import Engine, unforeseen

logger = logging.getLogger("headrace")

#: Seconds before a role that has ended again is started anew: the first time at once, then first, doubled, at most.
_FIRST_S, _MOST_S = 0.5, 10.0
#: Seconds for which a role has to be at work to count as one that runs.
_RUNS_S = 2.0
#: Seconds that one may take to start.
_START_S = 60.0


@dataclasses.dataclass
class _Kept:
    """A role that is kept.

    Attributes:
        make: makes what makes it, anew each time.
        there: called when it runs again.
        since: when it was at work, by the monotonic clock; infinity: it is being started.
        ends: how often it has ended, each time soon after it was at work, or before.
        due: when it is to be started, by the monotonic clock; None: it runs.
    """

    make: Callable[[], Callable[[], Role]]
    there: Callable[[], object]
    incarnation: int
    since: float
    ends: int = 0
    due: float | None = None


class Guardian:
    """See the module. Its `gone` is what the engine is made with.

    Attributes:
        restarts: how often roles were started again, by name.
    """

    def __init__(self) -> None:
        self.restarts: dict[str, int] = {}
        self._engine: Engine | None = None
        self._kept: dict[str, _Kept] = {}
        self._over: set[str] = set()
        self._closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def keep(
        self,
        engine: Engine,
        name: str,
        make: Callable[[], Callable[[], Role]],
        there: Callable[[], object] = lambda: None,
        incarnation: int = 0,
    ) -> None:
        """Keep a role that runs.

        Args:
            make: makes what makes the role.
            there: called, in a thread, each time that it runs again.
            incarnation: the one that runs.
        """
        with self._changed:
            self._engine = engine
            self._kept[name] = _Kept(make, there, incarnation, time.monotonic())
            self._over.discard(name)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="headrace-guardian", daemon=True)
                self._thread.start()
            ended = name not in engine.alive()
        if ended:
            self.gone(Gone(name, "it has ended", incarnation))

    def gone(self, gone: Gone) -> None:
        """A role has ended. Any thread may say so."""
        with self._changed:
            kept = self._kept.get(gone.name)
            if kept is None or self._closed or gone.incarnation < kept.incarnation or kept.due is not None:
                return
            if not gone.why:
                self._over.add(gone.name)
                del self._kept[gone.name]
                return
            now = time.monotonic()
            kept.ends = 1 if now - kept.since >= _RUNS_S else kept.ends + 1
            wait = 0.0 if kept.ends == 1 else min(_FIRST_S * 2 ** (kept.ends - 2), _MOST_S)
            logger.error("%s has ended: %s; it is started again", gone.name, gone.why)
            kept.due = now + wait
            self._changed.notify_all()

    def over(self, name: str) -> None:
        """A role has ended because it was asked to: it is not kept."""
        self._over.add(name)

    def is_over(self, name: str) -> bool:
        """Whether a role that was kept has ended because it was asked to."""
        return name in self._over

    def close(self, wait: bool = True) -> None:
        """Keep nothing any more.

        Args:
            wait: for those that are being started.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if wait and self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_START_S)

    # -- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        starting: list[threading.Thread] = []
        while (due := self._next()) is not None:
            # One may wait for another: the page is there when the coordinator says so.
            thread = threading.Thread(target=self._begin, args=due, name=f"headrace-guardian-{due[0]}", daemon=True)
            thread.start()
            starting = [*(each for each in starting if each.is_alive()), thread]
        until = time.monotonic() + _START_S
        for each in starting:
            each.join(max(0.0, until - time.monotonic()))

    def _begin(self, name: str, kept: _Kept) -> None:
        try:
            self._start(name, kept)
        except Exception as error:
            bug = unforeseen(error)
            level = logging.ERROR if bug else logging.WARNING
            logger.log(level, "%s cannot be started again: %s", name, error, exc_info=bug)
            with self._changed:
                if kept.due is None:
                    kept.ends += 1
                    kept.due = time.monotonic() + min(_FIRST_S * 2**kept.ends, _MOST_S)
                    self._changed.notify_all()

    def _next(self) -> tuple[str, _Kept] | None:
        """The role that is to be started now; it is waited for. None: nothing is kept any more."""
        with self._changed:
            while not self._closed:
                waiting = [(kept.due, name) for name, kept in self._kept.items() if kept.due is not None]
                now = time.monotonic()
                if waiting and min(waiting)[0] <= now:
                    name = min(waiting)[1]
                    kept = self._kept[name]
                    kept.due, kept.since = None, math.inf
                    return name, kept
                self._changed.wait(min(waiting)[0] - now if waiting else None)
        return None

    def _start(self, name: str, kept: _Kept) -> None:
        assert self._engine is not None
        found = self._engine.adopt([name]).get(name)  # another process may have done so
        if found is None:
            kept.incarnation += 1
            self._engine.start(name, kept.make(), kept.incarnation)
            self.restarts[name] = self.restarts.get(name, 0) + 1
            self._engine.ready(name, _START_S)
        else:
            kept.incarnation = found.incarnation
        kept.there()
        kept.since = time.monotonic()
