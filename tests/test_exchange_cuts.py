"""Faults that cut what belongs together: a replace in two, a call from its reply, a change or a row from its bet."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from exchange_desk import MARKET, Desk, Fault, codes, limit
from exchange_streams import stage
from headrace.simulate.exchange.errors import ConnectionCut
from headrace.simulate.exchange.faults import FaultError
from headrace.simulate.exchange.http.arguments import arguments_of
from headrace.simulate.exchange.listings.lists import BetLists


def replacing(desk: Desk, *bet_ids: str) -> Any:
    """A replace of bets to 4.0, whatever comes of it, and what comes of it within 50 ms."""

    async def made() -> Any:
        asked = [{"betId": each, "newPrice": 4.0} for each in bet_ids]
        params = arguments_of({"marketId": MARKET, "instructions": asked, "customerRef": "once"})
        try:
            return await desk.operations["replaceOrders"](desk.account, params)
        finally:
            await asyncio.sleep(0.05)

    return asyncio.run(made())


class TestReplaceCut:
    def test_the_bet_is_cancelled_and_none_takes_its_place(self) -> None:
        desk = Desk(faults=[Fault("bet.replace_cut")])
        bet = desk.placed(limit(3.0, 5))
        with pytest.raises(ConnectionCut):
            replacing(desk, bet.bet_id)
        assert (bet.cancelled, list(desk.exchange.bets)) == (5.0, [bet.bet_id])

    def test_what_takes_its_place_may_come_later_and_the_ledger_alone_is_told(self) -> None:
        desk = Desk(faults=[Fault("bet.replace_cut", seconds=0.02)])
        bet = desk.placed(limit(3.0, 5, instruction={"customerOrderRef": "mine"}))
        with pytest.raises(ConnectionCut):
            replacing(desk, bet.bet_id)
        made = next(each for each in desk.exchange.bets.values() if each is not bet)
        assert (bet.cancelled, made.price, made.remaining, made.order_ref) == (5.0, 4.0, 5.0, "mine")
        [told] = [each.values for each in desk.exchange.ledger.entries(kind="REPLY")]
        assert (told["later"], told["report"]["status"]) == (True, "SUCCESS")

    def test_its_report_may_know_of_the_cancel_alone(self) -> None:
        desk = Desk(faults=[Fault("bet.replace_cut", value="TIMEOUT")])
        bet = desk.placed(limit(3.0, 5))
        report = replacing(desk, bet.bet_id)
        [each] = report["instructionReports"]
        cancel, place = each["cancelInstructionReport"], each["placeInstructionReport"]
        assert (report["status"], each["status"], place["status"]) == ("TIMEOUT", "TIMEOUT", "TIMEOUT")
        assert (cancel["status"], cancel["sizeCancelled"]) == ("SUCCESS", 5.0)
        assert "betId" not in place

    def test_a_replace_that_cancels_nothing_is_not_cut(self) -> None:
        desk = Desk(faults=[Fault("bet.replace_cut")])
        bet = desk.placed(limit(2.02, 2))
        desk.cancel({"betId": bet.bet_id})
        [each] = replacing(desk, bet.bet_id)["instructionReports"]
        assert each["errorCode"] == "BET_TAKEN_OR_LAPSED"
        assert desk.faults.pending

    @pytest.mark.parametrize(("fields", "told"), [({"value": "LATE"}, "TIMEOUT"), ({"seconds": 16}, "15 at most")])
    def test_what_it_cannot_do_is_refused(self, fields: dict[str, Any], told: str) -> None:
        with pytest.raises(FaultError, match=told):
            Fault("bet.replace_cut", **fields)


class TestDuplicate:
    """A call that something on the way has sent twice: the client hears of the second."""

    @pytest.mark.parametrize("operation", ["placeOrders", "cancelOrders", "updateOrders", "replaceOrders"])
    def test_it_is_done_once_and_told_to_be_a_duplicate(self, operation: str) -> None:
        desk = Desk()
        bet = desk.placed(limit(3.0, 5))
        desk.faults.add(Fault("http.duplicate", operation=operation))
        asked = {
            "placeOrders": limit(4.0, 5),
            "cancelOrders": {"betId": bet.bet_id, "sizeReduction": 2.0},
            "updateOrders": {"betId": bet.bet_id, "newPersistenceType": "PERSIST"},
            "replaceOrders": {"betId": bet.bet_id, "newPrice": 4.0},
        }[operation]
        params = {"marketId": MARKET, "instructions": [asked], "customerRef": "once"}
        report = desk.call(operation, params)
        assert (report["status"], report["errorCode"]) == ("FAILURE", "DUPLICATE_TRANSACTION")
        assert codes(report) == ["ERROR_IN_ORDER"]
        done = {
            "placeOrders": len(desk.exchange.bets) == 2,
            "cancelOrders": bet.cancelled == 2.0,
            "updateOrders": bet.persistence == "PERSIST",
            "replaceOrders": bet.cancelled == 5.0 and len(desk.exchange.bets) == 2,
        }
        assert done[operation]

    def test_a_call_without_a_reference_cannot_be_known_again(self) -> None:
        desk = Desk(faults=[Fault("http.duplicate")])
        assert desk.place(limit(3.0, 5))["status"] == "SUCCESS"
        assert desk.faults.pending


def test_a_change_of_a_bet_can_be_lost_to_the_stream() -> None:
    desk = Desk()
    bet = desk.placed(limit(3.0, 5))
    with stage(desk.exchange) as stream:
        client = stream.subscribe()
        stream.faults.add(Fault("order.lost", bet_id=bet.bet_id))
        desk.cancel({"betId": bet.bet_id, "sizeReduction": 2.0})
        assert client.snap(MARKET)["orders"][bet.bet_id]["sizeRemaining"] == 5.0
        desk.cancel({"betId": bet.bet_id, "sizeReduction": 1.0})
        assert client.snap(MARKET)["orders"][bet.bet_id]["sizeRemaining"] == 2.0


class TestLeftOut:
    """A bet that a list does not show, though it is there."""

    def listed(self, desk: Desk, lists: BetLists, operation: str, **params: Any) -> list[str]:
        call = lists.operations()[f"SportsAPING/v1.0/{operation}"]
        answer = asyncio.run(call(desk.account, arguments_of(params)))
        rows = answer["currentOrders" if operation == "listCurrentOrders" else "clearedOrders"]
        return [row["betId"] for row in rows]

    def test_once_for_each_time_it_is_asked_for(self) -> None:
        desk = Desk()
        lists = BetLists(desk.exchange, desk.bank, desk.faults)
        one, other = (desk.placed(limit(3.0, 5)).bet_id for _ in range(2))
        desk.faults.add(Fault("list.leave_out", bet_id=one, times=2))
        read = [self.listed(desk, lists, "listCurrentOrders") for _ in range(3)]
        assert read == [[other], [other], [one, other]]

    def test_of_what_is_not_asked_for_nothing_is_left_out(self) -> None:
        desk = Desk()
        lists = BetLists(desk.exchange, desk.bank, desk.faults)
        one, other = (desk.placed(limit(3.0, 5)).bet_id for _ in range(2))
        desk.faults.add(Fault("list.leave_out", bet_id=one))
        assert self.listed(desk, lists, "listCurrentOrders", betIds=[other]) == [other]
        assert desk.faults.pending

    def test_an_end_can_be_late_among_the_cleared(self) -> None:
        desk = Desk()
        lists = BetLists(desk.exchange, desk.bank, desk.faults)
        bet = desk.placed(limit(3.0, 5))
        desk.cancel({"betId": bet.bet_id})
        desk.faults.add(Fault("list.leave_out", operation="listClearedOrders"))
        read = [self.listed(desk, lists, "listClearedOrders", betStatus="CANCELLED") for _ in range(2)]
        assert read == [[], [bet.bet_id]]
