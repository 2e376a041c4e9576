"""The dispatcher: hands batches to workers and takes their parts. One for every fan-out over processes.

A worker that dies costs its batch a second try elsewhere, one unit at a time; a unit that twice takes a worker with it
while it runs alone becomes a row of `failures`.
"""

from __future__ import annotations

import collections
import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

from ..actors.failures import Failures
from ..actors.logs import set_up
from ..simulate.replay import Setup
from ..simulate.rows import RowCollector, empty_rows
from ..strategies.errors import RunError
from .shipping import pack
from .units import Batch
from .worker import BatchRunner, Part

logger = logging.getLogger("headrace")

#: Batches that a worker has at a time: one it works on, one that waits.
_IN_FLIGHT = 2
#: Times that a unit may take a worker with it while it runs alone.
_STRIKES = 2
#: Units that fail alike at the start of a run stop it.
_ALIKE = 50


def run_here(batches: Sequence[Batch], runner: BatchRunner) -> Iterator[Part]:
    """Replay batches in this process."""
    for batch in batches:
        yield runner.run(batch)


class AllFailAlike:
    """Stops a run whose first units all fail for one reason.

    Raises:
        RunError: says the reason.
    """

    def __init__(self) -> None:
        self._units = 0
        self._reasons: set[tuple[str | None, str | None]] | None = set()

    def __call__(self, part: Part) -> None:
        if self._reasons is None:
            return
        failures = part.rows["failures"]
        failed = {row[7] for row in failures}
        if failed != {unit.name for unit in part.batch.units}:
            self._reasons = None
            return
        self._units += len(failed)
        self._reasons |= {(row[4], row[2] if row[0] else None) for row in failures}
        if len(self._reasons) > 1:
            self._reasons = None
        elif self._units >= _ALIKE:
            raise RunError(
                f"the first {self._units} units all failed alike, the run stops: {failures[0][4]}: {failures[0][5]}"
            )


class RayPool:
    """Replay actors on the connected Ray cluster, one a CPU unless told otherwise.

    Raises:
        RunError: a worker cannot be set up.
    """

    def __init__(self, setup: Setup, workers: int | None = None, command: str = "", keep_log: bool = False) -> None:
        ray = _ray()
        self._ray = ray
        self._setup = setup
        self._payload = ray.put(pack(setup))
        self._command = command
        self._keep_log = keep_log
        self.size = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._actor_class = ray.remote(num_cpus=1, max_restarts=0)(_ReplayActor)
        self._idle: list[Any] = []

    def run(self, batches: Sequence[Batch]) -> Iterator[Part]:
        """Parts in order of completion."""
        ray = self._ray
        waiting = collections.deque(batches)
        strikes: collections.Counter[str] = collections.Counter()
        loads: dict[Any, collections.deque[tuple[Any, Batch]]] = {}
        owners: dict[Any, Any] = {}
        try:
            while waiting or owners:
                self._feed(waiting, loads, owners)
                ready, _ = ray.wait(list(owners), num_returns=1)
                ref = ready[0]
                worker = owners.pop(ref)
                batch = next(batch for each, batch in loads[worker] if each == ref)
                try:
                    part = ray.get(ref)
                except (ray.exceptions.RayActorError, ray.exceptions.WorkerCrashedError) as death:
                    yield from self._bury(worker, loads, owners, waiting, strikes, death)
                    continue
                except ray.exceptions.RayTaskError as error:
                    raise error.as_instanceof_cause() from None
                loads[worker] = collections.deque(item for item in loads[worker] if item[0] != ref)
                part.batch = batch
                yield part
        finally:
            for worker in loads:
                ray.kill(worker)

    def _feed(self, waiting: Any, loads: Any, owners: Any) -> None:
        """Give each worker up to two batches; start workers while there is work for them."""
        while waiting:
            if len(loads) < min(self.size, len(waiting) + len(owners)):
                worker = self._actor_class.remote(self._payload, self._command, self._keep_log)
                loads[worker] = collections.deque()
            worker = min(loads, key=lambda each: len(loads[each]))
            limit = 1 if any(batch.alone for _, batch in loads[worker]) or waiting[0].alone else _IN_FLIGHT
            if len(loads[worker]) >= limit:
                return
            batch = waiting.popleft()
            ref = worker.run.remote(batch)
            loads[worker].append((ref, batch))
            owners[ref] = worker

    def _bury(
        self, worker: Any, loads: Any, owners: Any, waiting: Any, strikes: Any, death: Exception
    ) -> Iterator[Part]:
        """A worker died: its batches go elsewhere, the one under way unit by unit."""
        lost = loads.pop(worker)
        for ref, _ in lost:
            owners.pop(ref, None)
        _, running = lost[0]
        logger.warning("A worker died while it replayed %s; its work goes elsewhere", running.units[0].name)
        for _, batch in reversed(list(lost)[1:]):
            waiting.appendleft(batch)
        if not running.alone:
            for unit in running.units:
                waiting.append(Batch(running.number, (unit,), alone=True))
            return
        unit = running.units[0]
        strikes[unit.name] += 1
        if strikes[unit.name] < _STRIKES:
            waiting.append(running)
            return
        yield _given_up(running, death, self._setup)


def _given_up(batch: Batch, death: Exception, setup: Setup) -> Part:
    """The part of a unit that takes its workers with it."""
    unit = batch.units[0]
    failures = Failures(unit.name)
    limit = setup.config.unit_timeout
    why = f" (unit_timeout is {limit} s)" if limit else ""
    reason = str(death).strip().splitlines()[0] if str(death).strip() else type(death).__name__
    failures.add(RunError(f"replaying it ended its worker process {_STRIKES} times{why}: {reason}"))
    collector = RowCollector([])
    for failure in failures:
        row = (None, None, None, failure.count, failure.error_type, failure.message, None, unit.name, "", "")
        collector.rows["failures"].append(row)
    return Part(batch, {**empty_rows(), **collector.rows}, 0, 0.0)


class _ReplayActor:
    """A worker process of the pool."""

    def __init__(self, payload: bytes, command: str, keep_log: bool) -> None:
        from ray import cloudpickle

        setup = cloudpickle.loads(payload)
        set_up(setup.config)
        self._runner = BatchRunner(setup, None, command, keep_log, remote=True)

    def run(self, batch: Batch) -> Part:
        return self._runner.run(batch)


def connect(address: str | None = None) -> None:
    """Join the cluster that is there, or start one of this machine.

    Raises:
        RunError: the cluster named cannot be reached.
    """
    # Ray will otherwise warn in every process that it changes this variable of machines with accelerators.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray = _ray()
    if ray.is_initialized():
        return
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise RunError(f"no Ray cluster at {address or os.environ.get('RAY_ADDRESS')}: {error}") from None


def _ray() -> Any:
    import ray

    return ray
