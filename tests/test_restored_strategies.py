"""Strategies that go on after a restart of their host: what they know, what they are told, and what they are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

import headrace as hr
from apart import NO_LIMITS
from builders import MARKET, T0, Stream, priced
from headrace.actors.journal.entries import unpacked
from headrace.actors.letters import Carried, Restored, Unroute
from headrace.simulate.session_rows import rows_so_far
from headrace.strategies.messages import ClearedOrder, MarketResult, OrderFact, Reply, Report, Request
from live_hosts import Driven, arrived, ended_hosts, live_setup
from test_restored_paper import restore_of, shown, successor

__all__ = ["ended_hosts"]  # used by all tests here

ME = hr.BaseClient(username="me")


class Learns(hr.Strategy):
    """Places an order at each change of a price, and notes what it is told."""

    price: float = 3.0
    told: Any = hr.resource(list)

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.seen = 0
        self.last: Any = None

    def note(self, what: str, market: Any, *more: Any) -> None:
        self.told.append((what, market.market_id, market.restored, *more))

    def process_new_market(self, market: Any, book: Any) -> None:
        self.note("new", market)
        market.call_later(60.0, lambda: self.note("later", market))

    def check_market_book(self, market: Any, book: Any) -> bool:
        return bool(book.publish_time_epoch > T0)

    def process_market_book(self, market: Any, book: Any) -> None:
        self.note("book", market, self.seen)
        if not market.restored:
            self.place(market)

    def place(self, market: Any) -> None:
        self.last = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(self.price, 2.0))
        market.place_order(self.last)
        self.seen += 1

    def process_orders(self, market: Any, orders: list[Any]) -> None:
        self.note("orders", market, [(order.status.name, order.size_matched) for order in orders])

    def process_closed_market(self, market: Any, book: Any) -> None:
        self.note("closed", market)


class LearnsOfEvents(Learns):
    scope = "event"


def learning(tmp_path: Path, kind: type[Learns] = Learns, **keywords: Any) -> tuple[Driven, list[Any]]:
    """A live account whose host has placed one order, at 100."""
    driven = Driven(live_setup([kind(**NO_LIMITS, **keywords)], client=ME))
    told = driven.setup.strategies[0].told  # type: ignore[attr-defined]
    told.clear()
    for at in (0, 100):
        arrived(driven, priced(), tmp_path, at=at, until=at)
    return driven, told


def strategy_in(market: Any) -> Any:
    return market.seats[0].strategy


def placed(driven: Driven, bet_id: str = "77") -> Reply:
    """The exchange's answer to the first order."""
    request = next(each.message for each in driven.mail.letters(Carried) if isinstance(each.message, Request))
    report = Report(request.instructions[0].order_id, "PLACE", "SUCCESS", None, bet_id, placed_at=T0 + 150)
    return Reply(request.request_id, MARKET, T0 + 150, reports=(report,))


def fact(reply: Reply, at: int, matched: float, source: str = "STREAM") -> OrderFact:
    left = 2.0 - matched
    order_id = reply.reports[0].order_id
    return OrderFact(
        MARKET, order_id, "77", source, T0 + at, left > 0, 3.0, 2.0, "LAPSE", matched, 3.0 * bool(matched), left
    )  # fmt: skip


def test_a_strategy_goes_on_with_what_it_knew_and_is_shown_its_orders_once(tmp_path: Path) -> None:
    driven, told = learning(tmp_path)
    reply = placed(driven)
    restore = restore_of(driven)
    known = (*restore.messages, reply, fact(reply, 200, 0.0))
    told.clear()
    following = successor(driven, msgspec.structs.replace(restore, messages=known), at=500)
    assert told == []  # until it is shown the market, nothing is told to it
    market = shown(following, priced(), 500)
    strategy = strategy_in(market)
    (order,) = market.blotter
    assert (strategy.seen, strategy.last, order.bet_id) == (1, order, "77")
    assert told == [("orders", MARKET, True, [("EXECUTABLE", 0.0)]), ("book", MARKET, True, 1)]
    assert not market.restored
    told.clear()
    shown(following, priced().touch(700), 700)
    assert told[0] == ("orders", MARKET, False, [("EXECUTABLE", 0.0)])
    assert strategy.seen == 2
    # Its timer is gone.
    following.deliver(fact(reply, 61_000, 2.0), at=T0 + 62_000)
    assert "later" not in [each[0] for each in told]


