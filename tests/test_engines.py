"""One process or many: the same result, and a worker that dies costs its unit only."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import many
from common_strategies import Backer
from headrace.loading import load_strategy


class ByEvent(Backer):
    scope = "event"


class OverTheRun(Backer):
    scope = "run"


def market_ids(result: hr.Result) -> set[str]:
    return set(result.markets["market_id"].to_pylist())


# -- digests ---------------------------------------------------------------------------------------------------------


@pytest.mark.ray
@pytest.mark.parametrize("strategy", [Backer, ByEvent])
@pytest.mark.parametrize("compatibility", [None, "flumine"])
def test_engines_give_equal_digests(ray_local: None, generated: Path, strategy: Any, compatibility: Any) -> None:
    config = hr.Config(compatibility=compatibility)
    local = hr.backtest(strategy(), generated, engine="local", config=config)
    spread = hr.backtest(strategy(), generated, engine="ray", config=config)
    assert local.orders.num_rows > 10
    assert local.failures.num_rows == 0
    assert spread.digest == local.digest
    assert spread.transactions.equals(local.transactions)
    assert spread.summary().to_pylist() == local.summary().to_pylist()


def test_digest_is_that_of_what_was_computed(generated: Path) -> None:
    run = [hr.backtest(Backer(stake=stake), generated, engine="local").digest for stake in (2.0, 2.0, 3.0)]
    assert run[0] == run[1] != run[2]
    assert len(run[0]) == 64


def test_digest_does_not_depend_on_the_order_of_files(generated: Path) -> None:
    files = sorted(str(path) for path in generated.rglob("1.*"))
    forwards = hr.backtest(Backer(), files, engine="local")
    backwards = hr.backtest(Backer(), files[::-1], engine="local")
    assert forwards.digest == backwards.digest


def test_auto_keeps_small_runs_in_this_process(generated: Path) -> None:
    assert hr.backtest(Backer(), generated).manifest["engine"] == "local"


def test_unknown_engine_is_an_input_error(generated: Path) -> None:
    with pytest.raises(hr.InputError, match="expected auto, local or ray"):
        hr.backtest(Backer(), generated, engine="cloud")  # type: ignore[arg-type]


def test_simulation_runs_once(generated: Path) -> None:
    simulation = hr.Simulation(generated, engine="local")
    simulation.add_client(hr.SimulatedClient())
    simulation.add_strategy(Backer())
    simulation.run()
    with pytest.raises(hr.RunError, match="has run"):
        simulation.run()


def test_simulation_without_client_or_strategy_is_refused(generated: Path) -> None:
    with pytest.raises(hr.ClientError, match="add_client"):
        hr.Simulation(generated, engine="local").run()
    simulation = hr.Simulation(generated, engine="local")
    simulation.add_client(hr.SimulatedClient())
    with pytest.raises(hr.RunError, match="add_strategy"):
        simulation.run()


def test_progress_counts_units(generated: Path) -> None:
    seen = []
    hr.backtest(Backer(), generated, engine="local", progress=lambda done, total, part: seen.append((done, total)))
    assert seen == [(number, 8) for number in range(1, 9)]


# -- scopes ----------------------------------------------------------------------------------------------------------


class Counting(hr.Strategy):
    """Counts the markets that each instance sees, in the order's notes."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.seen = 0

    def process_new_market(self, market: Any, book: Any) -> None:
        self.seen += 1
        trade = hr.Trade(market.market_id, 1, 0, self, notes={"seen": self.seen})
        market.place_order(trade.create_order("BACK", hr.LimitOrder(2.0, 2.0)), force=True)


@pytest.mark.parametrize(
    ("scope", "seen"),
    [("market", ["1", "1", "1", "1"]), ("event", ["1", "2", "1", "2"]), ("run", ["1", "2", "3", "4"])],
)
def test_instances_live_as_long_as_their_scope(tmp_path: Path, scope: str, seen: list[str]) -> None:
    strategy = type("Scoped", (Counting,), {"scope": scope})()
    result = hr.backtest(strategy, many(tmp_path, 4), engine="local")
    rows = sorted(result.orders.to_pylist(), key=lambda row: row["market_id"])
    assert [row["notes"] for row in rows] == seen
    assert strategy.seen == 0


