"""The coordinator's thread, for tests of what it calls: an inbox, and a loop that hands outcomes on."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Any

from headrace.actors.betfair.calls import Calls
from headrace.actors.letters import Letter, Outcome

WAIT = 20.0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Desk:
    """Calls with an inbox. `skip` moves the clock."""

    def __init__(self, workers: int = 4) -> None:
        self.inbox: queue.SimpleQueue[Letter] = queue.SimpleQueue()
        self._skipped = 0
        self.calls = Calls(self.inbox.put, self.now_ms, workers)
        self.timed: list[Any] = [self.calls]

    def now_ms(self) -> int:
        return now_ms() + self._skipped

    def skip(self, seconds: float) -> None:
        self._skipped += round(seconds * 1000)

    def until(self, condition: Callable[[], Any], wait: float = WAIT) -> Any:
        """Take letters and wake what is due until a condition holds; what it is then."""
        end = time.monotonic() + wait
        while not (found := condition()):
            assert time.monotonic() < end, "it has not happened"
            self.turn()
        return found

    def turn(self) -> None:
        try:
            letter = self.inbox.get(timeout=0.01)
        except queue.Empty:
            pass
        else:
            assert isinstance(letter, Outcome)
            self.calls.outcome(letter)
        for each in self.timed:
            if each.next_ms <= self.now_ms():
                each.wake(self.now_ms())

    def close(self) -> None:
        self.calls.close()

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