def test_what_has_ended_since_the_snapshot_is_shown_and_what_was_shown_before_is_not(tmp_path: Path) -> None:
    driven, told = learning(tmp_path)
    reply = placed(driven)
    driven.deliver(reply, fact(reply, 200, 2.0), at=T0 + 200)  # shown as ended
    arrived(driven, priced().touch(300), tmp_path, at=300, until=300)  # the second order, with a snapshot
    restore = restore_of(driven)
    second = [each for each in restore.messages if isinstance(each, Request)][1].instructions[0].order_id
    late = msgspec.structs.replace(fact(reply, 400, 2.0), order_id=second, bet_id="78")
    told.clear()
    messages = (*restore.messages, reply, fact(reply, 200, 2.0), late)
    following = successor(driven, msgspec.structs.replace(restore, messages=messages), at=500)
    market = shown(following, priced(), 500)
    assert told[0] == ("orders", MARKET, True, [("EXECUTION_COMPLETE", 2.0)])
    assert [order.id for order in market.blotter][1] == second
    assert len(market.blotter.live_orders) == 0
    assert [each for each in told if each[0] == "orders"] == told[:1]


def test_a_strategy_that_had_asked_for_nothing_is_told_of_the_market_again(tmp_path: Path) -> None:
    quiet = Learns(name="Quiet", market_filter={"market_ids": [MARKET]}, max_order_exposure=0)
    driven = Driven(live_setup([Learns(**NO_LIMITS), quiet], client=ME))
    told = driven.setup.strategies[0].told  # type: ignore[attr-defined]
    assert len(driven.setup.crews) == 2  # their filters differ
    for crew in ("s1.market", "s2.market"):
        for at in (0, 100):
            del at
            shown(driven, priced(), 100, crew)
    told.clear()
    restores = [restore_of(driven, crew) for crew in ("s1.market", "s2.market")]
    assert [len(each.kept) > 0 for each in restores] == [True, False]
    following = successor(driven, *restores, at=500)
    for crew in ("s1.market", "s2.market"):
        shown(following, priced(), 500, crew)
    assert [each[0] for each in told] == ["orders", "book", "new", "book"]


def test_a_strategy_with_several_markets_goes_on_once_from_its_last_snapshot(tmp_path: Path) -> None:
    driven, told = learning(tmp_path, LearnsOfEvents)
    crew = "s1.event"
    assert told == []  # `learning` routes the crew of markets
    for market_id, at in (("1.1", 100), ("1.2", 150), ("1.3", 160)):
        stream = priced_as(market_id)
        shown(driven, stream, 0 if market_id == "1.3" else at, crew)
    strategy = strategy_in(driven.host.rooms[crew].actor.market("1.1"))
    assert strategy.seen == 2
    told.clear()
    restores = [restore_for(driven, crew, market_id) for market_id in ("1.2", "1.1", "1.3")]
    following = successor(driven, *restores, at=500)
    for market_id in ("1.3", "1.1", "1.2"):
        shown(following, priced_as(market_id), 500, crew)
    again = strategy_in(following.host.rooms[crew].actor.market("1.3"))
    assert again is strategy_in(following.host.rooms[crew].actor.market("1.2"))
    assert again.seen == 2
    assert again.last in list(following.host.rooms[crew].actor.market("1.2").blotter)
    # It did not know of the third: it asked for the last thing before that opened.
    assert [each[:2] for each in told if each[0] == "new"] == [("new", "1.3")]


def priced_as(market_id: str) -> Stream:
    stream = priced()
    stream.market_id = market_id
    for line in stream.lines:
        line["mc"][0]["id"] = market_id
    return stream


def restore_for(driven: Driven, crew: str, market_id: str) -> Any:
    """Of one market of a crew."""
    whole = restore_of(driven, crew, market_id)
    letters = [each for each in driven.mail.letters(Carried) if each.crew == crew and each.kept]
    kept = tuple(each.kept for each in letters if each.message.market_id == market_id)  # type: ignore[union-attr]
    messages = tuple(each for each in whole.messages if each.market_id == market_id)
    return msgspec.structs.replace(whole, kept=kept, messages=messages)


class CannotGoOn(Learns):
    def restore(self, snapshot: Any) -> None:
        self.seen = 99
        raise ValueError("of another time")


def test_a_strategy_whose_restore_fails_goes_on_fresh_with_its_orders(tmp_path: Path) -> None:
    driven, told = learning(tmp_path, CannotGoOn)
    told.clear()
    following = successor(driven, at=500)
    market = shown(following, priced(), 500)
    assert strategy_in(market).seen == 0
    assert [order.status.name for order in market.blotter] == ["PENDING"]
    assert [each[0] for each in told] == ["orders", "book"]  # of the market it is not told as of a new one
    assert [each.message for each in following.host.rooms["s1.market"].failures] == ["of another time"]


