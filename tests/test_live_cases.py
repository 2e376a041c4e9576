"""Cases of the public record that concern a client: what headrace does when the exchange does that.

docs/exchange.md, "What has gone wrong for others", says of each what happened to whom, and which fault provokes it.
"""

from __future__ import annotations

import dataclasses
import re
import threading
import time
from pathlib import Path
from typing import Any

import betfairlightweight
import pytest

import headrace as hr
from builders import MARKET, priced
from exchange_builders import ALICE, BOB
from headrace.actors.letters import OrdersClosed, StreamState
from headrace.actors.live.account_exposure import account_loss
from headrace.simulate.exchange.settings import Limits, Timers
from headrace.strategies.messages import Reply
from headrace.strategies.stands import Stand
from live_trading import Trading, Venue, Watching, snapshot, venue

#: By case: where else it is tested. Those that are not here are tested below, or in test_live_cases_whole.py.
ELSEWHERE = {
    22: "live_execution: order_that_is_not_sent_before_its_deadline_expires_and_is_nowhere",
    26: "order_messages: closed_markets_are_forgotten_in_time",
    28: "stream_connection: image_and_changes_come_after_a_session_was_given",
    29: "stream_connection: failure_that_closes_is_told_with_its_code",
    30: "stream_connection: silence_of_two_heartbeats_is_an_end",
    31: "stream_connection: clock_that_is_refused_is_dropped_at_once",
    32: "stream_connection: changes_of_the_former_subscription_are_left_out_until_the_new_image",
    36: "market_stream: of_a_market_that_is_twice_in_an_image_the_higher_version_counts",
    37: "market_stream: image_without_definition_waits_for_one_and_keeps_its_prices",
    38: "stream_connection: late_greeting_is_waited_for",
    39: "stream_connection: connection_that_ends_is_made_again_and_goes_on_from_its_clock",
    40: "market_stream: connection_too_many_is_given_up_and_its_markets_are_left_out",
    50: "live_sessions: many_who_want_a_session_share_one_login",
    51: "live_execution: requests_are_cut_to_what_the_exchange_takes",
    52: "live_placing: cancel_without_bets_is_refused_here",
    53: "live_placing: orders_at_the_starting_price_have_liabilities",
    54: "live_execution: idle_connection_that_the_exchange_has_closed_costs_nothing",
    55: "live_sessions: keep_alive_that_fails_leads_to_login",
    56: "live_execution: report_with_fields_that_nobody_knows_is_read",
    59: "stream_connection: waits_between_attempts_double_up_to_the_longest",
    62: "live_lists: funds_that_are_being_worked_out_are_asked_for_again",
}
HERE = Path(__file__)


def test_every_case_has_a_test() -> None:
    texts = HERE.read_text() + HERE.with_name("test_live_cases_whole.py").read_text()
    named = re.findall(r"def test_cases((?:_\d+_and)+_\d+)_|def test_case((?:_\d+)+)_|class TestCase(\d+):", texts)
    numbers = {int(each) for names in named for name in names for each in re.findall(r"\d+", name)}
    assert sorted(numbers | ELSEWHERE.keys()) == list(range(1, 63))
    assert not numbers & ELSEWHERE.keys()


@pytest.mark.parametrize("case", sorted(ELSEWHERE))
def test_the_test_of_a_case_is_there(case: int) -> None:
    file, _, name = ELSEWHERE[case].partition(": ")
    tests = HERE.with_name(f"test_{file}.py").read_text()
    assert re.search(rf"^ *def test_{name}\(", tests, re.MULTILINE)


@pytest.fixture
def exchange() -> Any:
    with venue() as made:
        yield made


@pytest.fixture
def trading(exchange: Venue) -> Any:
    with Trading(exchange) as made:
        yield made


def test_case_1_an_end_on_the_stream_before_the_reply_stays_the_end(exchange: Venue, trading: Trading) -> None:
    exchange.fault("order.before_reply", seconds=0.2)
    order = trading.place(1.9, 5.0)
    trading.settle(order)
    trading.let(0.3)

    assert snapshot(order) == ("EXECUTION_COMPLETE", 5.0, 0.0, 0.0, 0.0)
    assert order.status_log[-1].name == "EXECUTION_COMPLETE"
    assert trading.orders.live == []


