"""HTTP calls of the coordinator: made in threads, and answered on the coordinator's own.

`Calls.post` takes a call and gives it a number. When it is over its thread puts an `Outcome` with that number into the
coordinator's inbox; the coordinator hands it to `outcome`, which calls back. So all state is touched by one thread.
"""

from __future__ import annotations

import dataclasses
import functools
import heapq
import itertools
import logging
import math
import threading
from collections.abc import Callable
from typing import Any

from ...values import legible
from ..letters import Letter, Outcome
from .connections import FAILURES, Connections, Target
from .posts import Got, Post, Posting

logger = logging.getLogger("headrace")

#: Seconds that a reply may take, unless a call says otherwise ("API read timeout" of betfairlightweight).
ANSWER_S = 16.0
#: Rooms of calls: those about orders, and all others, which orders need not wait for.
ORDERS, OTHERS = "orders", "others"
#: In which order calls of a room begin: cancels and updates, what places, what asks.
FIRST, SECOND, LAST = 0, 1, 2
_SENT = -1
#: Threads for calls that are not about orders.
OTHER_WORKERS = 4
#: Connections that are kept warm at a host; seconds between looks at them.
WARM, WARM_EVERY_S = 2, 10.0
#: Seconds over those of its reply before a call is given up: those of connecting and of waiting for a thread.
_SLACK_S = 6.0


@dataclasses.dataclass(slots=True)
class _Call:
    """A call under way.

    Attributes:
        work: what a thread does.
        found: what that gave; an exception if it failed.
        give_up_ms: when it has taken too long.
    """

    number: int
    work: Callable[[], Any]
    done: Callable[[Any], object]
    failed: Callable[[Exception], object]
    posting: Posting | None = None
    found: Any = None
    give_up_ms: float = math.inf


