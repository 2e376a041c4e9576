"""Results to look at: the page, the figure, the command and SQL."""

from __future__ import annotations

import base64
import datetime
import hashlib
import html
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import headrace as hr
from common_strategies import Idle
from headrace.cli import main
from headrace.loading import load_strategy
from headrace.results.display import charts, page_markets
from headrace.results.display.curves import Step, curves, thinned
from headrace.results.display.formats import heading
from headrace.results.display.report import result_page as page
from headrace.results.tables import from_dicts
from headrace.simulate.generator import write_markets
from headrace.simulate.rows import FIELDS

BEGIN = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
NASTY = "</style><script>document.title='ran'</script><img src=http://example.com/x.png>&\"'"


def made(**tables: list[dict[str, Any]]) -> hr.Result:
    """A result of these rows; what a row leaves out is null."""
    return hr.Result(
        {"config": {"currency": "GBP"}}, {name: from_dicts(rows, FIELDS[name]) for name, rows in tables.items()}
    )


def market(number: int, profit: float, strategy: str = "S", **values: Any) -> dict[str, Any]:
    """A row of `markets`; market `number` starts so many hours after the first."""
    row = {
        "strategy": strategy, "market_id": f"1.{number}", "market_type": "WIN", "venue": "Ascot",
        "start": BEGIN + datetime.timedelta(hours=number), "orders": 1, "matched_orders": 1,
        "won_orders": int(profit > 0), "matched": 2.0, "exposure": 2.0, "profit": profit, "commission": 0.0,
        "transactions": 1, "status": "CLOSED",
    }  # fmt: skip
    return {**row, **values}


def order(number: int, strategy: str = "S", **values: Any) -> dict[str, Any]:
    row = {
        "strategy": strategy, "market_id": f"1.{number}", "side": "BACK", "order_type": "LIMIT", "size": 2.0,
        "size_matched": 2.0, "average_price_matched": 3.0, "bsp": 2.5, "profit": 1.0,
    }  # fmt: skip
    return {**row, **values}


def failure(message: str, strategy: str | None = "S", **values: Any) -> dict[str, Any]:
    row = {
        "strategy": strategy, "market_id": "1.1", "line": "/home/me/mine.py:12", "count": 7, "error_type": "KeyError",
        "message": message, "traceback": f"Traceback: {message}", "command": "headrace backtest mine.py:Mine",
    }  # fmt: skip
    return {**row, **values}


def cells(text: str) -> list[str]:
    """What stands in the cells of a page's tables."""
    return [html.unescape(found) for found in re.findall(r"<td[^>]*><span>(.*?)</span></td>", text)]


def fields(text: str) -> dict[str, str]:
    """Names and values that stand beside each other, tiles left out; of equal names the first."""
    text = text[text.index("<main>") :]
    found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text)
    return {html.unescape(name): html.unescape(value) for name, value in reversed(found)}


def body(text: str) -> str:
    """A page without its style and its script."""
    return text[text.index("<body>") : text.index("<script")]


