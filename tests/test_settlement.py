"""What becomes of bets when a market ends: closes that come again, results that are missing, bets that fail alone,
orders that never arrive; and at what times things happen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings

import headrace as hr
from builders import FLUMINE, MARKET, T0, Script, Stream, at_sp, back, lay, note, place, replay
from headrace.cli import main
from headrace.simulate.models import FlumineQueue
from headrace.strategies.order import OrderStatus
from stories import Story, stories
from test_sweep import assert_each_as_alone

S = OrderStatus
THREE = {each: {"status": "ACTIVE", "adjustmentFactor": 20.0} for each in (1, 2, 3)}


def three(**definition: Any) -> Stream:
    """Prices of 3.6 to back and 3.7 to lay on each of three runners, at 100 ms."""
    offers = {"atb": [[3.6, 50.0]], "atl": [[3.7, 50.0]]}
    return Stream(runners=THREE, **definition).prices(100, dict.fromkeys(THREE, offers)).touch(400)


def reopened(**definition: Any) -> Stream:
    """Runner 3 is withdrawn; 1 wins, then the market is reopened, and 2 wins."""
    stream = three(**definition).remove(500, 3, 10.0).close(1000, winner=1)
    active = {each: {"status": "ACTIVE"} for each in (1, 2)}
    stream.define(2000, active, status="SUSPENDED", version=7).define(3000, status="OPEN", version=8)
    return stream.touch(3500).touch(4000).close(5000, winner=2)


def run(stream: Stream, strategy: Any, tmp_path: Path, **how: Any) -> hr.Result:
    path = stream.write(tmp_path / stream.market_id)
    return hr.backtest(strategy, path, engine="local", progress=False, **how)


# -- closed again ----------------------------------------------------------------------------------------------------


class Once(hr.Strategy):
    """Backs runner 1 whenever it may; tells what it is called with."""

    calls: ClassVar[list[str]] = []

    def process_new_market(self, market: Any, book: Any) -> None:
        self.calls.append("new")

    def check_market_book(self, market: Any, book: Any) -> bool:
        return bool(book.status == "OPEN")

    def process_market_book(self, market: Any, book: Any) -> None:
        self.calls.append("book")
        order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(3.6, 5.0))
        market.place_order(order)

    def process_closed_market(self, market: Any, book: Any) -> None:
        winner = next(runner.selection_id for runner in book.runners if runner.status == "WINNER")
        self.calls.append(f"closed: {winner} wins")
        self.record(market, winner=winner)


def test_last_settlement_of_a_reopened_market_counts(tmp_path: Path) -> None:
    Once.calls.clear()
    result = run(reopened(), Once(max_trade_count=1), tmp_path)
    (order,) = result.orders.to_pylist()
    # 10 % off 3.6, once.
    assert (order["average_price_matched"], order["profit"]) == (3.24, -5.0)
    (market,) = result.markets.to_pylist()
    assert (market["settled"], market["unsettled"], market["profit"], market["commission"]) == (2, 0, -5.0, 0.0)
    assert [row["record"] for row in result.records.to_pylist()] == ['{"winner":1}', '{"winner":2}']


def test_callbacks_of_a_reopened_market_go_on_where_they_were(tmp_path: Path) -> None:
    Once.calls.clear()
    run(reopened(), Once(max_trade_count=1), tmp_path)
    books = ["book"] * 4  # at 0, 100, 400 and 500
    again = ["book"] * 3
    assert Once.calls == ["new", *books, "closed: 1 wins", *again, "closed: 2 wins"]


def test_order_placed_after_the_reopening_is_settled_with_the_others() -> None:
    actions = {100: [back("a", 3.6, 5.0), back("late", 50.0, 2.0)], 3000: [back("b", 3.6, 4.0, selection_id=2)]}
    played = replay(reopened(), actions)
    assert (played["a"].profit, played["b"].profit) == (-5.0, 10.4)
    # What was not matched at the first close is gone.
    assert (played["late"].status, played["late"].size_lapsed) == (S.EXECUTION_COMPLETE, 2.0)
    assert played.cleared is not None
    assert (played.cleared["profit"], played.cleared["betCount"]) == (5.4, 2)
    assert len(played.market.market_cleared) == 1


def test_market_closed_again_with_another_winner_is_settled_again() -> None:
    closed: list[float] = []

    class Closer(hr.Strategy):
        def process_closed_market(self, market: Any, book: Any) -> None:
            closed.append(sum(order.profit for order in market.blotter))

    stream = three().close(1000, winner=1).close(2000, winner=1, version=9).close(3000, winner=2)
    played = replay(stream, {100: [back("a", 3.6, 5.0)]}, strategies=[Closer()])
    assert closed == [13.0, -5.0]
    assert (played.market.settlements, len(played.market.market_cleared), played["a"].profit) == (2, 1, -5.0)


def test_settlement_stands_where_the_recording_ends_before_the_next(tmp_path: Path) -> None:
    stream = three().close(1000, winner=1).define(2000, {1: {"status": "ACTIVE"}}, status="SUSPENDED")
    result = run(stream, Once(max_trade_count=1), tmp_path)
    (market,) = result.markets.to_pylist()
    assert (market["status"], market["settled"], market["profit"]) == ("SUSPENDED", 1, 13.0)


def test_state_is_given_up_at_each_close_under_compatibility(tmp_path: Path) -> None:
    result = run(reopened(), Once(max_trade_count=1), tmp_path, config=FLUMINE)
    assert result.orders.num_rows == 2
    (market,) = result.markets.to_pylist()
    assert (market["settled"], market["unsettled"]) == (2, 0)


def test_logging_controls_hear_of_each_settlement(tmp_path: Path) -> None:
    told: list[str] = []

    class Log(hr.LoggingControl):
        def __call__(self, event: Any) -> None:
            told.append(event.name)

    simulation = hr.Simulation(reopened().write(tmp_path / MARKET), progress=False)
    simulation.add_client(hr.SimulatedClient())
    simulation.add_strategy(Once(max_trade_count=1))
    simulation.add_logging_control(Log())
    simulation.run()
    settled = ["cleared_orders_meta", "cleared_markets", "closed_market"]
    assert [name for name in told if name in settled] == settled * 2


def test_middleware_keeps_a_market_until_its_recording_ends() -> None:
    told: list[Any] = []

    class Noter(hr.Middleware):
        def add_market(self, market: Any) -> None:
            told.append("add")

        def remove_market(self, market: Any) -> None:
            told.append(("remove", market.clock.now_ms - T0))

    replay(reopened(), {100: [back("a", 3.6, 5.0)]}, setup={"middleware": [Noter()]})
    assert told == ["add", ("remove", 5000)]


@pytest.mark.parametrize("scope", ["market", "event", "run"])
def test_reopened_markets_are_settled_alike_in_every_scope_and_in_sweeps(tmp_path: Path, scope: str) -> None:
    kind = type("Once", (Once,), {"scope": scope, "__module__": __name__})
    streams = [reopened(), reopened()]
    streams[1].market_id = "1.100000002"
    for stream in streams:
        for line in stream.lines:
            line["mc"][0]["id"] = stream.market_id
        stream.write(tmp_path / stream.market_id)
    Once.calls.clear()
    sweep = hr.sweep(kind(), {"max_trade_count": [1, 2]}, tmp_path, engine="local", progress=False, orders=True)
    assert_each_as_alone(sweep, [kind(max_trade_count=float(count)) for count in (1, 2)], tmp_path)
    for number in (0, 1):
        result = sweep.result(number)
        assert result.markets["settled"].to_pylist() == [2, 2]
        assert result.orders.num_rows == 2 * (number + 1)


# -- results that are missing ----------------------------------------------------------------------------------------


def ends(at: int, status: str | None, stream: Stream, **fields: Any) -> Stream:
    """Closes with runner 1 in a status, or not named at all; 2 wins."""
    stream.close(at, winner=2, **fields)
    runners = stream.lines[-1]["mc"][0]["marketDefinition"]["runners"]
    if status is None:
        runners.pop(0)
    else:
        runners[0]["status"] = status
    return stream


@pytest.mark.parametrize("status", [None, "ACTIVE", "HIDDEN", "PLACED"])
def test_bet_without_a_result_is_not_settled_and_that_is_said(tmp_path: Path, status: str | None) -> None:
    class Both(hr.Strategy):
        def check_market_book(self, market: Any, book: Any) -> bool:
            return bool(book.publish_time_epoch == T0 + 100)

        def process_market_book(self, market: Any, book: Any) -> None:
            for selection_id in (1, 2):
                trade = hr.Trade(market.market_id, selection_id, 0, self)
                market.place_order(trade.create_order("BACK", hr.LimitOrder(3.6, 5.0)))

    result = run(ends(1000, status, three()), Both(), tmp_path)
    assert result.orders["profit"].to_pylist() == [None, 13.0]
    (market,) = result.markets.to_pylist()
    assert (market["status"], market["settled"], market["unsettled"], market["profit"]) == ("CLOSED", 0, 1, 13.0)
    (failure,) = result.failures.to_pylist()
    assert (failure["strategy"], failure["error_type"], failure["count"]) == ("Both", "SettlementError", 1)
    assert "5.00 matched on 1, has no result" in failure["message"]
    assert result.summary()["unsettled"].to_pylist() == [1]


def test_bets_on_a_trap_that_stays_empty_are_void() -> None:
    stream = three().define(500, {1: {"status": "REMOVED_VACANT"}}).touch(900).touch(1300).close(2000, winner=2)
    played = replay(stream, {100: [back("a", 3.6, 5.0), back("b", 50.0, 5.0)], 900: [back("c", 3.6, 5.0)]})
    assert [(played[ref].size_matched, played[ref].size_voided) for ref in "abc"] == [(0.0, 5.0)] * 3
    assert played.error("c") == "INVALID_RUNNER"


@pytest.mark.parametrize(
    ("kind", "status", "profit"),
    [
        ("WIN", "WINNER", 13.0),
        ("WIN", "LOSER", -5.0),
        ("WIN", "REMOVED", 0.0),
        ("WIN", "REMOVED_VACANT", 0.0),
        ("EACH_WAY", "PLACED", -1.75),
        ("EACH_WAY", "REMOVED", 0.0),
    ],
)
def test_result_is_what_the_closing_definition_says(kind: str, status: str, profit: float) -> None:
    stream = ends(1000, status, three(marketType=kind, eachWayDivisor=4, numberOfWinners=2))
    played = replay(stream, {100: [back("a", 3.6, 5.0)]})
    assert (played["a"].profit, played["a"].settled, played.market.settlements) == (profit, True, 1)


def test_bet_on_a_runner_that_no_definition_names_has_no_result() -> None:
    stream = three().prices(450, {9: {"atb": [[3.6, 50.0]]}}).touch(500).touch(900).close(1000, winner=1)
    played = replay(stream, {500: [back("a", 3.6, 5.0, selection_id=9), back("b", 3.6, 5.0)]}, failing=True)
    assert (played["a"].settled, played["b"].profit) == (False, 13.0)
    assert [failure.error_type for failure in played.failures] == ["SettlementError"]


def test_unmatched_order_needs_no_result() -> None:
    played = replay(ends(1000, None, three()), {100: [back("a", 50.0, 5.0)]})
    assert (played["a"].settled, played.market.settlements) == (True, 1)


def test_bets_on_a_line_need_its_result() -> None:
    stream = Stream(bettingType="LINE", marketType="INNINGS_RUNS", bspMarket=False)
    stream.prices(100, {1: {"atb": [[150.5, 50.0]]}}).touch(400).close(1000, winner=())
    actions = {100: [back("a", 150.5, 5.0)]}
    played = replay(stream, actions, failing=True)
    assert [failure.error_type for failure in played.failures] == ["SettlementError"]
    told = replay(stream, {100: [*actions[100], note("line_range_result", 120)]})
    assert (told["a"].profit, told["a"].settled) == (5.0, True)


def test_fills_on_several_lines_are_settled_each_by_its_own() -> None:
    stream = Stream(bettingType="LINE", marketType="INNINGS_RUNS", bspMarket=False)
    stream.prices(100, {1: {"atb": [[160.5, 3.0], [150.5, 4.0]]}}).touch(400).close(1000, winner=())
    played = replay(stream, {100: [back("a", 150.5, 7.0), note("line_range_result", 155)]})
    assert played["a"].profit == 3.0 - 4.0


def test_matched_bet_in_a_market_that_never_closes_has_no_profit(tmp_path: Path) -> None:
    result = run(three(), Once(max_trade_count=1), tmp_path)
    assert result.orders["profit"].to_pylist() == [None]
    (market,) = result.markets.to_pylist()
    assert (market["settled"], market["unsettled"], market["profit"]) == (0, 1, 0.0)
    assert result.failures.num_rows == 0


def test_bet_without_a_result_is_void_under_compatibility(tmp_path: Path) -> None:
    result = run(ends(1000, None, three()), Once(max_trade_count=1), tmp_path, config=FLUMINE)
    assert result.orders["profit"].to_pylist() == [0.0]
    assert (result.markets["unsettled"].to_pylist(), result.failures.num_rows) == ([0], 0)


def test_dead_heat_of_handicaps_is_none() -> None:
    stream = three(bettingType="ASIAN_HANDICAP_DOUBLE_LINE").close(1000, winner=(1, 2))
    played = replay(stream, {100: [back("a", 3.6, 5.0), back("b", 3.6, 5.0, selection_id=2)]})
    assert (played["a"].profit, played["b"].profit) == (13.0, 13.0)


def test_each_way_dead_heat_shares_the_part_to_win() -> None:
    stream = three(marketType="EACH_WAY", eachWayDivisor=4, numberOfWinners=2).close(1000, winner=(1, 2))
    played = replay(stream, {100: [back("a", 3.6, 5.0)]})
    # To win: 13 / 2 - 5 / 2; for the place: 13 / 4.
    assert played["a"].profit == 7.25


# -- one bet's error -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("price", "said"), [(1.0, 2), (0.5, 2), (-2.0, 2), (0, 0), ("NaN", 0)])
def test_starting_price_that_leaves_nothing_to_win_is_none(price: Any, said: int) -> None:
    prices = {1: {"bsp": price}, 2: {"bsp": 3.0}, 3: {"bsp": 4.0}}
    stream = three().define(500, prices, bspReconciled=True).close(1000, winner=2)
    bets = [at_sp("a", "LAY", 12.0), at_sp("b", "BACK", 5.0), at_sp("c", "LAY", 12.0, selection_id=2)]
    played = replay(stream, {100: [*bets, back("d", 3.6, 5.0, selection_id=2)]}, failing=True)
    assert [failure.count for failure in played.failures] == [said] * bool(said)
    assert [played[ref].size_matched for ref in "abcd"] == [0.0, 0.0, 6.0, 5.0]
    assert [played[ref].profit for ref in "abcd"] == [0.0, 0.0, -12.0, 13.0]
    assert (played["a"].status, played["a"].size_lapsed) == (S.EXECUTION_COMPLETE, 12.0)


class Fragile:
    """Raises for bets of 7.77."""

    @staticmethod
    def look(bet: Any) -> None:
        if bet.size == 7.77:
            raise ArithmeticError("seven")


class FragileQueue(FlumineQueue):
    def trade(self, bet: Any, volume: float) -> tuple[float, float]:
        Fragile.look(bet)
        return super().trade(bet, volume)


class FragileRemovals(hr.Removals):
    def apply(self, bet: Any, removed: Any, book: Any) -> None:
        Fragile.look(bet)
        super().apply(bet, removed, book)


class FragileSettlement(hr.Settlement):
    def profit(self, bet: Any, outcome: Any) -> float:
        Fragile.look(bet)
        return super().profit(bet, outcome)


class FragileLiquidity(hr.LiquidityModel):
    """Raises at the first look at an order's runner."""

    def __init__(self) -> None:
        self.looks = 0

    def to_back(self, runner: Any) -> Any:
        self.looks += 1
        if self.looks == 1:
            raise ArithmeticError("seven")
        return super().to_back(runner)


