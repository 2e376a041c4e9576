"""Sweeps: each parameter set does what it does alone, markets are read once, and tables say what came of it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import headrace as hr
from builders import Stream, priced
from common_strategies import Backer
from headrace.actors.books import Books
from headrace.cli import main
from headrace.loading import load_strategy
from headrace.results.display.sweep_figures import heatmap, parallel_coordinates
from headrace.results.measures import MEASURES, max_drawdown, standard_error
from headrace.results.sweep_tables import in_sample
from headrace.simulate.generator import write_markets
from headrace.simulate.reading.recordings import Recording

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
LAST_SECONDS = {"listener_kwargs": {"seconds_to_start": 120, "inplay": False}}


class Bold(Backer):
    bold: bool = False


class Restless(hr.Strategy):
    """Does all that can be done to an order, draws lots, sets timers and keeps records."""

    patience: float = 8.0
    chance: float = 0.02
    ticks: int = 1
    process_orders_scope = "live"

    def check_market_book(self, market: Any, book: Any) -> bool:
        return book.status == "OPEN"

    def process_market_book(self, market: Any, book: Any) -> None:
        if market.random.random() > self.chance:
            return
        runner = market.random.choice([r for r in book.runners if r.status == "ACTIVE"])
        side = market.random.choice(["BACK", "LAY"])
        levels = runner.ex.available_to_lay if side == "BACK" else runner.ex.available_to_back
        price = hr.get_price(levels, 0)
        context = self.get_runner_context(market.market_id, runner.selection_id, runner.handicap)
        if price is None or context.live_trade_count:
            return
        trade = hr.Trade(market.market_id, runner.selection_id, runner.handicap, self)
        kind = market.random.choice(["LAPSE", "PERSIST", "MARKET_ON_CLOSE"])
        order = trade.create_order(side, hr.LimitOrder(price, 2.0, persistence_type=kind))
        market.place_order(order)
        market.call_later(self.patience, lambda: self.give_up(market, order))

    def give_up(self, market: Any, order: Any) -> None:
        self.record(market, order=order.id, status=order.status.name)
        if order.status is hr.OrderStatus.EXECUTABLE:
            market.cancel_order(order)

    def process_orders(self, market: Any, orders: list[hr.Order]) -> None:
        for order in orders:
            waited = order.elapsed_seconds or 0
            if order.status is hr.OrderStatus.EXECUTABLE and waited > self.patience / 2 and not order.notes:
                order.notes["moved"] = market.clock.now_ms
                price = hr.price_ticks_away(order.order_type.price, self.ticks)
                market.replace_order(order, price)


class RestlessOfAll(Restless):
    process_orders_scope = "all"


class Rememberer(Restless):
    """One instance an event."""

    scope = "event"


class Failing(Backer):
    def process_market_book(self, market: Any, book: Any) -> None:
        if self.stake > 4:
            raise RuntimeError("too bold")
        super().process_market_book(market, book)


@pytest.fixture(scope="module")
def races(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Markets of all sports, large enough for orders to rest, match, move and lapse."""
    folder = tmp_path_factory.mktemp("races") / "markets"
    write_markets(folder, 6, seed=9, changes=400)
    return folder


@pytest.fixture
def small(tmp_path: Path) -> str:
    """Four priced markets of two events."""
    for number in range(4):
        stream = priced(market_id=f"1.3{number:08d}", eventId=f"{number // 2 + 500}").touch(400).close()
        stream.write(tmp_path / stream.market_id)
    return str(tmp_path)


def example(name: str, monkeypatch: pytest.MonkeyPatch) -> type[hr.Strategy]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    cls = load_strategy(f"{EXAMPLES}/{name}")
    monkeypatch.delitem(sys.modules, cls.__module__)
    return cls


def assert_each_as_alone(
    sweep: hr.SweepResult, made: list[hr.Strategy], markets: Any, config: hr.Config | None = None
) -> None:
    for number, strategy in enumerate(made):
        alone = hr.backtest(strategy, markets, engine="local", config=config)
        mine = sweep.result(number)
        for table in ("orders", "fills", "markets", "records", "violations", "failures", "transactions"):
            # Parts come in another order than markets in a backtest.
            assert sorted(map(repr, mine.table(table).to_pylist())) == sorted(
                map(repr, alone.table(table).to_pylist())
            ), (number, table)
        assert mine.digest == alone.digest


