"""What the order stream lacks is read from the lists; results of closed markets; bets that were placed elsewhere."""

from __future__ import annotations

import pytest

from account_builders import MARKET, NOW, ORDER, OTHER, RUNNER, Account, cleared, current, fact, place, ref
from headrace.actors.letters import ForeignBet, OrdersClosed, OrdersImage, Position
from headrace.actors.live.account_exposure import account_loss, markets_at_stake
from headrace.strategies.changes import MarketDefinition, RunnerDefinition
from headrace.strategies.messages import (
    CANCEL,
    CLEARED,
    FAILURE,
    LIST,
    PLACE,
    SUCCESS,
    CancelInstruction,
    OrderFact,
    ReplaceInstruction,
    Reply,
    Report,
)


@pytest.fixture
def account() -> Account:
    return Account()


MATCHED = {"status": "EXECUTION_COMPLETE", "sizeMatched": 4.0, "sizeRemaining": 0.0, "averagePriceMatched": 3.6}


class TestAfterAnImage:
    def test_nothing_may_be_placed_before_the_first_image_and_its_look(self, account: Account) -> None:
        assert not account.orders.ready
        account.at(5)
        assert not account.orders.ready
        account.image()

        assert account.orders.ready
        assert account.lists.asked == ["current"]

    def test_what_the_stream_could_not_show_while_it_was_away_is_no_difference(self, account: Account) -> None:
        account.image()
        account.orders.stream_down()
        account.placed()
        account.lists.current = [current(**MATCHED)]
        account.at(5)
        (told,) = account.facts()
        assert told.matched == 4.0, "the lists are read at once"
        account.image()
        account.at(130)
        assert account.words == []

    def test_lists_that_cannot_be_had_leave_it_unready_and_are_asked_again(self, account: Account) -> None:
        account.lists.error = "SERVICE_BUSY"
        account.image()
        assert not account.orders.ready
        account.lists.error = ""
        account.at(2)

        assert account.orders.ready

    def test_what_was_matched_while_the_stream_was_away_is_read(self, account: Account) -> None:
        account.placed()
        account.lists.current = [current(**MATCHED)]
        account.image()

        (told,) = account.facts()
        assert (told.source, told.executable, told.matched, told.average) == (LIST, False, 4.0, 3.6)

    def test_what_has_left_the_current_ones_is_read_among_the_cleared(self, account: Account) -> None:
        account.placed()
        account.lists.cleared = {
            "CANCELLED": [cleared(sizeCancelled=1.0)],
            "LAPSED": [cleared(sizeCancelled=2.0)],
            "SETTLED": [cleared(sizeSettled=1.0, priceMatched=3.7)],
        }
        account.image()

        (told,) = account.facts()
        assert (told.source, told.executable) == (CLEARED, False)
        assert (told.matched, told.average, told.cancelled, told.lapsed, told.voided) == (1.0, 3.7, 1.0, 2.0, 0.0)

    def test_bets_of_an_earlier_session_are_known_and_can_be_cancelled(self, account: Account) -> None:
        account.lists.current = [current("77", OTHER)]
        account.image()

        (bet,) = account.orders.live
        assert (bet.bet_id, bet.order_id, bet.side, bet.remaining, bet.at_sp) == ("77", None, "BACK", 4.0, False)

    def test_bets_placed_elsewhere_are_shown_and_told_to_nobody(self, account: Account) -> None:
        account.lists.current = [current("78", "")]
        account.image()

        assert account.told == []
        assert account.orders.live == []
        assert list(account.orders.bets.foreign) == ["78"]

    def test_starting_price_order_in_the_lists_waits(self, account: Account) -> None:
        waiting = {"priceSize": {"price": 0.0, "size": 0.0}, "bspLiability": 12.0, "orderType": "MARKET_ON_CLOSE"}
        account.lists.current = [current(status="EXECUTION_COMPLETE", sizeRemaining=0.0, **waiting)]
        account.image()

        (bet,) = account.orders.live
        assert (bet.at_sp, bet.remaining) == (True, 12.0)

    def test_row_that_cannot_be_read_leaves_the_others(self, account: Account) -> None:
        account.lists.current = [{"betId": "1"}, current("77", OTHER)]
        account.image()

        assert account.orders.ready
        assert [bet.bet_id for bet in account.orders.live] == ["77"]