@pytest.mark.parametrize(
    "models",
    [
        {"queue": FragileQueue()},
        {"removals": FragileRemovals()},
        {"settlement": FragileSettlement()},
    ],
    ids=["matching", "removals", "settlement"],
)
@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["ours", "flumine"])
def test_error_of_one_bet_leaves_the_others_as_they_are(models: Any, config: hr.Config) -> None:
    stream = three().prices(500, {1: {"trd": [[3.65, 10.0]]}}).prices(600, {1: {"trd": [[3.65, 400.0]]}})
    stream.remove(700, 3, 10.0).close(1000, winner=1)

    def play(**how: Any) -> Any:
        bets = [back("a", 3.65, 7.77), back("b", 3.65, 5.0), back("c", 3.6, 4.0)]
        return replay(stream, {100: bets}, config=config, setup={"models": hr.Models(**how)}, failing=True)

    whole, broken = play(), play(**models)
    for ref in "bc":
        assert (broken[ref].size_matched, broken[ref].profit) == (whole[ref].size_matched, whole[ref].profit)
    assert whole["b"].profit != 0
    assert [(failure.strategy, failure.error_type) for failure in broken.failures] == [("Scripted", "ArithmeticError")]


def test_order_whose_placing_fails_ends_and_the_others_are_placed() -> None:
    stream = three().touch(900).close(1000, winner=1)
    played = replay(
        stream,
        {100: [back("a", 3.6, 5.0), back("b", 3.6, 4.0), place("c", "BACK", hr.LimitOrder(3.6, 2.0), 2)]},
        setup={"models": hr.Models(liquidity=FragileLiquidity())},
        failing=True,
    )
    assert [played[ref].status for ref in "abc"] == [S.EXECUTION_COMPLETE] * 3
    assert [played[ref].size_matched for ref in "abc"] == [0.0, 4.0, 2.0]
    assert (played["a"].size_voided, played["a"].trade.status) == (5.0, hr.TradeStatus.COMPLETE)
    assert [(failure.strategy, failure.count) for failure in played.failures] == [("Scripted", 1)]