# -- each set as alone -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "grid"),
    [
        ("lowest_layer.py:LowestLayer", {"stake": [2.0, 5.0], "seconds": [30.0, 600.0], "max_price": [8.0]}),
        ("queue_backer.py:QueueBacker", {"seconds": [60.0, 900.0], "patience": [5.0, 60.0], "runners": [3]}),
    ],
)
@pytest.mark.parametrize("window", [None, LAST_SECONDS])
def test_orders_of_a_set_of_an_example_are_those_of_the_set_alone(
    spec: str, grid: dict[str, Any], window: Any, races: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = example(spec, monkeypatch)
    sweep = hr.sweep(cls(market_filter=window), grid, races, engine="local", orders=True)
    assert sweep.orders.num_rows > 10
    assert len(sweep.parameters) == 4
    made = [cls(market_filter=window, **values) for values in sweep.parameters]
    assert_each_as_alone(sweep, made, races)


@pytest.mark.parametrize("cls", [Restless, RestlessOfAll, Rememberer])
@pytest.mark.parametrize("window", [None, LAST_SECONDS])
def test_orders_of_a_restless_set_are_those_of_the_set_alone(cls: Any, window: Any, races: Path) -> None:
    grid = {"patience": [2.0, 8.0], "chance": [0.01, 0.1], "max_order_exposure": [3.0]}
    sweep = hr.sweep(cls(market_filter=window), grid, races, engine="local", orders=True, sets_per_replay=3)
    assert sweep.orders.num_rows > 50
    assert_each_as_alone(sweep, [cls(market_filter=window, **values) for values in sweep.parameters], races)


@pytest.mark.parametrize("cls", [Backer, Restless, Rememberer])
def test_a_market_at_rest_is_as_one_that_is_attended_to_at_each_change(
    cls: Any, races: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rested: list[str] = []
    rest = Books.rest

    def noted(books: Books, market: Any) -> None:
        rest(books, market)
        rested.append(market.market_id)

    monkeypatch.setattr(Books, "rest", noted)
    resting = hr.backtest(cls(), races, engine="local")
    monkeypatch.setattr(Books, "rest", lambda books, market: None)
    assert len(set(rested)) > 3
    assert hr.backtest(cls(), races, engine="local").digest == resting.digest


@pytest.mark.parametrize(
    "config",
    [
        hr.Config(compatibility="flumine"),
        hr.Config(simulation_available_prices=True),
        hr.Config(place_latency=1.5, cancel_latency=2.0),
    ],
    ids=["flumine", "available", "slow"],
)
def test_settings_hold_in_a_sweep_as_alone(config: hr.Config, races: Path) -> None:
    sweep = hr.sweep(Restless, {"patience": [2.0, 20.0]}, races, engine="local", orders=True, config=config)
    assert sweep.orders.num_rows > 20
    assert_each_as_alone(sweep, [Restless(**values) for values in sweep.parameters], races, config)


def test_windows_and_filters_can_differ_between_sets(races: Path) -> None:
    filters = [
        None,
        LAST_SECONDS,
        {"listener_kwargs": {"inplay": True}},
        {"listener_kwargs": {"cumulative_runner_tv": True, "calculate_market_tv": True}},
        {"event_type_ids": ["7"]},
        {"event_processing": True},
    ]
    sweep = hr.sweep(Restless, {"market_filter": filters}, races, engine="local", orders=True)
    assert_each_as_alone(sweep, [Restless(market_filter=each) for each in filters], races)


def test_middleware_and_stops_of_one_set_leave_others_alone(small: str) -> None:
    class Stopper(Backer):
        def process_market_book(self, market: Any, book: Any) -> None:
            super().process_market_book(market, book)
            if self.stake == 3:
                market.framework.stop()

    class Noter(hr.Middleware):
        def __call__(self, market: Any) -> None:
            market.context["seen"] = market.context.get("seen", 0) + 1

    sweep = hr.sweep(Stopper, {"stake": [2, 3]}, small, engine="local", middleware=[Noter()])
    assert sweep.table["markets"].to_pylist() == [4, 4]


def test_a_sleeping_set_is_not_called(tmp_path: Path) -> None:
    calls: list[tuple[float, int]] = []

    class Watcher(hr.Strategy):
        stake: float = 2.0

        def check_market_book(self, market: Any, book: Any) -> bool:
            calls.append((self.stake, market.clock.now_ms))
            return False

    stream = priced().touch(350_000).touch(380_000).close(500_000)
    path = stream.write(tmp_path / stream.market_id)
    hr.sweep(
        Watcher(market_filter={"listener_kwargs": {"seconds_to_start": 30}}), {"stake": [2, 3]}, path, engine="local"
    )
    assert [stake for stake, _ in calls] == [2.0, 3.0]
    assert len({time for _, time in calls}) == 1


def test_each_market_is_read_once(small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    messages = Recording.messages
    monkeypatch.setattr(Recording, "messages", lambda self: read.append(self.name) or messages(self))  # type: ignore[func-returns-value]
    hr.sweep(Backer, {"stake": [2, 3, 4], "runners": [1, 2]}, small, engine="local")
    assert len(read) == len(set(read)) == 4


# -- engines ---------------------------------------------------------------------------------------------------------


@pytest.mark.ray
def test_engines_and_groups_of_sets_give_equal_tables(ray_local: None, races: Path) -> None:
    grid = {"patience": [2.0, 8.0, 40.0], "chance": [0.01, 0.1]}
    local = hr.sweep(Restless, grid, races, engine="local", orders=True, split=0.5)
    spread = hr.sweep(Restless, grid, races, engine="ray", orders=True, split=0.5, sets_per_replay=4)
    assert spread.digest == local.digest
    assert spread.table.equals(local.table)
    assert spread.markets.equals(local.markets)


# -- parameter sets --------------------------------------------------------------------------------------------------


def test_a_grid_is_all_combinations(small: str) -> None:
    sweep = hr.sweep(Backer, {"stake": [2, 3], "runners": [1, 2]}, small, engine="local")
    assert [(each["stake"], each["runners"]) for each in sweep.parameters] == [(2, 1), (2, 2), (3, 1), (3, 2)]
    assert sweep.table.column_names[:3] == ["set", "stake", "runners"]


def test_a_list_of_sets_is_taken_as_it_is(small: str) -> None:
    sets = [{"stake": 2, "runners": 1}, {"stake": 5, "runners": 2}]
    sweep = hr.sweep(Backer, sets, small, engine="local")
    assert sweep.table["stake"].to_pylist() == [2.0, 5.0]
    assert sweep.table["orders"].to_pylist() == [4, 8]


def test_a_sample_lies_in_its_ranges_and_repeats(small: str) -> None:
    ranges = {"stake": (2, 5), "runners": (1, 2), "bold": [True, False]}
    drawn = [hr.sweep(Bold, ranges, small, engine="local", random=20, seed=seed).parameters for seed in (4, 4, 5)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 20
    assert all(2 <= each["stake"] <= 5 and round(each["stake"], 2) == each["stake"] for each in drawn[0])
    assert {each["runners"] for each in drawn[0]} == {1, 2}


def test_limits_and_context_can_be_swept(small: str) -> None:
    class FromContext(Backer):
        def process_market_book(self, market: Any, book: Any) -> None:
            if self.context["go"] and self.context["always"]:
                super().process_market_book(market, book)

    grid = {"context.go": [True, False], "max_order_exposure": [1.0, 10.0]}
    sweep = hr.sweep(FromContext(context={"always": 1}), grid, small, engine="local")
    assert sweep.table["orders"].to_pylist() == [0, 8, 0, 0]
    assert sweep.violations.num_rows > 0
    assert sweep.table.column_names[1:3] == ["context.go", "max_order_exposure"]


def test_an_instance_gives_what_sets_leave_out_and_init_sees_their_values(small: str) -> None:
    class Derived(Backer):
        def __init__(self, **keywords: Any) -> None:
            super().__init__(**keywords)
            self.doubled = self.stake * 2

        def process_market_book(self, market: Any, book: Any) -> None:
            assert self.doubled == self.stake * 2
            assert self.name == "doubler"
            super().process_market_book(market, book)

    sweep = hr.sweep(Derived(runners=1, name="doubler"), {"stake": [2, 3]}, small, engine="local")
    assert sweep.failures.num_rows == 0
    assert sweep.table["orders"].to_pylist() == [4, 4]


@pytest.mark.parametrize(
    ("parameters", "error", "says"),
    [
        ({"stak": [2]}, TypeError, "did you mean 'stake'"),
        ({"max_order_exposur": [2]}, TypeError, "did you mean 'max_order_exposure'"),
        ({"name": ["a"]}, TypeError, "no parameter 'name'"),
        ({"stake": ["two"]}, TypeError, "expected a number"),
        ({"runners": [1.5]}, TypeError, "expected a whole number"),
        ({"max_order_exposure": ["high"]}, TypeError, "expected a number"),
        ({"stake": 2}, hr.InputError, "expected a list of values"),
        ({"stake": []}, hr.InputError, "at least one value"),
        ([{"stake": 2}, {"runners": 1}], hr.InputError, "name the same ones"),
        ([{"stake": 2}, {"stak": 2}], hr.InputError, "name the same ones"),
    ],
)
def test_what_cannot_be_swept_is_refused_before_anything_runs(parameters: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        hr.sweep(Backer, parameters, "no/such/folder", engine="local")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"split": 1.5}, "split"),
        ({"random": 0}, "random"),
        ({"workers": 0}, "workers"),
        ({"sets_per_replay": 0}, "sets_per_replay"),
        ({"engine": "fast"}, "engine"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], says: str, small: str) -> None:
    with pytest.raises(hr.InputError, match=says):
        hr.sweep(Backer, {"stake": [2]}, small, **{"engine": "local", **settings})


# -- results ---------------------------------------------------------------------------------------------------------


def test_table_adds_up(races: Path) -> None:
    sweep = hr.sweep(Restless, {"patience": [2.0, 20.0], "chance": [0.05]}, races, engine="local", orders=True)
    for row in sweep.table.to_pylist():
        alone = sweep.result(row["set"])
        summary = alone.summary().to_pylist()[0]
        for name, _ in MEASURES:
            assert row[name] == pytest.approx(summary[name]), name
        matched = [order for order in alone.orders.to_pylist() if order["size_matched"] > 0]
        assert row["strike_rate"] == pytest.approx(sum(each["profit"] > 0 for each in matched) / len(matched))
        markets = [each for each in sweep.markets.to_pylist() if each["set"] == row["set"]]
        markets.sort(key=lambda each: (each["start"], each["market_id"]))
        assert row["max_drawdown"] == max_drawdown([each["net_profit"] for each in markets])
        traded = [each["net_profit"] for each in markets if each["matched"] > 0]
        assert row["standard_error"] == pytest.approx(standard_error(traded))
        assert row["mean_exposure"] == pytest.approx(sum(each["exposure"] for each in markets) / len(traded))


def test_sets_whose_orders_are_all_refused_are_never_the_best(small: str) -> None:
    sweep = hr.sweep(Backer, {"stake": [2.0, 50.0]}, small, engine="local")
    refused, traded = (next(row for row in sweep.table.to_pylist() if row["stake"] == stake) for stake in (50.0, 2.0))
    assert (refused["orders"], refused["matched_orders"], refused["net_profit"]) == (0, 0, 0.0)
    assert refused["violations"] > 0
    assert sweep.best() == traded
    assert [row["set"] for row in sweep.best_sets("max_drawdown")] == [traded["set"], refused["set"]]
    assert sweep.scores("net_profit")[refused["set"]] is None


def test_best_says_what_refused_the_orders_where_no_set_traded(small: str) -> None:
    sweep = hr.sweep(Backer, {"stake": [50.0, 60.0]}, small, engine="local")
    with pytest.raises(hr.InputError, match=r"no set traded.*max_order_exposure \(10\).*lifted by max_order_exposure"):
        sweep.best()


def test_split_keeps_markets_of_an_event_together(races: Path) -> None:
    sweep = hr.sweep(Backer, {"stake": [2.0, 4.0]}, races, engine="local", split=0.5)
    sides: dict[str, set[bool]] = {}
    for row in sweep.markets.to_pylist():
        sides.setdefault(row["event_id"], set()).add(row["in_sample"])
    assert all(len(side) == 1 for side in sides.values())
    for row in sweep.table.to_pylist():
        both = row["in_sample_net_profit"] + row["out_of_sample_net_profit"]
        assert both == pytest.approx(row["net_profit"])


def test_split_shares_events_as_asked() -> None:
    chosen = sum(in_sample(str(number), 0.3) for number in range(5000))
    assert 1350 < chosen < 1650


def test_best_takes_the_greatest_or_the_least(small: str) -> None:
    sweep = hr.sweep(Backer, {"stake": [2, 3, 4], "runners": [1, 2]}, small, engine="local")
    rows = sweep.table.to_pylist()
    assert sweep.best()["net_profit"] == max(row["net_profit"] for row in rows)
    assert sweep.best("max_drawdown")["max_drawdown"] == min(row["max_drawdown"] for row in rows)
    with pytest.raises(hr.InputError, match="net_profit"):
        sweep.best("nett")
    with pytest.raises(hr.InputError, match="split"):
        sweep.best("in_sample_net_profit")


def test_failures_name_their_set_and_leave_others_alone(small: str) -> None:
    sweep = hr.sweep(Failing, {"stake": [2.0, 5.0]}, small, engine="local")
    assert {row["set"] for row in sweep.failures.to_pylist()} == {1}
    assert sweep.table["failures"].to_pylist()[0] == 0
    assert sweep.table["failures"].to_pylist()[1] > 0
    assert sweep.table["orders"].to_pylist() == [8, 0]


@pytest.mark.parametrize("compatibility", [None, "flumine"])
def test_a_broken_recording_is_one_failure_without_a_set(small: str, compatibility: Any) -> None:
    Path(small, "1.399999999").write_text("no market at all\n")
    config = hr.Config(compatibility=compatibility)
    sweep = hr.sweep(Backer, {"stake": [2, 3, 4]}, small, engine="local", config=config)
    assert [row["set"] for row in sweep.failures.to_pylist()] == [None]
    assert sweep.table["markets"].to_pylist() == [4, 4, 4]


def test_a_market_that_comes_twice_counts_once(small: str) -> None:
    Path(small, "copy").mkdir()
    Path(small, "copy", "1.300000000").write_bytes(Path(small, "1.300000000").read_bytes())
    sweep = hr.sweep(Backer, {"stake": [2, 3]}, small, engine="local", sets_per_replay=1)
    assert sweep.table["markets"].to_pylist() == [4, 4]
    assert sweep.failures.num_rows > 0


def test_strategy_is_started_and_added_for_each_set(small: str) -> None:
    seen: list[tuple[str, float, int]] = []

    class Starter(Backer):
        def add(self, framework: Any) -> None:
            seen.append(("add", self.stake, len(framework.strategies)))

        def start(self, framework: Any) -> None:
            seen.append(("start", self.stake, len(framework.strategies)))

    hr.sweep(Starter, {"stake": [2, 3]}, small, engine="local")
    assert seen == [("add", 2.0, 1), ("add", 3.0, 1), ("start", 2.0, 1), ("start", 3.0, 1)]


def test_orders_are_kept_only_where_asked_for(small: str) -> None:
    sweep = hr.sweep(Backer, {"stake": [2]}, small, engine="local")
    for ask in (lambda: sweep.orders, lambda: sweep.fills, lambda: sweep.result(0)):
        with pytest.raises(hr.InputError, match="orders=True"):
            ask()


def test_result_of_a_set_that_is_not_there_is_refused(small: str) -> None:
    sweep = hr.sweep(Backer, {"stake": [2]}, small, engine="local", orders=True)
    with pytest.raises(hr.InputError, match="sets 0 to 0"):
        sweep.result(1)


def test_folder_holds_the_whole_result(small: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    sweep = hr.sweep(Backer, {"stake": [2, 3]}, small, engine="local", orders=True, split=0.5, out=out)
    loaded = hr.SweepResult.load(out)
    assert loaded.table.equals(sweep.table)
    assert loaded.digest == sweep.digest
    assert loaded.result(1).digest == sweep.result(1).digest
    with pytest.raises(hr.InputError, match="not empty"):
        hr.sweep(Backer, {"stake": [2, 3]}, small, engine="local", out=out)
    with pytest.raises(hr.InputError, match="no sweep"):
        hr.SweepResult.load(tmp_path)


def test_a_parameter_named_as_a_column_keeps_its_own(small: str) -> None:
    class Clashing(Backer):
        orders: int = 1

    sweep = hr.sweep(Clashing, {"orders": [1, 2]}, small, engine="local")
    assert sweep.table["parameter.orders"].to_pylist() == [1, 2]
    assert sweep.table["orders"].to_pylist() == [8, 8]


def test_representations_show_the_best_first(small: str) -> None:
    sweep = hr.sweep(Backer, {"stake": [2, 3]}, small, engine="local")
    best = sweep.best()
    assert f"net profit {best['net_profit']}" in repr(sweep)
    html = sweep._repr_html_()
    assert html.count("<tr>") == 3
    assert "net profit" in html
    assert html.index("★ ") < html.index(f"<b>{best['net_profit']:,.2f}</b>") < html.rindex("<tr>")
    assert "failure" not in html


def test_to_pandas_is_the_table(small: str) -> None:
    pytest.importorskip("pandas")
    sweep = hr.sweep(Backer, {"stake": [2, 3]}, small, engine="local")
    assert list(sweep.to_pandas()["stake"]) == [2.0, 3.0]


# -- figures ---------------------------------------------------------------------------------------------------------


def test_heatmap_has_the_mean_over_other_parameters(small: str) -> None:
    pytest.importorskip("plotly")
    sweep = hr.sweep(Bold, {"stake": [2, 3], "runners": [1, 2], "bold": [True, False]}, small, engine="local")
    (trace,) = sweep.heatmap("stake", "runners", "orders").data
    assert list(trace.x) == ["2", "3"]
    assert trace.zmid is None
    assert sweep.heatmap("stake", "runners", "net_profit").data[0].zmid == 0  # a loss is never green
    assert [list(row) for row in trace.z] == [[4, 4], [8, 8]]
    assert [list(row) for row in trace.text] == [["4", "4"], ["8", "8"]]
    assert trace.texttemplate == "%{text}"
    assert "each cell: the mean over bold, of 2 sets" in sweep.heatmap("stake", "runners").layout.title.text
    with pytest.raises(hr.InputError, match="runners"):
        sweep.heatmap("stake", "runner")


def test_heatmap_leaves_out_figures_that_do_not_fit_and_says_where_nothing_was_averaged() -> None:
    pytest.importorskip("plotly")
    rows = [
        {"across": number, "up": level, "net_profit": 12_345.67 if number else None}
        for number in range(20)
        for level in range(2)
    ]
    figure = heatmap(rows, "across", "up", "net_profit", ["across", "up"])
    assert figure.data[0].texttemplate is None
    assert "one set a cell" in figure.layout.title.text
    assert figure.data[0].z[0][0] is None  # an empty cell, not a zero


def test_lines_of_parallel_coordinates_stand_out_on_white() -> None:
    pytest.importorskip("plotly")
    figure = parallel_coordinates([{"stake": 2, "net_profit": 1.0}], ["stake"], "net_profit")
    for _, colour in figure.data[0].line.colorscale:
        red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert 1.05 / (luminance + 0.05) >= 3  # the contrast that WCAG asks of graphics
    assert figure.layout.paper_bgcolor == "white"


def test_star_goes_by_the_profit_in_sample_where_there_is_a_split(races: Path) -> None:
    sweep = hr.sweep(Backer, {"stake": [2, 3], "runners": [1, 2]}, races, engine="local", split=0.5)
    assert sweep.shown_by == "in_sample_net_profit"
    best = max(sweep.table.to_pylist(), key=lambda row: row["in_sample_net_profit"])
    text = sweep._repr_html_()
    assert re.findall(r">★ (\d+)<", text) == [f"{best['set']}"]
    assert "by in sample; the best is marked" in text


def test_parallel_coordinates_has_a_line_a_set(small: str) -> None:
    pytest.importorskip("plotly")
    sweep = hr.sweep(Bold, {"stake": [2, 3], "bold": [True, False]}, small, engine="local")
    (trace,) = sweep.parallel_coordinates().data
    assert [dimension.label for dimension in trace.dimensions] == ["stake", "bold", "net profit"]
    assert len(trace.dimensions[0].values) == 4


def test_figures_without_plotly_name_the_extra(small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = hr.sweep(Backer, {"stake": [2, 3]}, small, engine="local")
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(hr.RunError, match=r"a figure of a sweep needs plotly: .*headrace\[report\]"):
        sweep.parallel_coordinates()


# -- command ---------------------------------------------------------------------------------------------------------


LAYER = f"{EXAMPLES / 'lowest_layer.py'}:LowestLayer"


def run(*words: str) -> Any:
    return CliRunner().invoke(main, ["sweep", LAYER, *words])


def test_command_shows_the_best_sets(races: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    ended = run("-m", str(races), "-p", "stake=2,5", "-p", "seconds=30,60", "--split", "0.5", "--top", "3", "-o", out)
    assert ended.exit_code == 0, ended.output
    assert "the best 3 of 4 sets" in ended.output
    assert len(hr.SweepResult.load(out).parameters) == 4


def test_command_ranks_by_the_profit_in_sample_where_there_is_a_split(races: Path, tmp_path: Path) -> None:
    words = ("-m", str(races), "-p", "stake=2,5", "-p", "seconds=30,60", "--top", "1")
    out = tmp_path / "out"
    ended = run(*words, "--split", "0.5", "-o", str(out))
    assert ended.exit_code == 0, ended.output
    assert "the best 1 of 4 sets by in sample" in ended.output
    assert "the best 1 of 4 sets by net profit" in run(*words).output
    assert "by net profit" in run(*words, "--split", "0.5", "--by", "net_profit").output


def test_command_draws_sets_from_ranges(small: str) -> None:
    ended = run("-m", small, "-p", "stake=2:10", "-p", "context.mood=1,2", "--random", "5")
    assert ended.exit_code == 0, ended.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-p", "stak=2"], "did you mean 'stake'"),
        (["-p", "stake=much"], "expected a number"),
        (["-p", "stake"], "NAME=VALUE"),
        (["-p", "stake=2", "--by", "luck"], "net_profit"),
        (["-p", "stake=2", "--split", "2"], "split"),
        (["-p", "stake=2", "-m", "no/such"], "no/such"),
    ],
)
def test_command_refuses_with_2(words: list[str], says: str, small: str) -> None:
    ended = run("-m", small, *words)
    assert ended.exit_code == 2
    assert says in ended.output


def test_command_exits_with_1_where_something_failed(small: str) -> None:
    Path(small, "1.399999999").write_text("no market at all\n")
    ended = run("-m", small, "-p", "stake=2,3")
    assert ended.exit_code == 1
    assert "failed" in ended.output


def test_market_without_a_close_is_handed_over(tmp_path: Path) -> None:
    path = Stream().touch(400).write(tmp_path / "1.100000001")
    sweep = hr.sweep(Backer, {"stake": [2, 3]}, path, engine="local")
    assert [row["changes"] for row in sweep.markets.to_pylist()] == [2, 2]


def test_progress_counts_units(small: str) -> None:
    seen: list[tuple[int, int]] = []
    hr.sweep(
        Backer,
        {"stake": [2, 3, 4]},
        small,
        engine="local",
        sets_per_replay=2,
        progress=lambda done, total, part: seen.append((done, total)),
    )
    assert seen[-1] == (8, 8)


class Counts(hr.Middleware):
    """Counts the changes it has seen."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, market: Any) -> None:
        self.seen += 1
        market.context["seen"] = self.seen


class ShowsCount(hr.Strategy):
    number: int = 0

    def process_closed_market(self, market: Any, book: Any) -> None:
        self.record(market, seen=market.context["seen"])


def test_each_set_has_middleware_of_its_own(tmp_path: Path) -> None:
    for number in (1, 2):
        Stream(market_id=f"1.{number}").touch(100).touch(400).close(1000).write(tmp_path / f"1.{number}")
    sweep = hr.sweep(ShowsCount(), {"number": [1, 2, 3]}, tmp_path, middleware=[Counts()], orders=True, engine="local")
    run = hr.Simulation(tmp_path, engine="local")
    run.add_strategy(ShowsCount())
    run.add_client(hr.SimulatedClient())
    run.add_market_middleware(Counts())
    alone = sorted(row["record"] for row in run.run().records.to_pylist())
    assert len(set(alone)) == 2
    assert sorted(row["record"] for row in sweep.rows("records").to_pylist()) == sorted(alone * 3)
