"""A market to look at: what its recording says over time, what became of the orders, and where the recording is."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import MARKET, T0, Stream
from headrace.results.display.market_chart import market_chart
from headrace.simulate.reading.locations import Source
from headrace.simulate.reading.market_history import market_history, sampled


def evening() -> Stream:
    """A market that trades, is suspended, turns in play, is suspended again and closes."""
    return (
        Stream()
        .prices(1_000, {1: {"atb": [[3.0, 50]], "atl": [[3.1, 50]], "ltp": 3.0, "trd": [[3.0, 10]]},
                        2: {"atb": [[1.5, 50]], "atl": [[1.52, 50]], "ltp": 1.5, "trd": [[1.5, 90]]}})
        .prices(5_000, {1: {"atb": [[3.0, 0], [2.9, 20]], "ltp": 2.9, "trd": [[2.9, 8]]}})
        .prices(9_000, {1: {"atb": [[2.9, 0], [2.84, 20]], "atl": [[3.1, 0], [2.9, 4]], "trd": [[2.9, 40]]}})
        .suspend(20_000)
        .turn_in_play(25_000)
        .prices(26_000, {1: {"ltp": 1.2}})
        .suspend(30_000, version=4)
        .close(31_000, winner=1, inPlay=True)
    )  # fmt: skip


class Trader(hr.Strategy):
    """Takes one price, offers another, cancels what is left after five seconds."""

    selection: int = 1

    def check_market_book(self, market: Any, book: Any) -> bool:
        return book.status == "OPEN" and not book.inplay

    def process_market_book(self, market: Any, book: Any) -> None:
        if not market.blotter.strategy_orders(self) and book.runners[0].last_price_traded:
            for side, price, size in (("BACK", 3.0, 4.0), ("LAY", 2.86, 6.0)):
                trade = hr.Trade(market.market_id, self.selection, 0, self)
                market.place_order(trade.create_order(side, hr.LimitOrder(price, size)))

    def process_orders(self, market: Any, orders: list[hr.Order]) -> None:
        for order in orders:
            if order.status is hr.OrderStatus.EXECUTABLE and (order.elapsed_seconds or 0) > 5:
                market.cancel_order(order)


def trader(**values: Any) -> Trader:
    return Trader(max_live_trade_count=5, max_order_exposure=50, **values)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return Path(evening().write(tmp_path / MARKET))


@pytest.fixture
def result(recording: Path) -> hr.Result:
    return hr.backtest(trader(), recording, engine="local")


# -- the recording -------------------------------------------------------------------------------------------------


def test_history_has_each_change_of_a_price_once(recording: Path) -> None:
    history = market_history([Source(str(recording))], MARKET)
    assert history is not None
    runner = history.runners[1, 0.0]
    assert runner.traded.points == [(T0 + 1_000, 3.0), (T0 + 5_000, 2.9), (T0 + 26_000, 1.2)]
    assert runner.back.points == [(T0 + 1_000, 3.0), (T0 + 5_000, 2.9), (T0 + 9_000, 2.84)]
    assert runner.lay.points == [(T0 + 1_000, 3.1), (T0 + 9_000, 2.9)]
    assert set(history.runners) == {(1, 0.0), (2, 0.0)}


def test_history_tells_suspensions_and_play(recording: Path) -> None:
    history = market_history([Source(str(recording))], MARKET, [(1, 0.0)])
    assert history is not None
    assert [(span.kind, span.begin - T0, span.end - T0) for span in history.spans] == [
        ("suspended", 20_000, 25_000), ("in play", 25_000, 31_000), ("suspended", 30_000, 31_000),
    ]  # fmt: skip
    assert set(history.runners) == {(1, 0.0)}


def test_history_goes_on_after_a_line_that_is_none_and_up_to_damage(tmp_path: Path) -> None:
    lines = evening().text().splitlines(keepends=True)
    lines[2] = '{"op": "mcm", "pt": \n'
    (tmp_path / MARKET).write_text("".join(lines))
    history = market_history([Source(str(tmp_path / MARKET))], MARKET)
    assert history is not None
    assert history.messages == len(lines) - 1
    assert "line 3" in history.problem


def test_history_is_none_where_no_recording_holds_the_market(recording: Path) -> None:
    assert market_history([Source(str(recording))], "1.7") is None


def test_sample_keeps_ends_extremes_and_what_held_before() -> None:
    points: list[tuple[int, float | None]] = [(time, 2.0 + time % 7 / 100) for time in range(0, 90_000, 10)]
    points[4_321] = (43_210, 900.0)
    points[6_000] = (60_000, 1.01)
    points[7_000] = (70_000, None)
    kept = sampled(points, 10_005, 80_000, 200)
    assert len(kept) < 300
    assert kept == sorted(kept, key=lambda point: point[0])
    assert kept[0] == (10_005, points[1_000][1])
    assert {points[4_321], points[6_000], points[7_000], points[8_000]} <= set(kept)
    assert sampled(points[:50], 0, 490, 200) == points[:50]


# -- the orders ----------------------------------------------------------------------------------------------------


def test_chart_marks_what_happened_to_each_order(result: hr.Result) -> None:
    chart = market_chart(result, MARKET)
    (panel,) = chart.panels  # runner 2 was not bet on
    assert panel.name == "1"
    orders = {row["side"]: row for row in result.orders.to_pylist()}
    marks = {(mark.kind, mark.side): (mark.price, mark.size) for mark in panel.marks}
    assert len(panel.marks) == 4
    assert marks == {
        ("placed", "BACK"): (3.0, 4.0), ("fill", "BACK"): (3.0, 4.0), ("placed", "LAY"): (2.86, 6.0),
        ("cancelled", "LAY"): (2.86, 6.0),
    }  # fmt: skip
    assert orders["LAY"]["size_cancelled"] == 6.0
    cancelled = panel.marks[-1]
    assert cancelled.time == orders["LAY"]["completed_at"].timestamp() * 1000
    assert cancelled.text == ("LAY 6.00 at 2.86", f"bet {orders['LAY']['bet_id']}, Trader", "cancelled 6.00")
    waited = [(line.side, line.end - line.begin) for line in panel.orders]
    placed = orders["LAY"]["placed_at"].timestamp() * 1000
    assert ("LAY", cancelled.time - placed) in waited
    assert chart.focus[0] <= placed < cancelled.time <= chart.focus[1]


def test_chart_of_one_strategy_has_its_orders_alone(recording: Path) -> None:
    both = hr.backtest([trader(name="one"), trader(name="two", selection=2)], recording, engine="local")
    assert [panel.name for panel in market_chart(both, MARKET).panels] == ["2", "1"]  # most matched first
    assert [panel.name for panel in market_chart(both, MARKET, "two").panels] == ["2"]
    with pytest.raises(hr.InputError, match=r"no strategy 'three' saw market .*; there are one, two"):
        market_chart(both, MARKET, "three")


def test_chart_of_a_market_without_orders_shows_what_was_traded_most(recording: Path) -> None:
    idle = hr.backtest(hr.Strategy(name="idle"), recording, engine="local")
    chart = market_chart(idle, MARKET)
    assert [panel.name for panel in chart.panels] == ["1", "2"]
    assert chart.focus == (chart.begin, chart.end) == (T0, T0 + 31_000)
    assert "Nobody placed an order" in chart.notes[0]


def test_figure_has_prices_orders_and_shades(result: hr.Result) -> None:
    pytest.importorskip("plotly")
    figure = result.plot_market(MARKET)
    traces = {trace.name: trace for trace in figure.data}
    assert {"last traded", "best to back", "best to lay", "back placed", "back matched", "lay cancelled"} <= set(traces)
    assert list(traces["last traded"].y) == [3.0, 2.9, 1.2, 1.2]
    assert traces["lay cancelled"].text[0].endswith("cancelled 6.00")
    assert {"suspended", "in play"} <= set(traces)
    shades = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert len(shades) == 3
    turn = datetime.datetime.fromtimestamp((T0 + 25_000) / 1000, datetime.UTC)
    assert shades[1].x0 == f"{turn:%Y-%m-%dT%H:%M:%S}.000"
    assert MARKET in figure.layout.title.text


# -- where the recording is ----------------------------------------------------------------------------------------


def test_recording_is_found_from_a_saved_result_in_another_folder(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recording.parent)
    hr.backtest(trader(), recording.name, engine="local", out="out")  # relative, as typed in a shell
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert market_chart(hr.Result.load(tmp_path / "out"), MARKET).panels


@pytest.mark.parametrize("scope", ["event", "run"])
def test_recordings_that_were_read_together_are_found(scope: str, tmp_path: Path) -> None:
    markets = tmp_path / "markets"
    markets.mkdir()
    evening().write(markets / MARKET)
    Stream("1.100000002").close(500).write(markets / "1.100000002")

    class Wide(Trader):
        pass

    Wide.scope = scope
    for out in (None, tmp_path / "out"):
        wide = Wide(max_live_trade_count=5, max_order_exposure=50)
        found = hr.backtest(wide, markets, engine="local", out=out)
        assert len(market_chart(found, MARKET).panels[0].marks) == 4
    assert market_chart(hr.Result.load(tmp_path / "out"), "1.100000002").end == T0 + 500


def test_recording_that_is_gone_is_one_sentence_and_its_new_place_can_be_given(
    result: hr.Result, recording: Path, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    Stream("1.100000002").close(500).write(tmp_path / "new" / "1.100000002")
    shutil.move(recording, tmp_path / "new" / "renamed")
    with pytest.raises(hr.InputError, match=r"not where the run found it \(.*no such file.*; give .* markets=") as told:
        result.plot_market(MARKET)
    assert "\n" not in str(told.value)
    assert len(market_chart(result, MARKET, markets=tmp_path / "new").panels[0].marks) == 4
    with pytest.raises(hr.InputError, match=f"does not hold market {MARKET}"):
        market_chart(result, MARKET, markets=tmp_path / "new" / "1.100000002")


def test_result_that_does_not_know_its_recordings_asks_for_them(result: hr.Result, recording: Path) -> None:
    bare = hr.Result({}, {name: result.table(name) for name in ("markets", "orders", "fills")})
    with pytest.raises(hr.InputError, match=r"which recording .* came from; give its place with markets="):
        market_chart(bare, MARKET)
    assert market_chart(bare, MARKET, markets=recording).panels


def test_recording_that_cannot_be_read_is_one_sentence(result: hr.Result, recording: Path) -> None:
    recording.write_bytes(b"BZh9 and then nothing of the kind")
    with pytest.raises(hr.InputError, match=f"the recording of market {MARKET} cannot be read: .*{MARKET}"):
        market_chart(result, MARKET)


def test_market_that_the_result_does_not_have_is_named_with_the_nearest(result: hr.Result) -> None:
    with pytest.raises(hr.InputError, match=f"no market '1.10000001'; did you mean {MARKET}?"):
        market_chart(result, "1.10000001")