def test_account_control_that_fails_costs_the_order_it_looked_at() -> None:
    class Fussy(hr.BaseControl):
        NAME, scope = "FUSSY", "account"

        def _validate(self, order: Any, package_type: Any) -> None:
            if order.size == 7.77:
                raise ArithmeticError("of this size it knows nothing")

    def both(script: Script, market: Any) -> None:
        with market.transaction() as transaction:
            for ref, size in (("a", 7.77), ("b", 5.0)):
                order = hr.Trade(MARKET, 1, 0, script.strategy).create_order("BACK", hr.LimitOrder(3.6, size))
                script.orders[ref] = order
                transaction.place_order(order)

    stream = three().close(1000, winner=1)
    played = replay(stream, {100: [both]}, setup={"trading_controls": [(Fussy, {})]}, failing=True)
    assert (played["a"].status, played["b"].profit) == (S.VIOLATION, 13.0)
    assert [failure.error_type for failure in played.failures] == ["ArithmeticError"]


# -- orders that never arrive ----------------------------------------------------------------------------------------


class Late(hr.Strategy):
    """Bets when the market is closed, and once more when it is told what became of that."""

    process_orders_scope = "live"

    def process_closed_market(self, market: Any, book: Any) -> None:
        self.bet(market)

    def process_orders(self, market: Any, orders: list[hr.Order]) -> None:
        if len(market.blotter) == 1:
            self.bet(market)

    def bet(self, market: Any) -> None:
        order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(3.6, 5.0))
        market.place_order(order, force=True)


