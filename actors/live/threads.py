"""Background workers and streams of the user's own: a thread each, so that one that blocks stops nothing."""

from __future__ import annotations

import copy
import functools
import logging
import threading
import time
from collections.abc import Callable, Iterable

from ..streams import BaseStream
from ..workers import BackgroundWorker
from .framework import LiveFramework

logger = logging.getLogger("headrace")

#: Told of an error: the error, and whose it is.
Failed = Callable[[Exception, str], object]


class UserThreads:
    """Runs workers and streams until they are to stop.

    Args:
        failed: called, in the thread that failed, with an error and the name of a worker or stream.
        ended: called, in its thread, with the name of a stream that has nothing more to read.
    """

    def __init__(
        self, framework: LiveFramework, failed: Failed, ended: Callable[[str], object] = lambda name: None
    ) -> None:
        self._framework, self._failed, self._ended = framework, failed, ended
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, workers: Iterable[BackgroundWorker], streams: Iterable[BaseStream]) -> None:
        """Start them all."""
        for worker in workers:
            self._start(f"worker {worker.name}", functools.partial(self._work, worker))
        for stream in streams:
            stream.framework = stream.flumine = self._framework
            self._start(f"stream {type(stream).__name__}", functools.partial(self._read, stream))

    def _start(self, name: str, run: Callable[[], object]) -> None:
        def guarded() -> None:
            try:
                run()
            except Exception as error:
                self._failed(error, name)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _read(self, stream: BaseStream) -> None:
        stream.run()
        self._ended(f"stream {type(stream).__name__}")

    def _work(self, worker: BackgroundWorker) -> None:
        """Call a worker, from start to start at its interval; calls that it was too slow for are left out."""
        context = copy.deepcopy(worker.context)
        due = time.monotonic() + worker.start_delay
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            try:
                worker.function(context, self._framework, *worker.func_args, **worker.func_kwargs)
            except Exception as error:
                self._failed(error, f"worker {worker.name}")
            if worker.interval is None:
                return
            due = max(due + worker.interval, time.monotonic())

    @property
    def running(self) -> list[str]:
        """The names of those that run."""
        return [thread.name for thread in self._threads if thread.is_alive()]

    def stop(self, seconds: float = 1.0) -> list[str]:
        """Have workers stop, and wait for so long; who is still at it. Streams end with the process."""
        self._stopping.set()
        end = time.monotonic() + seconds
        for thread in self._threads:
            if thread.name.startswith("worker "):
                thread.join(max(0.0, end - time.monotonic()))
        blocked = [name for name in self.running if name.startswith("worker ")]
        if blocked:
            logger.warning("Still running: %s", ", ".join(blocked))
        return blocked
