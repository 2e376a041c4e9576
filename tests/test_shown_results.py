"""How results look in notebooks and on the terminal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from headrace.results.display import terminal
from headrace.results.display.formats import formatted, heading
from headrace.results.violations import reasons


class Picky(hr.Strategy):
    """Backs nothing; some markets are not to its taste."""

    stake: float = 2.0
    picky: bool = True

    def process_new_market(self, market: Any, book: Any) -> None:
        if self.picky:
            raise ValueError("no <model> for it")


class Backs(hr.Strategy):
    """Backs the first runner once; where it is too bold, the exposure control refuses."""

    stake: float = 2.0
    a_parameter_with_quite_a_long_name: float = 1.0

    def check_market_book(self, market: Any, book: Any) -> bool:
        return book.status == "OPEN" and not len(market.blotter)

    def process_market_book(self, market: Any, book: Any) -> None:
        runner = book.runners[0]
        trade = hr.Trade(market.market_id, runner.selection_id, runner.handicap, self)
        market.place_order(trade.create_order("BACK", hr.LimitOrder(1.01, self.stake)))


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("net_profit", 1234.5, "1,234.50"),
        ("net_profit", -0.001, "0.00"),
        ("standard_error", 0.3193184, "0.32"),
        ("return_on_matched", -0.0512345, "-5.12%"),
        ("strike_rate", None, ""),
        ("profit_factor", float("inf"), "∞"),
        ("orders", 12345, "12,345"),
        ("seconds", 2.0, "2"),
        ("max_price", 1.01, "1.01"),
        ("score", 0.123456789, "0.123457"),
        ("bold", True, "True"),
        ("name", "Picky", "Picky"),
    ],
)
def test_values_are_as_people_read_them(name: str, value: Any, text: str) -> None:
    assert formatted(name, value) == text


def test_headings_are_words() -> None:
    assert [heading(name) for name in ("net_profit", "out_of_sample_net_profit")] == ["net profit", "out of sample"]


def test_result_in_a_notebook_has_failures_in_sight(generated: Path) -> None:
    result = hr.backtest([Picky(), Picky(name="calm", picky=False)], generated, engine="local")
    html = result._repr_html_()
    assert "<b>Result</b> of 8 markets, 0 orders" in html
    assert re.search(r"<summary[^>]*>8 failures</summary>", html)
    # One place, so one line, with the traceback of the first.
    assert html.count("<li>") == 1
    assert re.search(r"Picky 1\.\d+: ValueError: no &lt;model&gt; for it \(8 times in 8 markets\), at ", html)
    assert html.count("raise ValueError") == 1


def test_result_in_a_notebook_says_nothing_of_failures_where_there_are_none(generated: Path) -> None:
    html = hr.backtest(Picky(picky=False), generated, engine="local")._repr_html_()
    assert "failure" not in html
    assert html.count("<tr>") == 2


def test_sweep_in_a_notebook_tells_which_set_failed(generated: Path) -> None:
    html = hr.sweep(Picky, {"picky": [False, True]}, generated, engine="local", split=0.5)._repr_html_()
    assert re.search(r"set 1 market 1\.\d+: ValueError: no &lt;model&gt; for it", html)
    assert "set 0" not in html
    assert html.index("out of sample") < html.index(">failures<")


def test_sweep_in_a_notebook_shows_twenty_sets(generated: Path) -> None:
    stakes = [2.0 + step / 4 for step in range(25)]
    sweep = hr.sweep(Backs, {"stake": stakes}, generated, engine="local")
    html = sweep._repr_html_()
    assert html.count("<tr>") == 21
    assert html.count("★") == 1
    assert "20 of 25 sets are shown" in html


# -- the terminal ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def swept(generated: Path) -> hr.SweepResult:
    stakes = [2.0, 4.0, 50.0]
    names = {"stake": stakes, "a_parameter_with_quite_a_long_name": [1.0, 123456.75]}
    return hr.sweep(Backs, names, generated, engine="local", split=0.5)


def shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int | None, show: Any
) -> list[str]:
    """The lines on a terminal of so many columns, or in a pipe."""
    monkeypatch.setattr(terminal, "width", lambda: columns or 100_000)
    show()
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 120, None])
def test_figures_of_a_sweep_are_never_cut(
    columns: int | None, swept: hr.SweepResult, capsys: Any, monkeypatch: Any
) -> None:
    lines = shown(capsys, monkeypatch, columns, lambda: terminal.show_sweep(swept, "net_profit", 10, None))
    table = [line for line in lines if line and line[0] in "┏┃┡│└┓━"]
    text = " ".join(lines)
    assert "…" not in text
    assert columns is None or max(map(len, table)) <= max(columns, 40)
    for row in swept.table.to_pylist():
        assert formatted("net_profit", row["net_profit"]) in text
        assert formatted("stake", row["stake"]) in text
    assert "123,457" in text


def test_a_pipe_gets_every_column_of_a_sweep(swept: hr.SweepResult, capsys: Any, monkeypatch: Any) -> None:
    lines = shown(capsys, monkeypatch, None, lambda: terminal.show_sweep(swept, "net_profit", 10, None))
    head = next(line for line in lines if "stake" in line)
    for name in ("a parameter with quite a long name", "out of sample", "violations", "profit factor", "mean exposure"):
        assert name in head
    assert "a wider terminal" not in " ".join(lines)


def test_columns_that_do_not_fit_are_named(swept: hr.SweepResult, capsys: Any, monkeypatch: Any) -> None:
    lines = shown(capsys, monkeypatch, 80, lambda: terminal.show_sweep(swept, "net_profit", 10, None))
    note = next(line for line in lines if line.startswith("a wider terminal shows also"))
    assert "profit factor" in note
    assert "net profit" not in note


def test_sweep_tells_what_was_refused_and_what_lifts_it(swept: hr.SweepResult, capsys: Any, monkeypatch: Any) -> None:
    lines = shown(capsys, monkeypatch, 80, lambda: terminal.show_sweep(swept, "net_profit", 10, None))
    at = next(place for place, line in enumerate(lines) if line.endswith("violations:"))
    assert "STRATEGY_EXPOSURE: Order exposure (50.00) is more than max_order_exposure (10)" in lines[at + 1]
    assert lines[at + 2].strip() == "the most frequent is lifted by -p max_order_exposure=..."


def test_result_tells_what_was_refused_and_what_lifts_it(generated: Path, capsys: Any, monkeypatch: Any) -> None:
    result = hr.backtest(Backs(stake=50), generated, engine="local")
    count = result.summary()["violations"].to_pylist()[0]
    lines = shown(capsys, monkeypatch, 80, lambda: terminal.show_result(result, None))
    assert f"{count:,} violations:" in lines
    assert any("more than max_order_exposure (10)" in line for line in lines)
    html = result._repr_html_()
    assert f"{count:,} violations</summary>" in html
    assert "max_order_exposure=... of the strategy" in html


def test_reasons_that_differ_in_figures_are_one(generated: Path) -> None:
    result = hr.backtest([Backs(name="a", stake=50), Backs(name="b", stake=120.5)], generated, engine="local")
    found = reasons(result.violations)
    assert [(each.control, each.setting) for each in found] == [("STRATEGY_EXPOSURE", "max_order_exposure")]
    assert found[0].count == sum(result.violations["count"].to_pylist())


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_many_strategies_stand_in_blocks_as_wide_as_the_terminal(
    columns: int, generated: Path, capsys: Any, monkeypatch: Any
) -> None:
    strategies = [Backs(name=f"strategy number {number}") for number in range(7)]
    result = hr.backtest(strategies, generated, engine="local")
    lines = shown(capsys, monkeypatch, columns, lambda: terminal.show_result(result, None))
    table = [line for line in lines if line and line[0] in "┏┃┡│└"]
    assert max(map(len, table)) <= columns
    # At 40 columns a name goes over two lines.
    head = "".join(line for line in table if line[0] == "┃")
    assert [head.count(str(number)) for number in range(7)] == [1] * 7