def test_order_placed_when_the_market_is_closed_ends_and_says_why(tmp_path: Path) -> None:
    result = run(three().close(1000), Late(), tmp_path)
    assert [(row["status"], row["error_code"], row["placed_at"]) for row in result.orders.to_pylist()] == [
        ("EXPIRED", "MARKET_CLOSED", None)
    ] * 2
    (market,) = result.markets.to_pylist()
    assert (market["orders"], market["transactions"], market["settled"]) == (2, 0, 1)


def test_order_placed_when_the_market_is_closed_stays_pending_under_compatibility(tmp_path: Path) -> None:
    result = run(three().close(1000), Late(), tmp_path, config=FLUMINE)
    assert result.orders["status"].to_pylist() == ["PENDING"]


@pytest.mark.parametrize("scope", ["market", "event", "run"])
def test_order_that_waits_when_its_recording_ends_is_told_so(tmp_path: Path, scope: str) -> None:
    told: list[tuple[str, str | None, int]] = []

    class Slow(hr.Strategy):
        def check_market_book(self, market: Any, book: Any) -> bool:
            return bool(book.publish_time_epoch == T0 + 400)

        def process_market_book(self, market: Any, book: Any) -> None:
            for price in (3.6, 50.0):
                order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(price, 5.0))
                market.place_order(order, force=True)

        def process_orders(self, market: Any, orders: list[hr.Order]) -> None:
            told.extend((order.status.name, order.not_placed, market.clock.now_ms - T0) for order in orders)

    cls = type("Slow", (Slow,), {"scope": scope, "__module__": __name__})
    other = Stream("1.100000002").touch(300).close(380)
    other.write(tmp_path / other.market_id)
    three().write(tmp_path / MARKET)
    result = hr.backtest(cls(), tmp_path, engine="local", progress=False)
    assert [(row["status"], row["error_code"]) for row in result.orders.to_pylist()] == [
        ("EXPIRED", "RECORDING_ENDED")
    ] * 2
    assert told[-2:] == [("EXPIRED", "RECORDING_ENDED", 400)] * 2
    assert set(result.orders["completed_at"].cast("int64").to_pylist()) == {T0 + 400}


