"""The band: what a run comes to with a slower and with a quicker queue. It never changes the run itself."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import headrace as hr
from builders import Stream
from headrace.cli import main
from headrace.simulate.models import Models, OptimisticQueue, PessimisticQueue
from headrace.simulate.rows import BAND, DIGESTED_COLUMNS, FIELDS

QUEUES = ("pessimistic", "proportional", "optimistic")


class Waits(hr.Strategy):
    """Waits in queues; what it does next depends on what was matched: it follows a match by a bet on the other side."""

    stake: float = 2.0
    patience: float = 15.0
    scope = "market"

    def check_market_book(self, market: Any, book: Any) -> bool:
        return book.status == "OPEN" and not book.inplay and 0 < market.seconds_to_start < 7200

    def process_market_book(self, market: Any, book: Any) -> None:
        traded = [r for r in book.runners if r.status == "ACTIVE" and r.last_price_traded]
        for runner in sorted(traded, key=lambda runner: runner.last_price_traded)[:3]:
            context = self.get_runner_context(market.market_id, runner.selection_id, runner.handicap)
            price = hr.get_price(runner.ex.available_to_lay, 0)
            if price is not None and not context.executable_orders and context.trade_count < 6:
                self.place(market, runner.selection_id, runner.handicap, "BACK", price)

    def place(self, market: Any, selection_id: int, handicap: float, side: str, price: float) -> None:
        trade = hr.Trade(market.market_id, selection_id, handicap, self)
        market.place_order(trade.create_order(side, hr.LimitOrder(price, self.stake)))

    def process_orders(self, market: Any, orders: list[hr.Order]) -> None:
        for order in orders:
            if order.status is hr.OrderStatus.EXECUTABLE and order.elapsed_seconds > self.patience:
                market.cancel_order(order)
            elif order.complete and order.side == "BACK" and order.size_matched:
                self.record(market, matched=order.size_matched, price=order.average_price_matched)
                ticks = hr.price_ticks_away(order.order_type.price, -3)
                self.place(market, order.selection_id, order.handicap, "LAY", ticks)


class WaitsEachEvent(Waits):
    scope = "event"


class WaitsAllRun(Waits):
    """Keeps count over all markets of a unit."""

    scope = "run"
    seen = 0

    def process_closed_market(self, market: Any, book: Any) -> None:
        self.seen += 1
        self.record(market, seen=self.seen)


class SaysMuch(Waits):
    """Tells its log what was matched."""

    def process_orders(self, market: Any, orders: list[hr.Order]) -> None:
        super().process_orders(market, orders)
        if any(order.complete for order in orders):
            self.log.warning("complete at %s", market.clock.now_ms)


class FailsIfMatched(Waits):
    """Fails once it has matched more than a limit."""

    most: float = 0.0

    def process_closed_market(self, market: Any, book: Any) -> None:
        if sum(order.size_matched for order in market.blotter) > self.most:
            raise ValueError("matched too much")


class Raw(Waits):
    """Sees raw data as well: each copy has a replay of its own."""

    def process_raw_data(self, clk: str, publish_time: int, datum: dict[str, Any]) -> None:
        """Nothing to do."""


class Steps(hr.MarketActor):
    """Shows books in a step of its own."""

    def process_market_books(self, market: Any, book: Any) -> None:
        super().process_market_books(market, book)


class Counts(hr.Middleware):
    """Remembers how often it was called, and holds strategies back at every third change."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, market: Any) -> None:
        self.calls += 1
        market.context["third"] = self.calls % 3 == 0


class WaitsForThirds(Waits):
    def check_market_book(self, market: Any, book: Any) -> bool:
        return market.context["third"] and super().check_market_book(market, book)