def test_case_2_a_replacement_that_is_matched_whole_at_once_is_complete(trading: Trading) -> None:
    order = trading.placed(3.0, 5.0)
    trading.market.replace_order(order, 1.9)
    made = trading.until(lambda: next((each for each in trading.market.blotter if each is not order), None))
    trading.settle(order, made)

    assert snapshot(order) == ("EXECUTION_COMPLETE", 0.0, 0.0, 5.0, 0.0)
    assert snapshot(made) == ("EXECUTION_COMPLETE", 5.0, 0.0, 0.0, 0.0)
    assert order.trade.status.name == "COMPLETE"


def test_case_3_what_cannot_be_cancelled_any_more_ends_and_is_not_asked_again(
    exchange: Venue, trading: Trading
) -> None:
    order = trading.placed(3.0, 5.0)
    exchange.fault("bet.fill_before_cancel")
    trading.market.cancel_order(order)
    trading.settle(order)
    trading.let(0.1)

    assert snapshot(order) == ("EXECUTION_COMPLETE", 5.0, 0.0, 0.0, 0.0)
    assert len(exchange.calls("cancelOrders")) == 1


def test_case_3_a_stream_that_does_not_tell_of_the_end_is_not_waited_for(exchange: Venue, trading: Trading) -> None:
    order = trading.placed(3.0, 5.0)
    exchange.fault("order.delay", seconds=30, times=None)
    exchange.fault("bet.fill_before_cancel")
    trading.market.cancel_order(order)
    trading.until(lambda: order.status is hr.OrderStatus.EXECUTABLE)
    trading.skip(1)
    trading.settle(order)

    assert snapshot(order) == ("EXECUTION_COMPLETE", 5.0, 0.0, 0.0, 0.0)


def test_case_3_nor_is_one_that_does_not_tell_of_a_cancel(exchange: Venue, trading: Trading) -> None:
    order = trading.placed(3.0, 5.0)
    exchange.fault("order.delay", seconds=30, times=None)
    trading.market.cancel_order(order, 2.0)
    trading.until(lambda: order.status is hr.OrderStatus.EXECUTABLE)
    trading.skip(1)
    trading.until(lambda: order.size_cancelled == 2.0)

    assert order.size_remaining == 3.0


def lay_by_another(exchange: Venue, price: float, size: float) -> None:
    """Another account takes what is offered."""
    bob = exchange.elsewhere(BOB)
    order = betfairlightweight.filters.limit_order(size=size, price=price, persistence_type="LAPSE")
    instruction = betfairlightweight.filters.place_instruction("LIMIT", 1, "LAY", limit_order=order)
    assert bob.betting.place_orders(MARKET, [instruction]).status == "SUCCESS"


@pytest.mark.parametrize("clocks", ["good", "refused"])
def test_case_4_an_end_while_the_stream_was_away_is_found(exchange: Venue, trading: Trading, clocks: str) -> None:
    order = trading.placed(2.02, 5.0)
    if clocks == "refused":
        exchange.fault("stream.refuse_clock")
    exchange.fault("stream.slow_connect", seconds=0.2)
    exchange.fault("stream.drop", operation="orderSubscription")
    trading.until(lambda: any(isinstance(each, StreamState) and each.state == "DOWN" for each in trading.letters))
    lay_by_another(exchange, 2.02, 5.0)
    trading.settle(order)

    assert snapshot(order) == ("EXECUTION_COMPLETE", 5.0, 0.0, 0.0, 0.0)


def test_case_5_sizes_are_right_between_the_reply_and_the_stream(exchange: Venue, trading: Trading) -> None:
    exchange.fault("order.delay", seconds=0.5, times=None)
    order = trading.place(1.98, 25.0)
    trading.until(lambda: order.bet_id is not None and order.size_matched)
    assert not trading.known(order).streamed

    assert (order.size_matched, order.size_remaining) == (20.0, 5.0)
    assert trading.market.blotter.selection_exposure(trading.strategy, order.lookup) == 25.0
    assert (trading.known(order).matched, trading.known(order).remaining) == (20.0, 5.0)