def data(text: str) -> dict[str, Any]:
    """What the script of a page draws from."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert found is not None
    told: dict[str, Any] = json.loads(found[1])
    return told


def large(orders: int = 100_000, strategies: int = 20) -> hr.Result:
    """A result with so many orders, ten a market."""
    import random

    chance = random.Random(1)
    names = [f"Strategy-{number}" for number in range(strategies)]
    markets = [
        market(n // strategies, round(chance.gauss(0, 20), 2), names[n % strategies]) for n in range(orders // 10)
    ]
    rows = [
        order(n // 10 // strategies, names[n // 10 % strategies], side=chance.choice(("BACK", "LAY")),
              bsp=round(chance.uniform(1.01, 100), 2), average_price_matched=round(chance.uniform(1.01, 100), 2))
        for n in range(orders)
    ]  # fmt: skip
    return made(orders=rows, markets=markets, failures=[failure(f"nothing {n}") for n in range(500)])


@pytest.fixture(scope="module")
def small() -> hr.Result:
    """Two strategies, of which one fails, with names that are not fit for HTML."""
    markets = [
        market(0, 10.0, "Alpha"), market(1, -4.0, "Alpha"), market(2, 1.5, "Alpha", commission=0.08),
        market(0, -3.0, NASTY), market(2, 2.0, NASTY, market_type="PLACE"),
    ]  # fmt: skip
    orders = [order(0, "Alpha"), order(1, "Alpha", side="LAY", size_matched=1.25), order(2, NASTY, size_matched=0.0)]
    return made(markets=markets, orders=orders, failures=[failure(NASTY, NASTY)])


# -- curves --------------------------------------------------------------------------------------------------------


def totals(result: hr.Result) -> list[tuple[int, float]]:
    return [(step.number, step.total) for step in curves(result.markets, "strategy").steps["S"]]


def test_profit_adds_up_after_commission_in_order_of_start() -> None:
    found = made(markets=[market(2, 5.0, commission=0.25), market(0, -1.0), market(1, 2.0)])
    assert totals(found) == [(0, 0.0), (1, -1.0), (2, 1.0), (3, 5.75)]
    first = curves(found.markets, "strategy").steps["S"][1]
    assert first.time == BEGIN.timestamp() * 1000


def test_markets_that_start_together_have_numbers_of_their_own_and_those_without_a_start_come_last() -> None:
    together = made(markets=[market(0, 5.0), market(0, -2.0, market_id="1.9"), market(3, 1.0, start=None)])
    assert totals(together) == [(0, 0.0), (1, 5.0), (2, 3.0), (3, 4.0)]
    steps = curves(together.markets, "strategy").steps["S"]
    assert {step.time for step in steps} == {BEGIN.timestamp() * 1000}


def test_markets_in_which_nothing_happened_are_seen_but_not_numbered() -> None:
    found = curves(made(markets=[market(0, 1.0), market(1, 0.0, matched=0.0), market(2, 1.0)]).markets, "strategy")
    assert [step.number for step in found.steps["S"]] == [0, 1, 2]
    assert (len(found.markets), found.seen) == (2, 3)


def test_curve_ends_with_the_last_market_of_its_own() -> None:
    rows = [market(n, 1.0, "Long") for n in range(6)] + [market(n, 1.0, "Short") for n in range(1, 3)]
    found = curves(made(markets=rows).markets, "strategy")
    assert [step.number for step in found.steps["Short"]] == [1, 2, 3]  # it begins before its first market
    assert found.steps["Long"][-1].number == 6


def test_fall_is_measured_from_the_highest_so_far_and_0_counts() -> None:
    rows = [market(n, gain) for n, gain in enumerate((-2.0, 7.0, -3.5, 1.0))]
    falls = [step.fall for step in curves(made(markets=rows).markets, "strategy").steps["S"]]
    assert falls == [0.0, -2.0, 0.0, -3.5, -2.5]


def test_thinned_curve_keeps_its_ends_highs_lows_and_deepest_falls() -> None:
    steps = [Step(n, n, n, 0.0, float(n % 7), -float(n % 5)) for n in range(10_000)]
    steps[4321] = Step(4321, 4321, 4321, 0.0, 99.0, 0.0)
    steps[8765] = Step(8765, 8765, 8765, 0.0, -99.0, 0.0)
    steps[5000] = Step(5000, 5000, 5000, 0.0, 3.0, -70.0)
    kept = thinned(steps, 200)
    assert len(kept) <= 200
    assert (kept[0], kept[-1]) == (steps[0], steps[-1])
    assert {steps[4321], steps[8765], steps[5000]} <= set(kept)
    assert kept == sorted(kept, key=lambda step: step.number)


@pytest.mark.parametrize(("low", "high"), [(0, 0), (0, 1), (0, 7), (3, 4), (0, 43), (17, 5021), (0, 1_234_567)])
def test_axis_of_market_numbers_has_a_few_whole_ones(low: int, high: int) -> None:
    axis = charts.count_axis(low, high)
    assert 1 <= len(axis.ticks) <= 9
    assert all(isinstance(number, int) and axis.low <= number <= axis.high for number, _ in axis.ticks)


@pytest.mark.parametrize("span", [0, 1, 50, 3_000, 90_000, 86_400 * 3, 86_400 * 40, 86_400 * 300, 86_400 * 9000])
def test_time_axis_has_a_few_labels_inside(span: int) -> None:
    low = BEGIN.timestamp() * 1000
    axis = charts.time_axis(low, low + span * 1000)
    assert len(axis.ticks) <= 7
    assert all(axis.low <= time <= axis.high for time, _ in axis.ticks)
    assert len({label for _, label in axis.ticks}) == len(axis.ticks) > 0


@pytest.mark.parametrize("values", [[], [0.0], [0.004], [-3.0, 7.5], [1e7], [-1e-3, 5e6], [33.33, 66.66]])
def test_number_axis_holds_all_values_and_0(values: list[float]) -> None:
    axis = charts.number_axis(values)
    assert axis.low <= min([0.0, *values]) <= max([0.0, *values]) <= axis.high
    assert 2 <= len(axis.ticks) <= 9
    assert len({label for _, label in axis.ticks}) == len(axis.ticks)


# -- the page ------------------------------------------------------------------------------------------------------


def test_numbers_of_the_page_are_those_of_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    queue_backer = load_strategy(f"{Path(__file__).parents[1] / 'examples' / 'queue_backer.py'}:QueueBacker")
    sys.modules.pop("queue_backer", None)
    write_markets(tmp_path / "markets", 6, seed=7, changes=300)
    result = hr.backtest(queue_backer(), markets=tmp_path / "markets", engine="local")
    assert result.fills.num_rows > 0
    text = page(result)
    row = result.summary().to_pylist()[0]
    told = fields(text)
    for name in ("net_profit", "matched", "commission", "profit"):
        assert told[heading(name)] == f"{row[name]:,.2f}"
    assert told["orders"] == f"{row['orders']:,}"
    steps = curves(result.markets, "strategy").steps["QueueBacker"]
    assert steps[-1].total == row["net_profit"]
    assert told["drawdown"] == f"{-min(step.fall for step in steps):,.2f}"
    assert f"QueueBacker <b>{row['net_profit']:,.2f}</b>" in text
    assert told["placed"] == f"{round(sum(result.orders['size'].to_pylist()), 2):,.2f}"
    assert data(text)["curves"]["strategy"][0]["total"][-1] == row["net_profit"]
    assert text.rindex(result.digest) > text.rindex("<section")  # the digest stands last


def test_page_says_what_was_run(tmp_path: Path) -> None:
    class Careful(hr.Strategy):
        stake: float = 2.0

    write_markets(tmp_path / "markets", 3, seed=7, changes=60)
    strategy = Careful(stake=3.5, max_order_exposure=7, market_filter={"listener_kwargs": {"inplay": False}})
    config = hr.Config(place_latency=0.33)
    result = hr.backtest(strategy, tmp_path / "markets", config=config, engine="local", out=tmp_path / "out")
    told = fields(page(hr.Result.load(tmp_path / "out")))
    assert (told["stake"], told["max_order_exposure"]) == ("3.5", "7")
    assert told["market_filter"] == '{"listener_kwargs": {"inplay": false}}'
    assert told["place_latency"] == "0.33"
    assert told["recordings"] == "3"
    assert told["first input"] == result.manifest["inputs"][0]["unit"]
    assert told["run in the folder"] == result.manifest["folder"]
    assert told["headrace"] == result.manifest["versions"]["headrace"]
    starts = sorted(start for start in result.markets["start"].to_pylist())
    assert told["first start (UTC)"] == f"{starts[0]:%Y-%m-%d %H:%M}"


def test_page_of_a_run_that_broke_off_says_so(small: hr.Result) -> None:
    broken = hr.Result({"finished": False}, {"markets": small.markets})
    assert "did not come to its end" in page(broken)
    assert "did not come to its end" not in page(small)


def test_lines_end_at_the_net_profit(small: hr.Result) -> None:
    text = page(small)
    assert "Alpha <b>7.42</b>" in text
    assert "at most 4.00" in text
    assert "WIN <b>4.42</b>" in text
    assert "PLACE <b>2.00</b>" in text


def test_bars_compare_strategies_and_one_alone_has_figures(small: hr.Result) -> None:
    assert "<rect" in body(page(small))
    alone = page(made(markets=[market(0, 1.0)], orders=[order(0, size_matched=0.5)]))
    assert "<rect" not in body(alone)
    assert fields(alone)["share"] == "25.00%"


def test_orders_that_beat_the_starting_price_are_counted_by_side(small: hr.Result) -> None:
    text = page(small)
    assert "100.0% of BACK orders got a better price than the starting price." in text
    assert "0.0% of LAY orders" in text


def test_best_and_worst_markets_are_in_order() -> None:
    text = page(made(markets=[market(n, float(n) - 15.0) for n in range(40)]))
    net = cells(text)[::9]
    assert net == [f"{24 - n:.2f}" for n in range(10)] + [f"{n - 15:.2f}" for n in range(10)]


def test_names_are_escaped(small: hr.Result) -> None:
    text = page(small)
    assert NASTY not in text
    assert text.count("<script") == 2  # the data, and our own
    assert "<img" not in text
    assert html.escape(NASTY) in text
    assert data(text)["curves"]["strategy"][0]["name"] == NASTY


def test_no_script_but_our_own_can_run(small: hr.Result) -> None:
    text = page(small)
    script = text[text.rindex("<script>") + len("<script>") : text.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'\"" in text


def test_page_names_nothing_to_fetch() -> None:
    own = page(made(markets=[market(0, 1.0), market(1, -1.0)], orders=[order(0)], failures=[failure("no")]))
    assert "http:" not in own
    assert "https:" not in own
    assert re.findall(r"url\(|@import|\bsrc=", own) == []
    assert {link for link in re.findall(r'href="([^"]*)"', own) if not link.startswith("#")} == {"data:,"}
    linked = {link[1:] for link in re.findall(r'href="(#[^"]*)"', own)}
    assert linked <= set(re.findall(r' id="([^"]*)"', own))


def test_failures_are_red_linked_to_and_grouped_by_their_place() -> None:
    rows = [failure(f"no runner {n}", f"S{n % 2}", market_id=f"1.{n}") for n in range(6)]
    rows.append(failure("other", line="/home/me/mine.py:99", count=1))
    text = page(made(markets=[market(0, 1.0)], failures=rows))
    assert text.count('<div class="failure" id=') == 2
    assert '<div class="bad"><dt>failures</dt><dd><a href="#failures">43</a></dd></div>' in text
    first = text[text.index('id="failure-0"') : text.index('id="failure-1"')]
    assert "<code>/home/me/mine.py:12</code> KeyError" in first
    assert "no runner 0 (and 5 other messages)" in first
    assert "42 times, in 6 markets, by S0, S1" in first
    assert "again: <code>headrace backtest mine.py:Mine</code>" in first
    assert "Traceback: no runner 0" in first
    assert '<a class="bad" href="#failure-1">/home/me/mine.py:99</a>' in text


def test_broken_recordings_are_grouped_by_file() -> None:
    rows = [
        failure(
            f"/data/1.5, line {n}, market 1.{n}: is not JSON", None, line=f"/data/1.5:{n}", unit="/data/1.5", count=1
        )
        for n in range(1, 4)
    ]
    text = page(made(failures=[*rows, failure("/data/1.6: is empty", None, unit="/data/1.6", line=None, count=1)]))
    assert text.count('<div class="failure">') == 2
    assert "is not JSON <span" in text
    assert "(line 1, market 1.1, line 2, market 1.2, line 3, market 1.3)" in text
    assert "<p>is empty</p>" in text


def test_failures_that_are_left_out_are_counted() -> None:
    text = page(made(failures=[failure("nothing", line=f"mine.py:{number}") for number in range(80)]))
    assert "30 of 80 places: those that failed most often." in text


def test_violations_have_reasons_counts_and_what_lifts_the_most_frequent() -> None:
    def violation(number: int, exposure: float, **values: Any) -> dict[str, Any]:
        row = {
            "strategy": "S", "market_id": f"1.{number}", "control": "STRATEGY_EXPOSURE", "request": "PLACE", "count": 5,
            "reason": f"Order exposure ({exposure}) is more than max_order_exposure (10.0)",
        }  # fmt: skip
        return {**row, **values}

    rows = [violation(n, 20.0 + n) for n in range(4)]
    rows.append(violation(9, 0, control="MARKET_VALIDATION", reason="Market is not open", count=3))
    text = page(made(markets=[market(0, 1.0)], violations=rows))
    assert '<div class="warn"><dt>violations</dt><dd><a href="#violations">23</a></dd></div>' in text
    found = cells(text[text.index('<section id="violations"') : text.index('<section id="markets"')])
    assert found == [
        "Order exposure (20.0) is more than max_order_exposure (10.0)", "20", "STRATEGY_EXPOSURE", "PLACE", "4", "S",
        "Market is not open", "3", "MARKET_VALIDATION", "PLACE", "1", "S",
    ]  # fmt: skip
    assert "is lifted by -p max_order_exposure=..." in text


def test_empty_result_has_a_page() -> None:
    text = page(made())
    assert "No strategy saw a market." in text
    assert "<svg" not in body(text)


def test_markets_without_orders_have_a_page() -> None:
    idle = market(0, 0.0, matched=0.0, orders=0, matched_orders=0, exposure=0.0)
    assert "Nothing was matched in any market." in page(made(markets=[idle]))


def test_markets_without_a_start_are_drawn_by_number() -> None:
    text = page(made(markets=[market(0, 1.0, start=None, market_type=None), market(1, 2.0, start=None)]))
    assert "S <b>3.00</b>" in text
    assert data(text)["curves"]["strategy"][0]["t"] == [None, None, None]


def test_what_is_left_out_is_counted() -> None:
    text = page(made(markets=[market(0, float(n), f"S{n}") for n in range(120)]))
    assert "8 of 120 strategies: the largest gains and losses." in text
    assert "100 of 120 strategies: by net profit." in text


# -- from a market to its orders -----------------------------------------------------------------------------------


def test_orders_of_the_largest_gains_and_losses_are_in_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_markets, "MOST_ORDERS", 6)
    rows = [
        order(n, order_id=f"{n}-{k}", selection_id=7, status="EXECUTION_COMPLETE") for n in range(5) for k in (1, 2)
    ]
    told = data(page(made(markets=[market(n, (-1) ** n * (10.0 - n)) for n in range(5)], orders=rows)))
    shown = {told["markets"][int(place)][0]: found for place, found in told["orders"].items()}
    assert list(shown) == ["1.0", "1.1", "1.2"]
    (first, _) = shown["1.0"]
    words = {
        name: (words[value] if words else value) for value, (name, _, words) in zip(first, told["columns"], strict=True)
    }
    assert words["order"] == "BACK 2.00"
    assert words["matched"] == "2.00 at 3"
    assert words["bet"] == "0-1"
    assert told["markets"][0][1:] == ["WIN", "Ascot", round(BEGIN.timestamp())]


def test_many_orders_of_one_market_are_cut_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_markets, "MOST_OF_A_MARKET", 3)
    told = data(page(made(markets=[market(0, 1.0)], orders=[order(0, order_id=str(n)) for n in range(9)])))
    assert len(told["orders"]["0"]) == 3
    assert told["cut"] == {"0": 9}


def test_rows_and_points_lead_to_their_market() -> None:
    text = page(made(markets=[market(0, 5.0), market(1, -1.0)], orders=[order(0), order(1)]))
    told = data(text)
    names = {int(place): told["markets"][int(place)][0] for place in re.findall(r'data-market="(\d+)"', text)}
    assert set(names.values()) == {"1.0", "1.1"}
    assert [told["markets"][at][0] for at in told["curves"]["strategy"][0]["m"][1:]] == ["1.0", "1.1"]


@pytest.mark.slow
def test_page_of_100_000_orders_is_under_1_megabyte() -> None:
    assert len(page(large()).encode()) < 1_000_000


def test_charts_tell_screen_readers_what_they_show(small: hr.Result) -> None:
    text = page(small)
    drawn = re.findall(r'<svg [^>]*role="img" aria-labelledby="(\S+) (\S+)"', text)
    assert len(drawn) == 5  # profit, drawdown, market types, bars, prices of entry
    for title, description in drawn:
        assert text.count(f'<title id="{title}">') == text.count(f'<desc id="{description}">') == 1


# -- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(generated: Path, tmp_path: Path) -> Path:
    """A folder with a result."""

    hr.backtest(Idle(), markets=generated, engine="local", out=tmp_path / "result")
    return tmp_path / "result"


def test_command_writes_the_page(folder: Path, tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["report", str(folder), "--out", str(tmp_path / "page.html")])
    assert (ended.exit_code, ended.output) == (0, f"report in {tmp_path / 'page.html'}\n")
    written = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert written == page(hr.Result.load(folder), folder=str(folder))


def test_command_shows_the_markets_that_are_asked_for(folder: Path, tmp_path: Path, generated: Path) -> None:
    market_id = hr.Result.load(folder).markets["market_id"][2].as_py()
    out = tmp_path / "page.html"
    ended = CliRunner().invoke(main, ["report", str(folder), "--market", market_id, "--out", str(out)])
    assert ended.exit_code == 0, ended.output
    text = out.read_text(encoding="utf-8")
    assert f'<section id="market-0"><h2>Market {market_id}</h2>' in text
    assert data(text)["charts"]["market-0"]["panels"]
    moved = CliRunner().invoke(
        main, ["report", str(folder), "--market", market_id, "-m", str(generated), "--out", str(out)]
    )
    assert moved.exit_code == 0, moved.output


def test_command_refuses_a_market_that_is_not_there(folder: Path) -> None:
    ended = CliRunner().invoke(main, ["report", str(folder), "--market", "1.7"])
    assert ended.exit_code == 2
    assert "the result has no market '1.7'" in ended.output
    assert ended.output.count("\n") == 1


def test_command_wants_a_place_for_the_page_of_a_result_in_a_store() -> None:
    ended = CliRunner().invoke(main, ["report", "s3://bucket/run"])
    assert (ended.exit_code, ended.output.count("--out FILE")) == (2, 1)


def test_command_writes_into_the_folder_unless_told(folder: Path) -> None:
    assert CliRunner().invoke(main, ["report", str(folder)]).exit_code == 0
    assert (folder / "report.html").is_file()
    assert hr.Result.load(folder).markets.num_rows == 8


def test_command_refuses_a_folder_without_a_result(tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert ended.exit_code == 2
    assert ended.output.startswith(f"headrace: {tmp_path}: no result here")
    assert ended.output.count("\n") == 1


def test_command_refuses_a_place_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["report", str(folder), "--out", str(tmp_path / "no" / "page.html")])
    assert ended.exit_code == 2
    assert ended.output.startswith(f"headrace: {tmp_path}/no/page.html: the page cannot be written here: ")


# -- the figure ----------------------------------------------------------------------------------------------------


def test_plot_draws_profit_and_drawdown_of_each_strategy_by_number_and_by_time(small: hr.Result) -> None:
    pytest.importorskip("plotly")
    figure = small.plot()
    alpha = [trace for trace in figure.data if trace.name == "Alpha"]
    assert len(figure.data) == 4
    assert [list(trace.y) for trace in alpha] == [[0.0, 10.0, 6.0, 7.42], [0.0, 0.0, -4.0, -2.58]]
    assert list(alpha[0].x) == [0, 1, 2, 3]
    assert "3 of 3 markets" in figure.layout.title.text
    by_time = figure.layout.updatemenus[0].buttons[1].args[0]["x"][2]
    assert list(by_time) == ["2026-03-01 12:00", "2026-03-01 12:00", "2026-03-01 13:00", "2026-03-01 14:00"]


def test_plot_of_many_markets_and_strategies_stays_under_500_kb() -> None:
    pytest.importorskip("plotly")
    strategies = [f"Strategy number {number:03d} of the run" for number in range(60)]
    rows = [
        market(number, (number * 7919 + place * 31) % 41 - 20.0, name, venue="Newton Abbot")
        for number in range(500)
        for place, name in enumerate(strategies)
    ]
    figure = made(markets=rows).plot()
    assert len(figure.to_json()) < 500_000
    assert "30 of 60 strategies, the largest gains and losses" in figure.layout.title.text


def test_plot_without_markets_says_so() -> None:
    pytest.importorskip("plotly")
    assert made().plot().layout.title.text.startswith("Profit of no strategies")


@pytest.mark.parametrize(("library", "extra"), [("plotly", "report"), ("duckdb", "sql")])
def test_missing_extra_is_named(library: str, extra: str, small: hr.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)

    class Missing:
        def find_spec(self, name: str, *_: object) -> None:
            if name.partition(".")[0] == library:
                raise ModuleNotFoundError(f"No module named {name!r}", name=library)

    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(hr.RunError, match=rf"needs {library}: pip install 'headrace\[{extra}\]'"):
        small.plot() if library == "plotly" else small.sql("select 1")
    extras = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert any(requirement.startswith(library) for requirement in extras[extra])


def test_importing_and_writing_a_page_needs_no_extra() -> None:
    script = (
        "import sys, headrace as hr; from headrace.results.display.report import result_page;"
        "assert 'pyarrow' not in sys.modules;"
        "result_page(hr.Result({})); sys.exit(bool({'plotly', 'duckdb'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=150).returncode == 0


# -- SQL -----------------------------------------------------------------------------------------------------------


def test_sql_answers_with_a_table(small: hr.Result) -> None:
    pytest.importorskip("duckdb")
    found = small.sql("select strategy, sum(profit) as profit, sum(orders) as n from markets group by 1 order by 2")
    assert found.to_pylist() == [
        {"strategy": NASTY, "profit": -1.0, "n": 2},
        {"strategy": "Alpha", "profit": 7.5, "n": 3},
    ]


@pytest.mark.parametrize("table", list(FIELDS))
def test_sql_knows_every_table(table: str) -> None:
    pytest.importorskip("duckdb")
    found = made().sql(f"select * from {table}")
    assert found.num_rows == 0
    assert found.column_names == getattr(made(), table).column_names


def test_sql_tells_time_in_utc(small: hr.Result) -> None:
    pytest.importorskip("duckdb")
    assert small.sql("select min(start) as t from markets")["t"][0].as_py() == BEGIN
    assert small.sql("select hour(min(start)) as h from markets")["h"][0].as_py() == 12


@pytest.mark.parametrize("statement", ["select nothing from orders", "selekt 1", "select * from small", ""])
def test_wrong_statement_is_an_input_error(statement: str, small: hr.Result) -> None:
    pytest.importorskip("duckdb")
    with pytest.raises(hr.InputError, match="the statement"):
        small.sql(statement)
