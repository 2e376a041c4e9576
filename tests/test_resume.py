"""Runs that break off: what is done is kept, and the same run goes on from there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

import headrace as hr
from common_strategies import Backer, source_of
from headrace.cli import main
from headrace.simulate.generator import write_markets
from processes import LIMIT, TOOLS, environment, of_folder, temporary_folder, wait_until

SOURCE = source_of(Backer)

DRIVER = """
import sys
import headrace as hr
sys.path.insert(0, {folder!r})
from backer import Backer

if __name__ == "__main__":
    hr.backtest(Backer(), {markets!r}, engine="ray", out={out!r}, progress=lambda done, *_: print(done, flush=True))
"""


@pytest.fixture(scope="module")
def markets(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("resume") / "markets"
    return [str(path) for path in write_markets(folder, 12, seed=3, changes=200)]


@pytest.fixture
def backer(user_module: ModuleType) -> Any:
    return user_module.Backer


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
        ({"source": True}, "the source of its strategies, or of other code that it was given, has changed since"),
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
    ray_local: None, backer: Any, markets: list[str], tmp_path: Path
) -> None:
    import ray

    out = tmp_path / "out"
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.format(folder=str(tmp_path), markets=markets, out=str(out)), encoding="utf-8")
    joined = {**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=joined) as broken:
        assert broken.stdout is not None
        assert broken.stdout.readline() != ""  # something is done
        broken.kill()
        broken.wait(LIMIT)
    assert not json.loads((out / "manifest.json").read_text())["finished"]
    resumed = hr.backtest(backer(), markets, engine="ray", out=out, resume=True)
    assert resumed.digest == hr.backtest(backer(), markets, engine="local").digest


SLOW = (
    SOURCE
    + """
    def process_closed_market(self, market, book):
        import time
        time.sleep(0.2)
"""
)


@pytest.mark.ray
def test_ctrl_c_keeps_what_is_done_says_how_to_go_on_and_leaves_no_ray(
    markets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "backer.py").write_text(SLOW)
    (tmp_path / "model.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    out = tmp_path / "out"
    words = ["backtest", "backer.py:Backer", "--file", "model.json"]
    words += [word for path in markets for word in ("--markets", path)]
    there = ["--out", str(out), "--workers", "1"]
    with temporary_folder() as temporary:
        # A terminal sends the signal to all processes of the command.
        stopped = subprocess.Popen(
            [str(TOOLS / "headrace"), *words, *there, "--engine", "ray"],
            env=environment(**of_folder(temporary)),
            text=True,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            assert wait_until(lambda: list(out.glob("commits/*.json")) or stopped.poll() is not None)
            os.killpg(stopped.pid, signal.SIGINT)
            _, said = stopped.communicate(timeout=LIMIT)
        finally:
            stopped.kill()
        assert list(temporary.iterdir()) == []
    assert stopped.returncode == 130, said
    assert f"What is done is in {out}" in said
    assert "Traceback" not in said
    done = len(hr.Result.load(out).markets)
    assert 0 < done < len(markets)

    went_on = CliRunner().invoke(main, [*words, *there, "--engine", "local", "--resume"])
    whole = CliRunner().invoke(main, [*words, "--engine", "local"])
    sys.modules.pop("backer", None)  # loading a strategy from a file leaves its module
    assert went_on.exit_code == 0, went_on.output
    (digest,) = [line for line in whole.output.splitlines() if line.startswith("digest")]
    assert digest in went_on.output
