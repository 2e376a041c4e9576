"""Searches: sets are chosen by what earlier ones came to, in batches, the same ones whatever the engine."""

from __future__ import annotations

import enum
import logging
import math
import random
import statistics
import sys
import warnings
from pathlib import Path
from typing import Any, Literal

import pytest
from click.testing import CliRunner

import headrace as hr
from builders import Stream
from headrace.cli import main
from headrace.tuning.parameter_ranges import Choice, Range, range_or_choice
from headrace.tuning.searcher import Searcher

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
LAYER = f"{EXAMPLES / 'lowest_layer.py'}:LowestLayer"
#: Where a `Climber` wins most.
TOP = (0.3, 0.8, 0.55, 0.15)
LIMITS = {"max_order_exposure": 1000.0, "max_selection_exposure": 1000.0}


class Climber(hr.Strategy):
    """Backs the winner, for the more the nearer its parameters are to the top: 100, which wins 95 after commission."""

    a: float = 0.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0

    def check_market_book(self, market: Any, book: Any) -> bool:
        return book.status == "OPEN"

    def process_market_book(self, market: Any, book: Any) -> None:
        context = self.get_runner_context(market.market_id, 1, 0)
        if context.invested or not book.runners[0].ex.available_to_back:
            return
        apart = sum((at - top) ** 2 for at, top in zip((self.a, self.b, self.c, self.d), TOP, strict=True))
        trade = hr.Trade(market.market_id, 1, 0, self)
        market.place_order(trade.create_order("BACK", hr.LimitOrder(2.0, round(2 + 98 * math.exp(-6 * apart), 2))))


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Various(hr.Strategy):
    """Parameters of many kinds; bets the stake on the winner where it is bold, and nothing elsewhere."""

    stake: float = 2.0
    runs: int = 1
    most: int | None = None
    bold: bool = True
    colour: Colour = Colour.RED
    side: Literal["BACK", "LAY"] = "BACK"

    def check_market_book(self, market: Any, book: Any) -> bool:
        return book.status == "OPEN" and self.bold

    def process_market_book(self, market: Any, book: Any) -> None:
        context = self.get_runner_context(market.market_id, 1, 0)
        if not context.invested and book.runners[0].ex.available_to_back:
            trade = hr.Trade(market.market_id, 1, 0, self)
            market.place_order(trade.create_order("BACK", hr.LimitOrder(2.0, self.stake)))


class Failing(Various):
    def process_market_book(self, market: Any, book: Any) -> None:
        if self.runs > 2:
            raise RuntimeError("too many runs")
        super().process_market_book(market, book)


def deep(number: int, winner: int = 1) -> Stream:
    """A market of an event of its own that takes a thousand at 2.0."""
    stream = Stream(market_id=f"1.4{number:08d}", eventId=f"{number + 700}")
    stream.prices(100, {1: {"atb": [[2.0, 1000]], "atl": [[2.02, 1000]], "trd": [[2.0, 1000]]}})
    return stream.touch(400).close(winner=winner)


@pytest.fixture
def market(tmp_path: Path) -> str:
    folder = tmp_path / "market"
    folder.mkdir()
    deep(0).write(folder / "1.400000000")
    return str(folder)


@pytest.fixture
def markets(tmp_path: Path) -> str:
    """Eight markets of eight events; runner 1 wins in some."""
    folder = tmp_path / "markets"
    folder.mkdir()
    for number in range(8):
        stream = deep(number, winner=1 if number % 3 else 2)
        stream.write(folder / stream.market_id)
    return str(folder)


def found(market: str, seed: int, **settings: Any) -> hr.SweepResult:
    space = dict.fromkeys("abcd", (0.0, 1.0))
    return hr.search(Climber(**LIMITS), space, market, seed=seed, engine="local", **settings)


# -- what it finds ---------------------------------------------------------------------------------------------------


