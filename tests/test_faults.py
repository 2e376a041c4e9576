"""Workers and nodes that die in the middle of a run cost time, not results; a node that joins is used."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from common_strategies import Backer, source_of
from headrace.simulate.generator import write_markets
from processes import LIMIT, TOOLS, wait_until

pytestmark = pytest.mark.ray

STRATEGY = (
    source_of(Backer)
    + '''

import os
import time
from pathlib import Path

class Met(Backer):
    """Where there is a file `wait`, markets end once so many workers have work."""

    folder: str = ""
    workers: int = 0

    def process_closed_market(self, market, book):
        here = Path(self.folder)
        (here / f"{os.getpid()}.worker").touch()
        until = time.monotonic() + 60
        while (here / "wait").exists() and len(list(here.glob("*.worker"))) < self.workers and time.monotonic() < until:
            time.sleep(0.02)
'''
)

LEAKING = """
import os
import headrace as hr

KEPT = []

class Leaking(hr.Strategy):
    def process_closed_market(self, market, book):
        KEPT.append(bytearray(os.urandom(1) * 30_000_000))
        self.record(market, process=os.getpid(), kept=len(KEPT))
"""


@pytest.fixture(scope="module")
def markets(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("faults") / "markets"
    return [str(path) for path in write_markets(folder, 48, seed=5, changes=100)]


@pytest.fixture
def met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The strategy, which other processes load from its file."""
    (tmp_path / "met.py").write_text(STRATEGY)
    monkeypatch.syspath_prepend(str(tmp_path))
    import met  # type: ignore[import-not-found]

    yield met.Met
    sys.modules.pop("met")


def undisturbed(met: Any, markets: list[str], **values: Any) -> str:
    """The digest of a run that nothing disturbs, and that waits for nobody."""
    met.process_closed_market = lambda self, market, book: None
    return hr.backtest(met(**values), markets, engine="local").digest


def processes() -> dict[int, tuple[int, str]]:
    """All processes of this machine: the parent of each, and its command."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text()
            found[int(folder.name)] = int(status.rpartition(")")[2].split()[1]), (folder / "cmdline").read_text()
        except (OSError, ValueError):  # it has just ended
            continue
    return found


def descendants(process_id: int) -> list[int]:
    """A process, its children, and theirs."""
    known, found = processes(), [process_id]
    for each in found:
        found.extend(child for child, (parent, _) in known.items() if parent == each)
    return found


def workers_here() -> list[int]:
    """Workers of a run, on the Ray that this process has started."""
    known = processes()
    return [each for each in descendants(os.getpid()) if known.get(each, (0, ""))[1].startswith("ray::_Worker")]


def test_killed_workers_cost_no_result(ray_local: None, met: Any, markets: list[str], tmp_path: Path) -> None:
    chance = random.Random(1)
    killed = []

    def kill_one(done: int, total: int, part: Any) -> None:
        # A worker that was killed may not be replaced yet. Whichever is hit works, waits or begins.
        workers = workers_here()
        if workers and len(killed) < 4:
            killed.append(chance.choice(workers))
            os.kill(killed[-1], signal.SIGKILL)

    values = {"folder": str(tmp_path)}
    result = hr.backtest(met(**values), markets, engine="ray", progress=kill_one)
    assert len(killed) == 4
    assert result.failures.to_pylist() == []
    assert result.digest == undisturbed(met, markets, **values)


@pytest.fixture(scope="module")
def second_node(ray_local: None) -> Iterator[Any]:
    """What has another node, of one processor, join the cluster when it is first called; it answers its process."""
    import ray

    started: list[subprocess.Popen[bytes]] = []

    def join() -> subprocess.Popen[bytes]:
        if not started:
            address = ray.get_runtime_context().gcs_address
            command = [str(TOOLS / "ray"), "start", f"--address={address}", "--num-cpus=1", "--block"]
            command += ["--min-worker-port=0", "--max-worker-port=0"]
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            started.append(subprocess.Popen(command, **quiet))
            assert wait_until(lambda: ray.cluster_resources().get("CPU", 0) > 2)
            # Written at last, and followed by every Ray that is not told where to go: they would join as well.
            invitation = Path(os.environ["RAY_TMPDIR"], "ray", "ray_current_cluster")
            assert wait_until(invitation.exists)
            invitation.unlink()
        return started[0]

    yield join
    for process in started:
        end_node(process)


def end_node(node: subprocess.Popen[bytes]) -> None:
    """End a node as the loss of its machine does: all its processes are gone, and none has said so."""
    if node.poll() is None:
        for each in descendants(node.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        node.wait(LIMIT)


def test_a_node_that_joins_is_used(second_node: Any, met: Any, markets: list[str], tmp_path: Path) -> None:
    def join(done: int, total: int, part: Any) -> None:
        second_node()
        (tmp_path / "wait").touch()  # for a third worker, which only the node has room for

    values = {"folder": str(tmp_path), "workers": 3}
    result = hr.backtest(met(**values), markets, engine="ray", progress=join)
    assert len(list(tmp_path.glob("*.worker"))) == 3
    assert result.failures.to_pylist() == []
    assert result.digest == undisturbed(met, markets, **values)


def test_a_killed_node_costs_no_result(second_node: Any, met: Any, markets: list[str], tmp_path: Path) -> None:
    node, parts = second_node(), itertools.count(1)
    (tmp_path / "wait").touch()  # until the node's worker has work too

    def kill(done: int, total: int, part: Any) -> None:
        if next(parts) == 2:
            end_node(node)

    values = {"folder": str(tmp_path), "workers": 3}
    result = hr.backtest(met(**values), markets, engine="ray", progress=kill)
    assert node.returncode is not None
    assert len(list(tmp_path.glob("*.worker"))) >= 3
    assert result.failures.to_pylist() == []
    assert result.digest == undisturbed(met, markets, **values)


def test_a_worker_that_outgrows_its_memory_is_replaced(
    ray_local: None, markets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaking.py").write_text(LEAKING)
    monkeypatch.syspath_prepend(str(tmp_path))
    import leaking  # type: ignore[import-not-found]

    try:
        config = hr.Config(worker_memory=400)
        result = hr.backtest(leaking.Leaking(), markets[:24], engine="ray", config=config)
    finally:
        sys.modules.pop("leaking")
    rows = [json.loads(text) for text in result.records["record"].to_pylist()]
    assert len(rows) == 24
    assert result.failures.num_rows == 0
    # A worker begins with 100 MB and more: a dozen markets fill it.
    assert len({row["process"] for row in rows}) > 2
    assert max(row["kept"] for row in rows) < 14
