"""The simulated exchange by itself: requests go in, replies and facts come out, and there is no order to look at."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import headrace as hr
import stories
from builders import MARKET, T0, Stream, priced
from floor import FIRST, SECOND, Asked, Floor, ask, at_sp, back, cancel, lay, limit, play, replace, update
from headrace.actors.exchange import AccountTerms
from headrace.simulate.bets import Bet
from headrace.simulate.models import FlumineQueue, Models
from headrace.strategies.messages import PlaceInstruction, Reply, Report

# -- placing ---------------------------------------------------------------------------------------------------------


def test_bet_that_rests_is_told_by_its_reply_alone() -> None:
    floor = play(priced().touch(220).touch(400), {100: [ask(back("a", 2.1, 5.0))]})
    assert floor.kinds("a") == ["Reply"]
    assert floor.report("a") == Report("a", "PLACE", "SUCCESS", None, FIRST, 0.0, T0 + 220, 6.0)
    assert floor["a"].live


def test_request_meets_the_book_before_a_change_of_the_moment_that_it_arrives_at() -> None:
    stream = priced().prices(220, {1: {"atb": [[2.0, 0], [1.98, 0]]}}).touch(400)
    floor = play(stream, {100: [ask(back("a", 2.0, 5.0))], 101: [ask(back("b", 2.0, 5.0))]})
    assert [floor[ref].fills for ref in "ab"] == [[(T0 + 220, 2.0, 5.0)], []]


def test_bet_that_matches_at_once_is_told_by_a_fact_then_the_reply() -> None:
    floor = play(priced().touch(400), {100: [ask(back("a", 1.98, 15.0))]})
    assert floor.kinds("a") == ["OrderFact", "Reply"]
    (fact,) = floor.facts("a")
    assert fact.fills == ((T0 + 220, 2.0, 10), (T0 + 220, 1.98, 5.0))
    assert (fact.bet_id, fact.executable, fact.matched, fact.remaining, fact.at) == (FIRST, False, 15.0, 0.0, T0 + 220)
    assert (floor.report("a").size, floor.report("a").queue_ahead) == (15.0, None)


def test_refused_placing_is_told_with_what_became_of_its_size() -> None:
    stream = priced().suspend(200).touch(400).define(500, status="OPEN").touch(900)
    unknown = back("b", 2.0, 5.0, runner=7)
    floor = play(
        stream, {100: [ask(back("a", 2.0, 5.0))], 600: [ask(unknown), ask(back("c", 2.0, 3.0), market_version=1)]}
    )
    assert floor.reports("a") == [(220, "PLACE", "FAILURE", "ERROR_IN_ORDER")]
    assert floor.reports("b") == [(720, "PLACE", "FAILURE", "INVALID_RUNNER")]
    assert floor.reports("c") == [(720, "PLACE", "FAILURE", "BET_TAKEN_OR_LAPSED")]
    assert [(fact.voided, fact.lapsed, fact.executable) for ref in "abc" for fact in floor.facts(ref)] == [
        (5.0, 0.0, False),
        (5.0, 0.0, False),
        (0.0, 3.0, False),
    ]
    assert floor["a"].bet_id is None


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"bet_target_type": "PAYOUT", "bet_target_size": 21.0}, 10.0),
        ({"bet_target_type": "BACKERS_PROFIT", "bet_target_size": 11.0}, 10.0),
    ],
)
def test_bet_target_is_a_size_here(fields: Any, size: float) -> None:
    floor = play(priced().touch(400), {100: [ask(back("a", 2.1, **fields))]})
    assert (floor["a"].size, floor["a"].size_remaining) == (size, size)


def test_size_that_no_bet_has_is_refused() -> None:
    floor = play(priced().touch(400), {100: [ask(back("a", 2.1, 0.0), at_sp("b", "BACK", float("inf")))]})
    assert [floor.report(ref).error_code for ref in "ab"] == ["INVALID_BET_SIZE"] * 2


def test_account_that_is_matched_in_full_is() -> None:
    floor = play(priced().touch(400), {100: [ask(back("a", 5.0, 7.0))]}, account=AccountTerms(full_match=True))
    assert floor["a"].fills == [(T0 + 220, 5.0, 7.0)]


# -- matching --------------------------------------------------------------------------------------------------------


def test_each_match_is_told_once_with_all_fills() -> None:
    stream = (
        priced().touch(400).prices(500, {1: {"trd": [[2.1, 26]]}}).touch(510).prices(600, {1: {"trd": [[2.1, 126]]}})
    )
    floor = play(stream, {100: [ask(back("a", 2.1, 5.0))]})
    assert [(fact.at - T0, fact.matched, fact.executable) for fact in floor.facts("a")] == [
        (500, 2.0, True),
        (600, 5.0, False),
    ]
    assert floor.facts("a")[-1].fills == ((T0 + 500, 2.1, 2.0), (T0 + 600, 2.1, 3.0))


@pytest.mark.parametrize(("isolated", "matched"), [(True, [5.0, 5.0]), (False, [5.0, 2.0])])
def test_strategies_share_what_is_traded_unless_they_are_isolated(isolated: bool, matched: list[float]) -> None:
    stream = priced().touch(400).prices(500, {1: {"trd": [[3.0, 14]]}})
    asked = {100: [ask(back("a", 2.9, 5.0), strategy="One"), ask(back("b", 3.0, 5.0), strategy="Other")]}
    floor = play(stream, asked, config=hr.Config(simulated_strategy_isolation=isolated))
    assert [floor[ref].size_matched for ref in "ab"] == matched


@pytest.mark.parametrize("stream", [priced().suspend(500, inPlay=True), priced().turn_in_play(500)])
def test_bet_that_is_not_to_be_kept_lapses_at_the_turn_in_play(stream: Stream) -> None:
    floor = play(stream, {100: [ask(back("a", 2.2, 5.0), back("b", 2.2, 5.0, persistence_type="PERSIST"))]})
    assert [(fact.lapsed, fact.executable) for fact in floor.facts("a")] == [(5.0, False)]
    assert floor.facts("b") == []


def test_bet_lapses_at_each_suspension_in_play_and_at_none_before() -> None:
    asked = {100: [ask(back("a", 2.2, 5.0))], 800: [ask(back("b", 2.2, 5.0))]}
    stream = priced().suspend(500).define(600, status="OPEN").turn_in_play(700).suspend(1000, version=4, inPlay=True)
    floor = play(stream, asked)
    assert [(fact.at - T0, fact.lapsed) for ref in "ab" for fact in floor.facts(ref)] == [(700, 5.0), (1000, 5.0)]


def test_bets_to_be_kept_lapse_where_a_suspension_in_play_clears_the_market() -> None:
    def shown(at: int, **ladders: Any) -> Stream:
        stream = priced().turn_in_play(400).suspend(500, version=4, inPlay=True)
        return stream.prices(at, {1: ladders, 2: {"atb": [], "atl": []}})

    asked = {100: [ask(back("a", 2.2, 5.0, persistence_type="PERSIST"))]}
    cleared = play(shown(500, atb=[], atl=[]), asked)
    assert [(fact.lapsed, fact.executable) for fact in cleared.facts("a")] == [(5.0, False)]
    assert play(shown(500, atb=[]), asked).facts("a") == []


class Brittle(FlumineQueue):
    """Raises for bets of 8."""

    def trade(self, bet: Any, volume: float) -> tuple[float, float]:
        if bet.size == 8.0:
            raise ArithmeticError("seven")
        return super().trade(bet, volume)


class Stumbling(hr.QueueModel):
    """Raises at each cancellation."""

    def cancelled(self, size: float, waiting: float) -> tuple[float, float]:
        raise ArithmeticError("seven")


def test_error_of_a_queue_model_is_told_and_bets_go_on() -> None:
    stream = priced().prices(400, {1: {"atl": [[2.2, 1.0]]}}).prices(500, {1: {"trd": [[2.2, 50]]}})
    floor = play(stream, {100: [ask(back("a", 2.2, 5.0))]}, models=Models(queue=Stumbling()))
    assert floor.failures == [("ArithmeticError", "Mine")]
    assert floor["a"].size_matched == 5.0


def test_error_of_one_bet_is_told_and_the_others_go_on() -> None:
    stream = priced().touch(400).prices(500, {1: {"trd": [[2.2, 50]]}})
    floor = play(stream, {100: [ask(back("a", 2.14, 8.0), back("b", 2.2, 5.0))]}, models=Models(queue=Brittle()))
    assert floor.failures == [("ArithmeticError", "Mine")]
    assert [floor[ref].size_matched for ref in "ab"] == [0.0, 5.0]


class NoLevels(hr.LiquidityModel):
    """Raises for runner 1."""

    def to_back(self, runner: Any) -> Any:
        if runner.selection_id == 1:
            raise ArithmeticError("one")
        return super().to_back(runner)


def test_placing_that_fails_by_an_error_is_answered_and_voided() -> None:
    asked = {100: [ask(back("a", 2.0, 5.0), back("b", 1.8, 5.0, runner=2))]}
    floor = play(priced().touch(400), asked, models=Models(liquidity=NoLevels()))
    assert floor.reports("a") == [(220, "PLACE", "FAILURE", "ERROR_IN_ORDER")]
    assert [(fact.voided, fact.executable) for fact in floor.facts("a")] == [(5.0, False)]
    assert (floor["b"].size_matched, floor["b"].bet_id) == (5.0, FIRST)


class NoLatency(hr.LatencyModel):
    def __init__(self) -> None:
        super().__init__(hr.Config())

    def seconds(self, package_type: Any) -> float:
        if package_type.name == "CANCEL":
            raise ArithmeticError("never")
        return super().seconds(package_type)


def test_request_whose_latency_nobody_knows_is_refused() -> None:
    asked = {100: [ask(back("a", 2.2, 5.0))], 400: [ask(cancel("a"))]}
    floor = play(priced().touch(400).touch(900), asked, models=Models(latency=NoLatency()))
    assert floor.failures == [("ArithmeticError", "Mine")]
    assert floor.reports("a")[1:] == [(400, "CANCEL", "FAILURE", "ERROR_IN_ORDER")]
    assert floor["a"].live


# -- cancel, update, replace -----------------------------------------------------------------------------------------


def test_cancel_is_told_by_a_fact_then_the_reply() -> None:
    asked = {100: [ask(back("a", 2.2, 5.0))], 400: [ask(cancel("a", 2.0))], 700: [ask(cancel("a"))]}
    floor = play(priced().touch(400).touch(2000), asked)
    assert floor.kinds("a") == ["Reply", "OrderFact", "Reply", "OrderFact", "Reply"]
    assert [(fact.at - T0, fact.cancelled, fact.executable) for fact in floor.facts("a")] == [
        (570, 2.0, True),
        (870, 5.0, False),
    ]
    assert [floor.report("a").size, floor.report("a").bet_id] == [3.0, FIRST]


def test_change_of_a_bet_that_is_unknown_or_at_its_end_fails() -> None:
    asked = {
        100: [ask(back("a", 2.0, 5.0)), ask(at_sp("b", "BACK", 5.0))],
        400: [
            ask(cancel("a"), cancel("x"), cancel("b")),
            ask(update("a", "PERSIST"), update("x", "PERSIST"), update("b", "LAPSE")),
        ],
        401: [ask(replace("a", 3.0, "a'"), replace("x", 3.0, "x'"), replace("b", 3.0, "b'"))],
    }
    floor = play(priced().touch(400).touch(2000), asked)
    told = [(550, "UPDATE", "FAILURE"), (570, "CANCEL", "FAILURE"), (681, "CANCEL", "FAILURE")]
    for ref in "xab":  # of bets at the starting price too ("cancelOrders")
        assert floor.reports(ref)[-3:] == [(*each, "BET_TAKEN_OR_LAPSED") for each in told]
    assert floor.market.bet("a'") is None


def test_persistence_holds_when_it_is_answered() -> None:
    stream = priced().touch(400).suspend(549, inPlay=True).define(551, status="OPEN").suspend(900, version=3)
    asked = {100: [ask(back("a", 2.2, 5.0))], 300: [ask(update("a", "PERSIST"))], 560: [ask(update("a", "PERSIST"))]}
    floor = play(priced().touch(400).suspend(900, inPlay=True), {100: asked[100], 560: asked[560]})
    assert [(fact.at - T0, fact.persistence_type, fact.lapsed) for fact in floor.facts("a")] == [(710, "PERSIST", 0.0)]
    assert floor.kinds("a") == ["Reply", "OrderFact", "Reply"]
    floor = play(stream, {100: asked[100], 400: [ask(update("a", "PERSIST"))]})
    assert [(fact.at - T0, fact.lapsed) for fact in floor.facts("a")] == [(549, 5.0)]
    assert floor.reports("a")[1:] == [(550, "UPDATE", "FAILURE", "ERROR_IN_ORDER")]


def test_persistence_cannot_be_changed_where_the_market_has_none() -> None:
    asked = {100: [ask(back("a", 2.2, 5.0))], 400: [ask(update("a", "PERSIST"))]}
    floor = play(priced(persistenceEnabled=False).touch(400).touch(900), asked)
    assert floor.reports("a")[1:] == [(550, "UPDATE", "FAILURE", "INVALID_PERSISTENCE_TYPE")]


def test_replace_answers_the_cancel_then_the_placing() -> None:
    asked = {100: [ask(back("a", 2.2, 5.0, price_ladder="FINEST"))], 400: [ask(replace("a", 2.0, "b"))]}
    floor = play(priced().touch(400).touch(900), asked)
    assert [type(each).__name__ for each in floor.told] == ["Reply", "OrderFact", "Reply", "OrderFact", "Reply"]
    first, second = floor.told[2], floor.told[4]
    assert isinstance(first, Reply)
    assert isinstance(second, Reply)
    assert (first.request_id, second.request_id) == ("r1", "r1")
    assert first.reports == (Report("a", "CANCEL", "SUCCESS", None, FIRST, 5.0),)
    assert second.reports == (Report("b", "PLACE", "SUCCESS", None, SECOND, 5.0, T0 + 680),)
    assert (floor["b"].fills, floor["b"].price_ladder_definition) == ([(T0 + 680, 2.0, 5.0)], "FINEST")


def test_replace_whose_cancel_fails_places_nothing() -> None:
    asked = {100: [ask(back("a", 2.2, 5.0))], 400: [ask(replace("a", 2.0, "b"))]}
    floor = play(priced().touch(400).suspend(600, version=1).touch(900), asked)
    assert floor.reports("a")[1:] == [(680, "CANCEL", "FAILURE", "ERROR_IN_ORDER")]
    assert floor.market.bet("b") is None
    assert floor["a"].live


def test_replace_that_does_not_name_its_new_order_leaves_the_bet_alone() -> None:
    asked = {100: [ask(back("a", 2.2, 5.0))], 400: [ask(replace("a", 2.0, None))]}
    floor = play(priced().touch(400).touch(900), asked)
    assert floor.failures == [("OrderError", "Mine")]
    assert floor.reports("a")[1:] == [(680, "CANCEL", "FAILURE", "ERROR_IN_ORDER")]
    assert floor["a"].live


def test_replaced_bet_is_gone_at_once_and_its_successor_waits_for_the_bet_delay() -> None:
    stream = priced(betDelay=5).touch(6000).prices(9000, {1: {"trd": [[2.2, 900]]}}).touch(12000)
    floor = play(stream, {100: [ask(back("a", 2.2, 5.0))], 6000: [ask(replace("a", 2.1, "b"))]})
    assert floor.reports("a") == [(5220, "PLACE", "SUCCESS", None), (6280, "CANCEL", "SUCCESS", None)]
    assert floor.reports("b") == [(11280, "PLACE", "SUCCESS", None)]
    assert (floor["a"].size_matched, floor["b"].size_matched) == (0.0, 0.0)


@pytest.mark.parametrize(("latencies", "at"), [((0.1, 0.3), 700), ((0.3, 0.1), 700)])
def test_successor_is_placed_once_both_latencies_have_passed(latencies: tuple[float, float], at: int) -> None:
    config = hr.Config(place_latency=latencies[0], replace_latency=latencies[1])
    asked = {10: [ask(back("a", 2.2, 5.0))], 400: [ask(replace("a", 2.3, "b"))]}
    assert play(priced().touch(400).touch(900), asked, config=config).report("b").placed_at == T0 + at


# -- the bet delay ---------------------------------------------------------------------------------------------------

PASSIVE = {"betDelay": 5, "betDelayModels": ["PASSIVE"]}


def test_bets_that_match_nothing_do_not_wait_where_the_market_is_passive() -> None:
    stream = priced(**PASSIVE).touch(3000).touch(9000)
    floor = play(stream, {100: [ask(back("a", 2.0, 5.0), back("b", 2.2, 5.0))]})
    assert floor.reports("b") == [(220, "PLACE", "SUCCESS", None)]
    assert floor.reports("a") == [(5220, "PLACE", "SUCCESS", None)]
    assert (floor["b"].bet_id, floor["a"].bet_id) == (FIRST, SECOND)


def test_bet_can_be_changed_while_another_of_its_request_waits_for_the_delay() -> None:
    stream = priced(**PASSIVE).touch(1000).touch(3000).touch(9000)
    asked = {
        100: [ask(back("a", 2.0, 5.0), back("b", 2.2, 5.0), back("c", 2.2, 4.0))],
        1000: [ask(replace("b", 2.3, "b'")), ask(cancel("c", 1.5))],
    }
    floor = play(stream, asked)
    assert floor.reports("b") == [(220, "PLACE", "SUCCESS", None), (1280, "CANCEL", "SUCCESS", None)]
    assert floor.reports("b'") == [(1280, "PLACE", "SUCCESS", None)]
    assert floor.reports("a") == [(5220, "PLACE", "SUCCESS", None)]
    assert (floor["b"].size_cancelled, floor["b'"].size_remaining, floor["c"].size_remaining) == (5.0, 5.0, 2.5)
    assert [fact.executable for fact in floor.facts("b")] == [False]


def test_successor_that_would_match_waits_for_the_delay_on_a_passive_market() -> None:
    stream = priced(**PASSIVE).touch(1000).touch(9000)
    floor = play(stream, {100: [ask(back("a", 2.2, 5.0))], 1000: [ask(replace("a", 1.9, "b"))]})
    assert floor.reports("a")[1:] == [(1280, "CANCEL", "SUCCESS", None)]
    assert floor.reports("b") == [(6280, "PLACE", "SUCCESS", None)]
    assert floor["b"].fills == [(T0 + 6280, 2.0, 5.0)]


def test_delay_of_the_request_holds_whatever_the_market_has_later() -> None:
    stream = priced().turn_in_play(150, version=1, bet_delay=5).touch(400).touch(9000)
    floor = play(stream, {100: [ask(back("a", 2.0, 5.0))], 400: [ask(back("b", 2.0, 5.0))]})
    assert [floor.report(ref).placed_at for ref in "ab"] == [T0 + 220, T0 + 5520]


# -- starting prices, removals ---------------------------------------------------------------------------------------


def test_starting_price_is_told_of_each_bet_that_waits_for_it() -> None:
    stream = priced().touch(400).define(500, {1: {"bsp": 3.0}, 2: {"bsp": 4.0}}, bspReconciled=True)
    placed = [
        at_sp("a", "BACK", 5.0),
        at_sp("b", "LAY", 10.0),
        at_sp("c", "BACK", 5.0, 3.5),
        lay("d", 1.5, 30.0, persistence_type="MARKET_ON_CLOSE"),
    ]
    floor = play(stream, {100: [ask(*placed)]})
    told = {ref: [(fact.matched, fact.average, fact.executable) for fact in floor.facts(ref)] for ref in "abcd"}
    assert told == {
        "a": [(5.0, 3.0, False)],
        "b": [(5.0, 3.0, False)],
        "c": [(0.0, 0.0, False)],
        "d": [(7.5, 3.0, False)],
    }
    assert floor["d"].size_cancelled == 22.5


def test_bet_whose_runner_has_no_starting_price_yet_waits() -> None:
    stream = priced().touch(400).define(500, bspReconciled=True).touch(600).define(700, {1: {"bsp": 3.0}})
    floor = play(stream, {100: [ask(at_sp("a", "BACK", 5.0))]})
    assert [(fact.at - T0, fact.matched) for fact in floor.facts("a")] == [(700, 5.0)]


def test_removal_voids_and_reduces() -> None:
    stream = priced().touch(400).remove(500, 2, 20.0)
    placed = [
        back("a", 2.0, 5.0),
        lay("b", 1.5, 5.0),
        back("c", 1.8, 5.0, runner=2),
        back("d", 9.0, 5.0, runner=2),
        at_sp("e", "LAY", 10.0),
    ]
    floor = play(stream, {100: [ask(*placed)]})
    last = {ref: floor.facts(ref)[-1] for ref in "abcde"}
    assert (last["a"].average, last["a"].fills) == (1.6, ((T0 + 220, 1.6, 5.0),))
    assert (last["b"].cancelled, last["b"].executable) == (5.0, False)
    assert [(last[ref].matched, last[ref].voided, last[ref].executable) for ref in "cd"] == [(0.0, 5.0, False)] * 2
    assert (last["e"].size, last["e"].executable) == (8.0, True)
    assert floor["e"].liability == 8.0


def test_what_happens_to_a_bet_on_its_way_is_told_when_it_arrives() -> None:
    stream = priced().remove(150, 2, 20.0).touch(400)
    asked = [ask(at_sp("a", "LAY", 10.0)), ask(back("b", 1.8, 5.0, runner=2)), ask(lay("c", 1.5, 5.0))]
    floor = play(stream, {100: asked})
    assert [(fact.at - T0, fact.size, fact.executable) for fact in floor.facts("a")] == [(220, 8.0, True)]
    assert floor.reports("b") == [(220, "PLACE", "FAILURE", "RUNNER_REMOVED")]
    assert [fact.voided for fact in floor.facts("b")] == [5.0]
    assert (floor.kinds("c"), floor["c"].live) == (["Reply"], True)


# -- the close -------------------------------------------------------------------------------------------------------


def test_close_ends_what_waits_and_settles_what_was_matched() -> None:
    stream = priced().touch(400).close(1000, winner=1)
    asked = {
        100: [ask(back("a", 2.0, 5.0), back("b", 3.0, 5.0), at_sp("c", "BACK", 4.0))],
        950: [ask(back("d", 2.0, 2.0))],
    }
    floor = play(stream, asked)
    ends = {
        ref: (floor.facts(ref)[-1].lapsed, floor.facts(ref)[-1].executable, floor.facts(ref)[-1].why) for ref in "bcd"
    }
    assert ends == {"b": (5.0, False, None), "c": (4.0, False, None), "d": (2.0, False, "MARKET_CLOSED")}
    assert {ref: [each.profit for each in floor.cleared(ref)] for ref in "abcd"} == {
        "a": [5.0],
        "b": [],
        "c": [],
        "d": [],
    }
    assert floor.cleared("a")[0].runner_status == "WINNER"
    floor.reach(5000)
    assert floor.reports("d") == []


def test_market_that_is_settled_again_gives_each_bet_another_result() -> None:
    stream = priced().touch(400).close(1000, winner=1)
    for runner in (1, 2):
        stream.define(1500, {runner: {"status": "ACTIVE"}}, status="OPEN")
    stream.close(3000, winner=2)
    asked = {100: [ask(back("a", 2.0, 5.0), back("b", 3.0, 5.0))], 1500: [ask(back("c", 1.8, 4.0, runner=2))]}
    floor = play(stream, asked)
    assert [each.profit for each in floor.cleared("a")] == [5.0, -5.0]
    assert [each.profit for each in floor.cleared("c")] == [3.2]
    assert [fact.lapsed for fact in floor.facts("b")] == [5.0]


def test_bet_without_a_result_is_told_so_and_the_others_are_settled() -> None:
    stream = priced().touch(400).define(1000, {1: {"status": "HIDDEN"}, 2: {"status": "WINNER"}}, status="CLOSED")
    floor = play(stream, {100: [ask(back("a", 2.0, 5.0), back("b", 1.8, 5.0, runner=2))]})
    assert floor.failures == [("SettlementError", "Mine")]
    assert [(each.settled, each.profit, each.runner_status) for ref in "ab" for each in floor.cleared(ref)] == [
        (False, 0.0, "HIDDEN"),
        (True, 4.0, "WINNER"),
    ]


def test_line_is_settled_by_its_result() -> None:
    stream = Stream(bettingType="LINE", marketType="TOTAL_GOALS")
    stream.prices(100, {1: {"atb": [[50.5, 10]], "atl": [[51.5, 10]]}}).touch(400)
    floor = play(stream, {100: [ask(back("a", 50.5, 5.0, price_ladder="LINE_RANGE"))]})
    floor.market.closed(48.0)
    floor.market.closed(None)
    assert [(each.profit, each.settled, each.line_result) for each in floor.cleared("a")] == [
        (5.0, True, 48.0),
        (0.0, False, None),
    ]


def test_starting_price_that_is_none_is_told_of_the_bets_that_waited_for_it() -> None:
    stream = priced().touch(400).close(1000, winner=2, bsp={1: 1.0, 2: 3.0}, bspReconciled=True)
    floor = play(stream, {100: [ask(at_sp("a", "BACK", 5.0), at_sp("b", "BACK", 5.0, runner=2))]})
    assert floor.failures == [("SettlementError", "Mine")]
    assert [(floor[ref].size_matched, floor[ref].size_lapsed) for ref in "ab"] == [(0.0, 5.0), (5.0, 0.0)]


def test_bets_that_have_not_arrived_when_the_recording_ends_say_why() -> None:
    floor = play(
        priced().touch(400), {100: [ask(back("a", 2.2, 5.0))], 390: [ask(back("b", 2.2, 3.0), at_sp("c", "LAY", 4.0))]}
    )
    assert floor.market.expire("RECORDING_ENDED") is True
    assert floor.market.expire("RECORDING_ENDED") is False
    assert floor.facts("a") == []
    told = [(fact.lapsed, fact.remaining, fact.executable, fact.why) for ref in "bc" for fact in floor.facts(ref)]
    assert told == [(3.0, 0.0, False, "RECORDING_ENDED"), (4.0, 0.0, False, "RECORDING_ENDED")]
    floor.reach(9000)
    assert floor.kinds("b") == ["OrderFact"]


def test_market_that_is_given_up_answers_nothing_more() -> None:
    floor = play(priced().touch(400), {390: [ask(back("a", 2.0, 5.0))]})
    floor.market.forget()
    floor.reach(9000)
    assert floor.told == []


# -- what is told is all there is ------------------------------------------------------------------------------------


def folded(floor: Floor, asked: PlaceInstruction) -> dict[str, Any]:
    """A bet, rebuilt from its instruction and what was told of it."""
    start = Bet(asked, MARKET, "Mine", AccountTerms())
    sizes = {
        "matched": 0.0,
        "average": 0.0,
        "remaining": start.size_remaining,
        "cancelled": 0.0,
        "lapsed": 0.0,
        "voided": 0.0,
    }
    state: dict[str, Any] = {**sizes, "persistence_type": asked.persistence_type, "fills": ()}
    for fact in floor.facts(asked.order_id):
        state = {name: getattr(fact, name) for name in state}
    return state


def standing(bet: Bet) -> dict[str, Any]:
    return {
        "matched": bet.size_matched,
        "average": bet.average_price_matched,
        "remaining": bet.size_remaining,
        "cancelled": bet.size_cancelled,
        "lapsed": bet.size_lapsed,
        "voided": bet.size_voided,
        "persistence_type": bet.persistence_type,
        "fills": tuple(bet.fills),
    }


def _instruction(number: int, side: str, order_type: Any, runner: int) -> Any:
    name = f"o{number}"
    if order_type.ORDER_TYPE is hr.OrderTypes.LIMIT:
        fields = {"time_in_force": order_type.time_in_force, "min_fill_size": order_type.min_fill_size}
        return limit(
            name,
            side,
            order_type.price,
            order_type.size,
            runner,
            persistence_type=order_type.persistence_type,
            **fields,
        )
    return at_sp(name, side, order_type.liability, getattr(order_type, "price", None), runner)


@st.composite
def lives(draw: st.DrawFn) -> tuple[Stream, dict[int, list[Asked]]]:
    """A market, and requests at any moment of it, of which each names bets that there may be."""
    passive = draw(st.booleans())
    stream = Stream(
        runners={each: {"status": "ACTIVE", "adjustmentFactor": 30.0} for each in stories.RUNNERS},
        numberOfActiveRunners=3,
        betDelayModels=["PASSIVE"] if passive else [],
        betDelay=draw(st.sampled_from((0, 1))),
    )
    stream.prices(10, {each: {"atb": [[1.9, 10]], "atl": [[2.0, 10]]} for each in stories.RUNNERS})
    number, at = itertools.count(), 10
    asked: dict[int, list[Asked]] = {}
    any_of = st.integers(0, 12).map("o{}".format)
    for _ in range(draw(st.integers(1, 14))):
        requests = asked.setdefault(at + draw(st.integers(0, 40)), [])
        for kind in draw(st.lists(st.sampled_from(("place", "place", "cancel", "update", "replace")), max_size=3)):
            if kind == "place":
                types = draw(st.lists(stories.order_types(), min_size=1, max_size=3))
                sides = st.sampled_from(("BACK", "LAY"))
                placed = [_instruction(next(number), draw(sides), each, draw(stories.runners)) for each in types]
                requests.append(ask(*placed))
            elif kind == "cancel":
                requests.append(ask(cancel(draw(any_of), draw(st.none() | st.sampled_from(stories.SIZES)))))
            elif kind == "update":
                requests.append(ask(update(draw(any_of), draw(stories.persistence))))
            else:
                requests.append(ask(replace(draw(any_of), draw(st.sampled_from(stories.PRICES)), f"o{next(number)}")))
        at += draw(st.sampled_from((1, 50, 120, 170, 300, 1300)))
        draw(stories.changes)(stream, at)
    if draw(st.booleans()):
        stream.close(at + 50, winner=draw(st.sets(stories.runners, max_size=2)))
    return stream, asked


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(life=lives())
def test_bets_are_what_was_told_of_them(life: tuple[Stream, dict[int, list[Asked]]]) -> None:
    floor = Floor().play(*life)
    floor.reach(100_000)
    floor.market.expire("RECORDING_ENDED")
    assert floor.failures == [each for each in floor.failures if each[0] == "SettlementError"]
    bets = list(floor.market._bets.values())
    for bet in bets:
        assert folded(floor, bet.asked) == standing(bet), bet
        facts = floor.facts(bet.order_id)
        live = [fact.executable for fact in facts]
        assert live == sorted(live, reverse=True)  # what has ended has ended
        assert bet.live or bet.ended
        assert bet.live == (bool(bet.bet_id) and all(live))
        assert all(before != after for before, after in itertools.pairwise(facts))
        if bet.is_limit:
            parts = bet.size_matched + bet.size_remaining + bet.size_cancelled + bet.size_lapsed + bet.size_voided
            assert parts == pytest.approx(bet.size, abs=0.011)
        placings = [report for report in floor.reports(bet.order_id) if report[1] == "PLACE"]
        assert len(placings) + any(fact.why is not None for fact in facts) == 1
    asked = [
        instruction
        for request in floor.requests
        for instruction in request.instructions
        if not isinstance(instruction, PlaceInstruction)
    ]
    answered = [
        each for each in floor.told if isinstance(each, Reply) for each in each.reports if each.operation != "PLACE"
    ]
    assert len(answered) == len(asked) or (floor.closed and len(answered) < len(asked))
    assert [each.at for each in floor.told] == sorted(each.at for each in floor.told)
