"""What is known here beside the exchange's lists: what counts as a difference, what it stops, and when that ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from account_builders import MARKET, NOW, ORDER, OTHER, RUNNER, Account, cleared, current, fact, place, ref
from headrace.actors.betfair.comparing import ListedBet
from headrace.actors.letters import OrdersClosed, Position
from headrace.actors.live.exposure import loss_of
from headrace.strategies.currency import pence
from headrace.strategies.messages import CANCEL, UNCONFIRMED, CancelInstruction, ReplaceInstruction, Reply, Report


def loss(market_id: str, bets: Iterable[Any]) -> float:
    return loss_of(bets, None)


@pytest.fixture
def account() -> Account:
    """A bet of 4.00 at 3.5, resting, that stream and lists agree on."""
    made = Account(loss=loss)
    made.placed()
    made.lists.current = [current()]
    made.image()
    made.told.clear()
    return made


class TestRounding:
    @pytest.mark.parametrize(
        ("told", "kept"),
        [(8.879999999999999, 8.88), (2.675, 2.68), (0.005, 0.01), (0.004, 0.0), (1e9 + 0.01, 1e9 + 0.01)],
    )
    def test_sizes_are_to_the_nearest_penny_a_half_up(self, told: float, kept: float) -> None:
        assert pence(told) == kept

    @given(st.integers(0, 10**9))
    def test_whole_pence_stay_what_they_are_whatever_floating_point_makes_of_them(self, count: int) -> None:
        assert pence(count / 100) == round(count / 100, 2)
        assert pence(count * 0.01) == round(count / 100, 2)

    def test_what_the_stream_tells_unrounded_is_no_difference(self, account: Account) -> None:
        account.stream(fact(at=NOW + 1, matched=1.1200000000000003, average=3.4833333, remaining=2.88))
        account.lists.current = [current(sizeMatched=1.12, sizeRemaining=2.88, averagePriceMatched=3.48)]
        account.at(200)

        assert account.words == []


class TestListsThatSayTheSame:
    def test_they_are_no_news(self, account: Account) -> None:
        account.at(300)

        assert account.facts() == []
        assert account.words == []


class TestListBehind:
    """The list accounts for less than was told before it was asked for."""

    @pytest.fixture
    def behind(self, account: Account) -> Account:
        account.stream(fact(at=NOW + 1, matched=3.0, average=3.5, remaining=1.0))
        return account

    def test_a_difference_is_told_once_and_looked_into_soon(self, behind: Account) -> None:
        behind.at(61)

        assert behind.words == ["difference"]
        assert "3.00 of it is accounted for here, 0.00 at the exchange" in behind.reports[0][2]
        assert "is being looked into" in behind.orders.why_held(MARKET)
        assert behind.orders.why_held("1.208") == ""

    def test_one_that_the_next_reading_shows_again_stops_placing_there(self, behind: Account) -> None:
        behind.at(71)

        assert behind.words == ["difference", "difference_lasts"]
        assert behind.orders.why_held(MARKET).startswith("the exchange's record differs: bet 31")
        assert list(behind.orders.held) == [MARKET]

    def test_placing_goes_on_when_it_is_gone(self, behind: Account) -> None:
        behind.at(71)
        behind.lists.current = [current(sizeMatched=3.0, sizeRemaining=1.0, averagePriceMatched=3.5)]
        behind.at(81)

        assert behind.words == ["difference", "difference_lasts", "agrees"]
        assert behind.orders.held == {}
        assert not len(behind.orders.reconciliation.differences)

    def test_list_that_was_late_once_stops_nothing(self, behind: Account) -> None:
        behind.at(61)
        behind.lists.current = [current(sizeMatched=3.0, sizeRemaining=1.0, averagePriceMatched=3.5)]
        behind.at(200)

        assert behind.words == ["difference"]
        assert behind.orders.held == {}

    def test_what_the_stream_told_while_the_list_was_read_is_not_compared(self, account: Account) -> None:
        account.now = NOW + 60_000
        account.orders.wake(account.now)
        account.stream(fact(at=NOW + 60_001, matched=3.0, average=3.5, remaining=1.0))
        account.lists.answer()

        assert account.words == []


class TestUnknown:
    def test_bet_of_this_system_that_was_not_known_is_a_difference_and_taken_on(self, account: Account) -> None:
        account.lists.current.append(current("77", OTHER))
        account.at(61)

        assert account.words == ["difference"]
        assert [bet.bet_id for bet in account.orders.live] == ["31", "77"]

    def test_those_of_an_earlier_session_are_none_at_the_start(self) -> None:
        account = Account()
        account.lists.current = [current("77", OTHER)]
        account.image()

        assert account.words == []

    def test_replacement_whose_reply_has_not_come_is_none(self, account: Account) -> None:
        account.request(ReplaceInstruction(ORDER, "31", 3.6, OTHER, ref(OTHER)))
        account.lists.current = [current("35", ORDER, priceSize={"price": 3.6, "size": 4.0})]
        account.lists.cleared["CANCELLED"] = [cleared(sizeCancelled=4.0)]
        account.at(61)

        assert account.words == []


class TestNowhere:
    """A bet that is in no list, and was not seen to end."""

    @pytest.fixture
    def nowhere(self, account: Account) -> Account:
        account.lists.current = []
        return account

    def test_its_market_is_held_at_once(self, nowhere: Account) -> None:
        nowhere.at(61)

        assert nowhere.orders.why_held(MARKET) == "a bet has left the current orders, and its end is not known yet"
        assert nowhere.words == []

    def test_its_end_among_the_cleared_ones_lets_it_go(self, nowhere: Account) -> None:
        nowhere.at(61)
        nowhere.lists.cleared["CANCELLED"] = [cleared(sizeCancelled=4.0)]
        nowhere.at(71)

        assert nowhere.orders.held == {}
        assert [(each.executable, each.cancelled) for each in nowhere.facts()] == [(False, 4.0)]

    def test_after_two_minutes_it_is_unconfirmed_and_counts_at_its_worst(self, nowhere: Account) -> None:
        nowhere.at(60 + 121)

        (told,) = nowhere.facts()
        assert (told.why, told.executable, told.remaining) == (UNCONFIRMED, False, 4.0)
        (bet,) = nowhere.orders.live
        assert (bet.unconfirmed, bet.remaining) == (True, 4.0)
        assert nowhere.words == ["unconfirmed", "difference"]

    def test_placing_stops_there_until_it_is_found(self, nowhere: Account) -> None:
        nowhere.at(200)
        assert nowhere.orders.why_held(MARKET).startswith("the exchange's record differs")
        nowhere.lists.current = [current()]
        nowhere.at(220)

        assert [each.executable for each in nowhere.facts()] == [False, True]
        assert (nowhere.orders.held, nowhere.words[-1]) == ({}, "agrees")
        assert [bet.unconfirmed for bet in nowhere.orders.live] == [False]

    def test_what_the_stream_tells_later_stands(self, nowhere: Account) -> None:
        nowhere.at(200)
        nowhere.stream(fact(at=NOW + 201_000, executable=False, cancelled=4.0, remaining=0.0))
        nowhere.at(260)

        assert nowhere.orders.live == []
        assert nowhere.orders.held == {}
        asked = len(nowhere.lists.asked)
        nowhere.at(380)
        assert len(nowhere.lists.asked) == asked + 2, "they are read each minute again"

    def test_once_its_market_is_settled_without_it_it_came_to_nothing(self, nowhere: Account) -> None:
        nowhere.at(200)
        nowhere.orders.take(OrdersClosed("Betfair", "alice", MARKET, True, nowhere.now), nowhere.now)
        nowhere.lists.markets = [{"marketId": MARKET, "profit": 0.0, "commission": 0.0, "betCount": 1}]
        nowhere.at(330)

        assert (nowhere.facts()[-1].executable, nowhere.facts()[-1].lapsed) == (False, 4.0)
        assert nowhere.orders.live == []
        assert nowhere.orders.held == {}
        assert nowhere.orders.closure.cleared(MARKET)


class TestWhatTheStreamMissed:
    def test_another_average_is_taken_on_and_told(self, account: Account) -> None:
        matched = {"executable": False, "matched": 4.0, "remaining": 0.0}
        account.stream(fact(at=NOW + 1, average=3.5, **matched))
        account.lists.current = [
            current(status="EXECUTION_COMPLETE", sizeMatched=4.0, sizeRemaining=0.0, averagePriceMatched=3.2)
        ]
        account.at(61)
        assert account.facts()[-1].average == 3.2
        account.at(80)

        assert account.words == ["difference"]
        assert "4.00 matched at 3.20" in account.reports[0][2]


class TestExposures:
    def test_what_bets_could_lose_is_compared_by_market(self, account: Account) -> None:
        (bet,) = account.orders.live
        bet.side = "LAY"  # as a fault of ours would have it
        account.at(61)

        assert account.words == ["difference"]
        assert "could lose 10.00 by what is known here, 4.00 by the exchange's lists" in account.reports[0][2]
        assert account.orders.why_held(MARKET)

    def test_difference_is_open_still_while_something_is_under_way_there(self, account: Account) -> None:
        (bet,) = account.orders.live
        bet.side = "LAY"
        account.at(61)
        account.request(place(OTHER))
        account.at(300)
        assert account.orders.why_held(MARKET)

    def test_markets_in_which_something_is_under_way_are_not_compared(self, account: Account) -> None:
        account.request(place(OTHER))
        account.at(61)

        assert account.words == []

    def test_order_at_the_starting_price_that_waits_counts_with_its_liability(self) -> None:
        account = Account(loss=loss)
        waiting = {"priceSize": {"price": 0.0, "size": 0.0}, "bspLiability": 12.0, "orderType": "MARKET_ON_CLOSE"}
        account.lists.current = [
            current(status="EXECUTION_COMPLETE", sizeRemaining=0.0, persistenceType="MARKET_ON_CLOSE", **waiting)
        ]
        account.image()
        account.at(200)

        (bet,) = account.orders.live
        assert (bet.at_sp, bet.remaining, account.words) == (True, 12.0, [])
        assert ListedBet(RUNNER, 0.0, "BACK", None, None, 0.0, 0.0, 12.0, True).remaining == bet.remaining

    def test_size_that_was_cancelled_does_not_count(self, account: Account) -> None:
        request = account.request(CancelInstruction(ORDER, "31", 1.0))
        account.orders.take_reply(
            Reply(request.request_id, MARKET, NOW, reports=(Report(ORDER, CANCEL, "SUCCESS", None, "31", 1.0),))
        )
        account.stream(fact(at=NOW + 1, cancelled=1.0, remaining=3.0))
        account.lists.current = [current(sizeCancelled=1.0, sizeRemaining=3.0)]
        account.at(200)

        assert account.words == []


class TestPositions:
    """What the stream says is matched of the whole account."""

    def tell(self, account: Account, size: float) -> None:
        ladder = ((3.5, size),) if size else ()
        account.orders.take(Position("Betfair", "alice", MARKET, RUNNER, 0.0, ladder, ()), account.now)

    @pytest.fixture
    def matched(self, account: Account) -> Account:
        matched = {"executable": False, "matched": 4.0, "remaining": 0.0, "average": 3.5}
        account.stream(fact(at=NOW + 1, **matched))
        account.lists.current = [
            current(status="EXECUTION_COMPLETE", sizeMatched=4.0, sizeRemaining=0.0, averagePriceMatched=3.5)
        ]
        return account

    def test_same_sizes_are_no_difference(self, matched: Account) -> None:
        self.tell(matched, 4.0)
        matched.at(200)

        assert matched.words == []

    def test_what_two_readings_say_is_taken_from_the_lists(self, matched: Account) -> None:
        self.tell(matched, 1.0)
        matched.at(61)
        assert matched.words == []
        matched.at(71)

        assert matched.words == ["difference"]
        assert "1.00 and 0.00 by the stream, 4.00 and 0.00 by the lists" in matched.reports[0][2]
        assert matched.orders.bets.positions[MARKET][RUNNER, 0.0].backs == ((3.5, 4.0),)
        matched.at(300)
        assert matched.words == ["difference"]


class TestAnswerThatIsOpen:
    def test_after_a_reconnect_markets_with_bets_are_held_until_the_lists_were_read(self, account: Account) -> None:
        account.orders.stream_down()
        account.orders.reconciliation.image(account.now)
        assert account.orders.why_held(MARKET) == "the order stream was away, and the account's orders are being read"
        assert account.orders.why_held("1.208") == ""
        account.at(1)

        assert account.orders.why_held(MARKET) == ""

    def test_each_minute_they_are_held_only_where_the_exchange_is_slow_to_answer(self, account: Account) -> None:
        account.now = NOW + 60_000
        account.orders.wake(account.now)
        assert account.orders.why_held(MARKET) == ""
        account.orders.wake(account.now + 2_001)
        assert account.orders.why_held(MARKET) == "the exchange does not answer what the account's orders are"
        assert account.orders.why_held("1.208") == ""
        account.lists.answer()

        assert account.orders.why_held(MARKET) == ""

    def test_lists_that_fail_hold_them_until_they_can_be_had(self, account: Account) -> None:
        account.lists.error = "HTTP status 503"
        account.at(66)
        assert account.orders.why_held(MARKET)
        account.lists.error = ""
        account.at(80)

        assert account.orders.why_held(MARKET) == ""