@pytest.fixture(scope="module")
def races(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three markets whose queues move: offers come, are cancelled and traded at prices that stay for a while."""
    folder = tmp_path_factory.mktemp("band-races")
    for number in range(3):
        busy(f"1.20000000{number}", random.Random(number)).write(folder / f"1.20000000{number}")
    return folder


def busy(market_id: str, chance: random.Random) -> Stream:
    stream = Stream(market_id, {1: {}, 2: {}, 3: {}}, eventId=market_id[-1])
    ticks = {1: 2.0, 2: 3.0, 3: 4.0}
    traded: dict[int, dict[float, float]] = {1: {}, 2: {}, 3: {}}
    asked = dict.fromkeys(ticks, 50.0)
    for selection_id, price in ticks.items():
        levels = {
            "atb": [[hr.price_ticks_away(price, -1), 80]],
            "atl": [[price, 50]],
            "trd": [[price, 10]],
            "ltp": price,
        }
        traded[selection_id][price] = 10.0
        stream.prices(100, {selection_id: levels})
    for at in range(400, 120_000, 400):
        selection_id = chance.choice(list(ticks))
        price, size = ticks[selection_id], asked[selection_id]
        told: dict[str, Any] = {}
        what = chance.random()
        if what < 0.45:
            size += chance.randint(5, 60)
        elif what < 0.7:
            size = max(size - chance.randint(5, 60), 2.0)
        elif what < 0.95:
            part = min(chance.randint(2, 40), size - 1)
            size -= part
            traded[selection_id][price] = traded[selection_id].get(price, 0.0) + 2 * part
            told = {"trd": [[price, traded[selection_id][price]]], "ltp": price}
        else:
            moved = hr.price_ticks_away(price, chance.choice([-1, 1]))
            below = hr.price_ticks_away(moved, -1)
            told = {"atb": [[hr.price_ticks_away(price, -1), 0], [below, 80]], "atl": [[price, 0]]}
            ticks[selection_id], price, size = moved, moved, 40.0
        asked[selection_id] = size
        told["atl"] = [*told.get("atl", []), [price, size]]
        stream.prices(at, {selection_id: told})
    return stream.close(121_000, winner=chance.choice([1, 2, 3]))


def tables_without_band(result: hr.Result) -> dict[str, Any]:
    names = [name for name, _ in BAND]
    return {
        table: result.table(table).drop_columns(names) if table == "markets" else result.table(table)
        for table in FIELDS
    }


def by_market(result: hr.Result) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["strategy"], row["market_id"]): row for row in result.markets.to_pylist()}


def assert_band_of(
    band: hr.Result, run: Callable[..., hr.Result], config: dict[str, Any] | None = None
) -> dict[str, hr.Result]:
    """Each figure of the band is that of a run with the queue alone, and nothing else is other than without a band."""
    alone = {queue: run(config=hr.Config(queue=queue, **(config or {}))) for queue in QUEUES}
    own = alone["proportional"]
    assert band.digest == own.digest
    for table, found in tables_without_band(band).items():
        assert found.equals(tables_without_band(own)[table]), table
    found = {queue: by_market(result) for queue, result in alone.items()}
    for key, row in by_market(band).items():
        each = [found[queue][key] for queue in QUEUES]
        for name in ("profit", "matched"):
            assert row[f"{name}_low"] == min(one[name] for one in each)
            assert row[f"{name}_high"] == max(one[name] for one in each)
        for queue in ("pessimistic", "optimistic"):
            for name in ("profit", "commission", "matched"):
                assert row[f"{queue}_{name}"] == found[queue][key][name]
    sums = {queue: {row["strategy"]: row for row in alone[queue].summary().to_pylist()} for queue in QUEUES}
    for row in band.summary().to_pylist():
        for name in ("profit", "net_profit", "matched"):
            totals = [sums[queue][row["strategy"]][name] for queue in QUEUES]
            assert (row[f"{name}_low"], row[f"{name}_high"]) == (min(totals), max(totals))
    return alone


# -- what it is ------------------------------------------------------------------------------------------------------


def test_the_band_is_that_of_three_runs_and_changes_nothing_else(races: Path) -> None:
    def run(**settings: Any) -> hr.Result:
        return hr.backtest(Waits(), races, engine="local", **settings)

    alone = assert_band_of(run(band=True), run)
    # The strategy follows its fills: with other fills it places other orders.
    assert len({result.orders.num_rows for result in alone.values()}) > 1
    (row,) = run(band=True).summary().to_pylist()
    assert row["profit_low"] <= row["profit"] <= row["profit_high"]
    assert row["profit_low"] < row["profit_high"]
    assert row["matched_low"] < row["matched_high"]


@pytest.mark.parametrize("cls", [WaitsEachEvent, WaitsAllRun, WaitsForThirds])
def test_each_copy_has_state_of_its_own(cls: type[Waits], races: Path) -> None:
    def run(**settings: Any) -> hr.Result:
        simulation = hr.Simulation(races, engine="local", **settings)
        simulation.add_client(hr.SimulatedClient())
        simulation.add_strategy(cls())
        simulation.add_market_middleware(Counts())
        return simulation.run()

    assert_band_of(run(band=True), run)


def test_strategies_that_share_what_is_offered_share_it_in_each_copy(races: Path) -> None:
    def run(config: hr.Config, **settings: Any) -> hr.Result:
        both = [Waits(name="one"), Waits(name="other", stake=20, max_order_exposure=1000)]
        return hr.backtest(both, races, engine="local", config=config, **settings)

    shared = {"simulated_strategy_isolation": False}
    assert_band_of(run(hr.Config(**shared), band=True), run, shared)


def test_a_step_of_the_users_own_sees_every_copy(races: Path) -> None:
    def run(**settings: Any) -> hr.Result:
        simulation = hr.Simulation(races, engine="local", market_actor=Steps, **settings)
        simulation.add_client(hr.SimulatedClient())
        simulation.add_strategy(Waits())
        return simulation.run()

    assert_band_of(run(band=True), run)


def test_the_chosen_queue_is_the_run_itself(races: Path) -> None:
    slow = hr.backtest(Waits(), races, engine="local", config=hr.Config(queue="pessimistic"), band=True)
    for row in slow.markets.to_pylist():
        assert (row["profit"], row["matched"]) == (row["pessimistic_profit"], row["pessimistic_matched"])
    assert slow.digest == hr.backtest(Waits(), races, engine="local", config=hr.Config(queue="pessimistic")).digest


@pytest.mark.ray
def test_every_engine_gives_the_same_band(ray_local: None, races: Path) -> None:
    local, ray = (hr.backtest(Waits(), races, engine=engine, band=True) for engine in ("local", "ray"))
    key = [("market_id", "ascending")]
    assert local.markets.sort_by(key).equals(ray.markets.sort_by(key))
    assert local.digest == ray.digest


def test_without_a_band_its_columns_are_empty(races: Path) -> None:
    result = hr.backtest(Waits(), races, engine="local")
    assert {value for name, _ in BAND for value in result.markets[name].to_pylist()} == {None}
    (row,) = result.summary().to_pylist()
    assert row["profit_low"] is row["net_profit_high"] is row["matched_low"] is None


def test_the_digest_leaves_the_last_columns_of_markets_out() -> None:
    kept = DIGESTED_COLUMNS["markets"]
    assert FIELDS["markets"][kept:] == BAND
    assert {table: count for table, count in DIGESTED_COLUMNS.items() if table != "markets"} == {
        table: len(FIELDS[table]) for table in ("orders", "fills", "records")
    }


# -- callbacks, log lines, failures ----------------------------------------------------------------------------------


def test_callbacks_of_the_run_are_called_once(races: Path) -> None:
    calls: list[str] = []

    class Told(Waits):
        def add(self, framework: Any) -> None:
            calls.append("add")

        def start(self, framework: Any) -> None:
            calls.append("start")

        def finish(self, framework: Any) -> None:
            calls.append("finish")

    hr.backtest(Told(), races, engine="local", band=True)
    assert calls == ["add", "start", "finish"]


def test_log_lines_are_those_of_the_run_alone(races: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    lines = {}
    for band in (False, True):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "headrace"):
            hr.backtest(SaysMuch(), races, engine="local", band=band, out=tmp_path / str(band))
        lines[band] = [record.getMessage() for record in caplog.records]
        lines[band, "kept"] = sum(len(file.read_text().splitlines()) for file in tmp_path.glob(f"{band}/logs/*"))
    assert lines[False]
    assert lines[True] == lines[False]
    assert lines[True, "kept"] == lines[False, "kept"] > 0


def test_what_fails_in_a_copy_alone_is_told_with_its_queue(races: Path) -> None:
    matched = by_market(hr.backtest(Waits(), races, engine="local", band=True)).values()
    most = max(matched, key=lambda row: row["matched_high"] - row["matched"])
    assert most["matched_high"] > most["matched"]
    strategy = FailsIfMatched(most=most["matched"], market_filter={"market_ids": [most["market_id"]]})
    (failure,) = hr.backtest(strategy, races, engine="local", band=True).failures.to_pylist()
    assert failure["message"] == "with queue='optimistic': matched too much"
    assert failure["error_type"] == "ValueError"
    assert failure["market_id"] == most["market_id"]
    assert "band=True" in failure["command"]


def test_what_fails_in_all_copies_is_told_once(races: Path) -> None:
    result = hr.backtest(FailsIfMatched(), races, engine="local", band=True)
    assert result.failures.num_rows
    assert set(result.failures["message"].to_pylist()) == {"matched too much"}


def test_a_run_ends_when_the_run_itself_asks_for_it(races: Path) -> None:
    class Stops(Waits):
        def process_orders(self, market: Any, orders: list[hr.Order]) -> None:
            super().process_orders(market, orders)
            if any(order.complete and order.side == "BACK" and order.size_matched for order in orders):
                market.framework.stop()

    one, band = (hr.backtest(Stops(), races, engine="local", band=each) for each in (False, True))
    assert one.digest == band.digest


# -- sweeps ----------------------------------------------------------------------------------------------------------


def test_each_set_of_a_sweep_has_the_band_that_it_has_alone(races: Path) -> None:
    grid = {"stake": [2.0, 20.0], "patience": [5.0, 40.0], "max_order_exposure": [1000.0]}
    sweep, plain = (hr.sweep(Waits, grid, races, engine="local", orders=True, band=each) for each in (True, False))
    assert sweep.digest == plain.digest
    names = [name for name in sweep.table.column_names if not name.endswith(("_low", "_high"))]
    assert sweep.table.select(names).equals(plain.table.select(names))
    assert set(plain.table["net_profit_low"].to_pylist()) == {None}
    for number, values in enumerate(sweep.parameters):
        alone = hr.backtest(Waits(**values), races, engine="local", band=True)
        assert sweep.result(number).digest == alone.digest
        key = [("market_id", "ascending")]
        assert sweep.result(number).markets.sort_by(key).equals(alone.markets.sort_by(key))
        (row,), mine = alone.summary().to_pylist(), sweep.table.slice(number, 1).to_pylist()[0]
        for name in ("profit", "net_profit", "matched"):
            assert mine[f"{name}_low"] == row[f"{name}_low"]
            assert mine[f"{name}_high"] == row[f"{name}_high"]


def test_sets_can_stand_by_the_low_end(races: Path) -> None:
    sweep = hr.sweep(Waits, {"patience": [1.0, 5.0, 40.0]}, races, engine="local", band=True)
    best = sweep.best("net_profit_low")
    assert best["net_profit_low"] == max(sweep.table["net_profit_low"].to_pylist())


@pytest.mark.ray
def test_a_sweep_has_the_same_band_on_ray(ray_local: None, races: Path) -> None:
    grid = {"patience": [5.0, 40.0]}
    local, ray = (hr.sweep(Waits, grid, races, engine=engine, band=True) for engine in ("local", "ray"))
    assert local.table.equals(ray.table)
    assert local.markets.equals(ray.markets)


def test_a_broken_off_sweep_goes_on_with_its_band_only(races: Path, tmp_path: Path) -> None:
    def run(**settings: Any) -> hr.SweepResult:
        return hr.sweep(Waits, {"patience": [5.0, 40.0]}, races, engine="local", out=tmp_path / "sweep", **settings)

    whole = run(band=True)
    assert hr.SweepResult.load(tmp_path / "sweep").table.equals(whole.table)
    assert run(band=True, resume=True).table.equals(whole.table)
    with pytest.raises(hr.InputError, match="band"):
        run(resume=True)


# -- folders ---------------------------------------------------------------------------------------------------------


def test_a_folder_keeps_the_band_and_goes_on_with_it_only(races: Path, tmp_path: Path) -> None:
    def run(**settings: Any) -> hr.Result:
        return hr.backtest(Waits(), races, engine="local", out=tmp_path / "out", **settings)

    class Enough(Exception):
        """Breaks the run off."""

    def break_off(done: int, units: int, part: Any) -> None:
        raise Enough

    with pytest.raises(Enough):
        run(band=True, progress=break_off)
    with pytest.raises(hr.InputError, match="band"):
        run(resume=True)
    resumed = run(band=True, resume=True)
    fresh = hr.backtest(Waits(), races, engine="local", band=True)
    key = [("market_id", "ascending")]
    loaded = hr.Result.load(tmp_path / "out")
    assert loaded.markets.sort_by(key).equals(fresh.markets.sort_by(key))
    assert loaded.digest == resumed.digest == fresh.digest
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["band"] is True
    assert fresh.manifest["band"] is True


# -- where it is shown -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown(races: Path) -> hr.Result:
    return hr.backtest(Waits(), races, engine="local", band=True)


def told(result: hr.Result, name: str) -> str:
    (row,) = result.summary().to_pylist()
    return f"{row[name]:,.2f} ({row[f'{name}_low']:,.2f} to {row[f'{name}_high']:,.2f})"


def test_it_stands_beside_the_figure(shown: hr.Result, tmp_path: Path) -> None:
    (row,) = shown.summary().to_pylist()
    assert f"profit {row['profit']} ({row['profit_low']} to {row['profit_high']})" in repr(shown)
    assert told(shown, "net_profit") in shown._repr_html_()
    page = shown.to_html(tmp_path / "page.html").read_text()
    assert told(shown, "net_profit") in page
    assert told(shown, "matched") in page
    assert "How sure" in page
    assert "profit low" not in page


def test_nothing_is_said_of_it_without_one(races: Path, tmp_path: Path) -> None:
    result = hr.backtest(Waits(), races, engine="local")
    page = result.to_html(tmp_path / "page.html").read_text()
    for text in (repr(result), result._repr_html_(), page):
        assert "How sure" not in text
        assert "profit low" not in text
        assert " to " not in repr(result)


def test_the_sweep_shows_it(races: Path, tmp_path: Path) -> None:
    sweep = hr.sweep(Waits, {"patience": [5.0, 40.0]}, races, engine="local", band=True)
    row = sweep.best()
    text = f"{row['net_profit']:,.2f} ({row['net_profit_low']:,.2f} to {row['net_profit_high']:,.2f})"
    assert text in sweep._repr_html_()
    assert text in sweep.to_html(tmp_path / "sweep.html").read_text()


SOURCE = '''
import headrace as hr


class Waits(hr.Strategy):
    """Waits at the best price."""

    patience: float = 20.0

    def check_market_book(self, market, book):
        return book.status == "OPEN" and not book.inplay and 0 < market.seconds_to_start < 7200

    def process_market_book(self, market, book):
        for runner in book.runners[:3]:
            context = self.get_runner_context(market.market_id, runner.selection_id, runner.handicap)
            price = hr.get_price(runner.ex.available_to_lay, 0)
            if price is not None and price < 20 and not context.executable_orders and context.trade_count < 3:
                trade = hr.Trade(market.market_id, runner.selection_id, runner.handicap, self)
                market.place_order(trade.create_order("BACK", hr.LimitOrder(price, 2.0)))

    def process_orders(self, market, orders):
        for order in orders:
            if order.status is hr.OrderStatus.EXECUTABLE and order.elapsed_seconds > self.patience:
                market.cancel_order(order)
'''


@pytest.fixture
def shell(tmp_path: Path, races: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    (tmp_path / "waits.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)

    def call(command: str, *words: str) -> Any:
        given = [command, "waits.py:Waits", "-m", str(races), "--engine", "local", "--quiet", *words]
        return CliRunner().invoke(main, given)

    return call


def test_the_shell_shows_it(shell: Callable[..., Any]) -> None:
    answer = shell("backtest", "--band", "--out", "out")
    assert answer.exit_code == 0, answer.output
    assert told(hr.Result.load("out"), "net_profit") in answer.output
    assert "(" not in shell("backtest").output
    swept = shell("sweep", "--band", "-p", "patience=5,40", "--by", "net_profit_low")
    assert swept.exit_code == 0, swept.output
    assert " to " in swept.output
    assert "net profit low" in swept.output


# -- what cannot be --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"config": hr.Config(compatibility="flumine")}, "compatibility='flumine'"),
        ({"config": hr.Config(queue="flumine")}, "queue='flumine'"),
        ({"models": Models(queue=PessimisticQueue())}, r"models=Models\(queue=PessimisticQueue\(\)\)"),
        ({"models": Models(queue=OptimisticQueue())}, "a queue of your own"),
    ],
)
def test_a_run_with_another_queue_has_no_band(settings: dict[str, Any], message: str, races: Path) -> None:
    with pytest.raises(hr.InputError, match=f"band=True.*{message}"):
        hr.Simulation(races, band=True, **settings)


def test_a_sweep_of_the_peers_rules_has_no_band(races: Path) -> None:
    with pytest.raises(hr.InputError, match="band=True"):
        hr.sweep(Waits, {"stake": [2.0]}, races, config=hr.Config(compatibility="flumine"), band=True)


def test_the_shell_refuses_it_with_compatibility(shell: Callable[..., Any]) -> None:
    for command, more in (("backtest", ()), ("sweep", ("-p", "patience=5"))):
        flumine = ("--compatibility", "flumine") if command == "backtest" else ("--set", "compatibility=flumine")
        answer = shell(command, "--band", *flumine, *more)
        assert answer.exit_code == 2
        assert answer.output.startswith("headrace: --band: with --compatibility flumine") or (
            "--band" in answer.output and "flumine" in answer.output
        )


def test_middleware_that_cannot_be_copied_is_named(races: Path) -> None:
    class Locked(hr.Middleware):
        def __init__(self) -> None:
            self.file = open(__file__)  # noqa: SIM115 (it is what cannot be copied)

        def __call__(self, market: Any) -> None:
            """Nothing to do."""

    locked = Locked()
    simulation = hr.Simulation(races, engine="local", band=True)
    simulation.add_client(hr.SimulatedClient())
    simulation.add_strategy(Waits())
    simulation.add_market_middleware(locked)
    with pytest.raises(hr.RunError, match=r"band=True.*cannot be"):
        simulation.run()
    locked.file.close()