def test_it_finds_more_than_as_many_sets_drawn_by_chance(market: str) -> None:
    searched, drawn = [], []
    for seed in range(5):
        searched.append(found(market, seed, trials=60, batch=15).best()["net_profit"])
        space = dict.fromkeys("abcd", (0.0, 1.0))
        sample = hr.sweep(Climber(**LIMITS), space, market, random=60, seed=seed, engine="local")
        drawn.append(sample.best()["net_profit"])
    assert statistics.mean(searched) > statistics.mean(drawn) + 10
    assert max(searched) <= 95


def test_later_rounds_are_better_than_the_first(market: str) -> None:
    rows = found(market, 1, trials=60, batch=20).table.to_pylist()
    means = [statistics.mean(row["net_profit"] for row in rows if row["round"] == number) for number in range(3)]
    assert means[2] > means[0]


def test_less_is_better_of_a_measure_that_is_better_small(markets: str) -> None:
    sweep = hr.search(
        Various, {"stake": (2, 10)}, markets, trials=30, batch=10, by="max_drawdown", engine="local", seed=2
    )
    rows = sweep.table.to_pylist()
    first = statistics.mean(row["stake"] for row in rows if row["round"] == 0)
    last = statistics.mean(row["stake"] for row in rows if row["round"] == 2)
    assert last < first
    assert sweep.best()["max_drawdown"] == min(row["max_drawdown"] for row in rows)


def test_a_set_without_a_value_is_worse_than_all_others() -> None:
    searcher = Searcher({"bold": Choice((True, False))}, least=False, seed=0)
    seen = []
    for _ in range(8):
        suggestions = searcher.suggest(10)
        seen.append(sum(each.values["bold"] for each in suggestions))
        for each in suggestions:
            searcher.tell(each.trial, -50.0 if each.values["bold"] else None)
    assert sum(seen[1:]) > 0.7 * 10 * len(seen[1:])


def test_a_column_without_any_value_is_searched_and_shown_all_the_same(markets: str) -> None:
    sweep = hr.search(
        Various(bold=False), {"stake": (2, 10)}, markets, trials=4, batch=2, by="return_on_matched", engine="local"
    )
    assert sweep.table["score"].to_pylist() == [None] * 4
    assert "none traded" in repr(sweep)
    assert "4 sets" in sweep._repr_html_()
    with pytest.raises(hr.InputError, match="no set has a value"):
        sweep.best()


# -- one result over all rounds --------------------------------------------------------------------------------------


def test_rows_are_numbered_by_trial_and_know_their_round(market: str) -> None:
    sweep = found(market, 0, trials=25, batch=10)
    assert sweep.table["set"].to_pylist() == list(range(25))
    assert sweep.table["round"].to_pylist() == [0] * 10 + [1] * 10 + [2] * 5
    assert sweep.table["score"].to_pylist() == sweep.table["net_profit"].to_pylist()
    assert sweep.search is not None
    assert [len(each) for each in sweep.search["rounds"]] == [10, 10, 5]


def test_orders_of_a_set_are_those_of_the_set_alone(markets: str) -> None:
    sweep = hr.search(Various, {"stake": (2, 9)}, markets, trials=9, batch=4, engine="local", orders=True)
    for number, values in enumerate(sweep.parameters):
        alone = hr.backtest(Various(**values), markets, engine="local")
        assert sweep.result(number).digest == alone.digest


