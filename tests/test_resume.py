"""Runs that break off: what is done is kept, and the same run goes on from there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from headrace.simulate.generator import write_markets

SOURCE = """
import headrace as hr

class Backer(hr.Strategy):
    stake: float = 2.0

    def check_market_book(self, market, book):
        return book.status == "OPEN" and not book.inplay

    def process_market_book(self, market, book):
        for runner in book.runners:
            context = self.get_runner_context(market.market_id, runner.selection_id, runner.handicap)
            price = hr.get_price(runner.ex.available_to_back, 0)
            if runner.status == "ACTIVE" and price and not context.invested:
                trade = hr.Trade(market.market_id, runner.selection_id, runner.handicap, self)
                market.place_order(trade.create_order("BACK", hr.LimitOrder(price, self.stake)))
"""

DRIVER = """
import sys
import headrace as hr
sys.path.insert(0, {folder!r})
from backer import Backer

def slow(done, total, part):
    print(done, flush=True)

if __name__ == "__main__":
    import ray
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    result = hr.backtest(Backer(), {markets!r}, engine="ray", out={out!r}, resume={resume}, progress=slow)
    print("digest", result.digest)
"""


@pytest.fixture(scope="module")
def markets(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("resume") / "markets"
    return [str(path) for path in write_markets(folder, 12, seed=3, changes=200)]


@pytest.fixture
def backer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "backer.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("backer", None)
    import backer  # type: ignore[import-not-found]

    yield backer.Backer
    sys.modules.pop("backer", None)


def test_a_run_that_was_stopped_goes_on_to_the_digest_of_an_undisturbed_one(
    backer: Any, markets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["headrace.backtest"], "MAX_UNITS", 3)
    whole = hr.backtest(backer(), markets, engine="local")

    def stop(done: int, total: int, part: Any) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hr.backtest(backer(), markets, engine="local", out=tmp_path / "out", progress=stop)
    kept = hr.Result.load(tmp_path / "out")
    assert 0 < len(kept.markets) < len(whole.markets)

    seen: list[int] = []
    resumed = hr.backtest(
        backer(),
        markets,
        engine="local",
        out=tmp_path / "out",
        resume=True,
        progress=lambda done, *_: seen.append(done),
    )
    assert seen[0] > 6
    assert resumed.digest == whole.digest == hr.Result.load(tmp_path / "out").digest


def test_a_finished_run_has_nothing_to_resume_and_gives_its_result(
    backer: Any, markets: list[str], tmp_path: Path
) -> None:
    first = hr.backtest(backer(), markets[:3], engine="local", out=tmp_path / "out")
    again = hr.backtest(backer(), markets[:3], engine="local", out=tmp_path / "out", resume=True)
    assert again.digest == first.digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stake": 5.0}, "the parameter stake of strategy 'Backer' was 2.0 and is 5.0"),
        ({"config": hr.Config(place_latency=0.5)}, "the setting place_latency was 0.12 and is 0.5"),
        ({"markets": 4}, "it had 3 inputs and now has 4"),
        ({"source": True}, "the source of its strategies has changed"),
    ],
)
def test_another_run_is_not_resumed_and_what_differs_is_said(
    change: dict[str, Any], said: str, backer: Any, markets: list[str], tmp_path: Path
) -> None:
    hr.backtest(backer(), markets[:3], engine="local", out=tmp_path / "out")
    if change.get("source"):
        (tmp_path / "backer.py").write_text(SOURCE + "\n# edited\n")
    strategy = backer(stake=change.get("stake", 2.0))
    files = markets[: change.get("markets", 3)]
    with pytest.raises(hr.InputError, match=said):
        hr.backtest(
            strategy, files, engine="local", out=tmp_path / "out", resume=True, config=change.get("config", hr.Config())
        )


def test_resume_needs_a_folder(backer: Any, markets: list[str]) -> None:
    with pytest.raises(hr.InputError, match="out="):
        hr.backtest(backer(), markets, resume=True)


@pytest.mark.ray
def test_a_killed_driver_is_resumed_to_the_digest_of_an_undisturbed_run(
    backer: Any, markets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = hr.backtest(backer(), markets, engine="local")
    out = tmp_path / "out"

    def start(resume: bool) -> subprocess.Popen[str]:
        script = tmp_path / "driver.py"
        script.write_text(
            DRIVER.format(folder=str(tmp_path), markets=markets, out=str(out), resume=resume), encoding="utf-8"
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment)

    broken = start(resume=False)
    assert broken.stdout is not None
    broken.stdout.readline()
    broken.send_signal(signal.SIGKILL)
    broken.wait()
    time.sleep(1)
    assert not json.loads((out / "manifest.json").read_text())["finished"]
    went_on = start(resume=True)
    text, _ = went_on.communicate(timeout=120)
    assert went_on.returncode == 0, text
    assert f"digest {whole.digest}" in text


SLOW = (
    SOURCE
    + """
    def process_closed_market(self, market, book):
        import time
        time.sleep(0.2)
"""
)


@pytest.mark.ray
def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(markets: list[str], tmp_path: Path) -> None:
    (tmp_path / "backer.py").write_text(SLOW)
    out = tmp_path / "out"
    words = ["headrace", "backtest", "backer.py:Backer", "--out", str(out), "--workers", "1"]
    words += [word for path in markets for word in ("--markets", path)]
    headrace = Path(sys.executable).with_name("headrace")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    # A terminal sends the signal to all processes of the command.
    stopped = subprocess.Popen(
        [str(headrace), *words[1:], "--engine", "ray"],
        cwd=tmp_path,
        env=environment,
        text=True,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    for _ in range(600):
        if list(out.glob("commits/*.json")) or stopped.poll() is not None:
            break
        time.sleep(0.1)
    os.killpg(stopped.pid, signal.SIGINT)
    _, said = stopped.communicate(timeout=60)
    assert stopped.returncode == 130, said
    assert f"What is done is in {out}" in said
    assert "Traceback" not in said
    done = len(hr.Result.load(out).markets)
    assert 0 < done < len(markets)

    went_on = subprocess.run(
        [str(headrace), *words[1:], "--engine", "local", "--resume"],
        cwd=tmp_path, env=environment, text=True, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert went_on.returncode == 0, went_on.stderr
    whole = subprocess.run(
        [str(headrace), *words[1:3], *words[7:], "--engine", "local"],
        cwd=tmp_path, env=environment, text=True, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    (digest,) = [line for line in whole.stdout.splitlines() if line.startswith("digest")]
    assert digest in went_on.stdout
