"""What the dispatcher does with workers that come, die, and lose what they have done; no Ray runs here."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import by_name
from headrace.cluster import dispatch
from headrace.cluster.batches import MAX_UNITS, plan_batches
from headrace.cluster.connection import Caller
from headrace.cluster.dispatch import FanOut
from headrace.cluster.watchdog import Stuck
from headrace.results.parts import Batch, Part
from headrace.simulate.rows import empty_rows
from headrace.simulate.units import Unit
from headrace.strategies.errors import RunError

exceptions = pytest.importorskip("ray").exceptions


class Ref:
    """An answer to come."""

    def __init__(self) -> None:
        self.answer: Future[Any] = Future()

    def future(self) -> Future[Any]:
        return self.answer


class Method:
    def __init__(self, function: Callable[..., Ref]) -> None:
        self.remote = function


class Worker:
    """A worker's process; once it is dead every call of it fails."""

    def __init__(self, begins: bool = True) -> None:
        self.dead = False
        self.waiting: list[tuple[Batch, Ref]] = []
        self.begins = begins
        self.closed = False
        self.ready, self.run, self.close = Method(self._ready), Method(self._run), Method(self._close)

    def _answered(self, good: bool) -> Ref:
        ref = Ref()
        if good:
            ref.answer.set_result(None)
        else:
            ref.answer.set_exception(exceptions.ActorDiedError())
        return ref

    def _ready(self) -> Ref:
        return self._answered(self.begins and not self.dead)

    def _run(self, batch: Batch) -> Ref:
        if self.dead:
            return self._answered(False)
        ref = Ref()
        self.waiting.append((batch, ref))
        return ref

    def _close(self) -> Ref:
        self.closed = not self.dead
        return self._answered(self.closed)

    def finish(self, worn: bool = False) -> None:
        batch, ref = self.waiting.pop(0)
        ref.answer.set_result(Part(batch, empty_rows(), 0, 0.0, worn=worn))

    def fail(self, error: Exception) -> None:
        _, ref = self.waiting.pop(0)
        ref.answer.set_exception(error)

    def die(self) -> None:
        self.dead = True
        while self.waiting:
            self.fail(exceptions.ActorDiedError())


class Cluster:
    """What a run needs of Ray."""

    exceptions = exceptions

    def __init__(self) -> None:
        self.killed: list[Worker] = []

    def wait(self, refs: list[Ref], num_returns: int = 1, timeout: float | None = None) -> None:
        assert timeout is not None
        assert num_returns == len(refs)

    def kill(self, worker: Worker) -> None:
        self.killed.append(worker)
        worker.dead = True


def run_of(
    units: int,
    cluster: Cluster | None = None,
    batch: int = 1,
    limit: float | None = None,
    caller: Caller = Caller.DRIVER,
) -> FanOut:
    numbers = range(0, units, batch)
    batches = [Batch(n, tuple(Unit(f"unit {at}", ()) for at in range(n, n + batch))) for n in numbers]
    return FanOut(cluster or Cluster(), collections.deque(batches), limit, caller)


def started(run: FanOut, count: int) -> list[Worker]:
    workers = [Worker() for _ in range(count)]
    for worker in workers:
        run.start(worker)
    for _ in workers:
        assert list(run.next_parts()) == []
    return workers


def finished(run: FanOut, workers: list[Worker]) -> list[Part]:
    """Parts of a run whose living workers do all they are given."""
    parts: list[Part] = []
    while run.left:
        run.feed()
        for worker in workers:
            while worker.waiting:
                worker.finish()
        parts.extend(run.next_parts())
    return parts


def names(parts: list[Part]) -> list[str]:
    return sorted(unit.name for part in parts for unit in part.batch.units)


def failures(parts: list[Part]) -> list[dict[str, Any]]:
    return [row for part in parts for row in by_name("failures", part.rows["failures"])]


def test_each_worker_has_two_batches_at_most() -> None:
    run = run_of(9)
    workers = started(run, 2)
    run.feed()
    assert [len(worker.waiting) for worker in workers] == [2, 2]
    assert len(names(finished(run, workers))) == 9


