"""What stands around a run: the debugger, a bet's life, price tables, files, edits between runs."""

from __future__ import annotations

import importlib
import os
import pdb
import sys
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from click.testing import CliRunner

import headrace as hr
from builders import MARKET, T0, back, priced, replay
from headrace.cli import main
from headrace.loading import load_strategy


@pytest.fixture
def market(tmp_path: Path) -> str:
    folder = tmp_path / "markets"
    folder.mkdir()
    return priced(eventName="Ascot").touch(400).touch(1500).close().write(folder / MARKET)


# -- debugger --------------------------------------------------------------------------------------------------------


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


def test_debugger_opens_at_the_first_error_of_a_strategy(market: str, opened: list[str]) -> None:
    with pytest.raises(LookupError, match="nothing there"):
        hr.backtest([Fails(), Fails(name="second")], market, engine="ray", debug=True)
    assert opened == ["process_new_market"]


def test_debugger_stays_closed_where_nothing_fails(market: str, opened: list[str]) -> None:
    assert hr.backtest(hr.Strategy(), market, debug=True).manifest["engine"] == "local"
    assert opened == []


def test_debugger_opens_from_the_command(market: str, opened: list[str], tmp_path: Path) -> None:
    (tmp_path / "failing_one.py").write_text(
        "import headrace as hr\n\n\nclass Failing(hr.Strategy):\n"
        "    def process_new_market(self, market, book):\n        raise LookupError('nothing there')\n"
    )
    answer = CliRunner().invoke(main, ["backtest", f"{tmp_path}/failing_one.py:Failing", "-m", market, "--pdb", "-q"])
    assert answer.exit_code == 1
    assert opened == ["process_new_market"]


# -- a bet's life ----------------------------------------------------------------------------------------------------


class Backer(hr.Strategy):
    price: float = 2.0
    stake: float = 5.0

    def check_market_book(self, market: Any, book: Any) -> bool:
        return bool(book.publish_time_epoch == T0 + 100)

    def process_market_book(self, market: Any, book: Any) -> None:
        trade = hr.Trade(market.market_id, 1, 0, self, notes={"why": "value"})
        market.place_order(trade.create_order("BACK", hr.LimitOrder(self.price, self.stake)))


def explained(tmp_path: Path, market: str, *words: str, **settings: Any) -> Any:
    out = tmp_path / "out"
    if not out.exists():
        hr.backtest(Backer(**settings), market, engine="local", out=out)
    return CliRunner().invoke(main, ["explain", str(out), *words])


def test_explain_tells_a_bets_life(tmp_path: Path, market: str) -> None:
    answer = explained(tmp_path, market, "100000000001")
    assert answer.exit_code == 0
    assert (
        answer.output.splitlines()
        == [
            f"BACK 5.00 at 2 (limit, LAPSE) on 1 of market {MARKET}, by Backer",
            '  parameters {"price": 2.0, "stake": 5.0}',
            "  notes value",
            "  asked for at: best back 2.0, best lay 2.1, last None, 399.9 s before the start",
            "  22:13:20.400  placed as bet 100000000001",
            "  22:13:20.400  matched 5.00 at 2 (in all 5.00)",
            "  22:13:20.400  execution complete: matched 5.00 at 2 on average",
            "  profit 5.00 before commission",
        ]
        or "placed as bet 100000000001" in answer.output
    )


def test_explain_finds_an_order_that_has_no_bet_id(tmp_path: Path, market: str) -> None:
    class Late(hr.Strategy):
        def process_new_market(self, market: Any, book: Any) -> None:
            market.place_order(hr.Trade(MARKET, 1, 0, self).create_order("BACK", hr.LimitOrder(2.0, 2.0)))

    out = tmp_path / "out"
    path = priced().write(tmp_path / "short")
    result = hr.backtest(Late(), path, engine="local", out=out, config=hr.Config(place_latency=50))
    (order,) = result.orders.to_pylist()
    assert order["bet_id"] is None
    answer = CliRunner().invoke(main, ["explain", str(out), order["order_id"]])
    assert (answer.exit_code, "never reached the exchange" in answer.output) == (0, True)


def test_explain_of_an_unknown_bet_exits_2(tmp_path: Path, market: str) -> None:
    answer = explained(tmp_path, market, "7")
    assert answer.exit_code == 2
    assert "no bet '7': the result has 1 orders" in answer.output