def test_case_6_what_is_left_of_a_bet_is_replaced(exchange: Venue, trading: Trading) -> None:
    order = trading.placed(3.0, 5.0)
    exchange.fault("bet.fill_before_cancel", operation="replaceOrders", value="1")
    trading.market.replace_order(order, 3.1)
    made = replacement(trading, order)
    trading.until(lambda: made.status is hr.OrderStatus.EXECUTABLE and order.complete)

    assert snapshot(order) == ("EXECUTION_COMPLETE", 1.0, 0.0, 4.0, 0.0)
    assert snapshot(made) == ("EXECUTABLE", 0.0, 4.0, 0.0, 0.0)


def replacement(trading: Trading, *known: Any) -> Any:
    """The order that has taken the place of others."""
    return trading.until(lambda: next((each for each in trading.market.blotter if each not in known), None))


def test_case_7_a_rest_below_the_smallest_stake_is_left_to_the_exchange(exchange: Venue, trading: Trading) -> None:
    order = trading.placed(2.02, 5.0)
    lay_by_another(exchange, 2.02, 4.7)
    trading.until(lambda: order.size_matched == 4.7)
    trading.market.replace_order(order, 2.04)
    made = replacement(trading, order)
    trading.until(lambda: made.status is hr.OrderStatus.EXECUTABLE)

    assert (made.size_remaining, made.order_type.price) == (0.3, 2.04)


def test_case_8_a_replacement_counts_once(exchange: Venue) -> None:
    with Trading(exchange, strategy=Watching(max_selection_exposure=5.0)) as trading:
        order = trading.placed(3.0, 5.0)
        exchange.fault("http.slow", operation="replaceOrders", seconds=0.2)
        assert trading.market.replace_order(order, 3.1)
        assert account_loss(trading.orders.bets, MARKET, None) == 5.0
        made = replacement(trading, order)
        trading.until(lambda: order.complete and made.bet_id is not None)

        assert account_loss(trading.orders.bets, MARKET, None) == 5.0
        assert trading.market.blotter.selection_exposure(trading.strategy, order.lookup) == 5.0


def test_case_9_a_bet_that_is_matched_before_its_replace_ran_is_complete(exchange: Venue, trading: Trading) -> None:
    order = trading.placed(2.02, 5.0)
    exchange.fault("http.late", operation="replaceOrders", seconds=0.2)
    trading.market.replace_order(order, 3.5)
    lay_by_another(exchange, 2.02, 5.0)
    trading.settle(order)
    trading.until(lambda: not trading.market.replacing)

    assert snapshot(order) == ("EXECUTION_COMPLETE", 5.0, 0.0, 0.0, 0.0)
    assert list(trading.market.blotter) == [order]


def test_case_10_bets_that_share_their_reference_have_their_own_results() -> None:
    stream = priced().close(9000)
    with venue(stream) as exchange, Trading(exchange) as trading:
        orders = [trading.placed(2.02, 5.0)]
        for price in (2.04, 2.06, 2.08):
            lay_by_another(exchange, orders[-1].order_type.price, 1.0)
            trading.until(lambda: orders[-1].size_matched == 1.0)
            trading.market.replace_order(orders[-1], price)
            orders.append(replacement(trading, *orders))
            trading.until(lambda: orders[-1].bet_id is not None)
        exchange.step()
        trading.settle(*orders)
        trading.show(stream.lines[-1])
        trading.until(lambda: trading.orders.closure.waiting)
        trading.skip(5)
        trading.until(lambda: trading.cleared)

        assert len({bet.order_ref for bet in exchange.bets if bet.username == "alice"}) == 1
        assert [(order.size_matched, order.profit) for order in orders] == [
            (1.0, 1.02),
            (1.0, 1.04),
            (1.0, 1.06),
            (0.0, 0.0),
        ]
        assert trading.cleared[-1].profit == trading.market.market_cleared[0]["profit"] == 3.12


def test_case_11_a_fill_or_kill_that_is_refused_is_over(exchange: Venue, trading: Trading) -> None:
    order = trading.order(hr.LimitOrder(2.0, 5.0, time_in_force="FILL_OR_KILL", min_fill_size=6.0))
    trading.market.place_order(order, force=True)
    trading.settle(order)

    assert (order.bet_id, order.size_matched, order.error_code) == (None, 0.0, "INVALID_MIN_FILL_SIZE")
    assert trading.market.blotter.selection_exposure(trading.strategy, order.lookup) == 0.0
    assert trading.orders.live == []