def test_a_unit_survives_the_death_of_a_node_with_idle_workers() -> None:
    run = run_of(1)
    workers = started(run, 4)
    run.feed()
    (busy,) = [worker for worker in workers if worker.waiting]
    lone = next(worker for worker in reversed(workers) if worker is not busy)
    for worker in workers:
        if worker is not lone and worker is not busy:
            worker.dead = True  # and nobody has told
    busy.die()
    parts = finished(run, [lone])
    assert (names(parts), failures(parts)) == (["unit 0"], [])


def test_a_unit_that_ends_its_worker_twice_is_given_up_and_others_are_not() -> None:
    run = run_of(3, batch=3)
    workers = started(run, 1)
    parts: list[Part] = []
    while run.left:
        run.feed()
        for worker in list(workers):
            if worker.waiting and any(unit.name == "unit 1" for unit in worker.waiting[0][0].units):
                worker.die()
                workers.append(Worker())
                run.start(workers[-1])
            elif worker.waiting:
                worker.finish()
        parts.extend(run.next_parts())
    assert names(parts) == ["unit 0", "unit 1", "unit 2"]
    (row,) = failures(parts)
    assert row["unit"] == "unit 1"


def test_a_part_that_is_lost_with_its_node_is_made_again() -> None:
    run = run_of(2)
    workers = started(run, 1)
    run.feed()
    workers[0].fail(exceptions.ObjectLostError("00" * 28, "", ""))
    parts = finished(run, workers)
    assert (names(parts), failures(parts)) == (["unit 0", "unit 1"], [])


def test_workers_that_never_begin_end_a_run_only_where_none_runs() -> None:
    run = run_of(5)
    workers = started(run, 1)
    for _ in range(50):
        run.start(Worker(begins=False))
        assert list(run.next_parts()) == []
    assert len(names(finished(run, workers))) == 5

    lonely = run_of(5)
    with pytest.raises(RunError, match="die before they begin"):  # noqa: PT012
        for _ in range(50):
            lonely.start(Worker(begins=False))
            assert list(lonely.next_parts()) == []


def test_a_worn_worker_finishes_what_it_has_and_gets_nothing_more() -> None:
    cluster = Cluster()
    run = run_of(5, cluster)
    (old,) = started(run, 1)
    run.feed()
    old.finish(worn=True)
    assert names(list(run.next_parts())) == ["unit 0"]
    run.feed()
    assert [batch.number for batch, _ in old.waiting] == [1]
    assert cluster.killed == []
    old.finish()
    assert names(list(run.next_parts())) == ["unit 1"]
    assert cluster.killed == [old]
    assert old.closed
    assert names(finished(run, started(run, 1))) == ["unit 2", "unit 3", "unit 4"]


def test_at_the_end_idle_workers_lay_down_what_they_hold_and_busy_ones_are_not_waited_for() -> None:
    cluster = Cluster()
    run = run_of(1, cluster)
    workers = started(run, 3)
    run.feed()
    run.end()
    assert [worker.closed for worker in workers] == [not worker.waiting for worker in workers]
    assert sorted(map(id, cluster.killed)) == sorted(map(id, workers))


def sized(*sizes: int) -> list[Unit]:
    return [Unit(f"unit {number}", (), size) for number, size in enumerate(sizes)]


def test_large_units_come_first_and_small_ones_stay_in_their_order() -> None:
    units = sized(1, 2, 500, 3, 1, 900, 2, 1)
    batches = plan_batches(units, 1)
    assert [unit.size for unit in batches[0].units] == [900]
    assert [unit.size for unit in batches[1].units] == [500]
    assert [unit.name for batch in batches[2:] for unit in batch.units] == [
        "unit 0", "unit 1", "unit 3", "unit 4", "unit 6", "unit 7",
    ]  # fmt: skip
    assert [batch.number for batch in batches] == list(range(len(batches)))


