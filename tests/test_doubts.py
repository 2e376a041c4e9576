"""What is done about requests of which nobody knows what became."""

from __future__ import annotations

from typing import ClassVar

import pytest

from account_builders import MARKET, NOW, ORDER, OTHER, Account, cleared, current, fact, place, ref
from headrace.strategies.messages import (
    CANCEL,
    FAILURE,
    PLACE,
    SUCCESS,
    UNCONFIRMED,
    UNKNOWN,
    CancelInstruction,
    ReplaceInstruction,
    Reply,
    Report,
    Request,
    UpdateInstruction,
)

FOUND = ("ANSWERED", ORDER, "PLACE", "SUCCESS", None)
NOT_PLACED = ("EXPIRED", ORDER, "PLACE", "FAILURE", None)


@pytest.fixture
def account() -> Account:
    return Account()


class TestPlacings:
    def test_market_is_told_at_once_that_it_is_in_doubt(self, account: Account) -> None:
        assert not account.lose(account.request(place()))
        assert account.orders.in_doubt(ORDER)
        assert account.words == ["in_doubt"]

    def test_bet_among_the_current_ones_was_placed(self, account: Account) -> None:
        account.lose(account.request(place()))
        account.lists.current = [current(sizeMatched=1.0, sizeRemaining=3.0, averagePriceMatched=3.5)]
        account.at(1)

        assert account.replies() == [FOUND]
        assert [(each.bet_id, each.matched) for each in account.facts()] == [("31", 1.0)]
        assert not account.orders.in_doubt(ORDER)

    def test_bet_on_the_stream_was_placed_and_is_not_looked_for(self, account: Account) -> None:
        account.lose(account.request(place()))
        account.stream(fact())
        account.at(40)

        assert account.replies() == [FOUND]
        assert account.lists.asked == []

    @pytest.mark.parametrize("status", ["CANCELLED", "LAPSED", "VOIDED", "SETTLED"])
    def test_bet_among_the_cleared_ones_of_any_status_was_placed(self, account: Account, status: str) -> None:
        account.lose(account.request(place()))
        account.lists.cleared[status] = [cleared(sizeCancelled=4.0, sizeSettled=4.0, priceMatched=3.5)]
        account.at(16)

        (told,) = account.facts()
        assert account.replies() == [FOUND]
        assert not told.executable
        sizes = {"CANCELLED": told.cancelled, "LAPSED": told.lapsed, "VOIDED": told.voided, "SETTLED": told.matched}
        assert sizes == {**dict.fromkeys(sizes, 0.0), status: 4.0}

    def test_not_placed_is_decided_no_sooner_than_15_seconds_and_the_bet_delay(self, account: Account) -> None:
        account.lose(account.request(place(), bet_delay=5))
        account.at(19.9)
        assert account.replies() == []
        account.at(20.1)

        assert account.replies() == [NOT_PLACED]
        assert "not_placed" in account.words
        assert account.orders.live == []

    def test_look_that_began_sooner_decides_nothing(self, account: Account) -> None:
        account.lose(account.request(place()))
        account.orders.wake(NOW + 14_900)
        account.now = NOW + 15_100
        account.lists.answer()

        assert account.replies() == []

    def test_all_statuses_are_looked_at_before_it_is_decided(self, account: Account) -> None:
        account.lose(account.request(place()))
        account.at(15.1)

        assert account.lists.asked[-5:] == ["current", "SETTLED", "VOIDED", "LAPSED", "CANCELLED"]

    def test_lists_that_cannot_be_had_decide_nothing(self, account: Account) -> None:
        account.lose(account.request(place()))
        account.lists.error = "HTTP status 503"
        account.at(60)
        assert account.replies() == []
        account.lists.error = ""
        account.at(120)

        assert account.replies() == [NOT_PLACED]

    def test_without_the_stream_cleared_bets_are_looked_for_twice(self, account: Account) -> None:
        account.lose(account.request(place()))
        account.orders.stream_down()
        account.at(15.5)
        assert account.replies() == []
        account.at(18)

        assert account.replies() == [NOT_PLACED]

    def test_bet_that_turns_up_later_is_taken_on_and_reported(self, account: Account) -> None:
        account.lose(account.request(place()))
        account.at(16)
        account.told.clear()
        account.stream(fact(at=NOW + 17_000))

        assert [each.bet_id for each in account.facts()] == ["31"]
        assert account.words[-1] == "adopted"
        assert [bet.bet_id for bet in account.orders.live] == ["31"]

    def test_of_one_call_each_instruction_is_found_by_itself(self, account: Account) -> None:
        account.lose(account.request(place(), place(OTHER)))
        account.lists.current = [current("32", OTHER)]
        account.at(16)

        assert account.replies() == [("ANSWERED", OTHER, "PLACE", "SUCCESS", None), NOT_PLACED]