def test_case_12_a_fill_or_kill_that_nobody_takes_is_cancelled(trading: Trading) -> None:
    order = trading.place(3.0, 5.0, time_in_force="FILL_OR_KILL")
    trading.settle(order)

    assert snapshot(order) == ("EXECUTION_COMPLETE", 0.0, 0.0, 5.0, 0.0)


def test_case_13_references_are_32_characters_however_long_names_are(exchange: Venue) -> None:
    with Trading(
        exchange, strategy=Watching(name="a very long name of a strategy, with more than 32 letters")
    ) as trading:
        order = trading.placed()

        assert exchange.bet(order).order_ref == order.customer_order_ref
        assert len(order.customer_order_ref) == 32


def test_case_14_orders_at_the_starting_price_wait_until_it_is_known() -> None:
    stream = priced().define(300, {1: {"bsp": 3.0}, 2: {"bsp": 1.5}}, bspReconciled=True, inPlay=True, version=3)
    with venue(stream) as exchange, Trading(exchange) as trading:
        order = trading.order(hr.MarketOnCloseOrder(liability=10.0))
        trading.market.place_order(order)
        trading.until(lambda: trading.known(order).streamed)
        assert (order.status.name, order.complete, order.size_matched) == ("EXECUTABLE", False, 0.0)
        assert trading.market.blotter.selection_exposure(trading.strategy, order.lookup) == 10.0
        assert [bet.at_sp for bet in trading.orders.live] == [True]
        exchange.step()
        trading.settle(order)

        assert (order.size_matched, order.average_price_matched) == (10.0, 3.0)


def by_hand(exchange: Venue, price: float = 3.0, size: float = 2.0, count: int = 1) -> list[str]:
    """Bets that somebody else's program places on the same account, without references."""
    order = betfairlightweight.filters.limit_order(size=size, price=price, persistence_type="LAPSE")
    instruction = betfairlightweight.filters.place_instruction("LIMIT", 1, "BACK", limit_order=order)
    report = exchange.elsewhere().betting.place_orders(MARKET, [instruction] * count)
    return [each.bet_id for each in report.place_instruction_reports]


def test_case_15_bets_that_were_placed_by_hand_are_seen_and_left_alone(exchange: Venue, trading: Trading) -> None:
    order = trading.placed()
    (bet_id,) = by_hand(exchange)
    trading.until(lambda: bet_id in trading.orders.bets.foreign)
    exchange.fault("order.blank_refs")
    trading.market.cancel_order(order)
    trading.settle(order)

    assert list(trading.market.blotter) == [order]
    assert list(trading.orders.bets.foreign) == [bet_id]
    assert account_loss(trading.orders.bets, MARKET, None) == 2.0
    assert {bet.bet_id: bet.executable for bet in exchange.bets}[bet_id]


def test_case_15_the_first_message_of_a_bet_of_ours_may_lack_its_references(exchange: Venue, trading: Trading) -> None:
    exchange.fault("order.blank_refs")
    order = trading.placed()

    assert trading.orders.bets.foreign == {}
    assert [bet.order_id for bet in trading.orders.live] == [order.id]


@pytest.mark.parametrize("case", [16, 34])
def test_case_16_34_after_a_restart_it_is_known_what_rests_and_what_is_matched(exchange: Venue, case: int) -> None:
    with Trading(exchange) as before:
        resting, matched = before.placed(3.0, 5.0), before.place(1.9, 4.0)
        before.settle(matched)
    with Trading(exchange) as after:
        after.until(lambda: after.orders.bets.positions)

        assert [(bet.bet_id, bet.remaining) for bet in after.orders.live] == [(resting.bet_id, 5.0)]
        assert {bet.bet_id: bet.matched for bet in after.orders.bets}[matched.bet_id] == 4.0
        assert account_loss(after.orders.bets, MARKET, None) == 9.0
        assert after.orders.bets.foreign == {}