@pytest.mark.parametrize("kept", [b"", b"\x93\x01"])
def test_orders_whose_rows_are_lost_are_made_of_their_requests(tmp_path: Path, kept: bytes) -> None:
    driven, _ = learning(tmp_path)
    restore = restore_of(driven)
    reply = placed(driven)
    letters = (*restore.messages, reply, fact(reply, 200, 0.5))
    lost = (kept,) if kept else ()
    following = successor(driven, msgspec.structs.replace(restore, kept=lost, messages=letters), at=500)
    market = shown(following, priced(), 500)
    (order,) = market.blotter
    (old,) = driven.host.rooms["s1.market"].actor.hosted[0].blotter
    assert (order.id, order.bet_id, order.status.name, order.size_matched, order.size_remaining) == (
        old.id, "77", "EXECUTABLE", 0.5, 1.5
    )  # fmt: skip
    assert (order.customer_order_ref, order.order_type.price, order.client.username) == (
        old.customer_order_ref, 3.0, "me"
    )  # fmt: skip
    context = strategy_in(market).get_runner_context(MARKET, 1)
    assert (context.invested, context.trade_count, context.live_trade_count) == (True, 1, 1)
    assert market.blotter.selection_exposure(strategy_in(market), (MARKET, 1, 0)) == 2.0


class Replaces(Learns):
    """Replaces its order at each further price."""

    def place(self, market: Any) -> None:
        if self.last is None:
            super().place(market)
        else:
            self.price += 0.1
            market.replace_order(self.last, round(self.price, 2))


@pytest.mark.parametrize("lost", [False, True])
def test_a_trade_whose_order_is_being_replaced_is_live_though_an_earlier_replace_had_come_to_nothing(
    tmp_path: Path, lost: bool
) -> None:
    driven, _ = learning(tmp_path, Replaces)
    reply = placed(driven)
    first = reply.reports[0].order_id
    driven.deliver(reply, fact(reply, 200, 0.0), at=T0 + 200)
    arrived(driven, priced().touch(300), tmp_path, at=300, until=300)
    one = asked_of(driven)[-1]
    given_up = Reply(one.request_id, MARKET, T0 + 350, "EXPIRED", (Report(first, "REPLACE", "FAILURE"),))
    driven.deliver(given_up, at=T0 + 350)
    arrived(driven, priced().touch(300).touch(400), tmp_path, at=400, until=400)
    restore, (place, one, two) = restore_of(driven), asked_of(driven)
    cancelled = msgspec.structs.replace(fact(reply, 500, 0.0), executable=False, remaining=0.0, cancelled=2.0)
    messages = (place, reply, fact(reply, 200, 0.0), one, given_up, two, cancelled)
    kept = () if lost else restore.kept
    following = successor(driven, msgspec.structs.replace(restore, kept=kept, messages=messages), at=600)
    market = shown(following, priced(), 600)
    context = strategy_in(market).get_runner_context(MARKET, 1)
    assert (context.trade_count, context.live_trade_count) == (1, 1)
    second = two.instructions[0].new_order_id
    done = (Report(first, "CANCEL", "SUCCESS", size=2.0), Report(second, "PLACE", "SUCCESS", bet_id="78"))
    following.deliver(Reply(two.request_id, MARKET, T0 + 700, reports=done), at=T0 + 700)
    assert [(order.id, order.complete) for order in market.blotter] == [(first, True), (second, False)]
    assert (context.trade_count, context.live_trade_count) == (1, 1)


def asked_of(driven: Driven) -> list[Any]:
    return [each.message for each in driven.mail.letters(Carried) if isinstance(each.message, Request)]


def test_orders_of_a_strategy_that_is_gone_are_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    driven, _ = learning(tmp_path)
    restore = restore_of(driven)
    setup = live_setup([Learns(name="Other", **NO_LIMITS)], client=ME)
    following = successor(driven, restore, at=500, setup=setup)
    assert len(shown(following, priced(), 500).blotter) == 0
    assert "there are orders of 'Learns', which does not run any more" in caplog.text


def test_a_market_that_cannot_be_had_is_answered_with_the_reason(tmp_path: Path) -> None:
    driven, _ = learning(tmp_path)
    restore = restore_of(driven)
    setup = live_setup([Learns(**NO_LIMITS)], client=hr.BaseClient(username="another"))
    following = Driven(setup)
    following.deliver(restore, at=T0 + 500)
    (letter,) = following.mail.letters(Restored)
    assert (letter.market_id, letter.orders) == (MARKET, 0)
    assert "'me'" in letter.error
    assert following.host.rooms["s1.market"].actor.hosted == []