class TestAsynchronousPlacings:
    def test_nobody_looks_while_the_stream_may_still_tell(self, account: Account) -> None:
        request = account.request(place(), bet_delay=5, async_=True)
        account.orders.take_reply(_pending(request))
        account.at(19)
        account.stream(fact(at=NOW + 19_000))
        account.at(40)

        assert account.lists.asked == []
        assert [each.bet_id for each in account.facts()] == ["31"]

    def test_what_never_shows_was_refused_after_the_delay(self, account: Account) -> None:
        request = account.request(place(), bet_delay=5, async_=True)
        account.orders.take_reply(_pending(request))
        account.at(21)

        (told,) = account.facts()
        assert (told.order_id, told.bet_id, told.executable, told.why) == (ORDER, None, False, "NOT_PLACED")


def _pending(request: Request) -> Reply:
    reports = tuple(Report(each.order_id, PLACE, SUCCESS) for each in request.instructions)
    return Reply(request.request_id, request.market_id, NOW, reports=reports)


class TestCancels:
    @pytest.fixture
    def resting(self, account: Account) -> Account:
        account.placed()
        return account

    def lose(self, account: Account, size: float | None = None) -> None:
        assert account.lose(account.request(CancelInstruction(ORDER, "31", size)))

    def test_whole_cancel_is_answered_once_the_bet_was_read(self, resting: Account) -> None:
        self.lose(resting)
        assert resting.replies() == []
        resting.lists.current = [current()]
        resting.at(1)

        assert resting.replies() == [("ANSWERED", ORDER, "CANCEL", "FAILURE", "TIMEOUT")]

    def test_stream_says_that_it_was_cancelled(self, resting: Account) -> None:
        self.lose(resting)
        resting.stream(fact(at=NOW + 1, executable=False, cancelled=4.0, remaining=0.0))

        assert resting.replies() == [("ANSWERED", ORDER, "CANCEL", "SUCCESS", None)]

    def test_bet_that_was_matched_meanwhile_cannot_be_cancelled(self, resting: Account) -> None:
        self.lose(resting)
        resting.stream(fact(at=NOW + 1, executable=False, matched=4.0, average=3.5, remaining=0.0))

        assert resting.replies() == [("ANSWERED", ORDER, "CANCEL", "FAILURE", "BET_TAKEN_OR_LAPSED")]

    def test_part_is_not_refused_before_it_can_no_longer_come(self, resting: Account) -> None:
        self.lose(resting, 1.5)
        resting.lists.current = [current()]
        resting.at(14)
        assert resting.replies() == []
        resting.lists.current = [current(sizeCancelled=1.5, sizeRemaining=2.5)]
        resting.at(16)

        (reply,) = [each for each in resting.told if isinstance(each, Reply)]
        assert reply.reports[0].size == 1.5
        assert reply.reports[0].status == "SUCCESS"

    def test_part_that_never_came_is_refused(self, resting: Account) -> None:
        self.lose(resting, 1.5)
        resting.lists.current = [current()]
        resting.at(17)

        assert resting.replies() == [("ANSWERED", ORDER, "CANCEL", "FAILURE", "TIMEOUT")]

    def test_what_was_cancelled_before_does_not_count(self, resting: Account) -> None:
        resting.stream(fact(at=NOW + 1, cancelled=1.0, remaining=3.0))
        resting.told.clear()
        self.lose(resting, 1.5)
        resting.lists.current = [current(sizeCancelled=1.0, sizeRemaining=3.0)]
        resting.at(10)
        assert resting.replies() == []
        resting.lists.current = [current(sizeCancelled=2.5, sizeRemaining=1.5)]
        resting.at(13)

        assert resting.replies() == [("ANSWERED", ORDER, "CANCEL", "SUCCESS", None)]

    def test_bet_that_is_nowhere_is_over(self, resting: Account) -> None:
        self.lose(resting)
        resting.at(16)

        assert resting.replies() == [("ANSWERED", ORDER, "CANCEL", "FAILURE", "BET_TAKEN_OR_LAPSED")]

    @pytest.mark.parametrize(("now", "status"), [("PERSIST", "SUCCESS"), ("LAPSE", "FAILURE")])
    def test_update_is_answered_by_the_persistence_that_is_read(self, resting: Account, now: str, status: str) -> None:
        assert resting.lose(resting.request(UpdateInstruction(ORDER, "31", "PERSIST")))
        resting.lists.current = [current(persistenceType=now)]
        resting.at(1)

        assert [each[2:4] for each in resting.replies()] == [("UPDATE", status)]


