"""Workers and nodes that die in the middle of a run cost time, not results: each case in a Ray of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import headrace as hr
from headrace.simulate.generator import write_markets

pytestmark = pytest.mark.ray

STRATEGY = '''
import time
import headrace as hr

class Slow(hr.Strategy):
    """Backs each runner once; takes its time, so that a run lasts long enough to be disturbed."""

    pause: float = 0.0

    def check_market_book(self, market, book):
        return book.status == "OPEN" and not book.inplay

    def process_market_book(self, market, book):
        for runner in book.runners:
            context = self.get_runner_context(market.market_id, runner.selection_id, runner.handicap)
            price = hr.get_price(runner.ex.available_to_back, 0)
            if runner.status == "ACTIVE" and price and not context.invested:
                trade = hr.Trade(market.market_id, runner.selection_id, runner.handicap, self)
                market.place_order(trade.create_order("BACK", hr.LimitOrder(price, 2.0)))

    def process_closed_market(self, market, book):
        time.sleep(self.pause)
'''

KILLED_WORKERS = """
import os, random, signal, sys, threading, time
sys.path.insert(0, {folder!r})
import ray
import headrace as hr
from slow import Slow

def parent(pid):
    with open(f"/proc/{{pid}}/stat") as stat:
        return int(stat.read().rsplit(")", 1)[1].split()[1])

def own_workers():
    found = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{{name}}/cmdline") as line:
                if line.read().startswith("ray::_Worker") and parent(parent(int(name))) == os.getpid():
                    found.append(int(name))
        except (OSError, ValueError):
            continue
    return found

def kill_workers():
    chance = random.Random(1)
    for _ in range(4):
        time.sleep(1.0)
        workers = own_workers()
        if workers:
            os.kill(chance.choice(workers), signal.SIGKILL)
            print("killed", flush=True)

if __name__ == "__main__":
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    threading.Thread(target=kill_workers, daemon=True).start()
    result = hr.backtest(Slow(pause=0.2), {markets!r}, engine="ray")
    print("failures", result.failures.num_rows)
    print("digest", result.digest)
"""

KILLED_NODE = """
import sys, threading, time
sys.path.insert(0, {folder!r})
import ray
from ray.cluster_utils import Cluster
import headrace as hr
from slow import Slow

if __name__ == "__main__":
    settings = {{
        "health_check_period_ms": 500, "health_check_failure_threshold": 3, "health_check_initial_delay_ms": 0
    }}
    cluster = Cluster(
        initialize_head=True, head_node_args={{"num_cpus": 1, "_system_config": settings, "include_dashboard": False}}
    )
    second = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    done = []

    def progress(count, total, part):
        done.append(count)
        if len(done) == 2:
            cluster.remove_node(second, allow_graceful=False)
            print("killed", flush=True)

    result = hr.backtest(Slow(pause=0.2), {markets!r}, engine="ray", progress=progress)
    print("failures", result.failures.num_rows)
    print("digest", result.digest)
    ray.shutdown()
    cluster.shutdown()
"""


JOINED_NODE = """
import os, sys
import ray
from ray.cluster_utils import Cluster
import headrace as hr

class Telling(hr.Strategy):
    def process_closed_market(self, market, book):
        import time
        time.sleep(0.3)
        self.record(market, process=os.getpid())

if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args={{"num_cpus": 1, "include_dashboard": False}})
    ray.init(address=cluster.address, log_to_driver=False)
    done = []

    def progress(count, total, part):
        done.append(count)
        if len(done) == 1:
            cluster.add_node(num_cpus=2)

    result = hr.backtest(Telling(), {markets!r}, engine="ray", progress=progress)
    print("failures", result.failures.num_rows)
    print("markets", result.records.num_rows)
    print("processes", len(set(result.records["record"].to_pylist())))
    ray.shutdown()
    cluster.shutdown()
"""

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


@pytest.fixture(scope="module")
def undisturbed(markets: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the strategy's module, and the digest of a run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("strategy")
    (folder / "slow.py").write_text(STRATEGY)
    sys.path.insert(0, str(folder))
    try:
        from slow import Slow  # type: ignore[import-not-found]

        # The pause stands among the parameters of each row: it is the same, but nobody waits for it here.
        Slow.process_closed_market = lambda self, market, book: None
        return folder, hr.backtest(Slow(pause=0.2), markets, engine="local").digest
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("slow", None)


@pytest.mark.parametrize("script", [KILLED_WORKERS, KILLED_NODE], ids=["workers", "node"])
def test_a_disturbed_run_gives_the_digest_of_an_undisturbed_one(
    script: str, markets: list[str], undisturbed: tuple[Path, str], tmp_path: Path
) -> None:
    folder, digest = undisturbed
    said = run_script(tmp_path / "disturbed.py", script.format(folder=str(folder), markets=markets))
    assert "killed" in said
    assert "failures 0" in said
    assert f"digest {digest}" in said


def run_script(path: Path, text: str) -> str:
    """What a script prints, run in a process of its own."""
    path.write_text(text)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    ran = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=180, env=environment, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout


def test_a_node_that_joins_is_used(markets: list[str], tmp_path: Path) -> None:
    said = run_script(tmp_path / "joined.py", JOINED_NODE.format(markets=markets)).split()
    assert said[:4] == ["failures", "0", "markets", str(len(markets))]
    assert int(said[5]) > 1


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
