"""The dispatcher: hands batches to workers and takes their parts. One for every fan-out over processes.

A worker that dies costs its batch a second try elsewhere, one unit at a time; a unit that twice takes a worker with it
while it runs alone becomes a row of `failures`.
"""

from __future__ import annotations

import collections
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from ..simulate.rows import FIELDS, empty_rows
from ..strategies.errors import RunError
from .shipping import pack
from .units import Batch
from .worker import BatchRunner, Part

logger = logging.getLogger("headrace")

#: Batches that a worker has at a time: one it works on, one that waits.
_IN_FLIGHT = 2
#: Times that a unit may take a worker with it while it runs alone.
_STRIKES = 2
#: Workers that may die before they have begun, over a run.
_LOST_STARTS = 20
#: Seconds without any news after which a run that has no worker yet says so.
_PATIENCE = 30.0
#: Units that fail alike at the start of a run stop it.
_ALIKE = 50


def run_here(batches: Sequence[Batch], runner: BatchRunner) -> Iterator[Part]:
    """Replay batches in this process."""
    for batch in batches:
        yield runner.run(batch)


class Duplicates:
    """Finds markets that come twice: from a market's file and its event's, or from two copies.

    What comes second is left out, and a row of `failures` says so.
    """

    def __init__(self, known: Iterable[tuple[str, str]] = ()) -> None:
        self._owner: dict[str, str] = dict(known)

    def __call__(self, part: Part) -> None:
        twice = {}
        for market_id, unit in part.markets:
            owner = self._owner.setdefault(market_id, unit)
            if owner != unit:
                twice[market_id] = (unit, owner)
        if not twice:
            return
        for table, rows in part.rows.items():
            columns = [name for name, _ in FIELDS[table]]
            if table != "failures" and "market_id" in columns:
                at = columns.index("market_id")
                rows[:] = [row for row in rows if row[at] not in twice]
        for market_id, (unit, owner) in twice.items():
            message = f"the market is in {owner} as well; this copy is left out"
            part.rows["failures"].append((None, market_id, unit, 1, "RecordingError", message, None, unit, "", ""))


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


class Runner(Protocol):
    """What a worker does with batches."""

    def run(self, batch: Batch) -> Part: ...


class RayPool:
    """Worker processes on the connected Ray cluster, one a CPU unless told otherwise.

    Args:
        make_runner: makes the runner of each process.
        objects: what in it may be of the user's own classes.
        workers: processes; None: one a CPU of the cluster.
        limit: seconds that a runner gives a unit, for the message where that is what ended it.

    Raises:
        RunError: what the workers need cannot be sent to them.
    """

    def __init__(
        self,
        make_runner: Callable[[], Runner],
        objects: Sequence[Any] = (),
        workers: int | None = None,
        limit: float | None = None,
    ) -> None:
        ray = _ray()
        self._ray = ray
        self._payload = ray.put(pack(make_runner, objects))
        self._limit = limit
        self.size = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._actor_class = ray.remote(num_cpus=1, max_restarts=0)(_Worker)
        self._lost_starts = 0

    def run(self, batches: Sequence[Batch]) -> Iterator[Part]:
        """Parts in order of completion."""
        ray = self._ray
        waiting = collections.deque(batches)
        strikes: collections.Counter[str] = collections.Counter()
        loads: dict[Any, collections.deque[tuple[Any, Batch]]] = {}
        owners: dict[Any, Any] = {}
        # A worker gets work once it runs: one that the cluster has no room for (any more) holds nothing up.
        starting: dict[Any, Any] = {}
        try:
            while waiting or owners:
                while len(loads) + len(starting) < min(self.size, len(waiting) + len(owners)):
                    worker = self._actor_class.remote(self._payload)
                    starting[worker.ready.remote()] = worker
                self._feed(waiting, loads, owners)
                ready, _ = ray.wait([*owners, *starting], num_returns=1, timeout=_PATIENCE)
                if not ready:
                    if not loads:
                        logger.warning("No worker has started yet: the cluster has no free CPU")
                    continue
                ref = ready[0]
                if ref in starting:
                    self._started(starting.pop(ref), ref, loads)
                    continue
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
            for worker in (*loads, *starting.values()):
                ray.kill(worker)

    def _started(self, worker: Any, ref: Any, loads: Any) -> None:
        ray = self._ray
        try:
            ray.get(ref)
        except (ray.exceptions.RayActorError, ray.exceptions.WorkerCrashedError) as death:
            self._lost_starts += 1
            if self._lost_starts > _LOST_STARTS:
                raise RunError(f"workers die before they begin: {str(death).strip().splitlines()[0]}") from None
            return
        except ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from None
        loads[worker] = collections.deque()

    @staticmethod
    def _feed(waiting: Any, loads: Any, owners: Any) -> None:
        """Give each worker that runs up to two batches."""
        while waiting and loads:
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
        yield _given_up(running, death, self._limit)


def _given_up(batch: Batch, death: Exception, limit: float | None) -> Part:
    """The part of a unit that takes its workers with it."""
    unit = batch.units[0]
    why = f" (unit_timeout is {limit} s)" if limit else ""
    reason = str(death).strip().splitlines()[0] if str(death).strip() else type(death).__name__
    message = f"replaying it ended its worker process {_STRIKES} times{why}: {reason}"
    rows = empty_rows()
    rows["failures"].append((None, None, None, 1, RunError.__name__, message, None, unit.name, "", ""))
    return Part(batch, rows, 0, 0.0)


class _Worker:
    """A worker process of the pool."""

    def __init__(self, payload: bytes) -> None:
        from ray import cloudpickle

        # A constructor that raises looks to Ray like a dead process: the error is kept for the first batch.
        self._error: Exception | None = None
        try:
            self._runner: Runner = cloudpickle.loads(payload)()
        except Exception as error:
            self._error = error

    def ready(self) -> None:
        """Answer once the process runs."""
        if self._error is not None:
            raise self._error

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