# -- workers ---------------------------------------------------------------------------------------------------------


class Dies(Backer):
    """Takes its process with it on one market."""

    def process_new_market(self, market: Any, book: Any) -> None:
        if market.market_id == "1.200000002":
            os._exit(1)


class Hangs(Backer):
    """Never comes back from one market."""

    def process_new_market(self, market: Any, book: Any) -> None:
        while market.market_id == "1.200000002":
            time.sleep(0.1)


@pytest.mark.ray
def test_worker_that_dies_costs_its_unit_only(ray_local: None, tmp_path: Path) -> None:
    result = hr.backtest(Dies(), many(tmp_path, 6), engine="ray")
    assert len(market_ids(result)) == 5
    assert "1.200000002" not in market_ids(result)
    ((unit, error_type),) = [(row["unit"], row["error_type"]) for row in result.failures.to_pylist()]
    assert (unit, error_type) == (str(tmp_path / "1.200000002"), "RunError")


@pytest.mark.ray
def test_unit_that_takes_longer_than_its_time_is_stopped(ray_local: None, tmp_path: Path) -> None:
    config = hr.Config(unit_timeout=1.5)
    result = hr.backtest(Hangs(), many(tmp_path, 4), engine="ray", config=config)
    assert market_ids(result) == {"1.200000000", "1.200000001", "1.200000003"}
    (failure,) = result.failures.to_pylist()
    assert failure["unit"] == str(tmp_path / "1.200000002")
    assert "took longer than unit_timeout=1.5 s" in failure["message"]


@pytest.mark.ray
def test_error_of_a_strategy_is_the_same_row_on_every_engine(ray_local: None, tmp_path: Path) -> None:
    folder = many(tmp_path, 2)
    (folder / "1.200000009").write_text("no JSON\n")
    rows = [
        sorted(
            (row["unit"], row["line"], row["error_type"], row["message"], row["count"])
            for row in hr.backtest(Fails(), folder, engine=engine).failures.to_pylist()
        )
        for engine in ("local", "ray")
    ]
    assert len(rows[0]) == 3
    assert rows[0] == rows[1]


class Fails(Backer):
    def process_closed_market(self, market: Any, book: Any) -> None:
        raise LookupError("no result")


@pytest.mark.ray
def test_raise_errors_brings_the_strategys_own_error_here(ray_local: None, tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="no result"):
        hr.backtest(Fails(), many(tmp_path, 2), engine="ray", config=hr.Config(raise_errors=True))


@pytest.mark.ray
def test_edited_strategy_takes_effect_on_the_next_run(ray_local: None, tmp_path: Path) -> None:
    folder = tmp_path / "markets"
    folder.mkdir()
    many(folder, 2)
    code = tmp_path / "edited_strategy.py"
    source = (
        "import headrace as hr\n\n"
        "STAKE = {stake}\n\n\n"
        "class Edited(hr.Strategy):\n"
        "    def process_new_market(self, market, book):\n"
        "        order = hr.Trade(market.market_id, 1, 0, self).create_order('BACK', hr.LimitOrder(2.0, STAKE))\n"
        "        market.place_order(order)\n"
    )
    sizes, sources = [], []
    for stake in (2.0, 3.0):
        code.write_text(source.format(stake=stake))
        result = hr.backtest(load_strategy(f"{code}:Edited")(), folder, engine="ray")
        sizes.append(set(result.orders["size"].to_pylist()))
        sources.append(result.manifest["sources"])
    assert sizes == [{2.0}, {3.0}]
    assert sources[0] != sources[1]


@pytest.mark.ray
def test_what_cannot_travel_is_named(ray_local: None, tmp_path: Path) -> None:
    strategy = Backer()
    strategy.model = threading.Lock()
    with pytest.raises(hr.RunError, match="Backer: attribute 'model'"):
        hr.backtest(strategy, many(tmp_path, 2), engine="ray")


