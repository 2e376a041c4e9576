"""The dispatcher: hands batches to workers and takes their parts. One for every fan-out over processes.

A worker that dies costs its batch a second try elsewhere, one unit at a time; a unit that twice takes a worker with it
while it runs alone becomes a row of `failures`.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import logging
import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from ..results.parts import Batch, Part
from ..simulate.rows import empty_rows
from ..simulate.units import Unit
from ..strategies.errors import RunError
from .connection import Caller, cause_of, first_line, id_of, why_no_worker
from .watchdog import take_note

logger = logging.getLogger("headrace")
#: Batches that a worker has at a time: one it works on, one that waits.
_IN_FLIGHT = 2
#: Times that a unit may take a worker with it while it runs alone.
_STRIKES = 2
#: Workers that may die before they have begun, one after the other, while none runs.
_LOST_STARTS = 20
#: Seconds without any news after which a run that has no worker yet says so.
_PATIENCE = 30.0
#: Seconds that idle workers may take to remove what they have written.
_FAREWELL = 5.0
#: Seconds without a running worker after which a caller that itself runs on Ray does a batch itself.
_PATIENCE_ON_RAY = 5.0
#: Seconds that such a caller then looks for answers between two batches.
_GLANCE = 0.05
#: Seconds that an answer may take into the queue once Ray has it.
_HANDOVER = 1.0


def no_command(unit: Unit) -> str:
    return ""


@dataclasses.dataclass(eq=False)
class _Process:
    """A worker as the driver sees it.

    Attributes:
        load: batches that it has, the first of them under way, with what answers each.
        worn: it gets no more work, and ends when it has done what it has.
        begun: when it was given the first batch of its load, or began with it, by the monotonic clock.
    """

    actor: Any
    load: collections.deque[tuple[Any, Batch]] = dataclasses.field(default_factory=collections.deque)
    worn: bool = False
    begun: float = 0.0


class FanOut:
    """One fan-out under way.

    Answers arrive in a queue, put there as they come: the driver's work for a batch does not grow with the number of
    workers, as asking which of thousands are done would.
    """

    def __init__(
        self,
        ray: Any,
        waiting: collections.deque[Batch],
        limit: float | None,
        caller: Caller = Caller.DRIVER,
        command_of: Callable[[Unit], str] = no_command,
    ) -> None:
        self._ray = ray
        self._command_of = command_of
        self._caller = caller
        self._told = False
        #: The time since which no worker has been running, by the monotonic clock.
        self._idle_since = time.monotonic()
        self._waiting = waiting
        self._limit = limit
        self._strikes: collections.Counter[str] = collections.Counter()
        self._lost_starts = 0
        # A worker gets work once it runs: one that the cluster has no room for (any more) holds nothing up.
        self._starting: set[_Process] = set()
        self._running: set[_Process] = set()
        #: Workers that can take more, those with the least work first.
        self._free: tuple[dict[_Process, None], ...] = tuple({} for _ in range(_IN_FLIGHT))
        self._answers: queue.SimpleQueue[tuple[_Process, Any, Future[Any]]] = queue.SimpleQueue()
        self._expected: set[Any] = set()
        self._under_way = 0

    @property
    def left(self) -> bool:
        """Whether there is anything to do or to wait for."""
        return bool(self._waiting or self._under_way)

    def wants_workers(self, size: int) -> bool:
        """Whether another worker would have work."""
        return len(self._running) + len(self._starting) < min(size, len(self._waiting) + self._under_way)

    def start(self, actor: Any) -> None:
        process = _Process(actor)
        self._starting.add(process)
        self._expect(process, actor.ready.remote())

    def _expect(self, process: _Process, ref: Any) -> None:
        self._expected.add(ref)
        ref.future().add_done_callback(lambda answer: self._answers.put((process, ref, answer)))

    def feed(self) -> None:
        """Give each worker that runs up to two batches; one alone to a unit that is tried alone."""
        while self._waiting:
            process = next((process for free in self._free for process in free), None)
            if process is None or (process.load and self._waiting[0].alone):
                return
            batch = self._waiting.popleft()
            ref = process.actor.run.remote(batch)
            if not process.load:
                process.begun = time.monotonic()
            process.load.append((ref, batch))
            self._under_way += 1
            self._place(process)
            self._expect(process, ref)

    def _place(self, process: _Process) -> None:
        """Put a worker among the free ones, by how much it has."""
        for free in self._free:
            free.pop(process, None)
        full = len(process.load) >= _IN_FLIGHT or any(batch.alone for _, batch in process.load)
        if process in self._running and not process.worn and not full:
            self._free[len(process.load)][process] = None

    def next_parts(self) -> Iterator[Part]:
        """The next results: the part of a batch, or what is left of one that ended its worker."""
        if self._running:
            self._idle_since = time.monotonic()
        found = self._next_answer(self._patience())
        if found is None:
            if not self._running and self._caller is Caller.DRIVER:
                logger.warning("%s", why_no_worker(self._ray))
            return
        process, ref, answer = found
        self._expected.discard(ref)
        error = answer.exception()
        if process in self._starting:
            self._started(process, error)
            return
        if process not in self._running:
            return  # it died, and its work has gone elsewhere
        if error is None:
            part: Part = answer.result()
            part.batch = next(batch for each, batch in process.load if each == ref)
            process.load = collections.deque(item for item in process.load if item[0] != ref)
            self._under_way -= 1
            process.worn = process.worn or part.worn
            self._place(process)
            if process.worn and not process.load:
                self._retire(process)
            yield part
        elif self._is_death(error):
            yield from self._bury(process, error)
        elif isinstance(error, self._ray.exceptions.ObjectLostError):
            # It was done, and its part went down with the node that held it.
            logger.warning("A part was lost with its node; its batch is replayed again")
            self._waiting.append(next(batch for each, batch in process.load if each == ref))
            process.load = collections.deque(item for item in process.load if item[0] != ref)
            self._under_way -= 1
            self._place(process)
        else:
            raise cause_of(error)

    def _patience(self) -> float:
        """Seconds to wait for the next answer."""
        if self._running or self._caller is Caller.DRIVER:
            return _PATIENCE
        return max(_PATIENCE_ON_RAY - (time.monotonic() - self._idle_since), _GLANCE)

    def _next_answer(self, patience: float) -> tuple[_Process, Any, Future[Any]] | None:
        """The next answer of a worker; None where none came within so many seconds."""
        with contextlib.suppress(queue.Empty):
            return self._answers.get_nowait()
        if self._caller is Caller.TASK and self._expected:
            # Only a wait of Ray's own gives the task's CPU to the workers. The answer then comes into the queue.
            ready, _ = self._ray.wait(list(self._expected), num_returns=1, timeout=patience, fetch_local=False)
            patience = _HANDOVER if ready else 0.0
        with contextlib.suppress(queue.Empty):
            return self._answers.get(block=patience > 0, timeout=patience)
        return None

    def take_here(self) -> Batch | None:
        """A batch for the caller itself: it runs on Ray, and there has been no CPU for any worker for some time.

        Of what waits, the last: they are the small ones. Not a unit that has ended a worker.
        """
        if self._caller is Caller.DRIVER or self._running or time.monotonic() - self._idle_since < _PATIENCE_ON_RAY:
            return None
        for at in range(len(self._waiting) - 1, -1, -1):
            if not self._waiting[at].alone:
                batch = self._waiting[at]
                del self._waiting[at]
                if not self._told:
                    self._told = True
                    logger.info("No CPU is free for workers; batches are replayed in this process meanwhile")
                return batch
        return None

    def _is_death(self, error: BaseException) -> bool:
        kinds = self._ray.exceptions
        return isinstance(error, (kinds.RayActorError, kinds.WorkerCrashedError, kinds.OutOfMemoryError))

    def _started(self, process: _Process, error: BaseException | None) -> None:
        self._starting.discard(process)
        if error is None:
            self._lost_starts = 0
            self._running.add(process)
            self._place(process)
        elif self._is_death(error):
            self._lost_starts += 1
            if self._lost_starts > _LOST_STARTS and not self._running:
                raise RunError(f"workers die before they begin: {str(error).strip().splitlines()[0]}")
        else:
            raise cause_of(error)

    def _retire(self, process: _Process) -> None:
        """End a worker that has grown beyond its limit of memory; another takes its place."""
        logger.info("A worker has grown beyond worker_memory and is replaced")
        self._running.discard(process)
        self._ray.wait([process.actor.close.remote()], timeout=_FAREWELL)
        self._ray.kill(process.actor)

    def _bury(self, process: _Process, death: BaseException) -> Iterator[Part]:
        """A worker died: its batches go elsewhere, the one under way unit by unit."""
        self._running.discard(process)
        self._place(process)
        self._under_way -= len(process.load)
        _, running = process.load[0]
        stuck = take_note(id_of(process.actor))
        if stuck is None:
            logger.warning("A worker died while it replayed %s; its work goes elsewhere", running.units[0].name)
        else:
            logger.error("%s: %s, at %s; its worker had to be ended", stuck.unit, stuck.message, stuck.line)
        for _, batch in reversed(list(process.load)[1:]):
            self._waiting.appendleft(batch)
        self._ask_idle()
        if stuck is not None:
            ended = next((unit for unit in running.units if unit.name == stuck.unit), running.units[0])
            rest = tuple(unit for unit in running.units if unit is not ended)
            if rest:
                self._waiting.append(Batch(running.number, rest))
            rows = empty_rows()
            rows["failures"].append(stuck.row(self._command_of(ended)))
            yield Part(Batch(running.number, (ended,), alone=True), rows, 0, 0.0)
            return
        if not running.alone:
            for unit in running.units:
                self._waiting.append(Batch(running.number, (unit,), alone=True))
            return
        unit = running.units[0]
        self._strikes[unit.name] += 1
        if self._strikes[unit.name] < _STRIKES:
            self._waiting.append(running)
            return
        seconds = time.monotonic() - process.begun
        over = self._limit is not None and seconds >= self._limit
        why = f"its last try took {seconds:.0f} s, over unit_timeout={self._limit:g} s" if over else first_line(death)
        message = f"replaying it ended its worker process {_STRIKES} times: {why}"
        row = (None, None, None, 1, RunError.__name__, message, None, unit.name, "", self._command_of(unit))
        rows = empty_rows()
        rows["failures"].append(row)
        yield Part(running, rows, 0, 0.0)

    def _ask_idle(self) -> None:
        """Have idle workers answer before they get more: their node may have died too, without notice."""
        for process in [process for process in self._running if not process.load]:
            self._running.discard(process)
            self._place(process)
            self._starting.add(process)
            self._expect(process, process.actor.ready.remote())

    def end(self) -> None:
        """End all workers; idle ones first remove what they have written, such as files of the run."""
        idle = [process.actor.close.remote() for process in self._running if not process.load]
        if idle:
            self._ray.wait(idle, num_returns=len(idle), timeout=_FAREWELL)
        for process in (*self._running, *self._starting):
            self._ray.kill(process.actor)