def test_order_that_waits_when_the_run_is_stopped_is_told_so() -> None:
    def stop(script: Script, market: Any) -> None:
        market.framework.stop()

    played = replay(three().touch(900).close(1000), {400: [back("a", 3.6, 5.0), stop]})
    assert (played["a"].status, played["a"].not_placed) == (S.EXPIRED, "RECORDING_ENDED")


def test_nothing_is_placed_in_a_market_whose_recording_has_ended() -> None:
    class Tardy(hr.Strategy):
        def process_new_market(self, market: Any, book: Any) -> None:
            self.market = market

        def remove_market(self, market_id: str) -> None:
            order = hr.Trade(market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(3.6, 5.0))
            self.market.place_order(order, force=True)

    played = replay(three().close(1000), strategies=[Tardy()], failing=True)
    assert [(failure.strategy, failure.error_type) for failure in played.failures] == [("Tardy", "OrderError")]
    assert len(played.market.blotter) == 0


def test_resting_order_is_as_it_was_when_its_recording_ends() -> None:
    played = replay(three(), {100: [back("a", 50.0, 5.0)]})
    assert (played["a"].status, played["a"].size_remaining) == (S.EXECUTABLE, 5.0)


# -- times and averages ----------------------------------------------------------------------------------------------


def test_order_is_matched_when_it_arrives() -> None:
    stream = three().touch(5000)
    actions = {400: [back("a", 3.6, 5.0), back("b", 3.65, 5.0)]}
    played = replay(stream, actions)
    assert played.fills("a") == [(520, 3.6, 5.0)]
    assert [played[ref].responses.placed_ms - T0 for ref in "ab"] == [520, 520]
    assert replay(stream, actions, config=FLUMINE).fills("a") == [(400, 3.6, 5.0)]