# -- folders ---------------------------------------------------------------------------------------------------------


def test_folder_holds_the_same_result(generated: Path, tmp_path: Path) -> None:
    kept = hr.backtest(Backer(), generated, engine="local")
    written = hr.backtest(Backer(), generated, engine="local", out=tmp_path / "out")
    loaded = hr.Result.load(tmp_path / "out")
    assert kept.digest == written.digest == loaded.digest
    for table in ("orders", "fills", "markets", "violations", "transactions"):
        assert rows_of(loaded, table) == rows_of(kept, table)
    assert loaded.manifest == written.manifest


def rows_of(result: hr.Result, table: str) -> list[str]:
    return sorted(json.dumps(row, default=str, sort_keys=True) for row in result.table(table).to_pylist())


@pytest.mark.ray
def test_folder_written_by_many_workers_holds_the_same_result(ray_local: None, generated: Path, tmp_path: Path) -> None:
    kept = hr.backtest(Backer(), generated, engine="local")
    hr.backtest(Backer(), generated, engine="ray", out=tmp_path / "out")
    loaded = hr.Result.load(tmp_path / "out")
    assert loaded.digest == kept.digest
    assert rows_of(loaded, "orders") == rows_of(kept, "orders")


def test_out_that_holds_something_is_refused_and_left_alone(generated: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(hr.InputError, match="exists and is not empty"):
        hr.backtest(Backer(), generated, engine="local", out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_out_that_is_a_file_is_refused(generated: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(hr.InputError):
        hr.backtest(Backer(), generated, engine="local", out=tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_part_without_commit_does_not_count(generated: Path, tmp_path: Path) -> None:
    whole = hr.backtest(Backer(), generated, engine="local", out=tmp_path / "out")
    commit = next(path for path in sorted((tmp_path / "out" / "commits").glob("*.json")))
    rows = json.loads(commit.read_text())["rows"]["orders"]
    commit.unlink()
    loaded = hr.Result.load(tmp_path / "out")
    assert loaded.orders.num_rows == whole.orders.num_rows - rows
    assert loaded.digest != whole.digest


def test_folder_without_result_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(hr.InputError, match="no result here"):
        hr.Result.load(tmp_path)


def test_unknown_table_is_an_error_that_names_those_there_are(generated: Path) -> None:
    with pytest.raises(KeyError, match="orders, fills, markets"):
        hr.backtest(Backer(), generated, engine="local").table("bets")


# -- sums ------------------------------------------------------------------------------------------------------------


def test_summary_is_the_sum_of_orders_and_markets(generated: Path) -> None:
    result = hr.backtest([Backer(), Backer(name="Large", stake=5.0)], generated, engine="local")
    orders, markets = result.orders.to_pylist(), result.markets.to_pylist()
    for row in result.summary().to_pylist():
        mine = [order for order in orders if order["strategy"] == row["strategy"]]
        where = [market for market in markets if market["strategy"] == row["strategy"]]
        assert row["orders"] == len(mine)
        assert row["matched"] == pytest.approx(sum(order["size_matched"] for order in mine))
        assert row["profit"] == pytest.approx(sum(order["profit"] for order in mine))
        assert row["markets"] == len(where)
        assert row["commission"] == pytest.approx(sum(market["commission"] for market in where))
        assert row["net_profit"] == pytest.approx(row["profit"] - row["commission"])


def test_fills_add_up_to_orders(generated: Path) -> None:
    result = hr.backtest(Backer(), generated, engine="local")
    fills = sorted(result.fills.to_pylist(), key=lambda row: (row["market_id"], row["order_id"]))
    sums = {
        key: sum(row["size"] for row in rows)
        for key, rows in itertools.groupby(fills, lambda row: (row["market_id"], row["order_id"]))
    }
    matched = {
        (row["market_id"], row["order_id"]): row["size_matched"]
        for row in result.orders.to_pylist()
        if row["size_matched"]
    }
    assert sums == pytest.approx(matched)
