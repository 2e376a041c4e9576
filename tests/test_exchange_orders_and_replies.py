"""What the order stream tells of calls of the betting API, and when, next to their replies."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from betfairlightweight import resources

from builders import MARKET, priced
from exchange_builders import ALICE, T0, Fault, play
from exchange_desk import Desk, at_close, limit
from exchange_streams import Reader, Stage, stage
from headrace.simulate.exchange.http.arguments import arguments_of
from headrace.simulate.exchange.listings.lists import BetLists


def states(client: Reader) -> list[dict[str, Any]]:
    """All orders that have come since this was last asked, in order."""
    return [
        order
        for message in client.new()
        for market in message.get("oc", ())
        for runner in market.get("orc", ())
        for order in runner.get("uo", ())
    ]


def called(desk: Desk, stream: Stage, operation: str, **params: Any) -> asyncio.Task[Any]:
    """A call that is under way on the stream's loop."""
    asked = arguments_of({"marketId": MARKET, **params})

    async def call() -> Any:
        return await desk.operations[operation](ALICE, asked)

    return stream.loop.create_task(call())


def test_the_change_of_a_bet_is_on_the_stream_before_the_reply_if_a_fault_says_so():
    desk = Desk(faults=[Fault("order.before_reply", seconds=0.05)])
    with stage(desk.exchange) as stream:
        client = stream.subscribe()
        client.new()
        reply = called(desk, stream, "placeOrders", instructions=[limit(3.0, 5)])
        stream.let_pass(0.01)
        (order,) = states(client)
        assert not reply.done()
        stream.let_pass(0.08)
        assert reply.result()["instructionReports"][0]["betId"] == order["id"]
        resources.PlaceOrders(**reply.result())
    assert desk.faults.counts == {"order.before_reply": 1}


def test_the_reply_comes_before_the_change_of_a_bet_if_a_fault_says_so():
    desk = Desk()
    with stage(desk.exchange, Fault("order.after_reply", seconds=0.05)) as stream:
        client = stream.subscribe()
        client.new()
        reply = called(desk, stream, "placeOrders", instructions=[limit(3.0, 5)])
        stream.let_pass(0.01)
        assert reply.result()["status"] == "SUCCESS"
        assert states(client) == []
        stream.let_pass(0.08)
        assert [order["status"] for order in states(client)] == ["E"]


def test_what_is_refused_is_not_on_the_stream():
    desk = Desk()
    with stage(desk.exchange) as stream:
        client = stream.subscribe()
        client.new()
        desk.place(limit(3.03, 5))
        desk.place(limit(3.0, 5, selection_id=77))
        assert client.new() == []


def test_a_limit_on_close_whose_price_is_edited_has_its_date_and_nothing_cancelled():
    desk = Desk()
    with stage(desk.exchange) as stream:
        client = stream.subscribe()
        old = desk.placed(at_close(20.0, 4.0))
        client.new()
        report = desk.replace({"betId": old.bet_id, "newPrice": 3.5})
        assert report["status"] == "SUCCESS"
        new = desk.bet(report)
        first, second = states(client)
    assert (first["id"], first["status"], first["sc"], first["sl"], first["cd"]) == (old.bet_id, "EC", 0.0, 0.0, T0)
    assert (second["id"], second["ot"], second["p"], second["bsp"]) == (new.bet_id, "LOC", 3.5, 20.0)


def test_a_bet_that_is_voided_after_its_end_is_told_again():
    desk = Desk()
    with stage(desk.exchange) as stream:
        client = stream.subscribe()
        bet = desk.placed(limit(2.0, 5))
        assert [(order["sm"], order["sv"]) for order in states(client)] == [(5.0, 0.0)]
        desk.faults.add(Fault("bet.void"))
        (order,) = states(client)
        assert (order["id"], order["status"], order["sm"], order["sv"], order["md"]) == (bet.bet_id, "EC", 0.0, 5.0, T0)
        assert "avp" not in order
        assert client.snap(MARKET)["matches"] == {(1, 0): {}}


def test_a_bet_that_lapses_unasked_has_the_reason_of_the_fault():
    desk = Desk(faults=[Fault("bet.lapse", value="MKT_INVALID")])
    with stage(desk.exchange) as stream:
        client = stream.subscribe()
        desk.placed(limit(3.0, 5))
        first, last = states(client)
    assert (first["status"], last["status"], last["sl"], last["lsrc"]) == ("E", "EC", 5.0, "MKT_INVALID")


def test_in_play_a_bet_is_told_when_its_delay_is_over_and_not_before():
    desk = Desk(priced().turn_in_play(200, bet_delay=5).touch(6_000), until=200)
    with stage(desk.exchange) as stream:
        client = stream.subscribe()
        client.new()
        reply = called(desk, stream, "placeOrders", instructions=[limit(3.0, 5)])
        stream.let_pass()
        assert states(client) == []
        play(desk.exchange)
        stream.let_pass(0.01)
        (order,) = states(client)
        assert (order["id"], order["pd"]) == (reply.result()["instructionReports"][0]["betId"], T0 + 5_000)


def test_a_bet_placed_asynchronously_is_nowhere_until_its_delay_is_over():
    desk = Desk(priced().turn_in_play(200, bet_delay=5).touch(6_000), until=200)
    lists = BetLists(desk.exchange, desk.bank)

    def listed() -> list[str]:
        current = asyncio.run(lists.list_current_orders(ALICE, {}))["currentOrders"]
        ended = [
            row
            for status in ("SETTLED", "VOIDED", "LAPSED", "CANCELLED")
            for row in asyncio.run(lists.list_cleared_orders(ALICE, {"betStatus": status}))["clearedOrders"]
        ]
        return [row["betId"] for row in current + ended]

    with stage(desk.exchange) as stream:
        client = stream.subscribe()
        client.new()
        report = desk.place(limit(3.0, 5), **{"async": True})
        assert (report["status"], report["instructionReports"][0]["orderStatus"]) == ("SUCCESS", "PENDING")
        assert (states(client), listed()) == ([], [])
        desk.play()
        (order,) = states(client)
        assert listed() == [order["id"]]


def test_what_was_sent_is_in_the_ledger():
    desk = Desk()
    with stage(desk.exchange) as stream:
        stream.subscribe()
        bet = desk.placed(limit(3.0, 5))
        entries = [entry.values for entry in desk.exchange.ledger.entries(kind="MESSAGE")]
    image, change = (json.loads(each["message"]) for each in entries)
    assert image["ct"] == "SUB_IMAGE"
    assert change["oc"][0]["orc"][0]["uo"][0]["id"] == bet.bet_id
    assert {each["username"] for each in entries} == {"alice"}