class Workers:
    """Threads that are started as they are needed, up to a number; what waits goes by urgency, then by age."""

    def __init__(self, name: str, limit: int) -> None:
        self._name, self._limit = name, limit
        self._waiting: list[tuple[int, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._ready = threading.Condition()
        self._idle = self._started = 0
        self._closed = False

    def submit(self, work: Callable[[], object], urgency: int = LAST) -> None:
        """Let a thread do something."""
        with self._ready:
            if self._closed:
                return
            heapq.heappush(self._waiting, (urgency, next(self._numbers), work))
            if self._idle >= len(self._waiting):
                self._ready.notify()
                return
            if self._started >= self._limit:
                return
            self._started += 1
        threading.Thread(target=self._work, name=f"{self._name} {self._started}", daemon=True).start()

    @property
    def free(self) -> bool:
        """Whether work that is submitted now begins at once."""
        return self._idle > len(self._waiting) or (self._started < self._limit and not self._waiting)

    @property
    def waiting(self) -> int:
        """What no thread has begun yet."""
        return len(self._waiting)

    def close(self) -> None:
        """Begin nothing more: threads end with what they are doing."""
        with self._ready:
            self._closed = True
            self._waiting.clear()
            self._ready.notify_all()

    def _work(self) -> None:
        while True:
            with self._ready:
                self._idle += 1
                while not self._waiting and not self._closed:
                    self._ready.wait()
                self._idle -= 1
                if self._closed:
                    return
                work = heapq.heappop(self._waiting)[2]
            work()


class Calls:
    """Calls under way. All but what it does in threads is for the coordinator's own thread.

    Args:
        put: takes a letter into the coordinator's inbox, from any thread.
        clock_ms: now, milliseconds since the epoch; from any thread.
        workers: calls about orders that are under way at once (`Config.max_execution_workers`).
    """

    def __init__(self, put: Callable[[Letter], object], clock_ms: Callable[[], int], workers: int = 32) -> None:
        self._put = put
        self.clock_ms = clock_ms
        self.connections = Connections()
        self._rooms = {ORDERS: Workers("orders", workers), OTHERS: Workers("calls", OTHER_WORKERS)}
        self._numbers = itertools.count(1)
        self._calls: dict[int, _Call] = {}
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._warm: dict[Target, int] = {}
        self._warmed_ms = -math.inf

    # -- calls ---------------------------------------------------------------------------------------------------

    def post(
        self,
        post: Post,
        done: Callable[[Got], object],
        *,
        room: str = OTHERS,
        urgency: int = LAST,
        send_by_ms: int | None = None,
        answer_s: float = ANSWER_S,
        at_once: bool = False,
    ) -> int:
        """Post something; the call's number. `done` is called later, always once.

        Args:
            send_by_ms: when it is too late to send it: then it is not.
            answer_s: seconds that the reply may take.
            at_once: send it from this thread where a connection is warm.
        """
        posting = Posting(post, self.connections, self.clock_ms, send_by_ms, answer_s)
        workers = self._rooms[room]
        if at_once and workers.free and posting.send_at_once():
            urgency = _SENT  # its reply is on the way
        call = _Call(next(self._numbers), posting.run, done, _log_failure, posting)
        if send_by_ms is None:
            send_by_ms = posting.begun_ms + round(answer_s * 1000)
        call.give_up_ms = max(send_by_ms, posting.begun_ms) + (answer_s + _SLACK_S) * 1000
        return self._begin(call, workers, urgency)

    def run(self, work: Callable[[], Any], done: Callable[[Any], object], failed: Callable[[Exception], object]) -> int:
        """Call a function in a thread; then `done` with what it returns, or `failed` with what it raises."""
        return self._begin(_Call(next(self._numbers), work, done, failed), self._rooms[OTHERS], LAST)

    def _begin(self, call: _Call, workers: Workers, urgency: int) -> int:
        self._calls[call.number] = call
        workers.submit(functools.partial(self._perform, call), urgency)
        return call.number

    def _perform(self, call: _Call) -> None:
        """In a thread: do it, and tell the coordinator."""
        try:
            call.found = call.work()
        except Exception as error:
            call.found = error
        self._put(Outcome(call.number))

    def outcome(self, letter: Outcome) -> bool:
        """A call is over; False: it was given up before, or is not one of these."""
        call = self._calls.pop(letter.call, None)
        if call is None:
            return False
        if not isinstance(call.found, Exception):
            call.done(call.found)
        elif call.posting is not None:
            # Nothing in a posting raises but what is wrong with itself, or with this machine.
            logger.error("A call has failed: %s", legible(call.found), exc_info=call.found)
            call.done(call.posting.give_up())
        else:
            call.failed(call.found)
        return True

    # -- time ----------------------------------------------------------------------------------------------------

    def later(self, at_ms: float, function: Callable[[], object]) -> None:
        """Call a function when it is time."""
        heapq.heappush(self._timers, (at_ms, next(self._numbers), function))

    @property
    def next_ms(self) -> float:
        """When `wake` is to be called, milliseconds since the epoch; infinite: never."""
        found = min((call.give_up_ms for call in self._calls.values()), default=math.inf)
        if self._timers:
            found = min(found, self._timers[0][0])
        return min(found, self._warmed_ms + WARM_EVERY_S * 1000) if self._warm else found

    def wake(self, at_ms: int) -> None:
        """Call what is due, give up what has taken too long, keep connections warm."""
        while self._timers and self._timers[0][0] <= at_ms:
            heapq.heappop(self._timers)[2]()
        for call in [each for each in self._calls.values() if each.give_up_ms <= at_ms]:
            if self._calls.pop(call.number, None) is not None and call.posting is not None:
                call.done(call.posting.give_up())
        if self._warm and at_ms >= self._warmed_ms + WARM_EVERY_S * 1000:
            self._warmed_ms = at_ms
            self._keep_warm()

    # -- connections ---------------------------------------------------------------------------------------------

    def warm(self, target: Target, count: int = WARM) -> None:
        """Keep so many connections to a host open from now on."""
        self._warm[target] = max(count, self._warm.get(target, 0))
        self._warmed_ms = self.clock_ms()
        self._keep_warm()

    def _keep_warm(self) -> None:
        self.connections.drop_old()
        for target, count in self._warm.items():
            for _ in range(count - self.connections.idle(target)):
                self._rooms[OTHERS].submit(functools.partial(self._open, target))

    def _open(self, target: Target) -> None:
        try:
            self.connections.give_back(target, self.connections.open(target))
        except FAILURES as error:
            logger.debug("No connection to %s: %s", target.host, error)

    # -- state ---------------------------------------------------------------------------------------------------

    @property
    def under_way(self) -> int:
        """Calls that are not over."""
        return len(self._calls)

    @property
    def waiting(self) -> int:
        """Calls about orders that no thread has begun."""
        return self._rooms[ORDERS].waiting

    def close(self) -> None:
        """Give up what is under way, without calling back, and end connections and threads."""
        for workers in self._rooms.values():
            workers.close()
        for call in self._calls.values():
            if call.posting is not None:
                call.posting.give_up()
        self._calls.clear()
        self._timers.clear()
        self._warm.clear()
        self.connections.close()


def _log_failure(error: Exception) -> None:
    logger.error("A call has failed: %s", legible(error), exc_info=error)