class TestEachMinute:
    def test_lists_are_read_each_minute(self, account: Account) -> None:
        account.image()
        account.at(130)

        assert account.lists.asked == ["current"] * 3

    def test_what_the_stream_has_missed_is_told_and_counts_as_a_difference(self, account: Account) -> None:
        account.image()
        account.placed()
        account.lists.current = [current(**MATCHED)]
        account.at(61)
        assert [each.matched for each in account.facts()] == [4.0]
        assert account.words == []
        account.at(80)

        assert account.words == ["difference"]

    def test_stream_that_is_a_moment_behind_is_none(self, account: Account) -> None:
        account.image()
        account.placed()
        account.lists.current = [current(**MATCHED)]
        account.at(61)
        account.stream(fact(at=NOW + 61_000, executable=False, matched=4.0, average=3.6, remaining=0.0))
        account.at(200)

        assert account.words == []

    def test_bet_that_is_nowhere_is_looked_for_again_and_then_reported(self, account: Account) -> None:
        account.placed()
        account.image()
        account.at(60)
        assert account.words == []
        account.at(140)

        assert account.words == ["unconfirmed", "difference", "difference_lasts"]
        assert all("bet 31 is in no list" in text for _, _, text in account.reports)

    def test_without_an_order_stream_the_lists_are_all_there_is(self) -> None:
        account = Account(streamed=False)
        account.lists.current = [current(**MATCHED)]
        account.at(25)

        assert account.orders.ready
        assert account.words == []
        assert len(account.lists.asked) == 3


class TestSilentStream:
    """A delayed application key: the order stream shows nothing."""

    def place(self, account: Account) -> None:
        request = account.request(place())
        account.orders.take_reply(Reply(request.request_id, MARKET, NOW, reports=(_placed("31"),)))

    def test_bet_that_the_stream_does_not_show_is_reported_and_read_from_the_lists(self, account: Account) -> None:
        account.image()
        self.place(account)
        account.lists.current = [current()]
        account.at(11)

        assert account.words == ["stream_silent"]
        assert [each.bet_id for each in account.facts()] == ["31"]

    def test_one_that_it_shows_is_not(self, account: Account) -> None:
        account.image()
        self.place(account)
        account.stream(fact())
        account.at(30)

        assert account.words == []


class TestAnswersThatTheStreamDoesNotFollow:
    def answer(self, account: Account, size: float | None, code: str | None = None) -> None:
        """A cancel is answered: so much is cancelled, or it is refused."""
        request = account.request(CancelInstruction(ORDER, "31", size))
        report = Report(ORDER, CANCEL, FAILURE if code else SUCCESS, code, "31", size or 0.0)
        account.orders.take_reply(Reply(request.request_id, MARKET, account.now, reports=(report,)))

    def test_end_of_a_bet_that_cannot_be_cancelled_is_read(self, account: Account) -> None:
        account.placed()
        self.answer(account, None, "BET_TAKEN_OR_LAPSED")
        account.lists.current = [current(**MATCHED)]
        account.at(2)

        assert [(each.executable, each.matched) for each in account.facts()] == [(False, 4.0)]
        assert account.lists.asked == ["current"]

    def test_it_is_looked_for_a_few_times_and_no_more(self, account: Account) -> None:
        account.placed()
        self.answer(account, None, "BET_TAKEN_OR_LAPSED")
        account.at(50)

        assert account.lists.asked.count("current") == 4

    def test_what_the_stream_tells_is_not_read(self, account: Account) -> None:
        account.placed()
        self.answer(account, 1.5)
        account.stream(fact(at=NOW + 1, cancelled=1.5, remaining=2.5))
        account.at(10)

        assert account.lists.asked == []

    def test_nor_what_it_has_told_before_the_answer(self, account: Account) -> None:
        account.placed()
        request = account.request(CancelInstruction(ORDER, "31", 1.5))
        account.stream(fact(at=NOW + 1, cancelled=1.5, remaining=2.5))
        report = Report(ORDER, CANCEL, SUCCESS, None, "31", 1.5)
        account.orders.take_reply(Reply(request.request_id, MARKET, NOW, reports=(report,)))
        account.at(10)

        assert account.lists.asked == []

    def test_refusal_for_another_reason_says_nothing_of_the_bet(self, account: Account) -> None:
        account.placed()
        self.answer(account, None, "SERVICE_UNAVAILABLE")
        account.at(10)

        assert account.lists.asked == []


def _placed(bet_id: str, order_id: str = ORDER) -> Report:
    return Report(order_id, PLACE, SUCCESS, bet_id=bet_id)