@given(st.lists(st.integers(0, 10**6), max_size=300), st.integers(1, 50))
def test_each_unit_is_in_one_batch_and_batches_become_smaller(sizes: list[int], workers: int) -> None:
    units = sized(*sizes)
    batches = plan_batches(units, workers)
    assert sorted(unit.name for batch in batches for unit in batch.units) == sorted(unit.name for unit in units)
    assert all(1 <= len(batch.units) <= MAX_UNITS for batch in batches)
    totals = [sum(unit.size for unit in batch.units) for batch in batches]
    assert totals == sorted(totals, reverse=True)


def test_an_error_of_a_worker_is_raised_as_it_is() -> None:
    run = run_of(1)
    (worker,) = started(run, 1)
    run.feed()
    worker.fail(ValueError("mine"))
    with pytest.raises(ValueError, match="mine"):
        list(run.next_parts())


def test_the_row_of_a_unit_that_overran_and_left_no_word_says_so() -> None:
    run = run_of(1, limit=0.05)
    parts: list[Part] = []
    while run.left:
        (worker,) = started(run, 1)
        run.feed()
        time.sleep(0.06)
        worker.die()
        parts.extend(run.next_parts())
    (row,) = failures(parts)
    assert (
        row["message"]
        == "replaying it ended its worker process 2 times: its last try took 0 s, over unit_timeout=0.05 s"
    )


def test_a_unit_whose_worker_says_why_it_ends_is_given_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Stuck("unit 1", 2.0, "Slow", "1.1", "slow.py:7", "Slow.wait", "Stack of unit 1")
    notes: list[Stuck | None] = [stuck]
    monkeypatch.setattr(dispatch, "take_note", lambda worker: notes.pop() if notes else None)
    run = run_of(3, batch=3, limit=2.0)
    (worker,) = started(run, 1)
    run.feed()
    worker.die()
    parts = list(run.next_parts())
    (row,) = failures(parts)
    assert (row["strategy"], row["market_id"], row["line"]) == ("Slow", "1.1", "slow.py:7")
    assert (row["error_type"], row["unit"]) == ("TimeoutError", "unit 1")
    parts += finished(run, started(run, 1))
    assert names(parts) == ["unit 0", "unit 1", "unit 2"]
    assert len(failures(parts)) == 1


class Waiting(Cluster):
    """A cluster whose own wait is how answers come."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.when_waited: Callable[[], object] = lambda: None

    def wait(self, refs: list[Ref], num_returns: int, timeout: float, fetch_local: bool) -> tuple[list[Ref], list[Ref]]:
        self.waits.append(timeout)
        assert all(not ref.answer.done() for ref in refs)
        self.when_waited()
        return [ref for ref in refs if ref.answer.done()], [ref for ref in refs if not ref.answer.done()]


def test_a_task_waits_as_ray_does_so_that_its_cpu_is_given_back() -> None:
    cluster = Waiting()
    run = run_of(1, cluster, caller=Caller.TASK)
    (worker,) = started(run, 1)
    run.feed()
    cluster.when_waited = worker.finish
    assert names(list(run.next_parts())) == ["unit 0"]
    assert len(cluster.waits) == 1


@pytest.mark.parametrize(("who", "batches"), [(Caller.DRIVER, 0), (Caller.TASK, 2), (Caller.HOLDER, 2)])
def test_callers_on_ray_do_the_work_where_no_worker_gets_a_cpu(
    who: Caller, batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "_PATIENCE_ON_RAY", 0.0)
    run = run_of(2, Waiting(), caller=who)
    taken = [batch for _ in range(3) if (batch := run.take_here()) is not None]
    # The last first: they are the small ones.
    assert [batch.number for batch in taken] == [1, 0][:batches]
    assert run.left == (batches == 0)


def test_a_unit_that_has_ended_a_worker_is_not_replayed_in_the_callers_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_PATIENCE_ON_RAY", 0.0)
    run = run_of(1, Waiting(), caller=Caller.HOLDER)
    (worker,) = started(run, 1)
    run.feed()
    worker.die()
    assert list(run.next_parts()) == []
    assert run.take_here() is None
    assert run.left


def test_while_a_worker_runs_the_caller_leaves_the_work_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_PATIENCE_ON_RAY", 0.0)
    run = run_of(2, Waiting(), caller=Caller.HOLDER)
    started(run, 1)
    assert run.take_here() is None
