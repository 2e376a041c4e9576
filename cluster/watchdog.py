"""The time limit of a unit: one that takes longer is given up, and the line where it was is reported.

Code that hangs cannot be asked to stop. So an exception is raised into it, again and again for a while, which ends
loops and waiting. What even that does not end, code of an extension that never comes back, ends with its process.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import faulthandler
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

from ..strategies.market import Market
from ..strategies.strategy import Strategy

#: Seconds for which the exception is raised, and between two times.
_GRACE, _AGAIN = 2.0, 0.25
#: Seconds after that, when a process ends in which no Python runs any more: it is inside an extension.
_MUTE = 3.0


class Overrun(BaseException):
    """Raised into the code of a unit that takes too long. `except Exception` in a strategy does not catch it."""


@dataclasses.dataclass(frozen=True)
class Stuck:
    """Where a unit was when its time had passed.

    Attributes:
        strategy: the one whose code was running; None: none's.
        market_id: the market that it was called for.
        line: file and line, of the strategy's own file where it passed there.
        function: its name.
        stack: as a traceback.
    """

    unit: str
    limit: float
    strategy: str | None
    market_id: str | None
    line: str | None
    function: str | None
    stack: str

    @property
    def message(self) -> str:
        inside = f"; it was in {self.function}()" if self.function else ""
        return f"took longer than unit_timeout={self.limit:g} s and was given up{inside}"

    def row(self, command: str) -> tuple[Any, ...]:
        """Its row of `failures`."""
        market = self.market_id
        return (
            self.strategy, market, self.line, 1, "TimeoutError", self.message, None, self.unit, self.stack, command
        )  # fmt: skip


class Watchdog:
    """Watches the thread that makes it.

    Args:
        unit: the name of what is watched.
        limit: seconds.
        last_resort: ends this process; called from another thread where nothing else ends the unit.
        exits: the process may be ended at all.
    """

    def __init__(self, unit: str, limit: float, last_resort: Callable[[Stuck], object], exits: bool = True) -> None:
        self._unit = unit
        self._limit = limit
        self._last_resort = last_resort
        self._exits = exits
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._stuck: Stuck | None = None
        self._previous: Any = None
        self._sent = self._taken = 0
        self._signals = False

    def run(self, work: Callable[[], object]) -> Stuck | None:
        """Do the work; answer where it was where it has been given up."""
        self._begin()
        try:
            try:
                work()
            finally:
                self._finish()
        except Overrun:
            self._finish()  # the exception may have come in the middle of it
            return self._stuck
        return None

    def _begin(self) -> None:
        if threading.current_thread() is threading.main_thread() and hasattr(signal, "pthread_kill"):
            # A signal ends waiting too: sleep, sockets, locks. Ctrl-C is passed on to the handler that was there.
            self._previous = signal.getsignal(signal.SIGINT)
            self._signals = self._previous is not None
            if self._signals:
                signal.signal(signal.SIGINT, self._on_signal)
        with contextlib.suppress(AttributeError, ValueError, OSError, RuntimeError):  # there is no standard error
            faulthandler.dump_traceback_later(
                self._limit + _GRACE + _MUTE, exit=self._exits, file=sys.__stderr__ or sys.stderr
            )
        threading.Thread(target=self._watch, name="headrace-watchdog", daemon=True).start()

    def _finish(self) -> None:
        with self._lock:
            self._over.set()
        faulthandler.cancel_dump_traceback_later()
        if self._signals:
            signal.signal(signal.SIGINT, self._previous)
            self._signals = False
        else:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), None)

    def _watch(self) -> None:
        if self._over.wait(self._limit):
            return
        stuck = self._stuck = look_at(self._thread, self._unit, self._limit)
        until = time.monotonic() + _GRACE
        while time.monotonic() < until:
            with self._lock:
                if self._over.is_set():
                    return
                self._interrupt()
            if self._over.wait(_AGAIN):
                return
        self._last_resort(stuck)

    def _interrupt(self) -> None:
        if self._signals:
            self._sent += 1
            signal.pthread_kill(self._thread, signal.SIGINT)
        else:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), ctypes.py_object(Overrun))

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._sent > self._taken:
            self._taken = self._sent
            if not self._over.is_set():
                raise Overrun
        elif callable(self._previous):
            self._previous(number, frame)
        elif self._previous == signal.SIG_DFL:
            raise KeyboardInterrupt


def look_at(thread: int, unit: str, limit: float) -> Stuck:
    """Where a thread is."""
    frames: list[FrameType] = []
    frame = sys._current_frames().get(thread)
    while frame is not None:
        frames.insert(0, frame)
        frame = frame.f_back
    # What led to the unit is the same for all.
    inner = next((at for at, each in enumerate(frames) if each.f_code is Watchdog.run.__code__), -1)
    frames = frames[inner + 1 :]
    strategy = market_id = None
    place = frames[-1] if frames else None
    for each in frames:
        owner = each.f_locals.get("self") if each.f_code.co_argcount else None
        if isinstance(owner, Strategy) and not each.f_globals.get("__name__", "").startswith("headrace."):
            strategy, file = owner.name, each.f_code.co_filename
            markets = [value for value in each.f_locals.values() if isinstance(value, Market)]
            market_id = markets[0].market_id if markets else market_id
            place = [inside for inside in frames if inside.f_code.co_filename == file][-1]
    stack = "".join(traceback.format_list(traceback.StackSummary.extract((each, each.f_lineno) for each in frames)))
    return Stuck(
        unit,
        limit,
        strategy,
        market_id,
        f"{place.f_code.co_filename}:{place.f_lineno}" if place is not None else None,
        place.f_code.co_qualname if place is not None else None,
        f"Stack of {unit} after {limit:g} s (most recent call last):\n{stack}",
    )


def end_here(stuck: Stuck) -> None:
    """End this process, which is the user's own: nothing else ends what runs in it. In a notebook only say so."""
    said = f"headrace: {stuck.unit}: took longer than unit_timeout={stuck.limit:g} s, at {stuck.line}, and cannot be "
    cursor = "\x1b[?25h" if sys.__stderr__ is not None and sys.__stderr__.isatty() else ""
    if may_exit():
        _print(f"{cursor}{stuck.stack}{said}given up: the process ends")
        os._exit(1)
    _print(f"{stuck.stack}{said}given up: end the kernel or the session")