class TestWhose:
    def test_bet_with_empty_references_is_ours_by_its_number(self, account: Account) -> None:
        account.placed()
        seen = fact(order_id=None, at=NOW + 1, matched=1.0, average=3.5, remaining=3.0)
        account.orders.take(_foreign(seen), NOW)

        assert [(each.order_id, each.matched) for each in account.facts()] == [(ORDER, 1.0)]
        assert account.orders.bets.foreign == {}

    def test_bet_taken_for_a_foreign_one_becomes_ours_with_the_reply(self, account: Account) -> None:
        account.orders.take(_foreign(fact(order_id=None)), NOW)
        assert list(account.orders.bets.foreign) == ["31"]
        account.placed()

        assert account.orders.bets.foreign == {}

    def test_bet_that_comes_without_references_is_told_to_its_market(self) -> None:
        account = Account(direct=True)
        account.placed()
        account.image()
        before = len(account.facts())
        ended = fact(order_id=None, at=NOW + 1, executable=False, matched=4.0, average=3.5, remaining=0.0)
        account.orders.take(_foreign(ended), NOW)
        (told,) = account.facts()[before:]
        assert (told.order_id, told.bet_id, told.matched) == (ORDER, "31", 4.0)

    def test_bet_that_came_without_references_before_its_reply_is_told_to_its_market(self) -> None:
        account = Account(direct=True)
        request = account.request(place())
        account.orders.take(_foreign(fact(order_id=None, matched=1.0, average=3.5, remaining=3.0)), NOW)
        assert account.facts() == []
        account.orders.take_reply(Reply(request.request_id, MARKET, NOW, reports=(_placed("31", ORDER),)))
        (told,) = account.facts()
        assert (told.order_id, told.bet_id, told.matched) == (ORDER, "31", 1.0)
        account.at(12)
        assert account.words == [], "the stream has shown it"

    def test_foreign_bet_that_no_list_has_any_more_is_forgotten(self, account: Account) -> None:
        account.orders.take(_foreign(fact(order_id=None)), NOW)
        account.lists.current = [current("31", order_id="", customerOrderRef="", customerStrategyRef="")]
        account.image()
        assert list(account.orders.bets.foreign) == ["31"]
        account.lists.current = []
        account.at(61)
        assert account.orders.bets.foreign == {}

    @pytest.mark.parametrize("sizes", [{"cancelled": 4.0}, {"matched": 4.0, "average": 3.5}])
    def test_foreign_bet_that_is_over_is_forgotten(self, account: Account, sizes: dict[str, float]) -> None:
        account.orders.take(_foreign(fact(order_id=None)), NOW)
        ended = fact(order_id=None, at=NOW + 1, executable=False, remaining=0.0, **sizes)
        account.orders.take(_foreign(ended), NOW)

        assert account.orders.bets.foreign == {}

    def test_replacement_that_the_stream_shows_before_the_reply_is_one_bet(self, account: Account) -> None:
        account.placed()
        request = account.request(ReplaceInstruction(ORDER, "31", 3.6, OTHER, ref(OTHER)))
        account.stream(fact("35", at=NOW + 1, price=3.6))
        reports = (Report(ORDER, CANCEL, SUCCESS, size=4.0), _placed("35", OTHER))
        account.orders.take_reply(Reply(request.request_id, MARKET, NOW, reports=reports))
        account.stream(fact(at=NOW + 2, executable=False, cancelled=4.0, remaining=0.0))

        assert [(bet.order_id, bet.bet_id, bet.price) for bet in account.orders.live] == [(OTHER, "35", 3.6)]


def _foreign(told: OrderFact) -> ForeignBet:
    assert told.bet_id is not None
    return ForeignBet(
        *("Betfair", "alice", MARKET, told.bet_id, RUNNER, 0.0, "BACK", told.price, told.size),
        *(told.matched, told.remaining, told.at),
        fact=told,
    )


