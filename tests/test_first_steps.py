"""The first steps: what `headrace new` writes runs, and what it and `make demo` say to do next can be done."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import headrace as hr
from command import call
from headrace.loading import load_strategy

ROOT = Path(__file__).resolve().parents[1]


def test_what_new_says_next_can_be_done_and_places_bets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = call("new", "strategy.py")
    assert said.exit_code == 0
    steps = [shlex.split(line) for line in said.stdout.splitlines() if line.startswith("  headrace ")]
    assert [words[1] for words in steps] == ["generate", "backtest"]
    for words in steps:
        ended = call(*words[1:], *(["--changes", "200"] if words[1] == "generate" else ["--out", "results"]))
        assert ended.exit_code == 0, ended.output
    result = hr.Result.load("results")
    assert result.markets.num_rows == 40
    assert result.orders.num_rows > 10
    assert result.records.num_rows == result.orders.num_rows


def test_first_strategy_is_sound(tmp_path: Path, generated: Path) -> None:
    file = tmp_path / "mine.py"
    assert call("new", file).exit_code == 0
    assert call("check", f"{file}:BackTheFavourite").stdout == "no findings\n"
    ran = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,F,I,B,W", "--line-length=120", str(file)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    swept = hr.sweep(load_strategy(f"{file}:BackTheFavourite"), {"seconds": [30, 600]}, generated, engine="local")
    few, many = swept.table["orders"].to_pylist()
    assert few <= many
    assert many > 0


def test_commands_in_the_file_are_of_the_file(tmp_path: Path) -> None:
    call("new", tmp_path / "another.py")
    text = (tmp_path / "another.py").read_text()
    assert "headrace backtest another.py:BackTheFavourite --markets markets\n" in text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("there.py", "is there already"),
        ("folder.py", "is there already"),
        ("strategy", "expected the name of a Python file"),
        ("no/such/strategy.py", "No such file or directory"),
        ("there.py/strategy.py", "Not a directory"),
    ],
)
def test_new_replaces_nothing(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "there.py").write_text("mine\n")
    (tmp_path / "folder.py").mkdir()
    ended = call("new", tmp_path / name)
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert (tmp_path / "there.py").read_text() == "mine\n"


def test_what_the_demo_says_next_can_be_done(tmp_path: Path, generated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    demo = text.partition("\ndemo:")[2].partition("\n\n")[0]
    steps = [shlex.split(line) for line in re.findall(r'@echo "  \$\(BIN\)/headrace (.*)"', demo)]
    assert [words[0] for words in steps] == ["report", "new", "backtest"]
    monkeypatch.chdir(tmp_path)
    shutil.copytree(generated, "demo-markets")
    example = f"{ROOT / 'examples' / 'lowest_layer.py'}:LowestLayer"
    assert call("backtest", example, "-m", "demo-markets", "--out", "demo-results").exit_code == 0
    for words in steps:
        assert call(*words).exit_code == 0
