"""Errands: what takes long is done in other threads, and what came of it is taken in the coordinator's own."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from ..letters import Letter, Outcome

logger = logging.getLogger("headrace")

#: Takes what came of an errand: its value, or None and the error.
Done = Callable[[Any, Exception | None], object]


class Errands:
    """Runs functions in threads of their own.

    Args:
        put: puts a letter into the coordinator's inbox.
        threads: at most so many at once; what is more waits.
    """

    def __init__(self, put: Callable[[Letter], object], threads: int = 4) -> None:
        self._put = put
        self._most = threads
        self._numbers = itertools.count(1)
        self._waiting: queue.SimpleQueue[tuple[int, Callable[[], Any]] | None] = queue.SimpleQueue()
        self._done: dict[int, Done] = {}
        self._found: dict[int, tuple[Any, Exception | None]] = {}
        self._threads: list[threading.Thread] = []

    def run(self, function: Callable[[], Any], done: Done) -> None:
        """Call a function in another thread, and then `done` in the coordinator's."""
        # Executions number their calls upwards.
        number = -next(self._numbers)
        self._done[number] = done
        self._waiting.put((number, function))
        if len(self._threads) < min(self._most, len(self._done)):
            thread = threading.Thread(target=self._work, name=f"errands-{len(self._threads) + 1}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while (each := self._waiting.get()) is not None:
            number, function = each
            try:
                self._found[number] = function(), None
            except Exception as error:
                self._found[number] = None, error
            self._put(Outcome(number))

    def take(self, outcome: Outcome) -> bool:
        """Take what came of an errand; False if it is not one of these."""
        found, done = self._found.pop(outcome.call, None), self._done.pop(outcome.call, None)
        if found is None or done is None:
            return False
        done(*found)
        return True

    def close(self) -> None:
        """Take no more. What is under way is left to end by itself."""
        for _ in self._threads:
            self._waiting.put(None)
