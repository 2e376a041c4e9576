"""Resources: loaded once in each process, shared by all copies of a strategy."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import many, records

LOADS: list[int] = []


def load_lock() -> Any:
    """A lock can be neither copied nor pickled."""
    LOADS.append(1)
    return threading.Lock()


class WithModel(hr.Strategy):
    model = hr.resource(load_lock)

    def process_new_market(self, market: Any, book: Any) -> None:
        self.record(market, model=id(self.model), loads=len(LOADS))


class Unloadable(hr.Strategy):
    model = hr.resource(lambda: Path("/nowhere/model.bin").read_bytes())

    def process_new_market(self, market: Any, book: Any) -> None:
        print(self.model)


class UnloadableAtStart(Unloadable):
    def start(self, framework: Any) -> None:
        print(self.model)


def test_resource_is_loaded_once_in_a_process_and_shared(tmp_path: Path) -> None:
    LOADS.clear()
    WithModel.__dict__["model"]._loaded.clear()
    found = records(hr.backtest(WithModel(), many(tmp_path, 4), engine="local"))
    assert [each["loads"] for each in found] == [1, 1, 1, 1]
    assert len({each["model"] for each in found}) == 1


@pytest.mark.ray
def test_resource_is_loaded_anew_in_other_processes_and_a_broken_one_is_named(ray_local: None, tmp_path: Path) -> None:
    LOADS.clear()
    run = hr.Simulation(many(tmp_path, 4), engine="ray", workers=1)
    run.add_client(hr.SimulatedClient())
    run.add_strategy(WithModel())
    run.add_strategy(Unloadable())
    result = run.run()
    assert {each["loads"] for each in records(result)} == {1}
    messages = {row["message"].split(":")[0] for row in result.failures.to_pylist()}
    assert messages == {"resource Unloadable.model cannot be loaded"}


def test_resource_that_cannot_be_loaded_is_a_failure_that_names_it(tmp_path: Path) -> None:
    (row,) = hr.backtest(Unloadable(), many(tmp_path, 1), engine="local").failures.to_pylist()
    assert row["strategy"] == "Unloadable"
    assert row["message"].startswith("resource Unloadable.model cannot be loaded: FileNotFoundError")


def test_resource_that_cannot_be_loaded_at_the_start_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(hr.RunError, match=r"resource Unloadable\.model cannot be loaded: FileNotFoundError"):
        hr.backtest(UnloadableAtStart(), many(tmp_path, 1), engine="local")


def test_resource_cannot_be_set() -> None:
    with pytest.raises(AttributeError, match=r"WithModel\.model is loaded by its loader"):
        WithModel().model = 1


def test_resource_is_no_parameter() -> None:
    assert WithModel.parameters() == {}