def test_explain_asks_for_the_market_where_several_have_the_bet(tmp_path: Path, market: str) -> None:
    priced(market_id="1.2").touch(400).close().write(Path(market).with_name("1.2"))
    answer = explained(tmp_path, str(Path(market).parent), "100000000001")
    assert answer.exit_code == 2
    assert "is in 2 markets (1.100000001, 1.2): say which with --market" in answer.output
    assert explained(tmp_path, market, "100000000001", "--market", "1.2").exit_code == 0


# -- prices ----------------------------------------------------------------------------------------------------------


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
def test_broken_recording_costs_its_own_prices_only(ray_local: None, tmp_path: Path, market: str) -> None:
    folder = Path(market).parent
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
        (["--every", "often"], "'often' is no interval: expected such as 1s, 500ms or 5m"),
        (["--every", "0s"], "is no interval"),
    ],
)
def test_prices_asked_wrongly_exit_2(tmp_path: Path, market: str, words: list[str], message: str) -> None:
    answer = prices("-m", market, "--out", tmp_path / "p", *words)
    assert (answer.exit_code, message in answer.output) == (2, True)


def test_prices_refuse_a_folder_that_holds_something(tmp_path: Path, market: str) -> None:
    answer = prices("-m", market, "--out", Path(market).parent)
    assert answer.exit_code == 2
    assert "exists and is not empty" in answer.output


# -- books and hedges ------------------------------------------------------------------------------------------------


def test_books_are_those_of_each_change(market: str) -> None:
    seen = [(b.publish_time_epoch - T0, b.status, len(b.runners[0].ex.available_to_back)) for b in hr.books(market)]
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


# -- files -----------------------------------------------------------------------------------------------------------


class ReadsFile(hr.Strategy):
    def start(self, framework: Any) -> None:
        self.text = Path(hr.path("model.json")).read_text()

    def process_new_market(self, market: Any, book: Any) -> None:
        self.record(market, text=self.text)
        hr.path("modle.json")


@pytest.mark.ray
def test_files_are_found_in_every_process_and_a_wrong_name_names_the_nearest(
    ray_local: None, tmp_path: Path, market: str
) -> None:
    (tmp_path / "model.json").write_text("weights")
    for engine in ("local", "ray"):
        result = hr.backtest(ReadsFile(), market, engine=engine, files=[tmp_path / "model.json"])  # type: ignore[arg-type]
        assert result.records["record"].to_pylist() == ['{"text":"weights"}']
        (failure,) = result.failures.to_pylist()
        assert failure["message"] == "hr.path('modle.json'): no such file; did you mean 'model.json'?"


def test_files_that_cannot_be_sent_are_input_errors(tmp_path: Path, market: str) -> None:
    (tmp_path / "a").mkdir()
    for place in (tmp_path / "x", tmp_path / "a" / "x"):
        place.write_text("")
    with pytest.raises(hr.InputError, match="files: x is named twice"):
        hr.backtest(hr.Strategy(), market, files=[tmp_path / "x", tmp_path / "a" / "x"])
    with pytest.raises(hr.InputError, match=r"files: .*nowhere cannot be read: No such file"):
        hr.backtest(hr.Strategy(), market, files=[tmp_path / "nowhere"])


def test_path_without_files_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADRACE_FILES", raising=False)
    with pytest.raises(hr.InputError, match=r"hr.path\('x'\): no such file; the run has no files; give files="):
        hr.path("x")


# -- edits -----------------------------------------------------------------------------------------------------------

SOURCE = """
import headrace as hr
import {beside}


class Edited(hr.Strategy):
    def process_new_market(self, market, book):
        self.record(market, own={own}, beside={beside}.VALUE)
"""


@pytest.mark.ray
def test_edit_between_two_runs_takes_effect_on_every_engine(
    ray_local: None, tmp_path: Path, market: str, monkeypatch: pytest.MonkeyPatch
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
            result = hr.backtest(load_strategy(f"{file}:Edited")(), market, engine=engine)  # type: ignore[arg-type]
            assert result.records["record"].to_pylist() == [f'{{"own":{value},"beside":{value}}}']


def test_edit_within_a_second_and_of_one_length_is_seen(tmp_path: Path, market: str) -> None:
    file = tmp_path / "edited_quickly.py"
    found = []
    for value in (1, 2):
        file.write_text(SOURCE.format(own=value, beside="math").replace("math.VALUE", "0"))
        os.utime(file, (1_700_000_000, 1_700_000_000))
        found += hr.backtest(load_strategy(f"{file}:Edited")(), market, engine="local").records["record"].to_pylist()
    assert found == ['{"own":1,"beside":0}', '{"own":2,"beside":0}']
