"""Damaged parts of a result: what is damaged is named, dropped on demand, and done again by the run that goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import headrace as hr
from command import call
from common_strategies import Backer, source_of
from headrace.simulate.generator import write_markets

CODE = source_of(Backer)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The words of a run over four markets, each a part; it has ended, in the folder `out`."""
    write_markets(tmp_path / "markets", 4, seed=4, changes=80)
    code = tmp_path / "repaired_code.py"
    code.write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.modules["headrace.backtest"], "MAX_UNITS", 1)
    words: list[object] = ["backtest", f"{code}:Backer", "-m", "markets", "--engine", "local", "--out", "out"]
    assert call(*words).exit_code == 0
    return words


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def flip(path: Path) -> None:
    """Change one bit of the first page."""
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("table", "damage"),
    # A part whose commit is missing does not count: nothing is damaged.
    [(table, each) for table in ("orders", "markets") for each in (cut, flip, empty, Path.unlink)]
    + [("commits", cut), ("commits", empty)],
)
def test_damaged_part_is_named_dropped_and_done_again(
    run: list[object], tmp_path: Path, damage: Callable[[Path], object], table: str
) -> None:
    whole = hr.Result.load("out").digest
    orders = hr.Result.load("out").orders
    path = sorted((tmp_path / "out" / table).iterdir())[0]
    if table == "commits":
        # The manifest of a run that has ended tells what its commits say: they are not opened.
        manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
        (tmp_path / "out" / "manifest.json").write_text(json.dumps({**manifest, "parts": []}))
    damage(path)
    ended = call("report", "out")
    assert ended.exit_code == 2
    assert f"out: {table}/{path.name} cannot be read: " in ended.stderr
    assert "`headrace repair out` drops what is damaged, and the same run with --resume does it again" in ended.stderr

    repaired = call("repair", "out")
    assert repaired.exit_code == 0
    assert f"dropped: {table}/{path.name}: " in repaired.stdout
    assert repaired.stdout.endswith("the same run with --resume replays what was dropped\n")
    assert 0 < len(hr.Result.load("out").markets) < 4
    assert not json.loads((tmp_path / "out" / "manifest.json").read_text())["finished"]

    assert call(*run, "--resume").exit_code == 0
    kept = hr.Result.load("out")
    assert kept.digest == whole
    assert kept.orders.num_rows == orders.num_rows
    assert kept.summary().to_pylist()[0]["markets"] == 4
    assert call("repair", "out").stdout == "no damage\n"


def test_what_is_sound_stays_as_it_is(run: list[object], tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert hr.repair("out") == []
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_rows_that_are_missing_are_damage(run: list[object], tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = sorted((tmp_path / "out" / "orders").iterdir())[0]
    table = pq.read_table(path)
    pq.write_table(table.slice(0, table.num_rows - 1), path)
    (dropped,) = hr.repair("out")
    assert dropped.why == f"orders/{path.name}: it has {table.num_rows - 1} rows of {table.num_rows}"
    assert len(dropped.units or ()) == 1


def test_folder_without_a_result_is_refused(tmp_path: Path) -> None:
    ended = call("repair", tmp_path)
    assert ended.exit_code == 2
    assert "no result here" in ended.stderr