def test_case_17_nothing_is_ready_before_the_first_image_of_orders(exchange: Venue) -> None:
    exchange.fault("order.delay_image", seconds=0.4)
    trading = Trading(exchange)
    began = time.monotonic()
    with trading:
        assert time.monotonic() - began >= 0.4
        assert trading.orders.reconciliation.looks == 1


def close_and_clear(exchange: Venue, trading: Trading, line: dict[str, Any]) -> None:
    """The market closes; its results are asked for until they are there, a second of each turn passing here."""
    exchange.step()
    trading.show(line)
    trading.until(lambda: trading.orders.closure.waiting)
    trading.until(lambda: trading.skip(1) or trading.orders.closure.cleared(MARKET))


def test_case_18_the_second_result_of_a_market_replaces_the_first() -> None:
    stream = priced().close(9000).define(9500, {1: {"status": "ACTIVE"}, 2: {"status": "ACTIVE"}}, status="OPEN")
    stream.close(9900, winner=2)
    with venue(stream) as exchange, Trading(exchange) as trading:
        order = trading.placed(1.9, 5.0)
        close_and_clear(exchange, trading, stream.lines[2])
        assert order.profit == 5.0
        exchange.step()
        trading.until(lambda: any(isinstance(each, OrdersClosed) and not each.closed for each in trading.letters))
        trading.show(stream.lines[3])
        assert not trading.orders.closure.cleared(MARKET)
        close_and_clear(exchange, trading, stream.lines[4])

        assert order.profit == -5.0
        assert [each.profit for each in trading.results()] == [5.0, -5.0]


def test_case_19_results_that_are_late_are_waited_for() -> None:
    stream = priced().close(9000)
    with venue(stream, timers=Timers(settle=5_400)) as exchange, Trading(exchange) as trading:
        order = trading.placed(1.9, 5.0)
        exchange.step()
        trading.show(stream.lines[-1])
        trading.until(lambda: trading.orders.closure.waiting)
        for _ in range(3):
            trading.skip(60)
            trading.let(0.05)
        assert not order.settled
        exchange.step()
        trading.skip(60)
        trading.until(lambda: trading.orders.closure.cleared(MARKET))

        assert (order.settled, order.profit) == (True, 5.0)


def test_case_35_a_thousand_changes_in_a_second_while_bets_are_looked_at(exchange: Venue, trading: Trading) -> None:
    placed: list[str] = []
    placing = threading.Thread(
        target=lambda: placed.extend(each for _ in range(5) for each in by_hand(exchange, count=200))
    )
    placing.start()
    trading.until(lambda: len(list(trading.orders.bets.foreign)) == 1_000)
    placing.join(timeout=60)

    assert set(trading.orders.bets.foreign) == set(placed)


@pytest.mark.parametrize("value", [None, "null"])
def test_case_41_fields_of_an_order_may_be_missing_or_null(
    exchange: Venue, trading: Trading, value: str | None
) -> None:
    exchange.fault("order.strip", times=None, value=value)
    order, partly = trading.placed(3.0, 5.0), trading.placed(1.98, 25.0)
    at_sp = trading.order(hr.MarketOnCloseOrder(liability=10.0))
    trading.market.place_order(at_sp)
    trading.market.cancel_order(order)
    trading.settle(order)
    trading.until(lambda: trading.known(at_sp).streamed)

    assert snapshot(order) == ("EXECUTION_COMPLETE", 0.0, 0.0, 5.0, 0.0)
    assert (partly.size_matched, partly.size_remaining) == (20.0, 5.0)
    assert partly.average_price_matched == pytest.approx(1.99, abs=0.02)
    assert at_sp.order_type.liability == 10.0


def test_case_44_fills_that_are_told_twice_and_in_thirds_count_once(exchange: Venue, trading: Trading) -> None:
    exchange.fault("order.duplicate", times=None)
    order = trading.placed(3.0, 10.0)
    for size in ("3.33", "3.33"):
        exchange.fault("bet.fill_before_cancel", value=size)
        trading.market.cancel_order(order, 0.01)
        trading.until(lambda: order.status is hr.OrderStatus.EXECUTABLE)
    exchange.fault("bet.fill_before_cancel", value="3.32")
    trading.market.cancel_order(order)
    trading.settle(order)

    assert snapshot(order) == ("EXECUTION_COMPLETE", 9.98, 0.0, 0.02, 0.0)
    trading.until(lambda: trading.orders.bets.positions[MARKET][1, 0.0].backs == ((3.0, 9.98),))


