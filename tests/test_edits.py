"""Edits of a strategy between two runs of one process."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest

import headrace as hr
from headrace.loading import load_strategy

SOURCE = """
import headrace as hr
import {beside}


class Edited(hr.Strategy):
    def process_new_market(self, market, book):
        self.record(market, own={own}, beside={beside}.VALUE)
"""


@pytest.mark.ray
def test_edit_between_two_runs_takes_effect_on_every_engine(
    ray_local: None, tmp_path: Path, one_market: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    file, beside = tmp_path / "edited_between.py", tmp_path / "edited_beside.py"
    monkeypatch.syspath_prepend(str(tmp_path))
    for engine in ("local", "ray"):
        for value in (1, 2):
            file.write_text(SOURCE.format(own=value, beside="edited_beside"))
            beside.write_text(f"VALUE = {value}\n")
            if "edited_beside" in sys.modules:
                importlib.reload(sys.modules["edited_beside"])
            result = hr.backtest(load_strategy(f"{file}:Edited")(), one_market, engine=engine)  # type: ignore[arg-type]
            assert result.records["record"].to_pylist() == [f'{{"own":{value},"beside":{value}}}']


def test_edit_within_a_second_and_of_one_length_is_seen(tmp_path: Path, one_market: str) -> None:
    file = tmp_path / "edited_quickly.py"
    found = []
    for value in (1, 2):
        file.write_text(SOURCE.format(own=value, beside="math").replace("math.VALUE", "0"))
        os.utime(file, (1_700_000_000, 1_700_000_000))
        found += (
            hr.backtest(load_strategy(f"{file}:Edited")(), one_market, engine="local").records["record"].to_pylist()
        )
    assert found == ['{"own":1,"beside":0}', '{"own":2,"beside":0}']
