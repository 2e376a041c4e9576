"""Our own rules of simulation, where they differ from flumine's: one part for each defect of the specification.

The numbers are those of section 10 of the specification. What flumine does instead stands beside it where that says
more than our own rule alone.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

import headrace as hr
from builders import (
    FLUMINE,
    MARKET,
    T0,
    Script,
    Stream,
    at_sp,
    back,
    cancel,
    lay,
    note,
    place,
    priced,
    replace,
    replay,
    update,
)
from common_strategies import BacksAtFirstPrices
from headrace.strategies.order import OrderStatus

S = OrderStatus
LIMITED = {"force": False, "max_order_exposure": 100.0}


# -- D3: requests not yet answered count in exposures ----------------------------------------------------------------


def test_orders_of_one_moment_share_the_selection_limit() -> None:
    five = [back(ref, 2.0, 8.0) for ref in "abcde"]
    played = replay(priced().touch(400).close(), {100: five}, max_selection_exposure=20.0, **LIMITED)
    assert played.answers == [True, True, False, False, False]


def test_orders_of_one_moment_ignore_each_other_under_compatibility() -> None:
    five = [back(ref, 2.0, 8.0) for ref in "abcde"]
    played = replay(priced().close(), {100: five}, config=FLUMINE, max_selection_exposure=20.0, **LIMITED)
    assert played.answers == [True] * 5


def test_pending_orders_count_in_the_market_limit() -> None:
    # One of the two runners wins: backs of both lose the stake of one, a second back of the same adds to it.
    requests = [back("a", 2.0, 8.0), back("b", 1.8, 8.0, selection_id=2), back("c", 2.0, 8.0)]
    played = replay(priced().close(), {100: requests}, max_market_exposure=10.0, **LIMITED)
    assert played.answers == [True, True, False]


def test_order_that_failed_frees_its_reservation() -> None:
    stream = priced().suspend(150).touch(400).define(500, status="OPEN").touch(800).close()
    played = replay(
        stream, {100: [back("a", 2.0, 8.0)], 500: [back("b", 2.0, 8.0)]}, max_selection_exposure=10.0, **LIMITED
    )
    assert played.error("a") == "ERROR_IN_ORDER"
    assert played.answers == [True, True]


def test_partly_matched_order_counts_whole_when_it_is_replaced() -> None:
    stream = priced().touch(400).touch(900).close()
    # Of 12 laid at 2.1 six match. The rest at 3.0 risks 12 more: 18.60 in all.
    actions = {100: [lay("a", 2.1, 12.0)], 400: [replace("a", 3.0)]}
    assert replay(stream, actions, max_selection_exposure=18.0, **LIMITED).answers == [True, False]
    assert replay(stream, actions, max_selection_exposure=18.7, **LIMITED).answers == [True, True]
    assert replay(stream, actions, max_market_exposure=18.0, **LIMITED).answers == [True, False]


def test_replace_under_way_counts_at_the_dearer_price() -> None:
    stream = priced().touch(400).touch(500).touch(900).close()
    actions = {100: [lay("a", 1.5, 10.0)], 400: [replace("a", 3.0)], 500: [lay("b", 1.5, 10.0)]}
    played = replay(stream, actions, max_selection_exposure=22.0, **LIMITED)
    assert played.answers == [True, True, False]


# -- D4, D5, D41: the state machine ----------------------------------------------------------------------------------


def test_refused_cancel_of_a_pending_order_leaves_it_pending() -> None:
    stream = priced().suspend(150).define(160, status="OPEN").touch(400).close()
    actions = {100: [back("a", 2.1, 5.0)], 150: [cancel("a", force=False)]}
    played = replay(stream, actions)
    assert played.answers == [True, False]
    assert played.snapshots[150]["a"].status == "PENDING"
    assert played.log("a") == ["PENDING", "EXECUTABLE", "EXECUTION_COMPLETE"]
    assert played["a"].bet_id == "100000000001"


def test_refused_request_leaves_its_reason_on_the_order() -> None:
    stream = priced().touch(400).suspend(500, version=1).close()
    played = replay(stream, {100: [back("a", 2.2, 5.0)], 500: [cancel("a", force=False)]})
    assert "not open" in played["a"].violation_msg
    assert played.snapshots[500]["a"].status == "EXECUTABLE"
    assert [(each.control, each.request, each.count) for each in played.violations] == [
        ("MARKET_VALIDATION", "CANCEL", 1)
    ]


def test_order_that_lapsed_while_its_cancel_was_under_way_stays_complete() -> None:
    stream = priced().touch(400).suspend(550, inPlay=True).touch(800).close()
    played = replay(stream, {100: [back("a", 2.2, 5.0)], 400: [cancel("a")]})
    assert played.log("a") == ["PENDING", "EXECUTABLE", "CANCELLING", "EXECUTION_COMPLETE"]
    assert played["a"].size_lapsed == 5.0
    assert played["a"].trade.status is hr.TradeStatus.COMPLETE
    assert [answer.error_code for answer in played["a"].responses.cancel_responses] == ["ERROR_IN_ORDER"]


def test_order_that_lapsed_while_its_cancel_was_under_way_comes_alive_again_under_compatibility() -> None:
    stream = priced().touch(400).suspend(550).touch(800).close()
    played = replay(stream, {100: [back("a", 2.2, 5.0)], 400: [cancel("a")]}, config=FLUMINE)
    assert played["a"].status is S.EXECUTABLE
    assert played["a"].trade.status is hr.TradeStatus.LIVE


def test_cancel_of_an_order_that_was_matched_meanwhile_fails() -> None:
    stream = priced().touch(400).prices(500, {1: {"trd": [[2.2, 100]]}}).touch(800).close()
    played = replay(stream, {100: [back("a", 2.14, 5.0)], 400: [cancel("a")]})
    assert played["a"].size_matched == 5.0
    assert played["a"].responses.cancel_responses[0].error_code == "BET_TAKEN_OR_LAPSED"


LIVE_MOVES = {
    None: ("placing", "violation"),
    "PENDING": ("executable", "execution_complete", "expired", "violation"),
    "EXECUTABLE": ("cancelling", "updating", "replacing", "execution_complete"),
    "CANCELLING": ("executable", "execution_complete"),
    "UPDATING": ("executable", "execution_complete"),
    "REPLACING": ("executable", "execution_complete"),
    "EXECUTION_COMPLETE": (),
    "EXPIRED": (),
    "VIOLATION": (),
}
WAY = {
    None: (),
    "PENDING": ("placing",),
    "EXECUTABLE": ("placing", "executable"),
    "CANCELLING": ("placing", "executable", "cancelling"),
    "UPDATING": ("placing", "executable", "updating"),
    "REPLACING": ("placing", "executable", "replacing"),
    "EXECUTION_COMPLETE": ("placing", "execution_complete"),
    "EXPIRED": ("placing", "expired"),
    "VIOLATION": ("violation",),
}
MOVES = ("placing", "executable", "cancelling", "updating", "replacing", "execution_complete", "expired", "violation")


def move(order: hr.Order, name: str) -> None:
    order.violation("refused") if name == "violation" else getattr(order, name)()


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("state", LIVE_MOVES)
def test_order_moves_along_the_state_machine_only(state: str | None, name: str) -> None:
    order = hr.Trade(MARKET, 1, 0, hr.Strategy()).create_order("BACK", hr.LimitOrder(2.0, 5.0))
    for step in WAY[state]:
        move(order, step)
    if name in LIVE_MOVES[state]:
        move(order, name)
        assert len(order.status_log) == len(WAY[state]) + 1
    else:
        with pytest.raises(hr.OrderError, match=r"cannot become"):
            move(order, name)
        assert (order.status.name if order.status else None) == state


@pytest.mark.parametrize("request_", [cancel("a"), update("a", "PERSIST"), replace("a", 2.3)])
@pytest.mark.parametrize("at", [200, 400, 800], ids=["pending", "in flight", "complete"])
def test_request_that_does_not_fit_the_order_is_an_error(request_: Any, at: int) -> None:
    raised = []

    def try_it(script: Script, market: Any) -> None:
        with pytest.raises(hr.OrderUpdateError) as error:
            request_(script, market)
        raised.append(error.value)

    stream = priced().touch(200).touch(400).suspend(600, inPlay=True).define(800, status="OPEN", inPlay=True).close()
    actions = {100: [back("a", 2.2, 5.0)], 400: [cancel("a", 1.0)]}
    actions[at] = [*actions.get(at, []), try_it]
    replay(stream, actions)
    assert len(raised) == 1


def test_order_placed_twice_is_an_error_and_stays_as_it_was() -> None:
    def again(script: Script, market: Any) -> None:
        with pytest.raises(hr.OrderError, match="was placed in market"):
            market.place_order(script.orders["a"], force=True)

    played = replay(priced().touch(400).close(), {100: [back("a", 2.2, 5.0)], 400: [again]})
    assert played.log("a")[:2] == ["PENDING", "EXECUTABLE"]


# -- D6: persistence changes when the exchange says so ---------------------------------------------------------------


def test_persistence_changes_only_once_the_exchange_has_taken_it() -> None:
    stream = priced().touch(400).suspend(500).touch(900).close()
    played = replay(stream, {100: [back("a", 2.2, 5.0)], 400: [update("a", "PERSIST")]})
    # The market was suspended before the update arrived, so that the order still lapsed.
    assert played["a"].size_lapsed == 5.0
    assert played["a"].persistence_type == "LAPSE"


def test_persistence_stays_as_it_was_where_the_update_fails() -> None:
    stream = priced(persistenceEnabled=False).touch(400).touch(900).close()
    played = replay(stream, {100: [back("a", 2.2, 5.0)], 400: [update("a", "PERSIST")]})
    assert played["a"].responses.update_responses[0].error_code == "INVALID_PERSISTENCE_TYPE"
    assert played["a"].persistence_type == "LAPSE"


def test_update_that_arrives_in_time_keeps_the_order() -> None:
    stream = priced().touch(400).touch(700).suspend(900).close()
    played = replay(stream, {100: [back("a", 2.2, 5.0)], 400: [update("a", "PERSIST")]})
    assert played["a"].persistence_type == "PERSIST"
    assert played.snapshots[900]["a"].remaining == 5.0


# -- lapsing ---------------------------------------------------------------------------------------------------------


def test_lapsed_at_turn_in_play_when_persistence_is_lapse() -> None:
    stream = priced().touch(400).suspend(500).turn_in_play(600).close()
    played = replay(stream, {100: [back("a", 2.2, 5.0), back("b", 2.2, 5.0, persistence_type="PERSIST")]})
    assert played.snapshots[600]["a"].lapsed == 5.0
    assert played.snapshots[600]["b"].lapsed == 0.0
    assert played.snapshots[600]["b"].remaining == 5.0


# -- D7, D8: nothing but a remainder on an active runner is matched --------------------------------------------------


def test_partly_cancelled_order_on_a_removed_runner_is_void_and_never_matched_again() -> None:
    stream = priced().touch(400).touch(700)
    stream.prices(800, {1: {"trd": [[2.2, 100]]}}).remove(900, 1, 20.0).touch(1000).touch(1100).close()
    played = replay(stream, {100: [back("a", 2.2, 10.0)], 400: [cancel("a", 4.0)]})
    order = played["a"]
    assert (order.size_matched, order.size_remaining, order.size_cancelled, order.size_voided) == (0, 0, 4.0, 6.0)
    assert order.profit == 0.0


def test_volume_of_a_runner_that_left_active_is_not_shown_again() -> None:
    stream = priced().touch(400).prices(500, {1: {"trd": [[2.2, 8]]}})
    stream.define(600, {1: {"status": "HIDDEN"}}).touch(700).touch(800).close()
    played = replay(stream, {100: [back("a", 2.3, 50.0), back("b", 2.14, 50.0)]})
    # 8 published is 4 a side, once.
    assert [played.snapshots[at]["b"].matched for at in (500, 600, 700, 800)] == [4.0, 4.0, 4.0, 4.0]


# -- D9: removals ----------------------------------------------------------------------------------------------------


def three(**definition: Any) -> Stream:
    """Three runners; the third is there to be withdrawn."""
    runners = {1: {"status": "ACTIVE", "adjustmentFactor": 40.0}, 2: {"status": "ACTIVE", "adjustmentFactor": 40.0}}
    stream = Stream(runners={**runners, 3: {"status": "ACTIVE"}}, numberOfActiveRunners=3, **definition)
    prices = {"atb": [[3.0, 50]], "atl": [[3.1, 50]], "trd": [[3.0, 10]]}
    return stream.prices(100, {1: prices, 2: prices, 3: prices})


@pytest.mark.parametrize("factor", [None, 0.0, 2.0, 30.0])
def test_bets_on_a_removed_runner_are_void_whatever_its_factor(factor: float | None) -> None:
    stream = three().touch(400).remove(500, 3, factor).touch(600).close()
    bets = [back("matched", 3.0, 10.0, 3), back("resting", 3.1, 10.0, 3), at_sp("sp", "BACK", 10.0, selection_id=3)]
    played = replay(stream, {100: bets})
    for ref in ("matched", "resting", "sp"):
        assert (played[ref].size_matched, played[ref].size_voided, played[ref].profit) == (0.0, 10.0, 0.0)
        assert played.snapshots[500][ref].status == "EXECUTION_COMPLETE"
    assert played.exposures(3)["worst_possible_profit_on_lose"] == 0.0


def test_order_still_pending_when_its_runner_is_removed_is_void() -> None:
    stream = three().remove(150, 3, 10.0).touch(400).touch(600).close()
    played = replay(stream, {100: [back("a", 3.0, 10.0, 3)]})
    assert (played["a"].status, played["a"].size_voided, played["a"].size_matched) == (S.EXECUTION_COMPLETE, 10.0, 0.0)


def test_removal_before_the_first_order_changes_nothing() -> None:
    stream = three().remove(150, 3, 20.0).touch(200).touch(400).touch(600).close()
    played = replay(stream, {200: [back("a", 3.0, 10.0), lay("b", 2.0, 10.0)]})
    assert played.fills("a") == [(320, 3.0, 10.0)]
    assert played.snapshots[600]["b"].remaining == 10.0


@pytest.mark.parametrize(
    ("market_type", "factor", "backed", "laid"),
    [
        ("WIN", 2.4, 3.0, 3.1),
        ("WIN", 2.5, 2.925, 3.0225),
        ("WIN", 20.0, 2.4, 2.48),
        ("WIN", 90.0, 1.01, 1.01),
        ("MATCH_ODDS", 20.0, 2.4, 2.48),
        ("PLACE", 1.0, 2.98, 3.079),
        ("PLACE", 20.0, 2.6, 2.68),
        ("OTHER_PLACE", 20.0, 2.6, 2.68),
    ],
)
def test_matched_prices_are_reduced(market_type: str, factor: float, backed: float, laid: float) -> None:
    stream = three(marketType=market_type).touch(400).remove(500, 3, factor).touch(600).close()
    played = replay(stream, {100: [back("a", 3.0, 10.0), lay("b", 3.1, 10.0)]})
    assert played["a"].average_price_matched == pytest.approx(backed)
    assert played["b"].average_price_matched == pytest.approx(laid)


def test_reductions_of_two_removals_apply_one_after_the_other() -> None:
    stream = three().touch(400).remove(500, 3, 20.0).remove(600, 2, 10.0, version=3).touch(700).close()
    played = replay(stream, {100: [back("a", 3.0, 10.0)]})
    assert played["a"].average_price_matched == pytest.approx(3.0 * 0.8 * 0.9)


def test_removal_published_again_counts_once() -> None:
    stream = three().touch(400).remove(500, 3, 20.0).define(600, version=3).remove(700, 3, 25.0, version=4).close()
    played = replay(stream, {100: [back("a", 3.0, 10.0)]})
    assert played["a"].average_price_matched == pytest.approx(2.4)


@pytest.mark.parametrize(
    ("market_type", "factor", "cancelled"),
    [("WIN", 2.4, 0.0), ("WIN", 2.5, 10.0), ("PLACE", 3.9, 0.0), ("PLACE", 4.0, 10.0)],
)
def test_unmatched_lays_are_cancelled_by_a_removal(market_type: str, factor: float, cancelled: float) -> None:
    stream = three(marketType=market_type).touch(400).remove(500, 3, factor).touch(600).close()
    played = replay(stream, {100: [lay("lay", 2.9, 10.0), back("back", 3.2, 10.0)]})
    assert played.snapshots[500]["lay"].cancelled == cancelled
    assert played.snapshots[500]["back"].cancelled == 0.0


def test_same_horse_removed_in_two_markets_counts_in_both() -> None:
    first, second = three(), three(market_id="1.100000002")
    for stream in (first, second):
        stream.touch(400).remove(500, 3, 20.0).touch(600).close()

    class ByEvent(BacksAtFirstPrices):
        scope = "event"

    played = replay([first, second], strategies=[ByEvent(price=3.0, stake=5.0)])
    averages = [order.average_price_matched for market in played.markets for order in market.blotter]
    assert averages == [pytest.approx(2.4), pytest.approx(2.4)]


@pytest.mark.parametrize(
    ("market_type", "liability"), [("WIN", 30 * (1 - 20 / 60)), ("PLACE", 30 * 0.8), ("MATCH_ODDS", 30.0)]
)
def test_liability_of_a_lay_at_the_starting_price_is_reduced(market_type: str, liability: float) -> None:
    stream = three(marketType=market_type).touch(400).remove(500, 3, 20.0)
    stream.define(600, {1: {"bsp": 4.0}}, bspReconciled=True).close()
    played = replay(stream, {100: [at_sp("a", "LAY", 30.0)]})
    # Rounded down: a lay never loses more than its liability.
    assert played["a"].size_matched == math.floor(round(liability / 3.0 * 100, 6)) / 100


@pytest.mark.parametrize(
    ("config", "laid", "backed"),
    [(hr.Config(), 30 * (1 - 20 / 100) / 3.0, 2.4), (FLUMINE, 30 / 3.0, 2.4)],
    ids=["default", "flumine"],
)
def test_lay_at_the_starting_price_of_a_runner_without_factor(config: hr.Config, laid: float, backed: float) -> None:
    stream = three(marketType="WIN").define(200, {1: {"adjustmentFactor": None}}).touch(400).remove(500, 3, 20.0)
    stream.define(600, {1: {"bsp": 4.0}}, bspReconciled=True).close()
    # The bets beside it are reduced as ever, whether they come before it or after.
    bets = [back("before", 3.0, 10.0, 2), at_sp("lay", "LAY", 30.0), back("after", 3.0, 10.0, 2)]
    played = replay(stream, {100: bets}, config=config)
    assert played["lay"].size_matched == pytest.approx(laid, abs=0.005)
    assert [played[ref].average_price_matched for ref in ("before", "after")] == [pytest.approx(backed)] * 2


# -- D10: profits from the exact fills -------------------------------------------------------------------------------


def test_profit_at_a_starting_price_is_not_rounded_in_between() -> None:
    stream = priced().touch(400).define(500, {1: {"bsp": 2.347}}, bspReconciled=True).close()
    actions = {100: [at_sp("a", "BACK", 33.33)]}
    assert replay(stream, actions)["a"].profit == 44.90
    assert replay(stream, actions, config=FLUMINE)["a"].profit == 45.00


def test_profit_of_several_fills_is_not_rounded_in_between() -> None:
    stream = Stream().prices(100, {1: {"atb": [[3.0, 100], [2.9, 33.33]]}}).touch(400).close()
    played = replay(stream, {100: [back("a", 2.9, 133.33)]})
    assert played["a"].average_price_matched == pytest.approx((300 + 2.9 * 33.33) / 133.33)
    assert played["a"].profit == round(100 * 2 + 33.33 * 1.9, 2)


# -- D11: line markets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "backed", "laid"),
    [(2.0, 5.0, -5.0), (3.0, 0.0, 0.0), (4.0, -5.0, 5.0), (0, 5.0, -5.0)],
)
def test_line_bet_wins_by_the_line_and_gets_its_stake_back_on_it(result: float, backed: float, laid: float) -> None:
    stream = Stream(marketType="LINE", bettingType="LINE", bspMarket=False)
    stream.prices(100, {1: {"atb": [[3.0, 50]], "atl": [[3.0, 50]]}}).touch(400).close(winner=())
    line = hr.LimitOrder(3.0, 5.0, price_ladder_definition="LINE_RANGE")
    bets = [place("back", "BACK", line), place("lay", "LAY", line), note("line_range_result", result)]
    played = replay(stream, {100: bets})
    assert (played["back"].profit, played["lay"].profit) == (backed, laid)


# -- D13: starting-price orders --------------------------------------------------------------------------------------


def test_liability_of_a_starting_price_order_counts_until_it_is_reconciled() -> None:
    stream = priced().touch(400).define(500, {1: {"bsp": 3.0}}, bspReconciled=True).close()
    exposures = []

    def look(script: Script, market: Any) -> None:
        exposures.append(market.blotter.get_exposures(script.strategy, (MARKET, 1, 0)))

    replay(stream, {100: [at_sp("a", "BACK", 10.0)], 400: [look], 500: [look]})
    assert [each["worst_possible_profit_on_lose"] for each in exposures] == [-10.0, -10.0]
    assert [each["worst_possible_profit_on_win"] for each in exposures] == [0.0, 20.0]


def test_starting_price_order_that_found_no_match_has_no_exposure() -> None:
    stream = priced().touch(400).define(500, {1: {"bsp": 3.0}}, bspReconciled=True).close()
    played = replay(stream, {100: [at_sp("a", "BACK", 10.0, price=4.0)]})
    assert played["a"].size_matched == 0.0
    assert played.exposures()["worst_possible_profit_on_lose"] == 0.0


# -- D14: the end of a market ----------------------------------------------------------------------------------------


def test_unmatched_orders_lapse_when_the_market_closes() -> None:
    played = replay(priced().touch(400).close(), {100: [back("a", 2.2, 5.0)]})
    assert (played["a"].status, played["a"].size_lapsed, played["a"].size_remaining) == (S.EXECUTION_COMPLETE, 5.0, 0.0)
    assert played["a"].trade.status is hr.TradeStatus.COMPLETE


def test_partly_matched_orders_keep_what_is_matched_when_the_market_closes() -> None:
    played = replay(priced().touch(400).close(), {100: [lay("a", 2.1, 10.0)]})
    assert (played["a"].size_matched, played["a"].size_lapsed, played["a"].profit) == (6.0, 4.0, -6.6)


def test_orders_still_pending_when_the_market_closes_expire() -> None:
    played = replay(priced().close(150), {100: [back("a", 2.0, 5.0)]})
    assert (played["a"].status, played["a"].size_matched, played["a"].profit) == (S.EXPIRED, 0.0, 0.0)
    assert played.log("a") == ["PENDING", "EXPIRED"]


def test_starting_price_on_the_closing_book_counts() -> None:
    stream = priced().touch(400).close(500, bsp={1: 3.0}, bspReconciled=True)
    played = replay(stream, {100: [at_sp("a", "BACK", 10.0)]})
    assert (played["a"].size_matched, played["a"].profit) == (10.0, 20.0)


def test_nothing_is_live_after_the_close() -> None:
    orders = [back("a", 2.2, 5.0), at_sp("b", "LAY", 20.0), back("c", 2.0, 5.0)]
    played = replay(priced().touch(400).touch(500).close(550), {100: orders, 500: [cancel("a"), back("d", 2.0, 5.0)]})
    assert list(played.market.blotter.live_orders) == []
    assert [order.complete for order in played.market.blotter] == [True] * 4


def test_orders_are_left_as_they_are_under_compatibility() -> None:
    played = replay(priced().touch(400).close(), {100: [back("a", 2.2, 5.0)]}, config=FLUMINE)
    assert (played["a"].status, played["a"].size_remaining) == (S.EXECUTABLE, 5.0)


def test_market_that_closes_twice_is_settled_once() -> None:
    closed = []

    class Closer(hr.Strategy):
        def process_closed_market(self, market: Any, book: Any) -> None:
            closed.append(market.market_id)

    stream = priced().touch(400).close(500)
    stream.close(600)
    played = replay(stream, {100: [back("a", 2.0, 5.0)]}, strategies=[Closer()])
    assert closed == [MARKET]
    assert len(played.market.market_cleared) == 1


# -- D15: targets and unknown runners --------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "size"), [("PAYOUT", 5.0), ("BACKERS_PROFIT", 10.0)])
def test_bet_target_becomes_a_size(target: str, size: float) -> None:
    order_type = hr.LimitOrder(2.0, bet_target_type=target, bet_target_size=10.0)
    played = replay(priced().touch(400).close(), {100: [place("a", "BACK", order_type)]})
    assert (played["a"].size_matched, played["a"].profit) == (size, size)


def test_order_on_an_unknown_runner_is_refused_by_the_exchange() -> None:
    played = replay(priced().touch(400).touch(500).close(), {100: [back("a", 2.0, 5.0, 77), back("b", 2.0, 5.0)]})
    assert (played.error("a"), played["a"].size_voided) == ("INVALID_RUNNER", 5.0)
    assert played["b"].size_matched == 5.0


# -- D23: pauses -----------------------------------------------------------------------------------------------------


def test_pause_after_a_trade_holds_in_the_very_update_of_its_end() -> None:
    stream = priced().touch(400).touch(900).close()
    trade = {"reset_seconds": 60.0}
    actions = {100: [back("a", 2.0, 5.0, trade=trade)], 400: [back("b", 2.0, 5.0, trade=trade)]}
    assert replay(stream, actions, force=False).answers == [True, False]
    assert replay(stream, actions, force=False, config=FLUMINE).answers == [True, True]


def test_pause_between_orders_holds_at_one_moment() -> None:
    trade = {"place_reset_seconds": 1.0}
    actions = {100: [back("a", 2.0, 5.0, trade=trade), back("b", 2.0, 5.0, trade=trade)]}
    assert replay(priced().close(), actions, force=False).answers == [True, False]


def test_pause_is_over_when_its_seconds_have_passed() -> None:
    stream = priced().touch(400).touch(1400).close()
    trade = {"reset_seconds": 1.0}
    actions = {100: [back("a", 2.0, 5.0, trade=trade)], 1400: [back("b", 2.0, 5.0, trade=trade)]}
    assert replay(stream, actions, force=False).answers == [True, True]


# -- D34: controls of cancels and replaces ---------------------------------------------------------------------------


def test_remainder_below_the_minimum_can_be_cancelled() -> None:
    stream = priced().touch(400).touch(800).touch(1200).close()
    actions = {100: [back("a", 2.2, 1.5)], 400: [cancel("a", 1.0)], 800: [cancel("a", force=False)]}
    assert replay(stream, actions)["a"].size_cancelled == 1.5
    below = {100: [back("a", 2.2, 0.5)], 400: [cancel("a", force=False)]}
    assert replay(stream, below, config=FLUMINE)["a"].size_cancelled == 0.0


def test_new_price_of_a_replace_must_stand_on_the_ladder() -> None:
    stream = priced().touch(400).close()
    actions = {100: [back("a", 2.2, 5.0)], 400: [replace("a", 2.21, force=False)]}
    assert replay(stream, actions).answers[1] is False


def test_exposure_of_a_replace_is_that_of_its_new_price() -> None:
    stream = priced().touch(400).close()
    actions = {100: [lay("a", 1.5, 10.0)], 400: [replace("a", 4.0, force=False)]}
    assert replay(stream, actions, max_order_exposure=20.0).answers[1] is False
    assert replay(stream, actions, max_order_exposure=30.0).answers[1] is True


def test_second_replace_of_an_order_leaves_the_first_under_way() -> None:
    def again(script: Script, market: Any) -> None:
        with pytest.raises(hr.OrderUpdateError):
            replace("a", 2.3, force=False)(script, market)

    stream = priced().touch(400).touch(450).touch(900).touch(1200).close()
    played = replay(stream, {100: [back("a", 2.2, 5.0)], 400: [replace("a", 2.5)], 450: [again]})
    assert (played["a"].size_cancelled, played["a'"].order_type.price) == (5.0, 2.5)


def test_replacement_is_in_the_blotter_and_counts_while_it_is_pending() -> None:
    exposures = []

    def look(script: Script, market: Any) -> None:
        exposures.append(market.blotter.get_exposures(script.strategy, (MARKET, 1, 0)))

    stream = priced(betDelay=5).touch(6000).touch(6400).close()
    played = replay(stream, {100: [lay("a", 1.5, 10.0)], 6000: [replace("a", 1.8)], 6400: [look]})
    assert "a'" in played.orders
    assert exposures[0]["worst_possible_profit_on_win"] == -8.0


# -- process_orders --------------------------------------------------------------------------------------------------


def test_process_orders_shows_live_orders_at_each_book_and_the_complete_once_more() -> None:
    stream = priced().touch(400).prices(500, {1: {"trd": [[2.2, 200]]}}).touch(600).touch(700).close(800)
    played = replay(stream, {100: [back("a", 2.14, 5.0), back("b", 3.0, 5.0)]})
    assert played.calls == [
        (220, ["a", "b"]),  # placed
        (400, ["a", "b"]),
        (500, ["a", "b"]),
        (600, ["b"]),
        (700, ["b"]),
        (800, ["b"]),
    ]


def test_process_orders_is_not_called_where_nothing_is_left() -> None:
    stream = priced().touch(400).touch(500).touch(600).close(700)
    played = replay(stream, {100: [back("a", 2.0, 5.0)]})
    assert played.calls == [(220, ["a"])]


def test_process_orders_is_called_in_a_quiet_market() -> None:
    stream = priced().touch(400).touch(4000).close(4100)
    played = replay(stream, {100: [back("a", 3.0, 5.0)]})
    times = [at for at, _ in played.calls]
    assert times == [220, 400, 1400, 2400, 3400, 4000, 4100]


def test_process_orders_interval_is_the_configured_one() -> None:
    stream = priced().touch(400).touch(2000).close(2100)
    config = hr.Config(process_orders_interval=0.5)
    times = [at for at, _ in replay(stream, {100: [back("a", 3.0, 5.0)]}, config=config).calls]
    assert times == [220, 400, 900, 1400, 1900, 2000, 2100]


def test_pending_order_is_placed_in_a_quiet_market() -> None:
    stream = priced().touch(5000).close(5100)
    played = replay(stream, {100: [back("a", 3.0, 5.0)]})
    assert [at for at, _ in played.calls] == [220, 1220, 2220, 3220, 4220, 5000, 5100]
    assert played["a"].responses.placed_ms == T0 + 220


class Early(hr.Strategy):
    """Has an order in the market from its first book on, and no `process_orders`."""

    def check_market_book(self, market: Any, book: Any) -> bool:
        return not market.blotter.strategy_orders(self)

    def process_market_book(self, market: Any, book: Any) -> None:
        trade = hr.Trade(market.market_id, 1, 0, self)
        market.place_order(trade.create_order("BACK", hr.LimitOrder(3.0, 2.0)))


class EarlyListener(Early):
    def process_orders(self, market: Any, orders: list[hr.Order]) -> None:
        return


@pytest.mark.parametrize("quiet", [400, 2650, 4100])
def test_times_of_process_orders_do_not_depend_on_whether_another_strategy_listens(quiet: int) -> None:
    stream = priced().touch(quiet).touch(5000).touch(9000).close(9100)
    calls = []
    for other in (Early(), EarlyListener()):
        played = replay(stream, {quiet: [back("a", 3.0, 5.0)]}, strategies=[other])
        calls.append(played.calls)
    assert calls[0] == calls[1]
    times = [at for at, _ in calls[0]]
    assert times[-2:] == [9000, 9100]
    assert max(after - before for before, after in itertools.pairwise(times)) <= 1000


def test_an_order_of_a_strategy_that_does_not_listen_ends_all_the_same() -> None:
    stream = priced().touch(400).prices(3000, {1: {"trd": [[3.0, 500]]}}).touch(3100).close(9000)
    played = replay(stream, strategies=[Early()])
    (order,) = played.market.blotter
    assert order.size_matched == 2.0
    assert order.complete
    assert not played.market.blotter.has_live_orders


def test_process_orders_is_called_at_books_alone_under_compatibility() -> None:
    stream = priced().touch(400).touch(4000).close(4100)
    played = replay(stream, {100: [back("a", 2.0, 5.0)]}, config=FLUMINE)
    assert played.calls == [(400, ["a"]), (4000, ["a"])]


def test_process_orders_with_scope_all_shows_every_order_ever_placed() -> None:
    stream = priced().touch(400).touch(500).touch(600).close(700)
    played = replay(stream, {100: [back("a", 2.0, 5.0)], 400: [back("b", 3.0, 5.0)]}, scope="all")
    both = ["a", "b"]
    assert played.calls == [(220, ["a"]), (400, ["a"]), (500, both), (520, both), (600, both), (700, both)]


def test_refused_order_never_reaches_process_orders() -> None:
    stream = priced().touch(400).close()
    played = replay(stream, {100: [back("a", 2.0, 500.0)]}, force=False, max_order_exposure=10.0)
    assert played["a"].status is S.VIOLATION
    assert played.calls == []
    assert [(each.control, each.request, each.count) for each in played.violations] == [
        ("STRATEGY_EXPOSURE", "PLACE", 1)
    ]


def test_order_placed_from_process_orders_goes_the_same_way() -> None:
    placed = []

    class Follower(hr.Strategy):
        def check_market_book(self, market: Any, book: Any) -> bool:
            return book.publish_time_epoch == T0 + 100

        def process_market_book(self, market: Any, book: Any) -> None:
            self.bet(market)

        def process_orders(self, market: Any, orders: list[hr.Order]) -> None:
            if len(placed) == 1:
                self.bet(market)

        def bet(self, market: Any) -> None:
            order = hr.Trade(MARKET, 1, 0, self).create_order("BACK", hr.LimitOrder(2.0, 5.0))
            placed.append(order)
            market.place_order(order)

    replay(priced().touch(400).touch(800).close(), strategies=[Follower()])
    assert [order.size_matched for order in placed] == [5.0, 5.0]


def test_order_placed_when_the_market_is_new_is_matched_and_shown() -> None:
    class Early(hr.Strategy):
        def process_new_market(self, market: Any, book: Any) -> None:
            order = hr.Trade(MARKET, 1, 0, self).create_order("BACK", hr.LimitOrder(3.0, 5.0))
            market.place_order(order)

        def process_orders(self, market: Any, orders: list[hr.Order]) -> None:
            shown.append(market.clock.now_ms - T0)

    shown: list[int] = []
    stream = priced().touch(400).prices(500, {1: {"trd": [[3.0, 100]]}}).touch(600).close(700)
    played = replay(stream, strategies=[Early()])
    (order,) = played.market.blotter
    assert (order.size_matched, shown) == (5.0, [100, 120, 400, 500])


# -- one failing market ----------------------------------------------------------------------------------------------


def test_each_way_market_without_divisor_costs_its_own_settlement_only() -> None:
    stream = priced(marketType="EACH_WAY").touch(400).close()
    played = replay(stream, {100: [back("a", 2.0, 5.0)]}, failing=True)
    assert [(each.market_id, each.error_type) for each in played.failures] == [(MARKET, "SettlementError")]