def test_case_45_a_cancel_that_is_told_by_reply_and_stream_counts_once(exchange: Venue, trading: Trading) -> None:
    order = trading.placed(3.0, 5.0)
    exchange.fault("order.before_reply", seconds=0.001)
    trading.market.cancel_order(order, 2.0)
    trading.until(lambda: order.status is hr.OrderStatus.EXECUTABLE and order.size_cancelled)
    trading.let(0.05)

    assert snapshot(order) == ("EXECUTABLE", 0.0, 3.0, 2.0, 0.0)


def test_case_45_what_is_voided_after_the_end_is_told(exchange: Venue, trading: Trading) -> None:
    order = trading.place(1.9, 5.0)
    trading.settle(order)
    exchange.fault("bet.void", bet_id=order.bet_id)
    trading.until(lambda: order.size_voided)

    assert (order.status.name, order.size_matched, order.size_voided) == ("EXECUTION_COMPLETE", 0.0, 5.0)
    assert trading.market.blotter.selection_exposure(trading.strategy, order.lookup) == 0.0


def test_case_46_a_refusal_after_the_end_on_the_stream_changes_nothing() -> None:
    stream = priced().suspend(200, version=5).define(300, version=6, status="OPEN")
    with venue(stream, played=4) as exchange, Trading(exchange) as trading:
        exchange.fault("order.before_reply", seconds=0.1)
        order = trading.place(3.0, 5.0, market_version=1)
        trading.settle(order)
        trading.until(lambda: any(isinstance(each, Reply) for each in trading.told))

        assert snapshot(order) == ("EXECUTION_COMPLETE", 0.0, 0.0, 0.0, 5.0)
        assert order.bet_id == exchange.bets[0].bet_id


def test_case_47_references_of_strategies_with_one_beginning_differ(exchange: Venue) -> None:
    references = []
    for name in ("strategy" * 5 + "1", "strategy" * 5 + "2"):
        with Trading(exchange, strategy=Watching(name=name)) as trading:
            references.append(trading.placed().customer_order_ref)

    assert len({reference[:13] for reference in references}) == 2


def test_case_48_a_part_is_cancelled_while_the_bet_is_matched(exchange: Venue, trading: Trading) -> None:
    order = trading.placed(3.0, 5.0)
    exchange.fault("bet.fill_before_cancel", value="3")
    trading.market.cancel_order(order, 2.5)
    trading.settle(order)

    assert snapshot(order) == ("EXECUTION_COMPLETE", 3.0, 0.0, 2.0, 0.0)