def end_worker(stuck: Stuck) -> None:
    """End this process, a worker that others outlive; what ended it is left where the run finds it."""
    _print(f"{stuck.stack}headrace: {stuck.unit}: {stuck.message}; this worker ends")
    with contextlib.suppress(Exception):
        leave_note(stuck)
    os._exit(70)


def may_exit() -> bool:
    """Whether this process may be ended: not one that people type into."""
    return not (hasattr(sys, "ps1") or sys.flags.interactive or "ipykernel" in sys.modules)


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# -- notes of workers that end themselves ----------------------------------------------------------------------------

_NOTES = b"headrace"


def leave_note(stuck: Stuck) -> None:
    """Leave a note on why this worker ends, in the store of the cluster's head."""
    import ray
    from ray.experimental import internal_kv

    worker = ray.get_runtime_context().get_actor_id()
    if worker is not None:
        internal_kv._internal_kv_put(worker.encode(), pickle.dumps(stuck), namespace=_NOTES)


def take_note(worker: str) -> Stuck | None:
    """The note that a worker left before it ended itself; None if something else ended it.

    Args:
        worker: the id of its actor.
    """
    from ray.experimental import internal_kv

    key = worker.encode()
    try:
        found = internal_kv._internal_kv_get(key, namespace=_NOTES)
        if found is None:
            return None
        internal_kv._internal_kv_del(key, namespace=_NOTES)
        stuck: Stuck = pickle.loads(found)
    except Exception:
        return None  # no head, or one that has been replaced
    return stuck
