"""Benchmarks that time one way to run against another: who runs when, what counts, and when the bar is missed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
try:
    from benchmarks import band, in_turn, models
    from benchmarks.in_turn import Found, Way
finally:
    sys.path.remove(str(ROOT))

WAYS = (Way("plain", {}), Way("other", {"band": True}))


def test_each_way_is_first_in_every_other_round() -> None:
    asked: list[str] = []

    def once(way: Way) -> Found:
        asked.append(way.name)
        return Found((float(len(asked)),), orders=len(way.name))

    plain, other = in_turn.in_turns(WAYS, 3, once)
    assert asked == ["plain", "other", "other", "plain", "plain", "other"]
    assert plain == Found((1.0, 4.0, 5.0), orders=5)
    assert other == Found((2.0, 3.0, 6.0), orders=5)


def test_the_best_of_each_way_counts() -> None:
    assert in_turn.ratio_of(Found((4.0, 2.0, 3.0)), Found((5.0, 3.0))) == 1.5


@pytest.mark.parametrize(("seconds", "verdict"), [(2.3, "ok  1.15"), (2.31, "ABOVE THE BAR  1.16")])
def test_a_line_ends_with_the_ratio(seconds: float, verdict: str) -> None:
    line = in_turn.line("ten", WAYS, (Found((2.0,), 8), Found((seconds,), 9)), 1.15)
    assert line.startswith("ten ")
    assert "plain 2.000 s (8 orders)" in line
    assert "(9 orders)  bar 1.15" in line
    assert line.endswith(verdict)


@pytest.mark.parametrize(("worst", "status"), [(1.5, 0), (1.6, 1)])
def test_the_largest_ratio_comes_last_and_decides(
    worst: float, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def run(work: object, way: Way) -> Found:
        return Found((1.0 if way.name == "plain" else worst if work == "slow" else 1.2,))

    monkeypatch.setattr(in_turn, "CASES", {"slow": lambda shop: "slow", "quick": lambda shop: "quick"})
    monkeypatch.setattr(in_turn, "recordings_folder", lambda folder: tmp_path)
    monkeypatch.setattr(in_turn, "pin", lambda: None)
    monkeypatch.setattr(in_turn, "run", run)
    monkeypatch.setattr(in_turn.logging, "disable", lambda level: None)
    assert in_turn.compare("What it costs.", WAYS, 1.5, ["--rounds", "1"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["slow", "quick", "the"]
    assert lines[-1] == f"the largest ratio, bar 1.5: {worst:.2f}"


def test_of_more_than_two_ways_the_last_is_compared_with_the_first() -> None:
    ways = (WAYS[0], Way("three", {}, times=3), WAYS[1])
    found = in_turn.in_turns(ways, 2, lambda way: Found((float(len(way.name)),)))
    assert [each.best for each in found] == [5.0, 5.0, 5.0]
    line = in_turn.line("ten", ways, (Found((2.0,)), Found((9.0,)), Found((3.0,))), 1.5)
    assert "three 9.000 s" in line
    assert line.endswith("ok  1.50")


def test_what_is_compared() -> None:
    assert [(way.settings.get("band", False), way.times) for way in band.WAYS] == [(False, 1), (False, 3), (True, 1)]
    plain, default = models.WAYS
    assert plain.settings["config"].compatibility == "flumine"
    assert default.settings == {}
    assert (models.MOST, band.MOST) == (1.15, 1.5)