class TestClosure:
    @pytest.fixture
    def closed(self, account: Account) -> Account:
        """A market that has closed, with a bet that was matched."""
        account.placed(executable=False, matched=4.0, average=3.5, remaining=0.0)
        account.orders.take(OrdersClosed("Betfair", "alice", MARKET, True, NOW), NOW)
        return account

    def test_results_are_asked_for_until_they_come(self, closed: Account) -> None:
        closed.at(3_600)
        assert closed.results() == []
        assert closed.orders.closure.waiting == [MARKET]
        closed.lists.cleared["SETTLED"] = [cleared(profit=10.0, sizeSettled=4.0, betOutcome="WON")]
        closed.lists.markets = [{"marketId": MARKET, "profit": 10.0, "commission": 0.5, "betCount": 1}]
        closed.at(3_700)

        (result,) = closed.results()
        assert (result.order_id, result.bet_id, result.profit, result.runner_status) == (ORDER, "31", 10.0, "WINNER")
        assert [(each.profit, each.commission, each.bet_count) for each in closed.cleared] == [(10.0, 0.5, 1)]
        assert closed.orders.closure.cleared(MARKET)

    def test_they_are_said_to_be_late_once(self, closed: Account) -> None:
        closed.at(4 * 3_600)

        assert closed.words == ["late"]

    def test_second_settlement_is_told(self, closed: Account) -> None:
        closed.lists.cleared["SETTLED"] = [cleared(profit=10.0, sizeSettled=4.0)]
        closed.at(10)
        closed.lists.cleared["SETTLED"] = [cleared(profit=-4.0, sizeSettled=4.0)]
        closed.at(700)

        assert [each.profit for each in closed.results()] == [10.0, -4.0]
        assert closed.results()[0].at < closed.results()[1].at
        assert closed.words == ["resettled"]

    def test_closing_twice_is_closing_once(self, closed: Account) -> None:
        closed.lists.cleared["SETTLED"] = [cleared(profit=10.0, sizeSettled=4.0)]
        closed.at(10)
        closed.orders.market_closed(MARKET, closed.now)
        closed.at(60)

        assert len(closed.results()) == 1

    def test_market_that_opens_again_waits_for_the_results_of_its_next_close(self, closed: Account) -> None:
        closed.lists.cleared["SETTLED"] = [cleared(profit=10.0, sizeSettled=4.0)]
        closed.at(10)
        closed.orders.take(OrdersClosed("Betfair", "alice", MARKET, False, closed.now), closed.now)
        assert not closed.orders.closure.cleared(MARKET)
        closed.lists.cleared["SETTLED"] = [cleared(profit=-4.0, sizeSettled=4.0)]
        closed.orders.market_closed(MARKET, closed.now)
        closed.at(20)

        assert [each.profit for each in closed.results()] == [10.0, -4.0]

    def test_results_are_asked_for_again_once_the_stream_is_back_which_may_have_missed_another_close(
        self, closed: Account
    ) -> None:
        closed.lists.cleared["SETTLED"] = [cleared(profit=10.0, sizeSettled=4.0)]
        closed.at(10)
        closed.lists.cleared["SETTLED"] = [cleared(profit=-4.0, sizeSettled=4.0)]
        closed.orders.take(OrdersImage("o1", "Betfair", "alice", closed.now), closed.now)
        closed.at(13)

        assert [each.profit for each in closed.results()] == [10.0, -4.0]

    def test_end_of_a_bet_that_is_settled_before_it_was_heard_of_is_read(self, account: Account) -> None:
        account.placed(matched=3.0, average=3.5, remaining=1.0)
        account.orders.take(OrdersClosed("Betfair", "alice", MARKET, True, account.now), account.now)
        account.lists.cleared["SETTLED"] = [cleared(profit=-4.0, sizeSettled=4.0, priceMatched=3.5)]
        account.lists.markets = [{"marketId": MARKET, "profit": -4.0, "betCount": 1}]
        account.at(5)

        assert [(told.matched, told.executable) for told in account.facts()][-1] == (4.0, False)
        assert account.orders.live == []
        assert account.orders.closure.cleared(MARKET)

    def test_bet_that_was_voided_is_no_longer_waited_for(self, closed: Account) -> None:
        closed.lists.cleared["VOIDED"] = [cleared(sizeSettled=4.0)]
        closed.lists.markets = [{"marketId": MARKET, "profit": 0.0, "betCount": 0}]
        closed.at(5)

        (told,) = closed.facts()
        assert (told.matched, told.voided) == (0.0, 4.0)
        assert closed.orders.closure.cleared(MARKET)

    def test_bet_that_is_voided_after_its_result_has_won_nothing(self, closed: Account) -> None:
        closed.lists.cleared["SETTLED"] = [cleared(profit=10.0, sizeSettled=4.0)]
        closed.at(10)
        closed.stream(fact(at=closed.now, executable=False, remaining=0.0, voided=4.0))

        assert [each.profit for each in closed.results()] == [10.0, 0.0]
        closed.lists.cleared["SETTLED"] = []
        closed.at(2_000)
        assert len(closed.results()) == 2, "it is told once"

    def test_bet_that_is_voided_while_its_market_is_open_again_has_won_nothing(self, closed: Account) -> None:
        closed.lists.cleared["SETTLED"] = [cleared(profit=10.0, sizeSettled=4.0)]
        closed.at(10)
        closed.orders.take(OrdersClosed("Betfair", "alice", MARKET, False, closed.now), closed.now)
        closed.stream(fact(at=closed.now, executable=False, remaining=0.0, voided=4.0))
        closed.lists.cleared["SETTLED"] = []
        assert [each.profit for each in closed.results()] == [10.0], "it has none while its market is open"
        closed.orders.take(OrdersClosed("Betfair", "alice", MARKET, True, closed.now), closed.now)
        closed.at(13)

        assert [each.profit for each in closed.results()] == [10.0, 0.0]

    def test_bet_that_is_voided_after_its_result_while_nobody_listened_is_found(self, closed: Account) -> None:
        closed.lists.cleared["SETTLED"] = [cleared(profit=10.0, sizeSettled=4.0)]
        closed.at(10)
        closed.lists.cleared = {"VOIDED": [cleared(sizeSettled=4.0)]}
        closed.orders.take(OrdersImage("o1", "Betfair", "alice", closed.now), closed.now)
        closed.at(13)

        assert [each.profit for each in closed.results()] == [10.0, 0.0]

    def test_a_result_that_a_list_leaves_out_stays(self, closed: Account) -> None:
        closed.lists.cleared["SETTLED"] = [cleared(profit=10.0, sizeSettled=4.0)]
        closed.at(10)
        closed.lists.cleared["SETTLED"] = []
        closed.at(2_000)

        assert [each.profit for each in closed.results()] == [10.0]

    def test_replaced_bets_have_their_results_by_number(self, account: Account) -> None:
        account.placed(executable=False, matched=1.0, average=3.5, cancelled=3.0, remaining=0.0)
        account.placed("35", OTHER, executable=False, matched=3.0, average=3.6, remaining=0.0)
        account.orders.market_closed(MARKET, account.now)
        account.lists.cleared["SETTLED"] = [
            cleared(profit=2.5, sizeSettled=1.0),
            cleared("35", ORDER, profit=7.8, sizeSettled=3.0),
        ]
        account.at(5)

        assert {(each.order_id, each.profit) for each in account.results()} == {(ORDER, 2.5), (OTHER, 7.8)}

    def test_market_without_bets_of_ours_is_not_asked_about(self, account: Account) -> None:
        account.orders.market_closed(MARKET, account.now)
        account.at(300)

        assert account.lists.asked == []

    def test_market_of_others_bets_is_forgotten_once_its_results_are_final(self, account: Account) -> None:
        account.orders.take(OrdersClosed("Betfair", "alice", MARKET, True, NOW), NOW)
        assert account.orders.closure.cleared(MARKET)
        account.at(2 * 3_600)

        assert not account.orders.closure.is_closed(MARKET)

    def test_forgotten_markets_leave_nothing(self, closed: Account) -> None:
        closed.orders.forget([MARKET])
        closed.at(300)

        assert closed.lists.asked == []
        assert list(closed.orders.bets) == []


