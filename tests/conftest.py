"""What several test modules share, and what holds for all of them."""

from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from builders import MARKET, priced
from common_strategies import Backer, Moody, source_of
from headrace.simulate.generator import write_markets
from side_by_side import in_units, rank, scheduler

#: Clocks decide nothing: a busy machine may be slow.
_SLOW = (HealthCheck.too_slow,)
# The same examples at each run, whatever was found before: what passes today passes tomorrow. `make fuzz` looks on.
settings.register_profile("test", derandomize=True, database=None, deadline=None, suppress_health_check=_SLOW)
settings.register_profile("fuzz", derandomize=False, deadline=None, print_blob=True, suppress_health_check=_SLOW)
settings.load_profile("test")


# -- two at a time -----------------------------------------------------------------------------------------------------


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A process that runs tests for others is told where to write down what belongs together."""
    node.workerinput["units"] = str(node.config.stash[_TEMPORARY] / "units.json")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In such a process: write it down, and have what takes long begin first."""
    told = getattr(config, "workerinput", {}).get("units")
    if told is not None:
        units = in_units(items)
        items.sort(key=lambda item: rank(item, units))
        Path(told).write_text(json.dumps({item.nodeid: units[item.nodeid] for item in items}))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Who runs what, where several processes run the tests (`pytest -n 2`)."""
    return scheduler(config, log, config.stash[_TEMPORARY] / "units.json")


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """What one process tells another is UTF-8: names of files that are not, in logs or output, are spelt out."""
    return spelt_out((yield))


def spelt_out(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {spelt_out(key): spelt_out(each) for key, each in value.items()}
    return type(value)(map(spelt_out, value)) if type(value) in (list, tuple) else value


def pytest_collection_finish() -> None:
    """All modules and tests are here to stay: the collector of garbage need not look through them again and again."""
    gc.collect()
    gc.freeze()


# -- what is temporary -------------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Give this process, and those it starts, a temporary folder that nobody else writes into.

    pytest keeps its own folders where they would have been, so that those of a failed test can be looked at.
    """
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    # Sockets of Ray lie in it, and their names may have 107 characters.
    folder = tempfile.mkdtemp(prefix="hr", dir="/tmp" if os.access("/tmp", os.W_OK) else None)
    config.stash[_TEMPORARY] = Path(folder)
    os.environ["TMPDIR"] = os.environ["RAY_TMPDIR"] = folder
    os.environ["HEADRACE_HOME"] = os.path.join(folder, _HOME)
    tempfile.tempdir = None


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_TEMPORARY], ignore_errors=True)


_TEMPORARY = pytest.StashKey[Path]()
#: Where live systems of the tests keep what outlives them.
_HOME = "home"


@pytest.fixture(scope="module", autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """What lies in the temporary folder after the tests of a module lay there before them."""
    folder = request.config.stash[_TEMPORARY]
    before = _temporary(folder)
    yield
    left = _temporary(folder) - before
    assert not left, f"left behind in {folder}"


def _temporary(folder: Path) -> set[str]:
    """All that lies in the folder, but for what belongs to the Ray of this process, which lives as long as it."""
    found = {path.name for path in folder.iterdir()} - {_HOME}
    if "ray" in found:
        found.remove("ray")
        found |= {f"ray/{path.name}" for path in (folder / "ray").iterdir()} - {"ray/session_latest"}
    return {name for name in found if not name.startswith("ray/session_") or not name.endswith(f"_{os.getpid()}")}


@pytest.fixture(autouse=True)
def nothing_stays_imported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Modules that a test loads from its own folder are forgotten with the folder."""
    before = set(sys.modules)
    yield
    folders = f"{tmp_path_factory.getbasetemp()}{os.sep}"
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(folders):
            del sys.modules[name]


@pytest.fixture(autouse=True)
def ctrl_c_stays_what_it_was() -> Iterator[None]:
    """Ray Tune takes Ctrl-C for itself, and keeps it."""
    before = signal.getsignal(signal.SIGINT)
    yield
    if signal.getsignal(signal.SIGINT) is not before:
        signal.signal(signal.SIGINT, before)


# -- fixtures ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def ray_local() -> Iterator[None]:
    """A Ray cluster of this machine, started once; skips where Ray cannot start."""
    ray = pytest.importorskip("ray")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # A node that was killed is missed after seconds, not half a minute. A slow one has ten for each answer.
    settings = {"health_check_period_ms": 500, "health_check_failure_threshold": 5}
    quiet: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    ray.init(address="local", num_cpus=2, _system_config=settings, **quiet)
    yield
    ray.shutdown()


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.ray)])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn: this process, and the Ray of the tests."""
    if request.param == "ray":
        request.getfixturevalue("ray_local")
    return str(request.param)


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A user's file, loaded as the module `backer`, with the strategies `Backer` and `Moody`."""
    (tmp_path / "backer.py").write_text(source_of(Backer, Moody))
    monkeypatch.syspath_prepend(str(tmp_path))
    return importlib.import_module("backer")


@pytest.fixture
def one_market(tmp_path: Path) -> str:
    """The recording of one market with prices, alone in its folder."""
    folder = tmp_path / "markets"
    folder.mkdir()
    return priced(eventName="Ascot").touch(400).touch(1500).close().write(folder / MARKET)


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight small markets, of all sports, laid out as Betfair's archive."""
    folder = tmp_path_factory.mktemp("generated")
    write_markets(folder / "markets", 8, seed=5, changes=80)
    return folder / "markets"
