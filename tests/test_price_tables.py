"""`headrace prices`: prices at regular times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from click.testing import CliRunner

from builders import MARKET, T0, priced
from headrace.cli import main


def prices(*words: object) -> Any:
    return CliRunner().invoke(main, ["prices", "-q", *map(str, words)])


def test_prices_are_those_of_the_book_at_each_step(tmp_path: Path) -> None:
    stream = priced().prices(900, {1: {"ltp": 2.02, "atb": [[2.02, 3]]}}).touch(3200).close(5100, bsp={1: 2.04})
    answer = prices(
        "-m", stream.write(tmp_path / MARKET), "--every", "1s", "--out", tmp_path / "p", "--engine", "local"
    )
    assert (answer.exit_code, answer.output) == (0, f"prices in {tmp_path / 'p'}\n")
    rows = ds.dataset(tmp_path / "p").to_table().to_pylist()
    first = [row for row in rows if row["selection_id"] == 1]
    assert [round(row["time"].timestamp() * 1000) - T0 for row in first] == [1000, 4000, 6000]
    row = first[0]
    assert (row["back_price_1"], row["back_size_1"], row["back_price_2"], row["back_size_2"]) == (2.02, 3.0, 2.0, 10.0)
    assert (row["lay_price_1"], row["lay_price_2"], row["lay_size_2"], row["lay_price_3"]) == (2.1, 2.2, 4.0, None)
    assert (row["last_price_traded"], row["status"], row["inplay"], row["bsp"]) == (2.02, "OPEN", False, None)
    assert (row["seconds_to_start"], row["market_id"], row["event_id"]) == (399.0, MARKET, "99")
    assert [(row["status"], row["runner_status"], row["bsp"]) for row in first[1:]] == [
        ("OPEN", "ACTIVE", None),
        ("CLOSED", "WINNER", 2.04),
    ]


@pytest.mark.ray
def test_broken_recording_costs_its_own_prices_only(ray_local: None, tmp_path: Path, one_market: str) -> None:
    folder = Path(one_market).parent
    (folder / "1.9").write_text("no JSON\n")
    rows = []
    for engine in ("local", "ray"):
        answer = prices("-m", folder, "--out", tmp_path / engine, "--engine", engine)
        assert answer.exit_code == 1
        assert answer.output.count("failed: ") == 1
        assert str(folder / "1.9") in answer.output
        rows.append(ds.dataset(tmp_path / engine).to_table().to_pylist())
    assert {row["market_id"] for row in rows[0]} == {MARKET}
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--every", "often"], "'often' is not an interval: expected such as 1s, 500ms or 5m"),
        (["--every", "0s"], "is not an interval"),
    ],
)
def test_prices_asked_wrongly_exit_2(tmp_path: Path, one_market: str, words: list[str], message: str) -> None:
    answer = prices("-m", one_market, "--out", tmp_path / "p", *words)
    assert (answer.exit_code, message in answer.output) == (2, True)


def test_prices_refuse_a_folder_that_holds_something(tmp_path: Path, one_market: str) -> None:
    answer = prices("-m", one_market, "--out", Path(one_market).parent)
    assert answer.exit_code == 2
    assert "exists and is not empty" in answer.output
