"""Runs inside Ray tasks and actors that hold all CPUs of the cluster: they end, with the result of any other run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from headrace.archive.pack import write_pack
from headrace.cluster import dispatch

pytestmark = pytest.mark.ray

#: Seconds that a nested run may take.
PATIENCE = 90


class Backs(hr.Strategy):
    """Backs the first runner of each market at any price."""

    stake: float = 2.0

    def process_new_market(self, market: Any, book: Any) -> None:
        trade = hr.Trade(market.market_id, book.runners[0].selection_id, 0, self)
        market.place_order(trade.create_order("BACK", hr.LimitOrder(1.01, self.stake)))


def backtest(folder: str, engine: Any = "ray") -> tuple[int, str]:
    result = hr.backtest(Backs(), folder, engine=engine, progress=False)
    return result.failures.num_rows, result.digest


def sweep(folder: str, engine: Any = "ray") -> tuple[int, str]:
    result = hr.sweep(Backs, {"stake": [1.0, 2.0]}, folder, engine=engine, orders=True, progress=False)
    return result.failures.num_rows, repr([result.result(number).digest for number in range(2)])


def impatient(work: Callable[..., Any], *arguments: Any) -> Any:
    """What work gives where nobody waits five seconds for a worker."""
    patience, dispatch._PATIENCE_ON_RAY = dispatch._PATIENCE_ON_RAY, 0.5
    try:
        return work(*arguments)
    finally:
        dispatch._PATIENCE_ON_RAY = patience


def in_thread(work: Callable[..., Any], *arguments: Any) -> Any:
    """What work gives in a further thread of the process: it cannot give the task's CPU back."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work(*arguments)))
    thread.start()
    thread.join(PATIENCE)
    return found[0]


class Holder:
    """An actor that keeps its CPU as long as it lives."""

    def call(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return work(*arguments)


@pytest.fixture(scope="module")
def ray(ray_local: None) -> Any:
    import ray

    return ray


@pytest.fixture
def holders(ray: Any) -> Iterator[list[Any]]:
    """Two actors, which hold both CPUs."""
    actors = [ray.remote(num_cpus=1)(Holder).remote() for _ in range(2)]
    ray.get([actor.call.remote(int) for actor in actors], timeout=PATIENCE)
    yield actors
    for actor in actors:
        ray.kill(actor)


@pytest.mark.parametrize("work", [backtest, sweep])
def test_tasks_that_hold_all_cpus_give_them_back_while_they_wait(work: Any, ray: Any, generated: Path) -> None:
    task = ray.remote(num_cpus=1)(work)
    found = ray.get([task.remote(str(generated)) for _ in range(2)], timeout=PATIENCE)
    assert found == [work(str(generated), "local")] * 2


def test_actors_that_hold_all_cpus_do_the_work_themselves(holders: list[Any], ray: Any, generated: Path) -> None:
    found = ray.get([actor.call.remote(impatient, backtest, str(generated)) for actor in holders], timeout=PATIENCE)
    assert found == [backtest(str(generated), "local")] * 2


def test_a_further_thread_of_a_task_does_the_work_itself(ray: Any, generated: Path) -> None:
    task = ray.remote(num_cpus=2)(in_thread)
    found = ray.get(task.remote(impatient, backtest, str(generated)), timeout=PATIENCE)
    assert found == backtest(str(generated), "local")


def test_a_task_without_a_cpu_does_the_work_itself_where_actors_hold_all(
    holders: list[Any], ray: Any, generated: Path
) -> None:
    found = ray.get(ray.remote(num_cpus=0)(impatient).remote(backtest, str(generated)), timeout=PATIENCE)
    assert found == backtest(str(generated), "local")


def catalogue_and_pack(folder: str, out: str) -> tuple[int, int]:
    catalog = hr.write_catalog(folder, f"{out}/catalog.parquet", engine="ray", progress=False)
    failures = write_pack(folder, f"{out}/packed", engine="ray", progress=False)
    return len(catalog), len(failures)


def test_catalogs_and_packing_wait_likewise(holders: list[Any], ray: Any, generated: Path, tmp_path: Path) -> None:
    found = ray.get(
        holders[0].call.remote(impatient, catalogue_and_pack, str(generated), str(tmp_path)), timeout=PATIENCE
    )
    assert found == (8, 0)


def test_a_run_of_a_program_of_its_own_waits_for_a_cpu_and_says_so(
    holders: list[Any], ray: Any, generated: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dispatch, "_PATIENCE", 1.0)
    free = threading.Timer(3, ray.kill, args=[holders[0]])
    free.start()
    assert backtest(str(generated)) == backtest(str(generated), "local")
    free.join(60)
    assert "all 2 CPUs of the cluster are taken" in caplog.text