class TestReplaces:
    CANCELLED: ClassVar = {"status": "EXECUTION_COMPLETE", "sizeCancelled": 4.0, "sizeRemaining": 0.0}
    MADE = current("35", placedDate="2026-09-21T12:27:40.000Z", priceSize={"price": 3.6, "size": 4.0})

    @pytest.fixture
    def replacing(self, account: Account) -> Account:
        account.placed()
        assert account.lose(account.request(ReplaceInstruction(ORDER, "31", 3.6, OTHER, ref(OTHER))))
        return account

    def test_both_bets_are_found(self, replacing: Account) -> None:
        replacing.lists.current = [current(**self.CANCELLED), self.MADE]
        replacing.at(1)

        assert replacing.replies() == [
            ("ANSWERED", ORDER, "CANCEL", "SUCCESS", None),
            ("ANSWERED", OTHER, "PLACE", "SUCCESS", None),
        ]
        assert {(bet.order_id, bet.bet_id, bet.ended) for bet in replacing.orders.bets} == {
            (ORDER, "31", True),
            (OTHER, "35", False),
        }

    def test_old_bet_has_left_the_current_ones(self, replacing: Account) -> None:
        replacing.lists.current = [self.MADE]
        replacing.lists.cleared["CANCELLED"] = [cleared(sizeCancelled=4.0)]
        replacing.at(1)

        assert [each[3] for each in replacing.replies()] == ["SUCCESS", "SUCCESS"]

    def test_new_bet_that_the_stream_showed_before_the_call_failed_is_found(self, account: Account) -> None:
        account.placed()
        request = account.request(ReplaceInstruction(ORDER, "31", 3.6, OTHER, ref(OTHER)))
        account.stream(fact("35", at=NOW + 1, price=3.6))
        account.lose(request)
        account.lists.current = [current(**self.CANCELLED), self.MADE]
        account.at(1)

        assert [each[1:4] for each in account.replies()] == [
            (ORDER, "CANCEL", "SUCCESS"),
            (OTHER, "PLACE", "SUCCESS"),
        ]

    def test_nothing_happened(self, replacing: Account) -> None:
        replacing.lists.current = [current()]
        replacing.at(14)
        assert replacing.replies() == []
        replacing.at(17)

        assert replacing.replies() == [("ANSWERED", ORDER, "CANCEL", "FAILURE", "TIMEOUT")]

    def test_matched_meanwhile(self, replacing: Account) -> None:
        replacing.lists.current = [current(status="EXECUTION_COMPLETE", sizeMatched=4.0, sizeRemaining=0.0)]
        replacing.at(1)

        assert replacing.replies() == [("ANSWERED", ORDER, "CANCEL", "FAILURE", "BET_TAKEN_OR_LAPSED")]

    def test_cancelled_and_not_placed(self, replacing: Account) -> None:
        replacing.lists.cleared["CANCELLED"] = [cleared(sizeCancelled=4.0)]
        replacing.at(14)
        assert replacing.replies() == []
        replacing.at(17)

        assert replacing.replies() == [
            ("ANSWERED", ORDER, "CANCEL", "SUCCESS", None),
            ("ANSWERED", OTHER, "PLACE", "FAILURE", "CANCELLED_NOT_PLACED"),
        ]
        assert replacing.orders.live == []

    def half(self, account: Account) -> None:
        """The exchange has cancelled, and has not said whether it has placed."""
        account.placed()
        request = account.request(ReplaceInstruction(ORDER, "31", 3.6, OTHER, ref(OTHER)))
        cancel = Report(ORDER, CANCEL, SUCCESS, size=4.0)
        account.orders.take_reply(Reply(request.request_id, MARKET, NOW, reports=(cancel,)))
        unknown = Reply(request.request_id, MARKET, NOW, UNKNOWN, (Report(OTHER, PLACE, FAILURE),), reason="TIMEOUT")
        assert account.orders.hold(request, unknown)

    def test_of_a_replacement_whose_cancel_is_known_the_placing_is_in_doubt(self, account: Account) -> None:
        self.half(account)
        assert account.replies() == [("UNKNOWN", OTHER, "PLACE", "FAILURE", None)]
        account.told.clear()
        account.lists.current = [current(**self.CANCELLED), self.MADE]
        account.at(1)

        assert account.replies() == [("ANSWERED", OTHER, "PLACE", "SUCCESS", None)]
        assert [(bet.order_id, bet.bet_id) for bet in account.orders.live] == [(OTHER, "35")]

    def test_it_may_be_seen_on_the_stream_under_its_predecessors_reference(self, account: Account) -> None:
        self.half(account)
        account.told.clear()
        account.stream(fact("35", at=NOW + 1, price=3.6))

        assert account.replies() == [("ANSWERED", OTHER, "PLACE", "SUCCESS", None)]
        assert account.lists.asked == []

    def test_it_was_not_placed(self, account: Account) -> None:
        self.half(account)
        account.told.clear()
        account.lists.cleared["CANCELLED"] = [cleared(sizeCancelled=4.0)]
        account.at(17)

        assert account.replies() == [("ANSWERED", OTHER, "PLACE", "FAILURE", "CANCELLED_NOT_PLACED")]
        assert account.orders.live == []

    @pytest.mark.parametrize("shown", [True, False])
    def test_replacement_that_was_taken_asynchronously(self, account: Account, shown: bool) -> None:
        account.placed()
        request = account.request(ReplaceInstruction(ORDER, "31", 3.6, OTHER, ref(OTHER)), bet_delay=5, async_=True)
        reports = (Report(ORDER, CANCEL, SUCCESS, size=4.0), Report(OTHER, PLACE, SUCCESS))
        account.orders.take_reply(Reply(request.request_id, MARKET, NOW, reports=reports))
        account.stream(fact(at=NOW + 1, executable=False, cancelled=4.0, remaining=0.0))
        account.lists.cleared["CANCELLED"] = [cleared(sizeCancelled=4.0)]
        if shown:
            account.stream(fact("35", at=NOW + 2, price=3.6))
        account.at(30)

        live = [(bet.order_id, bet.bet_id) for bet in account.orders.live]
        ended = [(each.order_id, each.why) for each in account.facts() if each.bet_id is None]
        assert (live, ended) == (([(OTHER, "35")], []) if shown else ([], [(OTHER, "NOT_PLACED")]))


