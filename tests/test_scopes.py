"""State on a strategy by its scope, and what it records, draws and is told of time."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import FLUMINE, T0, many, records


class Counts(hr.Strategy):
    """Counts on `self`, and stakes by the count."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.books = 0

    def check_market_book(self, market: Any, book: Any) -> bool:
        self.books += 1
        return True

    def process_market_book(self, market: Any, book: Any) -> None:
        stake = 2.0 + self.books % 7
        order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(2.0, stake))
        market.place_order(order, force=True)


class CountsByEvent(Counts):
    scope = "event"


class CountsOverTheRun(Counts):
    scope = "run"


@pytest.mark.ray
def test_state_of_every_scope_gives_one_digest_on_every_engine(ray_local: None, tmp_path: Path) -> None:
    folder = many(tmp_path, 6)
    digests = set()
    for strategy in (Counts, CountsByEvent, CountsOverTheRun):
        local = hr.backtest(strategy(), folder, engine="local")
        assert local.orders.num_rows == 18
        assert hr.backtest(strategy(), folder, engine="ray").digest == local.digest
        digests.add(local.digest)
    assert len(digests) == 3


@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["ours", "flumine"])
def test_run_of_more_files_than_may_be_open_counts_through_them_all(tmp_path: Path, config: hr.Config) -> None:
    result = hr.backtest(CountsOverTheRun(), many(tmp_path, 70), engine="local", config=config)
    assert result.failures.num_rows == 0
    orders = sorted(result.orders.to_pylist(), key=lambda row: row["order_id"])
    assert [row["size"] for row in orders] == [2.0 + count % 7 for count in range(1, 211)]
    assert result.markets.num_rows == 70


# -- records, chance, time -------------------------------------------------------------------------------------------


class Draws(hr.Strategy):
    def process_new_market(self, market: Any, book: Any) -> None:
        self.record(market, number=market.random.random(), at=market.clock.now().isoformat())


def test_records_have_strategy_market_time_and_fields(tmp_path: Path) -> None:
    result = hr.backtest(Draws(), many(tmp_path, 1), engine="local")
    (row,) = result.records.to_pylist()
    assert (row["strategy"], row["market_id"]) == ("Draws", "1.200000000")
    assert row["time"].timestamp() * 1000 == T0
    assert json.loads(row["record"])["at"] == "2023-11-14T22:13:20+00:00"


def test_record_that_is_no_json_is_a_failure_that_names_the_field(tmp_path: Path) -> None:
    class Bad(hr.Strategy):
        def process_new_market(self, market: Any, book: Any) -> None:
            self.record(market, lock=threading.Lock())

    (row,) = hr.backtest(Bad(), many(tmp_path, 1), engine="local").failures.to_pylist()
    assert "Bad.record: lock=<unlocked _thread.lock" in row["message"]


def test_chance_differs_by_strategy_and_not_by_who_else_runs(tmp_path: Path) -> None:
    folder = many(tmp_path, 2)
    together = hr.backtest([Draws(name="a"), Draws(name="b")], folder, engine="local").records.to_pylist()
    alone = hr.backtest(Draws(name="b"), folder, engine="local").records.to_pylist()
    assert [row["record"] for row in together if row["strategy"] == "b"] == [row["record"] for row in alone]
    assert len({row["record"] for row in together}) == 4


def test_clock_of_a_simulation_is_simulated(tmp_path: Path) -> None:
    class Looks(hr.Strategy):
        def process_new_market(self, market: Any, book: Any) -> None:
            self.record(market, simulated=market.clock.simulated, now=market.clock.now().timestamp() * 1000 - T0)

    assert records(hr.backtest(Looks(), many(tmp_path, 1), engine="local")) == [{"simulated": True, "now": 0.0}]