def test_the_context_of_the_market_comes_back(tmp_path: Path) -> None:
    driven = Driven(live_setup([Learns(**NO_LIMITS)], client=ME))
    arrived(driven, priced(), tmp_path, at=0, until=0)
    driven.host.rooms["s1.market"].actor.hosted[0].context["line"] = {"low": 1.5}
    arrived(driven, priced(), tmp_path, at=100, until=100)
    assert shown(successor(driven, at=500), priced(), 500).context == {"line": {"low": 1.5}}


def test_results_that_came_before_are_those_of_the_closing(tmp_path: Path) -> None:
    driven, told = learning(tmp_path)
    reply = placed(driven)
    stream = priced().close(5000)
    result = ClearedOrder(MARKET, reply.reports[0].order_id, "77", T0 + 5100, 4.0, runner_status="WINNER")
    restore = restore_of(driven)
    definition = json.dumps(stream.lines[-1]["mc"][0]["marketDefinition"]).encode()
    messages = (*restore.messages, reply, fact(reply, 200, 2.0), result)
    restore = msgspec.structs.replace(restore, messages=messages, definition=definition)
    told.clear()
    following = successor(driven, restore, at=6000)
    market = shown(following, stream, 6000)
    assert (market.closed, [order.profit for order in market.blotter]) == (True, [4.0])
    (told_result,) = [e.message for e in following.mail.letters(Carried) if isinstance(e.message, MarketResult)]
    assert told_result.orders == (result,)
    assert [each[0] for each in told] == ["orders", "closed"]


def test_a_market_that_no_stream_shows_is_freed_with_its_orders_told(tmp_path: Path) -> None:
    driven, told = learning(tmp_path)
    reply = placed(driven)
    restore = restore_of(driven)
    told.clear()
    messages = (*restore.messages, reply)
    following = successor(driven, msgspec.structs.replace(restore, messages=messages), at=500)
    following.deliver(fact(reply, 700, 2.0), at=T0 + 700)
    assert told == []
    following.deliver(ClearedOrder(MARKET, reply.reports[0].order_id, "77", T0 + 800, 4.0), at=T0 + 800)
    following.free(MARKET)
    assert told[0] == ("orders", MARKET, True, [("EXECUTION_COMPLETE", 2.0)])
    (row,) = following.rows("orders")
    assert 4.0 in row


def test_what_a_second_successor_gets_is_what_both_have_handed_over(tmp_path: Path) -> None:
    driven, _ = learning(tmp_path)
    first = restore_of(driven)
    second = successor(driven, first, at=300)
    shown(second, priced(), 300)
    shown(second, priced().touch(400), 400)  # places another
    more = restore_of(second)
    both = msgspec.structs.replace(more, kept=first.kept + more.kept, messages=first.messages + more.messages)
    numbers = [unpacked(each).number for each in both.kept]
    assert numbers == sorted(numbers)
    third = successor(second, both, at=500)
    market = shown(third, priced(), 500)
    assert [order.id for order in market.blotter] == [
        order.id for order in second.host.rooms["s1.market"].actor.hosted[0].blotter
    ]
    assert strategy_in(market).seen == 2
    assert strategy_in(market).last is list(market.blotter)[1]


class Records(Learns):
    def process_market_book(self, market: Any, book: Any) -> None:
        self.record(market, at=book.publish_time_epoch - T0)


def test_what_a_strategy_records_does_not_wait_for_the_end_of_its_market(tmp_path: Path) -> None:
    driven = Driven(live_setup([Records(**NO_LIMITS)], client=ME, rows_so_far=rows_so_far))
    stream = priced().touch(200)
    for at in (0, 100):
        arrived(driven, stream, tmp_path, at=at, until=at)
    driven.host.next_state_ms = T0 + 150
    arrived(driven, stream, tmp_path, at=200, until=200)
    assert [row[3] for row in driven.rows("records")] == ['{"at":100}']
    driven.free(MARKET)
    assert [row[3] for row in driven.rows("records")] == ['{"at":100}', '{"at":200}']


def test_a_market_that_no_strategy_wants_any_more_is_left_to_its_stream(tmp_path: Path) -> None:
    driven, _ = learning(tmp_path)
    restore = msgspec.structs.replace(restore_of(driven), kept=(), messages=())
    setup = live_setup([Learns(market_filter={"market_ids": ["1.9"]}, **NO_LIMITS)], client=ME)
    following = successor(driven, restore, at=500, setup=setup)
    shown(following, priced(), 500)
    assert following.mail.letters(Unroute, "s1") == [Unroute("s1.market", MARKET)]
