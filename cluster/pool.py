"""Worker processes on a Ray cluster, and the batches of a run in this process: what fan-out runs on."""

from __future__ import annotations

import collections
import contextlib
import os
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any

from ..results.parts import Batch, Part
from ..simulate.units import Unit
from .batch_runner import Runner
from .connection import caller, loaded_ray
from .dispatch import FanOut, no_command
from .shipping import pack

#: Seconds between two counts of the cluster's CPUs.
_RECOUNT = 5.0


def run_here(batches: Sequence[Batch], runner: Runner) -> Generator[Part, None, None]:
    """Replay batches in this process."""
    try:
        for batch in batches:
            yield runner.run(batch)
    finally:
        runner.close()


class RayPool:
    """Worker processes on the connected Ray cluster, one per CPU unless told otherwise.

    Args:
        make_runner: makes the runner of each process.
        objects: what in it may be of the user's own classes.
        workers: processes; None: one per CPU that the cluster has, those of nodes that join during the run included.
            More than there are CPUs wait for them, which tells an autoscaler how many are wanted.
        limit: seconds that a runner gives a unit, for the message where that is what ended it.
        command_of: how a unit is run again, for the table of failures.
        make_here: makes a runner for this process, where it itself runs on Ray and the cluster has no CPU left for any
            worker; None: as `make_runner`.

    While it waits for workers, a task gives its own CPU back, as in `ray.get`. Actors, and further threads of a task,
    cannot: they, and tasks that had none to give, replay batches themselves as long as no worker runs.

    Raises:
        RunError: what the workers need cannot be sent to them.
    """

    def __init__(
        self,
        make_runner: Callable[[], Runner],
        objects: Sequence[Any] = (),
        workers: int | None = None,
        limit: float | None = None,
        make_here: Callable[[], Runner] | None = None,
        command_of: Callable[[Unit], str] | None = None,
    ) -> None:
        self._ray = loaded_ray()
        self._make_here = make_here or make_runner
        self._payload = self._ray.put(pack(make_runner, objects))
        self._folder = os.getcwd()
        self._limit = limit
        self._command_of = command_of or no_command
        self._workers = workers
        self._counted = 0.0
        self._cpus = 1
        self._actor_class = self._ray.remote(num_cpus=1, max_restarts=0)(_Worker)

    @property
    def size(self) -> int:
        """How many processes the run is to have now."""
        if self._workers is not None:
            return self._workers
        now = time.monotonic()
        if not self._counted or now - self._counted > _RECOUNT:
            self._counted = now
            self._cpus = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        return self._cpus

    def run(self, batches: Sequence[Batch]) -> Generator[Part, None, None]:
        """Parts in order of completion."""
        run = FanOut(self._ray, collections.deque(batches), self._limit, caller(), self._command_of)
        here: Runner | None = None
        try:
            while run.left:
                while run.wants_workers(self.size):
                    run.start(self._actor_class.remote(self._payload, self._folder))
                run.feed()
                yield from run.next_parts()
                batch = run.take_here()
                if batch is not None:
                    here = here or self._make_here()
                    yield here.run(batch)
        finally:
            if here is not None:
                here.close()
            run.end()


class _Worker:
    """A worker process of the pool.

    Args:
        payload: what makes its runner.
        folder: that of the process of the run: relative paths mean the same here, where it is there.
    """

    def __init__(self, payload: bytes, folder: str) -> None:
        from ray import cloudpickle

        with contextlib.suppress(OSError):
            os.chdir(folder)
        # A constructor that raises looks to Ray like a dead process: the error is kept for the first batch.
        self._error: Exception | None = None
        self._runner: Runner | None = None
        try:
            self._runner = cloudpickle.loads(payload)()
        except Exception as error:
            self._error = error

    def ready(self) -> None:
        """Answer once the process runs."""
        if self._error is not None:
            raise self._error

    def run(self, batch: Batch) -> Part:
        assert self._runner is not None
        return self._runner.run(batch)

    def close(self) -> None:
        """Close the runner: the process is about to be killed, and cleans up nothing then."""
        if self._runner is not None:
            self._runner.close()