def definition(*runners: int) -> MarketDefinition:
    return MarketDefinition(
        runners=[RunnerDefinition(id=each) for each in runners],
        number_of_winners=1,
        number_of_active_runners=len(runners),
        betting_type="ODDS",
    )


class TestExposureOfTheAccount:
    def position(
        self,
        account: Account,
        runner: int,
        backs: tuple[tuple[float, float], ...] = (),
        lays: tuple[tuple[float, float], ...] = (),
    ) -> None:
        account.orders.take(Position("Betfair", "alice", MARKET, runner, 0.0, backs, lays), NOW)

    def test_what_was_matched_elsewhere_counts(self, account: Account) -> None:
        self.position(account, 1, backs=((3.0, 10.0),))
        self.position(account, 2, lays=((4.0, 5.0),))
        assert account_loss(account.orders.bets, MARKET, definition(1, 2, 3)) == 25.0
        assert account_loss(account.orders.bets, MARKET, None) == 25.0
        assert markets_at_stake(account.orders.bets) == {MARKET}

    def test_runners_are_set_off_against_each_other_where_the_market_is_known(self, account: Account) -> None:
        self.position(account, 1, backs=((3.0, 10.0),))
        self.position(account, 2, backs=((3.0, 10.0),))
        assert account_loss(account.orders.bets, MARKET, definition(1, 2)) == 0.0
        assert account_loss(account.orders.bets, MARKET, None) == 20.0

    def test_what_rests_counts_where_it_would_do_harm(self, account: Account) -> None:
        account.placed()
        account.orders.take(_foreign(fact("99", None)), NOW)

        assert account_loss(account.orders.bets, MARKET, None) == 8.0

    def test_position_that_is_gone_counts_no_more(self, account: Account) -> None:
        self.position(account, 1, backs=((3.0, 10.0),))
        self.position(account, 1)

        assert account_loss(account.orders.bets, MARKET, None) == 0.0
        assert markets_at_stake(account.orders.bets) == set()