class TestCase49:
    """A call whose answer is lost, and what became of it."""

    LOST = ("http.lost", "http.timeout", "http.timeout_error", "http.garbage", "http.cut", "http.status_done")

    @pytest.mark.parametrize("kind", LOST)
    def test_order_that_was_placed_is_seen_on_the_stream(self, exchange: Venue, trading: Trading, kind: str) -> None:
        exchange.fault(kind, operation="placeOrders")
        order = trading.place(3.0, 5.0)
        trading.until(lambda: order.status is hr.OrderStatus.EXECUTABLE)
        trading.let(0.05)

        assert len(exchange.calls("placeOrders")) == len(exchange.bets) == 1
        assert order.bet_id == exchange.bets[0].bet_id
        assert len(trading.orders.doubts) == 0

    def test_order_that_was_placed_is_found_in_the_lists(self, exchange: Venue, trading: Trading) -> None:
        exchange.fault("order.delay", seconds=5, times=None)
        exchange.fault("http.lost", operation="placeOrders")
        order, killed = trading.place(3.0, 5.0), None
        trading.until(lambda: order.state.stand is Stand.IN_DOUBT)
        exchange.fault("http.lost", operation="placeOrders")
        killed = trading.place(3.0, 5.0, time_in_force="FILL_OR_KILL")
        trading.until(lambda: order.status is hr.OrderStatus.EXECUTABLE)
        assert trading.orders.in_doubt(killed.id)
        trading.skip(16)
        trading.settle(killed)

        assert (killed.size_cancelled, killed.bet_id) == (5.0, exchange.bets[1].bet_id)

    def test_order_that_was_not_placed_ends_after_15_seconds_and_not_before(
        self, exchange: Venue, trading: Trading
    ) -> None:
        exchange.fault("http.timeout_lost", operation="placeOrders")
        order = trading.place(3.0, 5.0)
        trading.until(lambda: order.state.stand is Stand.IN_DOUBT)
        trading.skip(14)
        trading.let(0.1)
        assert order.state.stand is Stand.IN_DOUBT
        trading.skip(2)
        trading.settle(order)

        assert (order.status.name, order.state.stand.name) == ("EXPIRED", "NOT_PLACED")
        assert trading.words == ["in_doubt", "not_placed"]
        assert len(exchange.calls("placeOrders")) == 1

    def test_order_that_appears_later_is_the_order(self, exchange: Venue, trading: Trading) -> None:
        exchange.fault("http.timeout_later", operation="placeOrders", seconds=0.3)
        order = trading.place(3.0, 5.0)
        trading.until(lambda: order.state.stand is Stand.IN_DOUBT)
        trading.until(lambda: order.status is hr.OrderStatus.EXECUTABLE)

        assert trading.words == ["in_doubt"]

    def test_order_that_appears_after_it_was_given_up_is_taken_on(self, exchange: Venue, trading: Trading) -> None:
        exchange.fault("http.timeout_later", operation="placeOrders", seconds=0.5)
        order = trading.place(3.0, 5.0)
        trading.until(lambda: order.state.stand is Stand.IN_DOUBT)
        trading.skip(16)
        trading.until(lambda: order.status is hr.OrderStatus.EXPIRED)
        trading.until(lambda: order.status is hr.OrderStatus.EXECUTABLE)
        trading.market.cancel_order(order)
        trading.settle(order)

        assert trading.words == ["in_doubt", "not_placed", "adopted"]
        assert order.size_cancelled == 5.0

    def test_part_that_was_cancelled_is_not_cancelled_again(self, exchange: Venue, trading: Trading) -> None:
        order = trading.placed(3.0, 5.0)
        exchange.fault("http.lost", operation="cancelOrders")
        trading.market.cancel_order(order, 2.0)
        trading.until(lambda: order.status is hr.OrderStatus.EXECUTABLE)

        assert (order.size_cancelled, order.size_remaining) == (2.0, 3.0)
        assert len(exchange.calls("cancelOrders")) == 1

    def test_part_that_was_not_cancelled_may_be_asked_for_again_after_15_seconds(
        self, exchange: Venue, trading: Trading
    ) -> None:
        order = trading.placed(3.0, 5.0)
        exchange.fault("http.timeout_lost", operation="cancelOrders")
        trading.market.cancel_order(order, 2.0)
        trading.until(lambda: len(trading.orders.doubts))
        trading.skip(14)
        trading.let(0.1)
        assert order.status is hr.OrderStatus.CANCELLING
        trading.skip(2)
        trading.until(lambda: order.status is hr.OrderStatus.EXECUTABLE)
        trading.market.cancel_order(order, 2.0)
        trading.until(lambda: order.size_cancelled == 2.0)

        assert len(exchange.calls("cancelOrders")) == 2

    def test_replacement_is_found_with_what_it_replaced(self, exchange: Venue, trading: Trading) -> None:
        order = trading.placed(3.0, 5.0)
        exchange.fault("http.lost", operation="replaceOrders")
        trading.market.replace_order(order, 3.5)
        made = replacement(trading, order)
        trading.until(lambda: order.complete and made.status is hr.OrderStatus.EXECUTABLE)

        assert (order.size_cancelled, made.size_remaining, made.bet_id) == (5.0, 5.0, exchange.bets[1].bet_id)
        assert len(exchange.calls("replaceOrders")) == 1
        assert {bet.order_id for bet in trading.orders.live} == {made.id}

    def test_replace_that_did_nothing_leaves_the_order(self, exchange: Venue, trading: Trading) -> None:
        order = trading.placed(3.0, 5.0)
        exchange.fault("http.timeout_lost", operation="replaceOrders")
        trading.market.replace_order(order, 3.5)
        trading.until(lambda: len(trading.orders.doubts))
        trading.skip(16)
        trading.until(lambda: order.status is hr.OrderStatus.EXECUTABLE)

        assert (order.size_remaining, list(trading.market.blotter)) == (5.0, [order])

    def test_lists_that_fail_leave_it_in_doubt_until_they_are_back(self, exchange: Venue, trading: Trading) -> None:
        exchange.fault("http.timeout_lost", operation="placeOrders")
        exchange.fault("http.status", operation="listCurrentOrders", times=2)
        order = trading.place(3.0, 5.0)
        trading.until(lambda: order.state.stand is Stand.IN_DOUBT)
        trading.skip(16)
        trading.settle(order)

        assert order.status is hr.OrderStatus.EXPIRED
        assert len(exchange.calls("listCurrentOrders")) >= 4


