"""Live trading in one process: each role is a thread."""

from __future__ import annotations

import dataclasses
import logging
import sys
import threading
from collections.abc import Callable, Iterable

from ...strategies.errors import RunError
from ..letters import Gone, Letter, Stop
from ..live.hosts import Found
from ..mailboxes.bounds import Bounds
from ..mailboxes.mail import CrashedError
from ..mailboxes.threads import ThreadMail, ThreadPost
from ..role import Role, run
from .engine import COORDINATOR, end_all, unforeseen, why_ended
from .mortal import Mortal

logger = logging.getLogger("headrace")


#: Why a thread has ended that was made to crash.
CRASHED = "it was made to crash"
#: Seconds that a thread may compute while others wait for Python, in a process with an engine: see
#: `sys.setswitchinterval`. An order goes through three threads, and each goes on after it has waited for the network or
#: the disk: every time it would wait for strategies that compute, for each of them up to 5 ms, which is Python's own.
SWITCH_S = 0.0005


@dataclasses.dataclass(eq=False)
class _Running:
    """A role's thread.

    Attributes:
        crashed: it is to end as if it had been killed from outside.
        why: why it ended by itself, empty if it was asked to.
    """

    mail: ThreadMail
    thread: threading.Thread
    started: threading.Event
    ended: threading.Event
    killed: bool = False
    crashed: bool = False
    why: str = ""


class ThreadEngine:
    """See `Engine`. Any thread may call it.

    A thread cannot be killed: it loses its mail, and ends as soon as the call that it is in returns. From the first
    start until it is closed the threads of the process take turns more often: see `SWITCH_S`.

    Args:
        gone: called for each role that has ended, in its thread.
        bounds: how far a role may be behind before market data is left out.
    """

    def __init__(self, gone: Callable[[Gone], object] | None = None, bounds: Bounds | None = None) -> None:
        self._post = ThreadPost(bounds)
        self._gone = gone
        self._running: dict[str, _Running] = {}
        self.coordinator = ""
        self._lock = threading.Lock()
        self._closed = False
        self._switch_s: float | None = None

    def prepare(self, names: Iterable[str], make_role: Callable[..., Role] | None = None) -> None:
        """There is nothing to prepare: threads start at once."""

    def spare(self, count: int, make_role: Callable[..., Role] | None = None) -> None:
        """As `prepare`."""

    @property
    def coming(self) -> int:
        return 0

    def start(self, name: str, make_role: Callable[[], Role], incarnation: int = 0) -> str:
        with self._lock:
            if self._closed:
                raise RunError(f"{name} cannot be started: the engine is closed")
            if sys.getswitchinterval() > SWITCH_S:
                self._switch_s = self._switch_s or sys.getswitchinterval()
                sys.setswitchinterval(SWITCH_S)
            mail = self._post.open(name, incarnation)
            if name == COORDINATOR:
                self.coordinator = mail.address
            elif self.coordinator:
                mail.know(COORDINATOR, self.coordinator)
            thread = threading.Thread(target=lambda: self._run(running, make_role), name=name, daemon=True)
            running = _Running(mail, thread, threading.Event(), threading.Event())
            self._running[name] = running
        thread.start()
        return mail.address

    def _run(self, running: _Running, make_role: Callable[[], Role]) -> None:
        mail = running.mail
        try:
            run(Mortal(make_role(), lambda: running.crashed), mail, running.started.set)
        except CrashedError:
            running.why = CRASHED
        except Exception as error:
            running.why = why_ended(error)
            if not running.killed:
                logger.error("%s has ended: %s", mail.name, running.why, exc_info=unforeseen(error))
        finally:
            mail.close()
            if running.crashed:
                running.why = CRASHED
            running.ended.set()
            running.started.set()
            if not running.killed:
                self._tell(Gone(mail.name, running.why, mail.incarnation))

    def _tell(self, gone: Gone) -> None:
        coordinator = self._post.at(self.coordinator)
        if coordinator is not None and gone.name != COORDINATOR:
            coordinator.put(gone)
        if self._gone is not None:
            self._gone(gone)

    def ready(self, name: str, seconds: float) -> None:
        running = self._running.get(name)
        if running is None:
            raise RunError(f"{name} was not started")
        if not running.started.wait(seconds):
            raise RunError(f"{name} has not started within {seconds:g} s")
        if running.ended.is_set() and running.why:
            raise RunError(f"{name} has ended: {running.why}")

    def put(self, name: str, letter: Letter) -> None:
        """Put a letter into a role's inbox, as if it had done so itself; one that is gone is left alone."""
        running = self._running.get(name)
        if running is not None and not running.ended.is_set():
            running.mail.put(letter)

    def stop(self, name: str, why: str = "") -> None:
        running = self._running.get(name)
        if running is not None and not running.ended.is_set():
            running.mail.put(Stop(why))

    def kill(self, name: str) -> None:
        running = self._running.get(name)
        if running is not None and not running.ended.is_set():
            running.killed = True
            running.mail.close()
            running.ended.set()

    def crash(self, name: str) -> None:
        running = self._running.get(name)
        if running is not None and not running.ended.is_set():
            running.crashed = True
            running.mail.crash()

    def adopt(self, names: Iterable[str] | None = None) -> dict[str, Found]:
        wanted = self.alive() - {COORDINATOR} if names is None else self.alive() & set(names)
        mails = [self._running[name].mail for name in sorted(wanted)]
        return {mail.name: Found(mail.address, mail.incarnation) for mail in mails}

    def bury(self) -> None:
        """There are none: threads die with their process."""

    def next(self, name: str) -> int:
        running = self._running.get(name)
        return 0 if running is None else running.mail.incarnation + 1

    def has_ended(self, name: str) -> bool:
        running = self._running.get(name)
        return running is not None and running.ended.is_set() and not running.why

    @property
    def lost(self) -> bool:
        return False

    def abandon(self) -> None:
        self.close(0.0)

    def alive(self) -> frozenset[str]:
        return frozenset(name for name, running in list(self._running.items()) if not running.ended.is_set())

    def close(self, seconds: float = 10.0) -> tuple[str, ...]:
        with self._lock:
            self._closed = True
        killed = end_all(self, lambda name, left: self._running[name].ended.wait(left), seconds)
        self._post.close()
        for running in self._running.values():
            if running.thread is not threading.current_thread():
                running.thread.join(0.05 if running.killed else seconds)
        with self._lock:
            if self._switch_s is not None:
                sys.setswitchinterval(self._switch_s)
                self._switch_s = None
        return killed
