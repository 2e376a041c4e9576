"""The debugger opens at the first error of a strategy."""

from __future__ import annotations

import pdb
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import headrace as hr
from headrace.cli import main


class Fails(hr.Strategy):
    def process_new_market(self, market: Any, book: Any) -> None:
        raise LookupError("nothing there")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Functions at whose line the debugger was opened."""
    found: list[str] = []

    def post_mortem(traceback: Any) -> None:
        while traceback.tb_next:
            traceback = traceback.tb_next
        found.append(traceback.tb_frame.f_code.co_name)

    monkeypatch.setattr(pdb, "post_mortem", post_mortem)
    return found


def test_debugger_opens_at_the_first_error_of_a_strategy(one_market: str, opened: list[str]) -> None:
    with pytest.raises(LookupError, match="nothing there"):
        hr.backtest([Fails(), Fails(name="second")], one_market, engine="ray", debug=True)
    assert opened == ["process_new_market"]


def test_debugger_stays_closed_where_nothing_fails(one_market: str, opened: list[str]) -> None:
    assert hr.backtest(hr.Strategy(), one_market, debug=True).manifest["engine"] == "local"
    assert opened == []


def test_debugger_opens_from_the_command(one_market: str, opened: list[str], tmp_path: Path) -> None:
    (tmp_path / "failing_one.py").write_text(
        "import headrace as hr\n\n\nclass Failing(hr.Strategy):\n"
        "    def process_new_market(self, market, book):\n        raise LookupError('nothing there')\n"
    )
    answer = CliRunner().invoke(
        main, ["backtest", f"{tmp_path}/failing_one.py:Failing", "-m", one_market, "--pdb", "-q"]
    )
    assert answer.exit_code == 1
    assert opened == ["process_new_market"]