def test_case_57_a_refused_update_leaves_the_state_of_the_order(exchange: Venue, trading: Trading) -> None:
    order = trading.placed(3.0, 5.0)
    exchange.fault("bet.refuse", operation="updateOrders", value="SERVICE_UNAVAILABLE")
    trading.market.update_order(order, "PERSIST")
    trading.until(lambda: order.status is hr.OrderStatus.EXECUTABLE)

    assert (order.persistence_type, order.size_remaining) == ("LAPSE", 5.0)
    trading.market.cancel_order(order)
    trading.settle(order)


class TestCase58:
    """Orders that are taken before the bet delay is over."""

    def start(self, *later: int) -> Any:
        stream = priced().turn_in_play(150, bet_delay=5)
        for at in later:
            stream.suspend(at, version=4)
        return venue(stream, played=3)

    def test_what_was_taken_and_refused_after_the_delay_ends(self) -> None:
        with self.start(1_000) as exchange, Trading(exchange, async_place_orders=True) as trading:
            order = trading.place(3.0, 5.0)
            trading.until(lambda: any(isinstance(each, Reply) for each in trading.told))
            exchange.step(2)
            trading.skip(21)
            trading.settle(order)

            assert (order.status.name, order.bet_id, exchange.bets) == ("EXPIRED", None, [])

    def test_bet_is_the_orders_once_the_stream_shows_it(self) -> None:
        with self.start() as exchange, Trading(exchange, async_place_orders=True) as trading:
            order = trading.place(3.0, 5.0)
            trading.until(lambda: any(isinstance(each, Reply) for each in trading.told))
            assert order.bet_id is None
            exchange.step()
            trading.until(lambda: order.bet_id is not None)

            assert snapshot(order) == ("EXECUTABLE", 0.0, 5.0, 0.0, 0.0)
            assert trading.words == []


def test_case_60_a_reader_that_is_slow_has_the_last_state_of_each_order_in_the_end() -> None:
    with venue(limits=Limits(backlog_bytes=1_000)) as exchange, Trading(exchange) as trading:
        assert trading.running is not None
        trading.running.do(lambda: time.sleep(0.01))
        reading = threading.Thread(target=lambda: trading.running.do(lambda: time.sleep(0.5)))
        reading.start()
        ids = [each for _ in range(3) for each in by_hand(exchange, count=100)]
        cancelled = exchange.elsewhere().betting.cancel_orders(MARKET)
        assert cancelled.status == "SUCCESS"
        order = trading.placed()
        reading.join(timeout=60)
        trading.until(lambda: not trading.orders.bets.foreign)

        assert len(ids) == 300
        assert [bet.order_id for bet in trading.orders.live] == [order.id]


def test_case_61_a_delayed_key_shows_no_orders_and_that_is_said() -> None:
    delayed = dataclasses.replace(ALICE, delayed=True)
    with venue(accounts=(delayed, BOB)) as exchange, Trading(exchange, delayed) as trading:
        order = trading.place(2.02, 5.0)
        trading.until(lambda: order.bet_id is not None)
        lay_by_another(exchange, 2.02, 5.0)
        trading.skip(11)
        trading.settle(order)

        assert trading.words[0] == "stream_silent"
        assert "delayed" in trading.reports[0][2]
        assert snapshot(order) == ("EXECUTION_COMPLETE", 5.0, 0.0, 0.0, 0.0)
