"""The market's clock: stream time in simulation, the machine's time live. Nothing patches `datetime`."""

from __future__ import annotations

import datetime
import functools
import itertools
import math
import time
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

#: What is called when a timer is due, and with what.
Timer = tuple[Callable[..., object], tuple[Any, ...]]


@functools.lru_cache(maxsize=256)
def from_ms(milliseconds: int) -> datetime.datetime:
    """The UTC date and time of a number of milliseconds since the epoch."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, tz=datetime.UTC)


class Clock:
    """A clock that is set: it stands where its owner, the actor that hosts the markets, puts it.

    Attributes:
        now_ms: milliseconds since the epoch, UTC.
        next_ms: when the next timer is due; infinite where there is none.
    """

    __slots__ = ("_count", "_timers", "next_ms", "now_ms")

    simulated = True

    def __init__(self, now_ms: int = 0) -> None:
        self.now_ms = now_ms
        self.next_ms: float = math.inf
        self._timers: list[tuple[int, int, Callable[..., object], tuple[Any, ...]]] = []
        self._count = itertools.count()

    def now(self) -> datetime.datetime:
        """The time, aware, in UTC."""
        return from_ms(self.now_ms)

    def call_at(self, at_ms: int, function: Callable[..., object], *arguments: Any) -> None:
        """Call `function(*arguments)` when the clock reaches `at_ms`, in order of time and then of asking."""
        heappush(self._timers, (at_ms, next(self._count), function, arguments))
        if at_ms < self.next_ms:
            self.next_ms = at_ms

    def pop_due(self, until_ms: int) -> Timer | None:
        """Take the next timer that is due by `until_ms` and set the clock to its time; None where none is."""
        if self.next_ms > until_ms:
            return None
        timers = self._timers
        at_ms, _, function, arguments = heappop(timers)
        self.next_ms = timers[0][0] if timers else math.inf
        if at_ms > self.now_ms:
            self.now_ms = at_ms
        return function, arguments


class LiveClock(Clock):
    """The machine's time, as the actor that owns it sets it: constant while something is dealt with, and never back."""

    __slots__ = ()

    simulated = False


class WallClock(Clock):
    """The machine's own time. Timers on it are its owner's to serve."""

    __slots__ = ()

    simulated = False

    def __init__(self) -> None:
        super().__init__()

    @property
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    @now_ms.setter
    def now_ms(self, value: int) -> None:
        """The machine sets its own time."""