class TestUnconfirmed:
    """Nothing could be learnt for two minutes: the lists cannot be had, and the stream says nothing."""

    UNCONFIRMED = ("UNCONFIRMED", ORDER, "PLACE", "FAILURE", None)

    @pytest.fixture
    def account(self) -> Account:
        made = Account()
        made.lists.error = "HTTP status 503"
        return made

    def test_placing_ends_unconfirmed_after_two_minutes_and_the_bet_delay_and_people_are_told(
        self, account: Account
    ) -> None:
        account.lose(account.request(place(), bet_delay=5))
        account.at(124.9)
        assert account.replies() == []
        account.at(125.1)

        assert account.replies() == [self.UNCONFIRMED]
        assert account.words == ["in_doubt", "unconfirmed"]

    def test_it_is_told_even_while_a_look_is_not_answered(self, account: Account) -> None:
        account.lose(account.request(place()))
        account.orders.wake(NOW + 600)
        account.orders.wake(NOW + 120_000)

        assert account.replies() == [self.UNCONFIRMED]

    def test_it_counts_as_if_all_of_it_could_be_matched(self, account: Account) -> None:
        account.lose(account.request(place()))
        account.at(130)

        (bet,) = account.orders.live
        assert (bet.in_doubt, bet.unconfirmed, bet.remaining) == (True, True, 4.0)
        assert account.orders.in_doubt(ORDER)

    def test_it_is_looked_for_still_and_taken_on_when_it_is_found(self, account: Account) -> None:
        account.lose(account.request(place()))
        account.at(600)
        account.lists.error = ""
        account.lists.current = [current(sizeMatched=1.0, sizeRemaining=3.0, averagePriceMatched=3.5)]
        account.at(640)

        assert account.replies() == [self.UNCONFIRMED, FOUND]
        assert account.words[-1] == "adopted"
        (bet,) = account.orders.live
        assert (bet.bet_id, bet.unconfirmed, bet.remaining) == ("31", False, 3.0)

    def test_it_was_not_placed_after_all_if_a_look_says_so(self, account: Account) -> None:
        account.lose(account.request(place()))
        account.at(600)
        account.lists.error = ""
        account.at(640)

        assert account.replies() == [self.UNCONFIRMED, NOT_PLACED]
        assert account.orders.live == []

    def test_stream_that_shows_it_ends_it(self, account: Account) -> None:
        account.lose(account.request(place()))
        account.at(130)
        account.stream(fact(at=NOW + 131_000))
        account.at(140)

        assert account.replies() == [self.UNCONFIRMED, FOUND]
        assert [each.bet_id for each in account.facts()] == ["31"]

    def test_order_that_was_taken_asynchronously_is_told_by_a_fact(self, account: Account) -> None:
        request = account.request(place(), async_=True)
        account.orders.take_reply(Reply(request.request_id, MARKET, NOW, reports=(Report(ORDER, PLACE, SUCCESS),)))
        account.at(130)

        (told,) = account.facts()
        assert (told.why, told.executable, told.remaining, told.bet_id) == (UNCONFIRMED, False, 4.0, None)
        (bet,) = account.orders.live
        assert (bet.unconfirmed, bet.remaining) == (True, 4.0)
        account.lists.error = ""
        account.lists.current = [current()]
        account.at(170)
        assert account.facts()[-1].executable
        assert [(bet.bet_id, bet.unconfirmed) for bet in account.orders.live] == [("31", False)]

    def test_cancel_of_a_whole_bet_may_be_asked_for_again(self, account: Account) -> None:
        account.placed()
        account.lose(account.request(CancelInstruction(ORDER, "31")))
        account.at(130)

        assert account.replies() == [("ANSWERED", ORDER, "CANCEL", "FAILURE", "TIMEOUT")]
        assert not account.orders.in_doubt(ORDER)

    def test_cancel_of_a_part_stays_in_doubt_until_the_bet_was_read(self, account: Account) -> None:
        account.placed()
        account.lose(account.request(CancelInstruction(ORDER, "31", 2.0)))
        account.at(130)
        assert account.replies() == []
        assert account.words == ["in_doubt", "unconfirmed"]
        account.lists.error = ""
        account.lists.current = [current(sizeCancelled=2.0, sizeRemaining=2.0)]
        account.at(170)

        assert account.replies() == [("ANSWERED", ORDER, "CANCEL", "SUCCESS", None)]

    def test_what_a_replace_places_is_unconfirmed_and_both_count(self, account: Account) -> None:
        account.placed()
        asked = ReplaceInstruction(ORDER, "31", 4.0, OTHER, ref(OTHER))
        request = account.request(asked)
        cancelled = Report(ORDER, CANCEL, SUCCESS, bet_id="31", size=4.0)
        account.orders.take_reply(Reply(request.request_id, MARKET, NOW, reports=(cancelled,)))
        lost = Reply(request.request_id, MARKET, NOW, UNKNOWN, (Report(OTHER, PLACE, FAILURE),))
        account.orders.hold(request, lost)
        account.at(130)

        assert account.replies()[-1] == ("UNCONFIRMED", OTHER, "PLACE", "FAILURE", None)
        (made,) = (bet for bet in account.orders.live if bet.order_id == OTHER)
        assert (made.unconfirmed, made.remaining) == (True, 4.0)


class TestHeld:
    """Nothing is placed in a market where a bet may be that is not known."""

    def test_placing_in_doubt_holds_its_market_until_it_is_decided(self, account: Account) -> None:
        account.lose(account.request(place()))
        assert account.orders.why_held(MARKET) == "it is not known what became of an order"
        assert list(account.orders.held) == [MARKET]
        assert account.orders.why_held("1.208") == ""
        account.at(16)

        assert account.orders.why_held(MARKET) == ""

    def test_cancel_in_doubt_holds_nothing(self, account: Account) -> None:
        account.placed()
        account.lose(account.request(CancelInstruction(ORDER, "31")))

        assert account.orders.why_held(MARKET) == ""

    def test_asynchronous_order_holds_once_it_should_have_been_shown(self, account: Account) -> None:
        account.lists.error = "HTTP status 503"
        request = account.request(place(), async_=True)
        account.orders.take_reply(Reply(request.request_id, MARKET, NOW, reports=(Report(ORDER, PLACE, SUCCESS),)))
        account.at(14)
        assert account.orders.why_held(MARKET) == ""
        account.at(16)

        assert account.orders.why_held(MARKET)
