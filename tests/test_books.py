"""`hr.books` and `hr.hedge`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import T0, back, priced, replay


def test_books_are_those_of_each_change(one_market: str) -> None:
    seen = [(b.publish_time_epoch - T0, b.status, len(b.runners[0].ex.available_to_back)) for b in hr.books(one_market)]
    assert seen == [(0, "OPEN", 0), (100, "OPEN", 3), (400, "OPEN", 3), (1500, "OPEN", 3), (9000, "CLOSED", 3)]


def test_books_say_at_once_that_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(hr.InputError):
        hr.books(tmp_path / "nowhere")


@pytest.mark.parametrize("winner", [1, 2])
def test_hedge_levels_the_result(winner: int) -> None:
    def level(script: Any, market: Any) -> None:
        script.orders["hedge"] = order = hr.hedge(script.strategy, market, 1)
        market.place_order(order, force=True)

    stream = priced().touch(400).touch(800).close(winner=winner)
    played = replay(stream, {100: [back("a", 2.0, 5.0)], 400: [level]})
    assert (played["hedge"].side, played["hedge"].size_matched) == ("LAY", 4.76)
    assert played.cleared is not None
    assert played.cleared["profit"] == pytest.approx(-0.24, abs=0.01)