def test_order_in_play_is_matched_when_its_delay_has_passed() -> None:
    stream = three().turn_in_play(500, bet_delay=5).touch(600).touch(3000).touch(9000)
    assert replay(stream, {600: [back("a", 3.6, 5.0)]}).fills("a") == [(600 + 5120, 3.6, 5.0)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(story=stories())
def test_no_fill_lies_before_its_placing_nor_after_its_end(story: Story) -> None:
    stream, actions = story
    for order in replay(stream, actions).market.blotter:
        times = [time for time, _, _ in order.simulated.fills]
        assert times == sorted(times)
        if times:
            assert order.created_ms <= order.responses.placed_ms <= times[0]
            assert order.complete_ms is None or times[-1] <= order.complete_ms


@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["ours", "flumine"])
def test_explain_tells_an_orders_life_in_the_order_of_its_times(tmp_path: Path, config: hr.Config) -> None:
    stream = three().touch(900).prices(950, {1: {"trd": [[3.65, 100.0]]}}).close(1000)
    path = stream.write(tmp_path / MARKET)

    class Taker(hr.Strategy):
        def check_market_book(self, market: Any, book: Any) -> bool:
            return bool(book.publish_time_epoch == T0 + 400)

        def process_market_book(self, market: Any, book: Any) -> None:
            order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(3.6, 60.0))
            market.place_order(order, force=True)

    hr.backtest(Taker(), path, engine="local", out=tmp_path / "out", config=config, progress=False)
    answer = CliRunner().invoke(main, ["explain", str(tmp_path / "out"), "100000000001"])
    times = [line.split()[0] for line in answer.output.splitlines() if line.startswith("  22:13:")]
    assert len(times) >= 3
    assert times == sorted(times)


@pytest.mark.parametrize("sizes", [(0.1, 0.2, 0.7), (3.33, 6.67, 1.01), (0.01,) * 9])
@pytest.mark.parametrize("price", [3.4, 1.13, 7.8])
def test_average_is_the_price_where_all_fills_are_at_one(price: float, sizes: tuple[float, ...]) -> None:
    stream = Stream().touch(100).touch(400)
    traded, at = 0.0, 500
    for size in sizes:
        traded = round(traded + 2 * size, 2)
        stream.prices(at, {each: {"trd": [[price, traded]]} for each in (1, 2)})
        at += 100
    played = replay(stream, {100: [back("a", price, 100.0), lay("b", price, 100.0, selection_id=2)]})
    assert len(played["a"].simulated.fills) == len(sizes)
    for ref in "ab":
        assert played[ref].average_price_matched == price
        assert hr.price_ticks_away(played[ref].average_price_matched, 0) == price


def test_reduced_price_is_a_plain_number() -> None:
    stream = three().remove(500, 3, 20.0).close(1000, winner=1)
    played = replay(stream, {100: [back("a", 3.6, 5.0)]})
    assert played["a"].average_price_matched == 2.88
    assert 3.6 * (1 - 20 / 100) != 2.88
