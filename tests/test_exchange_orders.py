"""The rehearsal exchange's order stream, read raw and by betfairlightweight's cache."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from betfairlightweight.streaming.cache import OrderBookRunner, UnmatchedOrder
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import MARKET, Stream, priced
from exchange_builders import ALICE, BOB, T0, Fault, exchange_of, play
from exchange_requests import cancel, place, replace, update
from exchange_streams import Reader, stage
from headrace.simulate.exchange.account_bet import AccountBet
from headrace.simulate.exchange.errors import StreamError
from headrace.simulate.exchange.exchange import Exchange, ExchangeMarket
from headrace.simulate.exchange.listings.lists import BetLists
from headrace.simulate.exchange.settings import AccountSettings

OTHER = "1.100000002"
#: live.md 1.6: what betfairlightweight needs of an order and takes of a runner.
ORDER_FIELDS = {"id", "p", "s", "side", "status", "ot", "pt", "pd", "sm", "sr", "sl", "sc", "sv", "rfo", "rfs"}
MORE_ORDER_FIELDS = {"rac", "rc", "md", "cd", "ld", "lsrc", "avp", "bsp"}
RUNNER_FIELDS = {"id", "fullImage", "hc", "uo", "mb", "ml", "smc"}
MARKET_FIELDS = {"id", "accountId", "closed", "fullImage", "orc"}
SECOND = 1_000


def check(message: dict[str, Any]) -> None:
    """Every message has the fields that clients need, and none that they do not know."""
    assert message["op"] == "ocm"
    assert message["id"] == 7
    for market in message.get("oc", ()):
        assert set(market) <= MARKET_FIELDS
        assert isinstance(market["accountId"], int)
        for runner in market.get("orc", ()):
            assert set(runner) <= RUNNER_FIELDS
            OrderBookRunner(market["id"], message["pt"], True, **runner)
            for order in runner.get("uo", ()):
                assert ORDER_FIELDS <= set(order) <= ORDER_FIELDS | MORE_ORDER_FIELDS
                UnmatchedOrder(message["pt"], **order)
                times = [order[name] for name in ("pd", "md", "cd") if order.get(name) is not None]
                assert not any(time % SECOND for time in times)
                if order["status"] == "EC":
                    assert order["sr"] == 0


def orders(message: dict[str, Any]) -> list[dict[str, Any]]:
    """All orders of a message, in order."""
    check(message)
    return [
        order for market in message.get("oc", ()) for runner in market.get("orc", ()) for order in runner.get("uo", ())
    ]


def only(messages: list[dict[str, Any]]) -> dict[str, Any]:
    (message,) = messages
    check(message)
    return message


def runner_of(message: dict[str, Any]) -> dict[str, Any]:
    (market,) = message["oc"]
    (runner,) = market["orc"]
    return dict(runner)


def test_the_first_image_is_empty_and_has_clocks():
    with stage(play(exchange_of(priced()), until=100)) as stream:
        image = only(stream.subscribe().messages)
    assert image["ct"] == "SUB_IMAGE"
    assert "oc" not in image
    assert {"initialClk", "clk", "pt", "heartbeatMs", "conflateMs"} <= set(image)


def test_the_first_bet_of_a_market_comes_as_a_full_image_and_the_next_ones_do_not():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        client.new()
        bet = place(exchange, price=3.0, size=4.0, ref="a", strategy="s", persistence="PERSIST")
        message = only(client.new())
        assert "ct" not in message
        assert message["oc"] == [
            {
                "accountId": 1_000_001,
                "fullImage": True,
                "id": MARKET,
                "orc": [
                    {
                        "fullImage": True,
                        "id": 1,
                        "uo": [
                            {
                                "id": bet.bet_id,
                                "p": 3.0,
                                "s": 4.0,
                                "side": "B",
                                "status": "E",
                                "pt": "P",
                                "ot": "L",
                                "pd": T0,
                                "sm": 0.0,
                                "sr": 4.0,
                                "sl": 0.0,
                                "sc": 0.0,
                                "sv": 0.0,
                                "rac": "",
                                "rc": "REG_GGC",
                                "rfo": "a",
                                "rfs": "s",
                            }
                        ],
                    }
                ],
            }
        ]
        place(exchange, price=3.0)
        (market,) = only(client.new())["oc"]
        assert "fullImage" not in market
        assert "fullImage" not in market["orc"][0]
        place(exchange, side="LAY", price=1.5, selection_id=2)
        (market,) = only(client.new())["oc"]
        assert "fullImage" not in market
        assert market["orc"][0]["fullImage"] is True


def test_references_are_never_absent():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        place(exchange, price=3.0)
        (order,) = orders(client.last)
    assert (order["rfo"], order["rfs"], order["rac"]) == ("", "", "")


def test_a_handicap_is_told_where_there_is_one():
    runners = {1: {"status": "ACTIVE", "hc": 1.5}}
    exchange = play(exchange_of(Stream(runners=runners)))
    with stage(exchange) as stream:
        client = stream.subscribe()
        bet = place(exchange, price=3.0, handicap=1.5)
        assert (runner_of(client.last)["id"], runner_of(client.last)["hc"]) == (1, 1.5)
        assert list(client.listener.stream._caches[MARKET].runners) == [(1, 1.5)]
        assert list(client.snap(MARKET)["orders"]) == [bet.bet_id]


def test_a_partial_match_tells_the_whole_order_and_what_is_matched_at_its_prices():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        place(exchange, price=1.98, size=25.1, strategy="s")
        runner = runner_of(client.last)
        (order,) = orders(client.last)
    assert (order["status"], order["sm"], order["avp"], order["md"]) == ("E", 20.0, 1.99, T0)
    assert order["sr"] == 25.1 - 20.0  # as floats are
    assert runner["mb"] == [[1.98, 10.0], [2.0, 10.0]]
    assert "smc" not in runner


def test_an_end_is_told_once():
    exchange = play(exchange_of(priced().touch(200).touch(300)), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        bet = place(exchange, price=2.0)
        (order,) = orders(client.last)
        assert (order["status"], order["sm"], order["sr"]) == ("EC", 5.0, 0.0)
        client.new()
        play(exchange)
        assert client.new() == []
        assert client.snap(MARKET)["orders"][bet.bet_id]["status"] == "EXECUTION_COMPLETE"


def test_cancels_in_part_and_whole():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        bet = place(exchange, price=3.0)
        cancel(exchange, bet, 2.0)
        (order,) = orders(client.last)
        assert (order["status"], order["sc"], order["sr"], order["cd"]) == ("E", 2.0, 3.0, T0)
        cancel(exchange, bet)
        (order,) = orders(client.last)
        assert (order["status"], order["sc"], order["sr"]) == ("EC", 5.0, 0.0)


def test_a_fill_or_kill_that_is_killed_is_cancelled_and_not_lapsed():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        place(exchange, price=50.0, time_in_force="FILL_OR_KILL")
        (order,) = orders(client.last)
    assert (order["status"], order["sc"], order["sl"]) == ("EC", 5.0, 0.0)
    assert "ld" not in order


def test_an_ordinary_lapse_has_its_time_to_the_millisecond_and_no_reason():
    exchange = play(exchange_of(priced().suspend(1_234, inPlay=True)), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        place(exchange, price=3.0)
        play(exchange)
        (order,) = orders(client.last)
    assert (order["status"], order["sl"], order["ld"]) == ("EC", 5.0, T0 + 1_234)
    assert "lsrc" not in order


def test_a_version_that_is_too_old_is_the_reason_of_a_lapse_told_once():
    exchange = play(exchange_of(priced(version=7)), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        client.new()
        place(exchange, price=3.0, market_version=6)
        (order,) = orders(only(client.new()))
    assert (order["status"], order["sl"], order["lsrc"]) == ("EC", 5.0, "MKT_VERSION")


def test_another_persistence_is_told():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        update(exchange, place(exchange, price=3.0), "PERSIST")
        (order,) = orders(client.last)
    assert (order["status"], order["pt"]) == ("E", "P")


def test_a_replace_tells_the_old_bet_and_the_new_one_in_order():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        old = place(exchange, price=3.0, ref="r", strategy="s")
        client.new()
        new = replace(exchange, old, 3.5)
        first, second = [order for message in client.new() for order in orders(message)]
    assert (first["id"], first["status"], first["sc"]) == (old.bet_id, "EC", 5.0)
    assert (second["id"], second["status"], second["p"], second["s"]) == (new.bet_id, "E", 3.5, 5.0)
    assert (second["rfo"], second["rfs"]) == ("r", "s")


def test_one_message_holds_several_states_of_one_order_in_order():
    market = priced().define(300, version=2, status="SUSPENDED", inPlay=True).prices(300, {1: {"trd": [[3.0, 4]]}})
    market.lines[-1]["mc"], market.lines[-2]["mc"] = [], [*market.lines[-1]["mc"], *market.lines[-2]["mc"]]
    exchange = play(exchange_of(market), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        place(exchange, price=3.0)
        client.new()
        play(exchange)
        states = orders(only(client.new()))
    assert [(each["status"], each["sm"], each["sl"]) for each in states] == [("E", 2.0, 0.0), ("EC", 2.0, 3.0)]


def test_bets_at_the_starting_price_are_complete_from_the_start_and_get_their_sizes_when_it_is_known():
    exchange = play(exchange_of(priced().turn_in_play(500).define(500, {1: {"bsp": 3.5}}, bspReconciled=True)), 100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        market_order = place(exchange, order_type="MARKET_ON_CLOSE", liability=10.0)
        limit_order = place(exchange, price=4.0, order_type="LIMIT_ON_CLOSE", liability=20.0)
        (first,), (second,) = orders(client.messages[-2]), orders(client.messages[-1])
        assert (first["status"], first["ot"], first["bsp"], first["p"], first["s"]) == ("EC", "MOC", 10.0, 0.0, 0.0)
        assert (second["status"], second["ot"], second["bsp"], second["p"]) == ("EC", "LOC", 20.0, 4.0)
        for order in (first, second):
            assert {order[name] for name in ("sm", "sr", "sl", "sc", "sv")} == {0.0}
            assert not {"lsrc", "ld", "md", "avp"} & set(order)
        client.new()
        play(exchange)
        reconciled = {order["id"]: order for order in orders(only(client.new()))}
    assert (reconciled[market_order.bet_id]["sm"], reconciled[market_order.bet_id]["avp"]) == (10.0, 3.5)
    assert (reconciled[limit_order.bet_id]["sm"], reconciled[limit_order.bet_id]["sl"]) == (0.0, 20.0)


def test_a_limit_order_that_goes_to_the_starting_price_is_a_market_order_from_then_on():
    exchange = play(
        exchange_of(priced().define(500, {1: {"bsp": 3.5}}, inPlay=True, bspReconciled=True, version=2)), 100
    )
    with stage(exchange) as stream:
        client = stream.subscribe()
        place(exchange, price=3.0, size=20.0, persistence="MARKET_ON_CLOSE")
        (order,) = orders(client.last)
        assert (order["ot"], order["pt"], order["status"]) == ("L", "MOC", "E")
        play(exchange)
        (order,) = orders(client.last)
    assert (order["ot"], order["pt"], order["status"], order["sm"]) == ("MOC", "MOC", "EC", 20.0)


def test_a_removal_reduces_the_price_of_an_order_that_is_over():
    exchange = play(exchange_of(priced().remove(300, 2, 20.0)), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        bet = place(exchange, price=2.0)
        client.new()
        play(exchange)
        message = only(client.new())
        (order,) = orders(message)
        assert (order["id"], order["status"], order["avp"], order["sm"]) == (bet.bet_id, "EC", 1.6, 5.0)
        assert runner_of(message)["mb"] == [[1.6, 5.0], [2.0, 0.0]]
        assert client.snap(MARKET)["matches"] == {(1, 0): {"mb": {1.6: 5.0}}}


def test_bets_on_a_removed_runner_are_void_as_far_as_they_were_matched():
    exchange = play(exchange_of(priced().remove(300, 1, 20.0)), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        matched, part = place(exchange, price=2.0, size=5.0), place(exchange, price=2.0, size=9.0)
        client.new()
        play(exchange)
        message = only(client.new())
        found = {order["id"]: order for order in orders(message)}
        over, rest = found[matched.bet_id], found[part.bet_id]
        assert (over["status"], over["sm"], over["sv"], over["sl"], over["md"]) == ("EC", 0.0, 5.0, 0.0, T0)
        assert "avp" not in over
        assert "lsrc" not in over
        assert (rest["sm"], rest["sv"], rest["sl"], rest["ld"]) == (0.0, 5.0, 4.0, T0 + 300)
        assert runner_of(message)["mb"] == [[2.0, 0.0]]
        assert client.snap(MARKET)["matches"] == {(1, 0): {}}


def test_the_close_is_told_with_the_last_orders_and_once():
    exchange = play(exchange_of(priced().close(1_000).touch(1_500)), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        place(exchange, price=3.0)
        client.new()
        play(exchange)
        (market,) = only(client.new())["oc"]
        assert market["closed"] is True
        assert market["orc"][0]["uo"][0]["sl"] == 5.0


def test_the_close_of_a_market_without_live_bets_has_no_runners():
    exchange = play(exchange_of(priced().close(1_000)), until=100)
    with stage(exchange) as stream:
        client, stranger = stream.subscribe(), stream.subscribe(BOB)
        place(exchange, price=2.0)
        stranger.new()
        play(exchange)
        assert client.last["oc"] == [{"accountId": 1_000_001, "closed": True, "id": MARKET}]
        assert client.listener.stream._caches[MARKET].closed is True
        assert stranger.new() == []


def test_a_market_that_is_opened_again_is_closed_no_more():
    market = priced().close(1_000).define(2_000, {1: {"status": "ACTIVE"}, 2: {"status": "ACTIVE"}}, status="OPEN")
    exchange = play(exchange_of(market), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        place(exchange, price=2.0)
        play(exchange)
        assert client.last["oc"] == [{"accountId": 1_000_001, "closed": False, "id": MARKET}]
        assert client.listener.stream._caches[MARKET].closed is False


def test_a_market_that_vanishes_is_removed_by_an_empty_image():
    exchange = play(exchange_of(priced().close(1_000)), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        place(exchange, price=2.0)
        play(exchange)
        exchange.advance(T0 + 4_000_000)
        assert MARKET not in exchange.markets
        assert client.last["oc"] == [{"accountId": 1_000_001, "fullImage": True, "id": MARKET}]
        assert client.snap(MARKET) == {"orders": {}, "matches": {}}


def test_accounts_see_their_own_bets_only():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        client.new()
        place(exchange, price=3.0, account=BOB)
        assert client.new() == []


def test_a_bet_that_another_account_takes_is_told_to_both():
    exchange = play(exchange_of(Stream()))
    with stage(exchange) as stream:
        alice, bob = stream.subscribe(), stream.subscribe(BOB)
        place(exchange, price=3.0)
        place(exchange, side="LAY", price=3.0, size=2.0, account=BOB)
        (rests,), (takes,) = orders(alice.last), orders(bob.last)
    assert (rests["status"], rests["sm"], takes["status"], takes["sm"]) == ("E", 2.0, "EC", 2.0)
    assert (runner_of(alice.last)["mb"], runner_of(bob.last)["ml"]) == ([[3.0, 2.0]], [[3.0, 2.0]])


def test_orders_are_in_the_money_of_their_account_and_their_regulator_is_its_own():
    euro = AccountSettings("alice", "x", "y", currency="EUR", jurisdiction="it")
    exchange = play(exchange_of(priced(), accounts=(euro,)), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe(euro)
        bet = place(exchange, price=2.0, size=30.0, account=euro)
        (order,) = orders(client.last)
        assert (order["s"], order["sm"], order["rc"]) == (30.0, bet.matched, "REG_LGA")
        assert 10.0 < order["sm"] < 20.0  # ten pounds
        assert runner_of(client.last)["mb"] == [[2.0, bet.matched]]


def test_matches_in_another_currency_add_up_to_the_penny():
    euro = AccountSettings("alice", "x", "y", currency="EUR")
    market = Stream()
    for step in range(1, 8):
        market.prices(100 * step, {1: {"trd": [[3.0, step * 1.01]]}})
    exchange = play(exchange_of(market, accounts=(euro,)), until=0)
    with stage(exchange) as stream:
        client = stream.subscribe(euro)
        bet = place(exchange, price=3.0, size=30.0, account=euro)
        play(exchange)
        assert bet.matched > 0
        assert client.snap(MARKET)["matches"] == {(1, 0): {"mb": {3.0: bet.matched}}}


# -- filters ---------------------------------------------------------------------------------------------------------


def test_without_the_overall_position_matches_are_told_by_strategy():
    exchange = play(exchange_of(priced()), until=100)
    chosen = {"includeOverallPosition": False, "partitionMatchedByStrategyRef": True, "customerStrategyRefs": None}
    with stage(exchange) as stream:
        client = stream.subscribe(orderFilter=chosen)
        place(exchange, price=2.0, strategy="one")
        place(exchange, price=2.0, size=1.0)
        runner = runner_of(client.last)
        assert runner["smc"] == {"": {"mb": [[2.0, 1.0]]}}
        assert not {"mb", "ml"} & set(runner)
        image = stream.subscribe(orderFilter=chosen).last
        assert runner_of(image)["smc"] == {"": {"mb": [[2.0, 1.0]]}, "one": {"mb": [[2.0, 5.0]]}}


def test_without_positions_an_image_has_resting_bets_only():
    exchange = play(exchange_of(priced()), until=100)
    place(exchange, price=2.0)
    resting = place(exchange, price=3.0, selection_id=2)
    with stage(exchange) as stream:
        image = stream.subscribe(orderFilter={"includeOverallPosition": False}).last
    assert [order["id"] for order in orders(image)] == [resting.bet_id]
    assert runner_of(image)["id"] == 2


def test_bets_of_other_strategies_are_not_told_but_the_overall_position_is_whole():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe(orderFilter={"customerStrategyRefs": ["one"], "partitionMatchedByStrategyRef": True})
        mine = place(exchange, price=3.0, strategy="one")
        client.new()
        place(exchange, price=3.0, strategy="two")
        place(exchange, price=3.0)
        assert client.new() == []
        place(exchange, price=2.0, strategy="two")
        runner = runner_of(only(client.new()))
        assert runner["mb"] == [[2.0, 5.0]]
        assert not {"uo", "smc"} & set(runner)
        assert list(client.snap(MARKET)["orders"]) == [mine.bet_id]


def test_both_kinds_of_position_together():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe(orderFilter={"partitionMatchedByStrategyRef": True})
        place(exchange, side="LAY", price=2.1, size=3.0, strategy="s")
        runner = runner_of(client.last)
    assert (runner["ml"], runner["smc"]) == ([[2.1, 3.0]], {"s": {"ml": [[2.1, 3.0]]}})


@pytest.mark.parametrize(
    "order_filter",
    [[], {"includeOverallPosition": "yes"}, {"customerStrategyRefs": "one"}, {"strategies": ["one"]}],
)
def test_what_is_not_a_filter_is_refused(order_filter):
    with (
        stage(play(exchange_of(priced()), until=100)) as stream,
        pytest.raises(StreamError, match="INVALID_INPUT"),
    ):
        stream.subscribe(orderFilter=order_filter)


def test_a_delayed_key_sees_no_orders():
    delayed = AccountSettings("alice", "x", "y", delayed=True)
    exchange = play(exchange_of(priced(), accounts=(delayed,)), until=100)
    place(exchange, price=2.0)
    with stage(exchange) as stream:
        client = stream.subscribe(delayed)
        assert "oc" not in client.last
        client.new()
        place(exchange, price=3.0)
        assert client.new() == []
        again = stream.subscribe(delayed, reader=client, **stream.clocks(client))
        assert (again.last["ct"], "oc" in again.last) == ("RESUB_DELTA", False)


# -- after a reconnect -----------------------------------------------------------------------------------------------


def test_an_image_has_resting_bets_and_matches_and_nothing_else():
    exchange = play(exchange_of(priced()), until=100)
    resting, part = place(exchange, price=3.0), place(exchange, price=1.98, size=25.0)
    full, gone = place(exchange, price=1.9, size=2.0), place(exchange, price=3.0)
    cancel(exchange, gone)
    place(exchange, order_type="MARKET_ON_CLOSE", liability=10.0)
    with stage(exchange) as stream:
        image = stream.subscribe().last
    assert image["ct"] == "SUB_IMAGE"
    assert [order["id"] for order in orders(image)] == [resting.bet_id, part.bet_id]
    assert image["oc"][0]["fullImage"] is runner_of(image)["fullImage"] is True
    assert runner_of(image)["mb"] == [[1.9, 2.0], [1.98, 10.0], [2.0, 10.0]]
    assert full.matched == 2.0


def test_an_image_of_a_market_that_is_closed_and_not_settled_says_so_and_one_that_is_settled_is_left_out():
    from headrace.simulate.exchange.settings import Timers

    exchange = play(exchange_of(priced().close(1_000), timers=Timers(settle=60.0)), until=100)
    place(exchange, price=2.0)
    play(exchange)
    with stage(exchange) as stream:
        (market,) = stream.subscribe().last["oc"]
        assert (market["closed"], market["orc"][0]["mb"]) == (True, [[2.0, 5.0]])
        exchange.advance(T0 + 61_000)
        assert "oc" not in stream.subscribe().last


def test_a_resubscription_with_clocks_brings_the_ends_that_were_missed():
    exchange = play(exchange_of(priced(), Stream(OTHER)), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        ends, stays = place(exchange, price=3.0), place(exchange, price=3.0, selection_id=2)
        stream.lose(client)
        client.new()
        cancel(exchange, ends)
        taken, new = place(exchange, price=2.0), place(exchange, price=3.0, market_id=OTHER)
        stream.subscribe(reader=client, request_id=8, **stream.clocks(client))
        message = client.last
        assert message["ct"] == "RESUB_DELTA"
        message = {**message, "id": 7}
        assert [(order["id"], order["status"]) for order in orders(message)] == [
            (ends.bet_id, "EC"),
            (taken.bet_id, "EC"),
            (new.bet_id, "E"),
        ]
        first, second = message["oc"]
        assert "fullImage" not in first
        assert "fullImage" not in first["orc"][0]
        assert first["orc"][0]["mb"] == [[2.0, 5.0]]
        assert second["fullImage"] is True
        found = client.snap(MARKET)["orders"]
        assert {bet_id: order["status"] for bet_id, order in found.items()} == {
            ends.bet_id: "EXECUTION_COMPLETE",
            stays.bet_id: "EXECUTABLE",
            taken.bet_id: "EXECUTION_COMPLETE",
        }
        cancel(exchange, stays)
        assert client.snap(MARKET)["orders"][stays.bet_id]["status"] == "EXECUTION_COMPLETE"


def test_a_resubscription_when_nothing_has_happened_is_empty():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        place(exchange, price=3.0)
        stream.subscribe(reader=client, request_id=8, **stream.clocks(client))
        assert (client.last["ct"], "oc" in client.last) == ("RESUB_DELTA", False)


def test_a_resubscription_brings_the_close_that_was_missed():
    exchange = play(exchange_of(priced().close(1_000)), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        place(exchange, price=2.0)
        stream.lose(client)
        play(exchange)
        stream.subscribe(reader=client, request_id=8, **stream.clocks(client))
        assert client.last["oc"] == [{"accountId": 1_000_001, "closed": True, "id": MARKET}]


def test_a_resubscription_brings_the_reopening_that_was_missed():
    market = priced().close(1_000).define(2_000, {1: {"status": "ACTIVE"}, 2: {"status": "ACTIVE"}}, status="OPEN")
    exchange = play(exchange_of(market), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        place(exchange, price=2.0)
        play(exchange, until=1_000)
        assert client.listener.stream._caches[MARKET].closed is True
        stream.lose(client)
        play(exchange)
        stream.subscribe(reader=client, request_id=8, **stream.clocks(client))
        assert client.last["oc"] == [{"accountId": 1_000_001, "closed": False, "id": MARKET}]
        assert client.listener.stream._caches[MARKET].closed is False


def test_a_resubscription_removes_markets_that_have_vanished_meanwhile():
    exchange = play(exchange_of(priced().close(1_000)), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        place(exchange, price=2.0)
        stream.lose(client)
        play(exchange)
        exchange.advance(T0 + 4_000_000)
        stream.subscribe(reader=client, request_id=8, **stream.clocks(client))
        assert client.last["oc"] == [{"accountId": 1_000_001, "fullImage": True, "id": MARKET}]
        assert client.snap(MARKET) == {"orders": {}, "matches": {}}
        stream.subscribe(reader=client, request_id=9, **stream.clocks(client))  # it is told once
        assert "oc" not in client.last


def test_clocks_of_another_filter_or_of_nobody_are_refused():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        for request in (
            {"orderFilter": {"includeOverallPosition": False}, **stream.clocks(client)},
            {**stream.clocks(client), "clk": "AAAAAAAA"},
            {**stream.clocks(client), "initialClk": None},
        ):
            with pytest.raises(StreamError, match="INVALID_CLOCK"):
                stream.subscribe(reader=client, **request)


# -- conflation, slow clients and heartbeats -------------------------------------------------------------------------


def test_conflated_changes_come_together_with_the_last_state_of_each_order():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe(conflateMs=50)
        client.new()
        bet, other = place(exchange, price=3.0), place(exchange, price=2.0)
        cancel(exchange, bet, 1.0)
        cancel(exchange, bet)
        assert client.new() == []
        stream.let_pass(0.08)
        message = only(client.new())
        assert [(order["id"], order["status"]) for order in orders(message)] == [
            (other.bet_id, "EC"),
            (bet.bet_id, "EC"),
        ]
        assert runner_of(message)["mb"] == [[2.0, 5.0]]


def test_a_slow_client_gets_the_last_state_of_each_order_when_it_reads_again():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        bet = place(exchange, price=3.0)
        client.new()
        client.slow = True
        for _ in range(3):
            cancel(exchange, bet, 1.0)
        assert client.new() == []
        client.slow = False
        client.subscription.flush()
        (order,) = orders(only(client.new()))
    assert order["sc"] == 3.0


def test_heartbeats_come_when_nothing_else_does():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe(heartbeatMs=500)
        stream.let_pass(0.6)
        assert client.last["ct"] == "HEARTBEAT"
        assert "oc" not in client.last
        assert client.last["clk"] == client.listener.clk


# -- faults ----------------------------------------------------------------------------------------------------------


def test_fault_a_change_of_an_order_comes_late_and_none_overtakes_it():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange, Fault("order.delay", seconds=0.05)) as stream:
        client = stream.subscribe()
        client.new()
        before = client.listener.clk
        bet = place(exchange, price=3.0)
        cancel(exchange, bet)
        assert client.new() == []
        stream.let_pass(0.08)
        message = only(client.new())
        assert [order["status"] for order in orders(message)] == ["E", "EC"]
        assert message["clk"] != before
        assert stream.faults.counts == {"order.delay": 1}


def test_fault_a_client_that_reconnects_before_a_late_change_gets_it():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange, Fault("order.delay", seconds=5.0)) as stream:
        client = stream.subscribe(heartbeatMs=500)
        bet = place(exchange, price=3.0)
        stream.let_pass(0.6)
        assert client.last["ct"] == "HEARTBEAT"
        stream.subscribe(reader=client, request_id=8, **stream.clocks(client))
        assert list(client.snap(MARKET)["orders"]) == [bet.bet_id]


def test_fault_what_a_request_does_is_told_after_its_reply():
    exchange = play(exchange_of(priced().prices(300, {1: {"trd": [[3.0, 10]]}})), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        place(exchange, price=3.0)
        stream.faults.add(Fault("order.after_reply", seconds=0.05))
        client.new()
        play(exchange)
        assert len(client.new()) == 1  # nobody asked for that match
        place(exchange, price=3.0)
        assert client.new() == []
        stream.let_pass(0.08)
        assert len(orders(only(client.new()))) == 1


def test_fault_the_first_image_comes_late_with_all_that_happened_meanwhile():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange, Fault("order.delay_image", seconds=0.05)) as stream:
        client = stream.subscribe()
        bet = place(exchange, price=3.0)
        assert client.messages == []
        stream.let_pass(0.08)
        assert [order["id"] for order in orders(only(client.new()))] == [bet.bet_id]


def test_fault_the_bet_that_replaces_another_is_told_of_first():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        old = place(exchange, price=3.0)
        client.new()
        stream.faults.add(Fault("order.overtaken", seconds=5))
        new = replace(exchange, old, 3.5)
        assert [(order["id"], order["status"]) for order in orders(only(client.new()))] == [
            (new.bet_id, "E"),
            (old.bet_id, "EC"),
        ]


def test_fault_changes_of_one_bet_do_not_overtake_each_other_and_none_waits_for_ever():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        bet = place(exchange, price=3.0)
        client.new()
        stream.faults.add(Fault("order.overtaken", seconds=5))
        cancel(exchange, bet, 1.0)
        clk = client.listener.clk
        assert client.new() == []
        cancel(exchange, bet)
        assert [order["sc"] for order in orders(only(client.new()))] == [1.0, 5.0]
        assert client.listener.clk != clk
        bet = place(exchange, price=3.0)
        client.new()
        stream.faults.add(Fault("order.overtaken", seconds=0.02))
        cancel(exchange, bet)
        assert client.new() == []
        stream.let_pass(0.05)
        assert [order["status"] for order in orders(only(client.new()))] == ["EC"]


def test_fault_a_change_is_sent_twice():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange, Fault("order.duplicate")) as stream:
        client = stream.subscribe()
        client.new()
        place(exchange, price=2.0)
        first, second = client.new()
        assert first["oc"] == second["oc"]
        place(exchange, price=2.0)
        assert len(client.new()) == 1


def test_fault_a_full_image_of_a_market_in_mid_stream():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        resting, ended = place(exchange, price=3.0), place(exchange, price=3.0, selection_id=2)
        cancel(exchange, ended)
        stream.faults.add(Fault("order.image"))
        taken = place(exchange, price=2.0)
        check(client.last)
        (market,) = client.last["oc"]
        assert "ct" not in client.last
        assert market["fullImage"] is True
        assert [runner["fullImage"] for runner in market["orc"]] == [True, True]
        assert [order["id"] for order in orders(client.last)] == [taken.bet_id, resting.bet_id]
        assert market["orc"][1] == {"fullImage": True, "id": 2}  # known, and nothing of it is left
        assert set(client.snap(MARKET)["orders"]) == {taken.bet_id, resting.bet_id}


def test_fault_references_are_blank_as_of_a_bet_placed_by_hand():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange, Fault("order.blank_refs")) as stream:
        client = stream.subscribe()
        bet = place(exchange, price=3.0, ref="mine", strategy="s")
        (order,) = orders(client.last)
        assert (order["rfo"], order["rfs"]) == ("", "")
        cancel(exchange, bet)
        assert orders(client.last)[0]["rfo"] == "mine"


@pytest.mark.parametrize("value", [None, "null"])
def test_fault_optional_fields_of_an_order_are_left_out_or_null(value: str | None):
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange, Fault("order.strip", value=value)) as stream:
        client = stream.subscribe()
        bet = place(exchange, price=2.0, size=2.0)
        (order,) = orders(client.last)
        assert {order.get(name) for name in ("rac", "rc", "md", "avp")} == {None}
        assert ("rc" in order, order["rfo"], order["sm"]) == (value == "null", "", 2.0)
        assert client.snap(MARKET)["orders"][bet.bet_id]["sizeMatched"] == 2.0


def test_fault_messages_carry_status_503():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        stream.faults.add(Fault("order.status_503"))
        place(exchange, price=3.0)
        assert client.last["status"] == 503


def test_fault_clocks_are_refused():
    exchange = play(exchange_of(priced()), until=100)
    with stage(exchange) as stream:
        client = stream.subscribe()
        stream.faults.add(Fault("stream.refuse_clock", operation="orderSubscription"))
        with pytest.raises(StreamError, match="INVALID_CLOCK"):
            stream.subscribe(reader=client, **stream.clocks(client))


def test_more_changed_markets_than_fit_a_message_come_in_several_and_the_last_has_the_clock():
    others = [Stream(f"1.2{number:08}") for number in range(23)]
    exchange = play(exchange_of(*others, Stream(MARKET)))
    with stage(exchange, Fault("order.delay", seconds=0.05)) as stream:
        client = stream.subscribe()
        client.new()
        for each in others:
            place(exchange, price=3.0, market_id=each.market_id)
        stream.let_pass(0.08)
        messages = client.new()
    assert [len(message["oc"]) for message in messages] == [10, 10, 3]
    assert ["clk" in message for message in messages] == [False, False, True]


# -- any story -------------------------------------------------------------------------------------------------------

PRICES = (1.9, 1.98, 2.0, 2.1, 2.2, 3.0)
SIZES = (1.0, 2.5, 7.77, 30.0)
STRATEGIES = ("", "one", "two")


def eventful() -> Stream:
    """A market in which all happens that can happen to a bet."""
    market = priced(runners={each: {"status": "ACTIVE"} for each in (1, 2, 3)})
    market.prices(100, {3: {"atb": [[2.1, 20]], "atl": [[2.2, 20]]}})
    for step, volume in enumerate((120, 131.5, 140, 171.11)):
        market.prices(300 + 100 * step, {1: {"trd": [[2.0, volume], [3.0, step * 4]]}, 2: {"trd": [[1.9, volume]]}})
    market.suspend(800).define(900, status="OPEN", version=2)
    market.define(1_000, {3: {"status": "REMOVED", "adjustmentFactor": 20.0}}, version=3)
    market.prices(1_100, {1: {"atb": [[2.0, 40]], "atl": [[2.2, 40]]}})
    market.define(1_200, {1: {"bsp": 2.5}, 2: {"bsp": 1.95}}, inPlay=True, bspReconciled=True, version=4)
    market.prices(1_300, {1: {"trd": [[2.0, 250], [3.0, 40]]}, 2: {"trd": [[1.9, 300]]}})
    return market.close(2_000, winner=2)


EVENTFUL = eventful()

actions = st.lists(
    st.one_of(
        st.tuples(
            st.just("place"),
            st.sampled_from(("BACK", "LAY")),
            st.sampled_from(PRICES),
            st.sampled_from(SIZES),
            st.sampled_from((1, 2, 3)),
            st.sampled_from(("LAPSE", "PERSIST", "MARKET_ON_CLOSE")),
            st.sampled_from(STRATEGIES),
        ),
        st.tuples(
            st.just("sp"), st.sampled_from(("BACK", "LAY")), st.sampled_from(("LIMIT_ON_CLOSE", "MARKET_ON_CLOSE"))
        ),
        st.tuples(st.just("kill"), st.sampled_from(PRICES)),
        st.tuples(st.just("cancel"), st.integers(0, 30), st.sampled_from((None, 0.5, 2.0))),
        st.tuples(st.just("update"), st.integers(0, 30), st.sampled_from(("LAPSE", "PERSIST"))),
        st.tuples(st.just("replace"), st.integers(0, 30), st.sampled_from(PRICES)),
        st.tuples(st.just("play")),
        st.tuples(st.just("reconnect")),
    ),
    max_size=15,
)


def act(exchange: Exchange, action: tuple[Any, ...], account: AccountSettings) -> None:
    kind, *values = action
    open_ = exchange.markets[MARKET].book.status == "OPEN"
    bets = list(exchange.bets_of(account.username))
    if kind == "play":
        exchange.play_next()
    elif not open_:
        return
    elif kind == "place":
        side, price, size, selection_id, persistence, strategy = values
        runner = exchange.markets[MARKET].book.runner(selection_id, 0.0)
        sp_over = exchange.markets[MARKET].book.bsp_reconciled and persistence == "MARKET_ON_CLOSE"
        if runner is not None and runner.status == "ACTIVE" and not sp_over:
            place(
                exchange, side, price, size, selection_id, persistence=persistence, strategy=strategy, account=account
            )
    elif kind == "sp" and not exchange.markets[MARKET].book.bsp_reconciled:
        side, order_type = values
        place(exchange, side, 2.2, order_type=order_type, liability=12.0, account=account)
    elif kind == "kill":
        place(exchange, price=values[0], time_in_force="FILL_OR_KILL", account=account)
    elif bets and kind in ("cancel", "update", "replace"):
        bet = bets[values[0] % len(bets)]
        if bet.executable:
            {"cancel": cancel, "update": update, "replace": replace}[kind](exchange, bet, values[1])


def as_listed(bet: AccountBet) -> dict[str, Any]:
    """A bet as betfairlightweight should hold it."""
    return {
        "status": "EXECUTABLE" if bet.executable else "EXECUTION_COMPLETE",
        "sizeMatched": bet.matched,
        "averagePriceMatched": bet.average,
        "sizeRemaining": pytest.approx(bet.remaining if bet.executable else 0.0),
        "sizeCancelled": bet.cancelled,
        "sizeLapsed": bet.lapsed,
        "sizeVoided": bet.voided,
        "orderType": bet.order_type,
        "priceSize": {"price": bet.price, "size": bet.size if bet.is_limit else 0.0},
        "customerOrderRef": bet.order_ref,
        "customerStrategyRef": bet.strategy_ref,
    }


def matched(bets: list[AccountBet]) -> dict[tuple[int, float], dict[str, dict[float, float]]]:
    """What bets have matched, by runner, side and price."""
    found: dict[tuple[int, float], dict[str, dict[float, float]]] = {}
    for bet in bets:
        ladder = found.setdefault((bet.selection_id, 0), {}).setdefault("mb" if bet.back else "ml", {})
        for _, price, size in bet.fills:
            ladder[round(price, 2)] = round(ladder.get(round(price, 2), 0.0) + size, 2)
    return {
        key: kept
        for key, sides in found.items()
        if (kept := {side: ladder for side, ladder in sides.items() if ladder})
    }


def agree(client: Reader, bets: list[AccountBet], known: set[str]) -> None:
    found = client.snap(MARKET)
    expected = {bet.bet_id: as_listed(bet) for bet in bets if bet.bet_id in known}
    assert {
        bet_id: {name: order[name] for name in as_listed(bets[0])} for bet_id, order in found["orders"].items()
    } == expected
    assert {key: sides for key, sides in found["matches"].items() if sides} == matched(bets)


class NoMoney:
    def commission(self, username: str, market_id: str) -> float:
        raise AssertionError

    def commission_on(self, username: str, market: ExchangeMarket, won: float) -> float:
        raise AssertionError


@settings(max_examples=60, deadline=None)
@given(actions)
def test_after_each_message_of_any_story_the_cache_holds_the_bets_as_they_are(story):
    exchange = play(exchange_of(EVENTFUL), until=100)
    lists = BetLists(exchange, NoMoney())
    with stage(exchange) as stream:
        client = stream.subscribe()
        # Whatever else happens, the market goes on to its end: one message after each two actions, and then the rest.
        rest = [("play",)] * 14
        told = [each for place, action in enumerate(story) for each in ([("play",)] * (place % 2) + [action])]
        for action in told + rest:
            if action[0] == "reconnect":
                stream.lose(client)
                act(exchange, ("play",), ALICE)
                act(exchange, ("place", "BACK", 3.0, 2.5, 1, "LAPSE", "one"), ALICE)
                stream.subscribe(reader=client, request_id=7, **stream.clocks(client))
            else:
                act(exchange, action, ALICE)
            for message in client.new():
                check(message)
            bets = list(exchange.bets_of(ALICE.username))
            if bets:
                agree(client, bets, {bet.bet_id for bet in bets})
        fresh_image_and_current_orders_tell_all(exchange, stream.subscribe(), lists)


def fresh_image_and_current_orders_tell_all(exchange: Exchange, client: Reader, lists: BetLists) -> None:
    """What a client that starts anew finds where."""
    (image,) = client.messages
    bets = list(exchange.bets_of(ALICE.username))
    settled = exchange.markets[MARKET].settled_at is not None
    assert {order["id"] for order in orders(image)} == {bet.bet_id for bet in bets if bet.executable}
    if not settled:
        found = {key: sides for key, sides in client.snap(MARKET)["matches"].items() if sides}
        assert found == matched(bets)
    answer = asyncio.run(lists.list_current_orders(ALICE, {"orderProjection": "ALL"}))
    listed = {row["betId"] for row in answer["currentOrders"]}
    assert listed == {
        bet.bet_id
        for bet in bets
        if not settled and (bet.matched or bet.executable or (not bet.is_limit and not bet.ended))
    }
    for status in ("CANCELLED", "LAPSED", "VOIDED"):
        rows = asyncio.run(lists.list_cleared_orders(ALICE, {"betStatus": status}))["clearedOrders"]
        listed |= {row["betId"] for row in rows}
    if not settled:
        assert listed == {bet.bet_id for bet in bets}