def test_a_set_that_is_suggested_again_is_not_run_again(market: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    monkeypatch.setattr(Various, "start", lambda self, framework: ran.append((self.runs, self.colour)))
    sweep = hr.search(
        Various, {"runs": (1, 3), "colour": Colour}, market, trials=40, batch=8, engine="local", by="profit"
    )
    assert len(ran) == len(set(ran)) == len(sweep.parameters) <= 6
    assert sweep.search is not None
    trials = [number for each in sweep.search["rounds"] for number in each]
    assert len(trials) == sweep.search["trials"] == 40
    assert set(trials) == set(range(len(sweep.parameters)))
    assert sweep.table["round"].to_pylist() == sorted(sweep.table["round"].to_pylist())


def test_folder_holds_the_whole_search(markets: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    sweep = hr.search(Various, {"stake": (2, 9)}, markets, trials=9, batch=4, engine="local", split=0.5, out=out)
    loaded = hr.SweepResult.load(out)
    assert loaded.table.equals(sweep.table)
    assert loaded.search == sweep.search
    assert loaded.digest == sweep.digest
    assert loaded.best() == sweep.best()


def test_rounds_of_a_search_that_breaks_off_are_kept(markets: str, tmp_path: Path) -> None:
    whole = hr.search(Various, {"stake": (2, 9)}, markets, trials=9, batch=3, engine="local", split=0.5)
    assert {len(trials) for trials in whole.search["rounds"]} == {3}  # type: ignore[index]

    def stop(done: int, total: int, part: Any) -> None:
        if done > total * 2 / 3:
            raise KeyboardInterrupt

    out, space = tmp_path / "out", {"stake": (2, 9)}
    with pytest.raises(KeyboardInterrupt):
        hr.search(Various, space, markets, trials=9, batch=3, engine="local", split=0.5, out=out, progress=stop)
    kept = hr.SweepResult.load(out)
    assert kept.manifest["finished"] is False
    assert kept.search is not None
    assert whole.search is not None
    assert kept.search["rounds"] == whole.search["rounds"][:2]
    count = len(kept.parameters)
    assert 3 < count < len(whole.parameters)
    assert kept.table.equals(whole.table.slice(0, count))
    assert kept.markets.equals(whole.rows("markets", sets=range(count)))
    assert kept.manifest["digests"] == whole.manifest["digests"][:count]
    with pytest.raises(hr.InputError, match="it holds a search"):
        hr.sweep(Various, {"stake": [2]}, markets, engine="local", out=out, resume=True)


def test_a_search_that_is_stopped_keeps_the_rounds_and_the_failures(
    markets: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.cluster.early_stop._ALIKE", 8)
    space, out = {"runs": [3, 4, 5]}, tmp_path / "out"
    with pytest.raises(hr.RunError, match="failed alike") as stopped:
        hr.search(Failing, space, markets, trials=4, batch=2, engine="local", out=out)
    assert f"the failures are in {out}" in str(stopped.value)
    kept = hr.SweepResult.load(out)
    assert kept.search is not None
    assert kept.search["scores"] == [None] * len(kept.parameters)
    assert kept.table["failures"].to_pylist() == [8 * 3] * len(kept.parameters)  # each at three changes
    assert "none traded" in repr(kept)


def test_figures_take_a_search(market: str) -> None:
    pytest.importorskip("plotly")
    sweep = hr.search(Various, {"stake": [2, 4, 6], "runs": (1, 2)}, market, trials=12, batch=6, engine="local")
    (trace,) = sweep.heatmap("stake", "runs", "score").data
    assert list(trace.x) == ["2", "4", "6"]
    assert len(sweep.parallel_coordinates().data[0].dimensions[0].values) == len(sweep.parameters)


def test_a_broken_recording_is_one_failure_over_all_rounds(markets: str) -> None:
    Path(markets, "1.499999999").write_text("no market at all\n")
    sweep = hr.search(Failing, {"runs": [1, 2, 3, 4]}, markets, trials=12, batch=3, engine="local", seed=1)
    without = [row for row in sweep.failures.to_pylist() if row["set"] is None]
    assert len(without) == 1
    failed = {sweep.parameters[row["set"]]["runs"] for row in sweep.failures.to_pylist() if row["set"] is not None}
    assert failed == {values["runs"] for values in sweep.parameters if values["runs"] > 2} != set()


def test_progress_counts_the_units_of_all_rounds(markets: str) -> None:
    seen: list[tuple[int, int]] = []
    hr.search(
        Various,
        {"stake": (2, 9)},
        markets,
        trials=6,
        batch=2,
        engine="local",
        progress=lambda done, total, part: seen.append((done, total)),
    )
    assert seen == [(done, 24) for done in range(1, 25)]


def test_a_representation_shows_the_best_by_the_score(market: str) -> None:
    sweep = found(market, 0, trials=6, batch=3)
    best = sweep.best()
    assert f"a={best['a']}" in repr(sweep)
    assert f"score {best['score']}, net profit {best['net_profit']}" in repr(sweep)


# -- equal searches --------------------------------------------------------------------------------------------------


def test_engines_give_equal_searches(ray_local: None, markets: str) -> None:
    space = {"stake": (2, 9), "runs": (1, 5), "colour": list(Colour), "bold": [True, False]}
    settings: dict[str, Any] = {"trials": 20, "batch": 7, "seed": 4, "split": 0.5}
    local = hr.search(Various, space, markets, engine="local", **settings)
    on_ray = hr.search(Various, space, markets, engine="ray", workers=2, **settings)
    assert on_ray.table.equals(local.table)
    assert on_ray.digest == local.digest
    assert on_ray.search == local.search
    assert (local.manifest["engine"], on_ray.manifest["engine"]) == ("local", "ray")


def test_seeds_repeat_a_search_and_differ(market: str) -> None:
    first, again, other = (found(market, seed, trials=20, batch=10).parameters for seed in (7, 7, 8))
    assert first == again
    assert first != other


# -- split -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["net_profit", "return_on_matched", "max_drawdown", "matched_orders"])
def test_with_a_split_the_score_is_of_the_events_in_sample(by: str, markets: str) -> None:
    sweep = hr.search(Various, {"stake": (2, 9)}, markets, trials=6, batch=3, by=by, split=0.5, engine="local")
    inside = {row["market_id"] for row in sweep.markets.to_pylist() if row["in_sample"]}
    assert 0 < len(inside) < 8
    chosen = [path for path in Path(markets).iterdir() if path.name in inside]
    alone = hr.sweep(Various, sweep.parameters, chosen, engine="local")
    assert sweep.table["score"].to_pylist() == alone.table[by].to_pylist()


def test_best_of_a_search_is_chosen_in_sample(markets: str) -> None:
    sweep = hr.search(Various, {"stake": (2, 9)}, markets, trials=6, batch=3, split=0.5, engine="local")
    assert sweep.table["score"].to_pylist() == sweep.table["in_sample_net_profit"].to_pylist()
    assert sweep.best() == sweep.best("in_sample_net_profit")


def test_what_is_out_of_sample_cannot_be_searched_by(markets: str) -> None:
    with pytest.raises(hr.InputError, match="go by 'in_sample_net_profit'"):
        hr.search(Various, {"stake": (2, 9)}, markets, by="out_of_sample_net_profit", split=0.5, engine="local")


def test_a_split_without_an_event_in_sample_is_refused(market: str) -> None:
    with pytest.raises(hr.InputError, match="none of 1 events is in sample"):
        hr.search(Various, {"stake": (2, 9)}, market, split=0.001, engine="local")


# -- ranges ----------------------------------------------------------------------------------------------------------


def test_values_lie_in_their_ranges_and_fit_their_types(market: str) -> None:
    space = {
        "stake": (2, 9),
        "runs": (1, 5),
        "most": (3, 4),
        "bold": [True, False],
        "colour": Colour,
        "side": ["BACK", "LAY"],
        "context.share": (0.0, 0.1),
        "context.a/b": hr.log_range(1, 1000),
        "market_filter": [{"event_type_ids": ["7"]}, {"event_type_ids": ["7", "1"]}],
    }
    sets = hr.search(Various, space, market, trials=40, batch=20, engine="local").parameters
    assert list(sets[0]) == list(space)
    assert all(2 <= each["stake"] <= 9 and round(each["stake"], 2) == each["stake"] for each in sets)
    assert {each["runs"] for each in sets} <= set(range(1, 6))
    assert all(type(each["runs"]) is int and type(each["most"]) is int for each in sets)
    assert {each["most"] for each in sets} == {3, 4}
    assert {each["bold"] for each in sets} == {True, False}
    assert {each["colour"] for each in sets} == set(Colour)
    assert {each["side"] for each in sets} == {"BACK", "LAY"}
    assert len({each["context.share"] for each in sets}) > 20
    assert all(type(each["context.a/b"]) is int and 1 <= each["context.a/b"] <= 1000 for each in sets)
    assert {tuple(each["market_filter"]["event_type_ids"]) for each in sets} == {("7",), ("7", "1")}


def test_numbers_in_a_list_are_searched_in_their_order() -> None:
    searcher = Searcher({"stake": Choice((8, 2, 4, 16, 1))}, least=False, seed=0)
    assert {each.values["stake"] for each in searcher.suggest(60)} == {1, 2, 4, 8, 16}
    assert {each.key for each in searcher.suggest(60)} == {(place,) for place in range(5)}


def test_a_logarithmic_range_shares_by_ratio_and_keeps_small_numbers_apart() -> None:
    chance, numbers = random.Random(0), range_or_choice("x", hr.log_range(0.001, 1000), None)
    drawn = [numbers.draw(chance) for _ in range(3000)]
    assert all(0.001 <= number <= 1000 for number in drawn)
    shares = [sum(low <= number < low * 10 for number in drawn) / 3000 for low in (0.001, 0.01, 0.1, 1, 10, 100)]
    assert all(0.13 < share < 0.2 for share in shares)
    assert len({number for number in drawn if number < 0.01}) > 200
    assert all(round(number, 2) == number for number in drawn if number >= 1)


@pytest.mark.parametrize("space", [Range(0.124, 3.0), Range(2, 2), Range(0.0, 0.0001), Range(0.07, 5.006, log=True)])
def test_rounding_keeps_a_number_within_its_range(space: Range) -> None:
    chance = random.Random(3)
    assert all(space.low <= space.draw(chance) <= space.high for _ in range(500))
    searcher = Searcher({"x": space}, least=False, seed=0)
    assert all(space.low <= each.values["x"] <= space.high for each in searcher.suggest(50))


def test_a_sweep_draws_from_a_logarithmic_range(market: str) -> None:
    sweep = hr.sweep(Various, {"stake": hr.log_range(2, 200)}, market, random=200, engine="local")
    low = sum(values["stake"] < 20 for values in sweep.parameters)
    assert 70 < low < 130


def test_a_grid_of_a_range_is_refused(market: str) -> None:
    with pytest.raises(hr.InputError, match="random=N"):
        hr.sweep(Various, {"stake": hr.log_range(2, 200)}, market, engine="local")


@pytest.mark.parametrize("ends", [(0, 1), (-1, 5), (3, 2), ("a", 2), (math.nan, 1), (True, 2)])
def test_a_logarithmic_range_lies_above_zero(ends: Any) -> None:
    with pytest.raises(hr.InputError, match="above 0"):
        hr.log_range(*ends)


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "error", "says"),
    [
        ({"stak": (2, 5)}, TypeError, "did you mean 'stake'"),
        ({"stake": (5, 2)}, hr.InputError, "the low one first"),
        ({"stake": []}, hr.InputError, "is empty"),
        ({"stake": 2}, hr.InputError, "expected a list of values"),
        ({"stake": ["two"]}, TypeError, "expected a number"),
        ({"runs": (1.5, 4)}, TypeError, "expected a whole number"),
        ({"runs": hr.log_range(0.5, 4)}, TypeError, "expected a whole number"),
        ({"colour": ["green"]}, TypeError, "expected Colour"),
        ({}, hr.InputError, "at least one range"),
        ([{"stake": 2}], hr.InputError, "give parameters as a dict"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_read(parameters: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        hr.search(Various, parameters, "no/such/folder", engine="local")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"trials": 0}, "trials=0: expected a whole number, 1 or more"),
        ({"trials": 2.5}, "trials"),
        ({"trials": True}, "trials"),
        ({"batch": 0}, "batch=0: expected a whole number, 1 or more"),
        ({"seed": -1}, "seed"),
        ({"seed": "lucky"}, "seed"),
        ({"by": "luck"}, "no column 'luck'"),
        ({"by": "score"}, "no column 'score'"),
        ({"by": "in_sample_net_profit"}, "split=0.5"),
        ({"split": 2}, "split"),
        ({"workers": 0}, "workers"),
        ({"engine": "fast"}, "engine"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], says: str, market: str, tmp_path: Path) -> None:
    with pytest.raises(hr.InputError, match=says):
        hr.search(Various, {"stake": (2, 5)}, market, out=tmp_path / "out", **{"engine": "local", **settings})
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_refused_before_anything_runs(
    market: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Various, "start", lambda self, framework: pytest.fail("it ran"))
    with pytest.raises(hr.InputError, match="not empty"):
        hr.search(Various, {"stake": (2, 5)}, market, out=market, engine="local")


@pytest.mark.parametrize("module", ["optuna", "ray.tune.search.optuna"])
def test_without_the_extra_the_error_names_it(module: str, market: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(hr.RunError, match=r"headrace\[tune\]"):
        hr.search(Various, {"stake": (2, 5)}, market, engine="local")


# -- quiet -----------------------------------------------------------------------------------------------------------


def test_nothing_is_said_and_no_setting_changed(market: str, capfd: pytest.CaptureFixture[str]) -> None:
    optuna = pytest.importorskip("optuna")
    before = (optuna.logging.get_verbosity(), list(warnings.filters), logging.getLogger().level)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found(market, 0, trials=8, batch=4)
    assert not [each for each in warned if "optuna" in each.filename or "tune" in each.filename]
    assert capfd.readouterr() == ("", "")
    assert (optuna.logging.get_verbosity(), list(warnings.filters), logging.getLogger().level) == before


# -- command ---------------------------------------------------------------------------------------------------------


def run(*words: str) -> Any:
    return CliRunner().invoke(main, ["sweep", LAYER, *words])


def test_command_searches(generated: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    ended = run(
        *("-m", str(generated), "-p", "stake=2:10", "-p", "seconds=30,60,600", "--search", "12", "--batch", "4"),
        *("--split", "0.5", "--seed", "3", "--top", "3", "-o", out),
    )
    assert ended.exit_code == 0, ended.output
    assert "by score" in ended.output
    sweep = hr.SweepResult.load(out)
    assert sweep.search is not None
    assert (sweep.search["trials"], sweep.search["batch"], sweep.search["seed"]) == (12, 4, 3)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--search", "0"], "--search"),
        (["--search", "5", "--batch", "0"], "--batch"),
        (["--search", "5", "--random", "5"], "give one of them"),
        (["--search", "5", "--by", "luck"], "no column 'luck'"),
        (["--search", "5", "--seed", "-1"], "seed"),
        (["--search", "5", "-p", "seconds=60:30"], "the low one first"),
        (["--search", "5", "-p", "second=30:60"], "did you mean 'seconds'"),
    ],
)
def test_command_refuses_with_2(words: list[str], says: str, market: str) -> None:
    ended = run("-m", market, "-p", "stake=2:10", *words)
    assert ended.exit_code == 2, ended.output
    assert says in ended.output


def test_command_without_the_extra_exits_with_1(market: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    ended = run("-m", market, "-p", "stake=2:10", "--search", "5")
    assert ended.exit_code == 1
    assert "headrace[tune]" in ended.output
