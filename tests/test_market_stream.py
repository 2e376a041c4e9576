"""The stream of markets: from the exchange's messages to letters for hosts, whose markets each begin with an image."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange_builders import ALICE, Stream, exchange_of
from headrace.actors.letters import (
    Hello,
    ImageWanted,
    Introduce,
    Letter,
    MarketGone,
    MarketIds,
    MarketSeen,
    MarketUpdate,
    Route,
    Session,
    SessionWanted,
    StreamState,
    Unroute,
)
from headrace.actors.live.crews import StreamPlan
from headrace.actors.streaming.market_stream import MarketStreamRole
from headrace.actors.streaming.shards import CLOSED_MS, LEFT
from headrace.actors.streaming.stream_messages import Batch
from headrace.actors.streaming.stream_place import StreamPlace, StreamSettings
from headrace.actors.streaming.streamed_market import read_change
from headrace.simulate.exchange.settings import Limits
from headrace.strategies.book import MarketBook
from live_builders import FakeMail, Running, plain_place
from stream_sockets import StreamServed, served_stream

NOWHERE = StreamPlace("127.0.0.1", 1, tls=False)
CREW, HOST = "s1.market", "h1"


class Hand:
    """A stream whose messages are written by hand."""

    def __init__(self, plan: StreamPlan | None = None, connections: int = 1) -> None:
        self.now = 100.0
        self.mail = FakeMail()
        self.mail.know(HOST, "fake:h1")
        self.mail.know("h2", "fake:h2")
        self.role = MarketStreamRole(plan or StreamPlan("s1", "marketSubscription"), NOWHERE, now=lambda: self.now)
        self.role.start(self.mail)
        assert len(self.role.connections) == connections

    def give(self, *changes: Any, pt: int = 1_000, at: int = 0, connection: int = 0, **batch: Any) -> None:
        """A message comes."""
        raws: Sequence[msgspec.Raw] = [msgspec.Raw(json.dumps(each).encode()) for each in changes]
        self.role.received(self.role.connections[connection], Batch(raws, pt, at * 1_000_000, **batch))

    def image(self, *changes: Any, **batch: Any) -> None:
        self.give(*changes, image=True, initial_clk="i", **batch)

    def route(self, market_id: str = "1.1", crew: str = CREW, host: str = HOST) -> None:
        self.role.receive("c", Route(crew, market_id, host), 0)

    def updates(self, host: str = HOST) -> list[MarketUpdate]:
        return self.mail.letters(MarketUpdate, host)

    def seen(self) -> list[str]:
        return [letter.market_id for letter in self.mail.letters(MarketSeen)]

    def trouble(self) -> str:
        return self.role.trouble()


def whole(market_id: str = "1.1", *, version: int = 1, status: str = "OPEN", price: float = 2.0, **more: Any) -> Any:
    """An image of a market of two runners."""
    definition = {
        "status": status,
        "version": version,
        "marketTime": "2026-11-28T20:00:00.000Z",
        "eventId": "77",
        "runners": [{"id": 1, "sortPriority": 1}, {"id": 2, "sortPriority": 2}],
    }
    change = {"id": market_id, "img": True, "marketDefinition": definition, "rc": [{"id": 1, "atb": [[price, 10]]}]}
    return {**change, **more}


def prices(price: float, size: float = 5, market_id: str = "1.1") -> Any:
    return {"id": market_id, "rc": [{"id": 1, "atb": [[price, size]]}]}


def book_of(updates: Sequence[MarketUpdate], market_id: str = "1.1") -> MarketBook:
    """The book as a host folds it."""
    book = MarketBook(market_id)
    for update in updates:
        if update.market_id == market_id:
            change = read_change(update.change).change
            if update.image:
                assert change.img
            book.apply(update.pt, change)
    return book


def backs(book: MarketBook) -> dict[float, float]:
    runner = book.runner(1)
    assert runner is not None
    return runner.ex.back.levels


# -- routes --------------------------------------------------------------------------------------------------------


def test_new_market_is_told_to_the_coordinator_with_its_definition() -> None:
    hand = Hand()
    hand.image(whole(), at=5)
    (seen,) = hand.mail.letters(MarketSeen)
    assert (seen.stream, seen.market_id, seen.at) == ("s1", "1.1", 5)
    assert json.loads(seen.definition)["eventId"] == "77"
    assert hand.updates() == []


def test_host_gets_the_image_of_what_was_folded_before_and_then_changes_as_they_came() -> None:
    hand = Hand()
    hand.image(whole())
    hand.give(prices(2.02), pt=1_001)
    hand.route()
    hand.give(prices(2.04), pt=1_002, clk="c9")
    first, second = hand.updates()
    assert (first.image, first.pt, first.crew) == (True, 1_001, CREW)
    assert (second.image, second.pt, second.clk) == (False, 1_002, "c9")
    assert json.loads(second.change) == prices(2.04)
    assert backs(book_of([first, second])) == {2.0: 10, 2.02: 5, 2.04: 5}


def test_image_of_a_market_holds_its_definition() -> None:
    hand = Hand()
    hand.image(whole(version=3))
    hand.route()
    book = book_of(hand.updates())
    assert (book.version, book.status, len(book.runners)) == (3, "OPEN", 2)
    assert book.market_definition is not None
    assert book.market_definition.event_id == "77"


def test_each_crew_gets_its_own_changes() -> None:
    hand = Hand()
    hand.image(whole())
    hand.route()
    hand.route(crew="s1.event", host="h2")
    hand.give(prices(2.1))
    assert [each.crew for each in hand.updates()] == [CREW, CREW]
    assert [each.crew for each in hand.updates("h2")] == ["s1.event", "s1.event"]


def test_market_that_moves_to_another_host_leaves_the_former() -> None:
    hand = Hand()
    hand.image(whole())
    hand.route()
    hand.route(host="h2")
    hand.give(prices(2.1))
    assert len(hand.updates()) == 1
    assert [each.image for each in hand.updates("h2")] == [True, False]


def test_route_may_come_before_the_market() -> None:
    hand = Hand()
    hand.route()
    hand.image(whole())
    assert [each.image for each in hand.updates()] == [True]


def test_nothing_is_sent_once_a_crew_has_lost_interest() -> None:
    hand = Hand()
    hand.image(whole())
    hand.route()
    hand.role.receive("c", Unroute(CREW, "1.1"), 0)
    hand.give(prices(2.1))
    assert len(hand.updates()) == 1


def test_host_that_has_lost_letters_gets_images_of_its_markets_only() -> None:
    hand = Hand()
    hand.image(whole(), whole("1.2"), whole("1.3"))
    hand.route()
    hand.route("1.2")
    hand.route("1.3", host="h2")
    hand.give(prices(2.2, market_id="1.2"), pt=1_005)
    del hand.mail.sent[:]
    hand.role.receive(HOST, ImageWanted(HOST), 0)
    assert [(each.market_id, each.image) for each in hand.updates()] == [("1.1", True), ("1.2", True)]
    assert backs(book_of(hand.updates(), "1.2")) == {2.0: 10, 2.2: 5}
    del hand.mail.sent[:]
    hand.role.receive(HOST, ImageWanted(HOST, "1.2"), 0)
    assert [each.market_id for each in hand.updates()] == ["1.2"]
    assert hand.updates("h2") == []


def test_market_data_may_be_left_out_for_a_host_that_is_too_slow() -> None:
    hand = Hand()
    hand.image(whole())
    hand.route()
    hand.mail.full.add(HOST)
    hand.give(prices(2.1))
    hand.mail.full.clear()
    hand.role.receive(HOST, ImageWanted(HOST), 0)
    assert backs(book_of(hand.updates())) == {2.0: 10, 2.1: 5}


def test_host_that_is_gone_gets_nothing_more() -> None:
    hand = Hand()
    hand.image(whole())
    hand.route()
    hand.role.receive("c", Introduce(HOST, ""), 0)
    hand.mail.know(HOST, "fake:h1")
    hand.give(prices(2.1))
    assert len(hand.updates()) == 1


def test_new_coordinator_is_told_of_every_market() -> None:
    hand = Hand()
    hand.image(whole(), whole("1.2"))
    hand.role.receive("c", Introduce("c", "fake:c:2"), 0)
    assert hand.seen() == ["1.1", "1.2", "1.1", "1.2"]
    assert [hello.pid for hello in hand.mail.letters(Hello)] == [os.getpid()] * 2


# -- images --------------------------------------------------------------------------------------------------------


def test_image_in_mid_stream_replaces_what_hosts_know() -> None:
    hand = Hand()
    hand.image(whole())
    hand.route()
    hand.give(prices(2.02))
    hand.image(whole(price=3.0), pt=2_000)
    assert backs(book_of(hand.updates())) == {3.0: 10}
    assert hand.seen() == ["1.1"]


def test_image_that_does_not_say_so_of_each_market_is_handed_on_as_one() -> None:
    hand = Hand()
    hand.image(whole())
    hand.route()
    hand.give(prices(2.02))
    hand.image(whole(price=3.0, img=None))
    assert backs(book_of(hand.updates())) == {3.0: 10}


def test_image_of_one_market_in_what_changed_since_the_clock_replaces_it() -> None:
    hand = Hand()
    hand.image(whole(), whole("1.2"))
    hand.route()
    hand.give(whole(version=2, price=3.0), resumed=True)
    assert backs(book_of(hand.updates())) == {3.0: 10}
    assert hand.role.figures()["markets"] == 2


def test_market_that_an_image_lacks_is_gone() -> None:
    hand = Hand()
    hand.image(whole(), whole("1.2"))
    hand.image(whole("1.2"), at=9)
    assert hand.mail.letters(MarketGone) == [MarketGone("s1", "1.1", 9)]
    assert hand.role.figures()["markets"] == 1


def test_image_without_definition_waits_for_one_and_keeps_its_prices() -> None:
    hand = Hand()
    image = whole()
    definition = image.pop("marketDefinition")
    hand.image(image)
    assert hand.seen() == []
    assert "without a definition" in hand.trouble()
    hand.give(prices(2.02))
    hand.give({"id": "1.1", "marketDefinition": definition})
    assert hand.seen() == ["1.1"]
    assert hand.trouble() == ""
    hand.route()
    assert backs(book_of(hand.updates())) == {2.0: 10, 2.02: 5}


def test_changes_of_a_market_of_which_no_image_came_are_left_out_and_told() -> None:
    hand = Hand()
    hand.give(prices(2.0))
    assert hand.seen() == []
    assert hand.trouble().startswith("market 1.1: ")
    hand.image(whole())
    assert hand.trouble() == ""


@pytest.mark.parametrize("versions", [(4, 5), (5, 4)])
def test_of_a_market_that_is_twice_in_an_image_the_higher_version_counts(versions: tuple[int, int]) -> None:
    hand = Hand()
    hand.image(*(whole(version=version, price=float(version)) for version in versions))
    hand.route()
    assert backs(book_of(hand.updates())) == {5.0: 10}
    assert hand.seen() == ["1.1"]


def test_image_of_a_lower_version_than_is_known_is_left_out() -> None:
    hand = Hand()
    hand.image(whole(version=5))
    hand.route()
    hand.give(whole(version=4, price=9.0))
    assert backs(book_of(hand.updates())) == {2.0: 10}


PRICES = st.sampled_from([1.5, 2.0, 2.02, 3.0])
CHANGES = st.one_of(
    st.tuples(st.just("price"), PRICES, st.sampled_from([0, 1, 2.5])),
    st.tuples(st.just("image"), PRICES, st.integers(1, 4)),
    st.tuples(st.just("all"), PRICES, st.integers(1, 4)),
    st.sampled_from([("slow",), ("quick",), ("route",), ("unroute",), ("moved",)]),
)


@given(st.lists(CHANGES, max_size=30))
def test_whatever_comes_and_is_left_out_a_host_ends_with_the_book_of_the_stream(events: list[Any]) -> None:
    hand = Hand()
    hand.image(whole())
    hand.route()
    version = 1
    for event in events:
        if event[0] == "price":
            hand.give(prices(event[1], event[2]))
        elif event[0] in ("image", "all"):
            version += 1
            image = whole(version=version, price=event[1], img=event[0] == "image" or event[2] > 1 or None)
            (hand.give if event[0] == "image" else hand.image)(image)
        elif event[0] == "slow":
            hand.mail.full.add(HOST)
        elif event[0] == "quick":
            hand.mail.full.clear()
            hand.role.receive(HOST, ImageWanted(HOST), 0)  # as a host does that is told of lost letters
        elif event[0] == "unroute":
            hand.role.receive("c", Unroute(CREW, "1.1"), 0)
        else:
            hand.route(host="h2" if event[0] == "moved" else HOST)
    hand.mail.full.clear()
    hand.route()
    hand.give(prices(3.0, 7))
    book, own = book_of(hand.updates()), hand.role._markets["1.1"].book
    assert backs(book) == backs(own)
    assert book.version == own.version == version


# -- odd messages --------------------------------------------------------------------------------------------------


def test_odd_values_are_put_in_order_for_hosts() -> None:
    hand = Hand()
    hand.image(whole())
    hand.route()
    hand.give({"id": "1.1", "rc": [{"id": "1", "atb": [["2.5", 7]], "hc": None, "spn": "nan", "trd": None}]})
    change = read_change(hand.updates()[-1].change).change
    assert (change.rc[0].id, change.rc[0].atb) == (1, [(2.5, 7.0)])
    assert backs(book_of(hand.updates())) == {2.0: 10, 2.5: 7}


def test_change_that_cannot_be_read_asks_for_a_new_image_once_in_a_while() -> None:
    hand = Hand()
    hand.image(whole(), whole("1.2"))
    hand.route("1.2")
    hand.give({"id": {}, "rc": 5}, prices(2.02, market_id="1.2"))
    states = hand.mail.letters(StreamState)
    assert states[-1].state == "DOWN"
    assert "cannot be read" in states[-1].error or "market id" in states[-1].error
    assert len(hand.updates()) == 2  # the other market goes on


# -- raw data ------------------------------------------------------------------------------------------------------


def test_raw_stream_hands_on_everything_since_the_first_image_as_it_came() -> None:
    hand = Hand(StreamPlan("s1", "marketSubscription", raw=True))
    odd = {"id": "1.1", "rc": [{"id": "1", "ltp": "2.5"}], "con": True}
    hand.image(whole(), clk="c1")
    hand.give(odd, pt=1_001, clk="c2")
    hand.route()
    hand.give(prices(2.1), pt=1_002, clk="c3")
    assert [json.loads(each.change) for each in hand.updates()] == [whole(), odd, prices(2.1)]
    assert [each.clk for each in hand.updates()] == ["c1", "c2", "c3"]
    assert [each.image for each in hand.updates()] == [True, False, False]
    assert {each.crew for each in hand.updates()} == {CREW}


def test_late_host_of_a_raw_stream_gets_an_image() -> None:
    hand = Hand(StreamPlan("s1", "marketSubscription", raw=True))
    hand.image(whole(), at=1_000)
    hand.give(prices(2.1), at=2_000)
    hand.role.due(90_000)
    hand.route()
    assert [each.image for each in hand.updates()] == [True]
    assert backs(book_of(hand.updates())) == {2.0: 10, 2.1: 5}


# -- time ----------------------------------------------------------------------------------------------------------


def test_books_are_shown_again_after_streaming_timeout_without_changes() -> None:
    hand = Hand(StreamPlan("s1", "marketSubscription", streaming_timeout=0.5))
    hand.image(whole(), whole("1.2"), whole("1.3", status="CLOSED"))
    hand.route()
    hand.route("1.3")
    hand.now += 0.4
    hand.role.wake(0)
    assert len(hand.updates()) == 2
    hand.now += 0.2
    hand.role.wake(0)
    shown = hand.updates()[2:]
    assert [(each.market_id, each.pt, each.image) for each in shown] == [("1.1", 1_000, False)]
    assert backs(book_of(hand.updates())) == {2.0: 10}
    hand.now += 0.6
    hand.role.wake(0)
    assert len(hand.updates()) == 4


def closed_and_left() -> Hand:
    """A market that is closed, and in which no crew is interested any more."""
    hand = Hand()
    hand.image(whole())
    hand.route()
    hand.give(whole(version=2, status="CLOSED", img=False))
    hand.role.receive("c", Unroute(CREW, "1.1"), 0)
    return hand


def test_market_that_is_over_is_not_told_of_again_by_what_still_comes() -> None:
    hand = closed_and_left()
    hand.give({"id": "1.1", "rc": [{"id": 1, "trd": [[2.0, 0]]}]})
    hand.give(whole(version=2, status="CLOSED", img=False))
    hand.image(whole(version=2, status="CLOSED"))
    assert hand.seen() == ["1.1"]
    assert hand.trouble() == ""


@pytest.mark.parametrize("status", ["OPEN", "CLOSED"])
def test_market_that_opens_again_or_has_another_result_is_told_of_again_with_all_its_prices(status: str) -> None:
    hand = closed_and_left()
    hand.give(whole(version=3, status=status, img=False, price=2.5))
    assert hand.seen() == ["1.1", "1.1"]
    del hand.mail.sent[:]
    hand.route()
    assert backs(book_of(hand.updates())) == {2.0: 10, 2.5: 10}


def test_of_markets_that_are_over_the_last_ones_are_kept() -> None:
    hand = Hand()
    count = LEFT + 5
    for number in range(count):
        market_id = f"1.{number}"
        hand.give(whole(market_id), at=number + 1)
        hand.route(market_id)
        hand.give(whole(market_id, version=2, status="CLOSED", img=False), at=number + 1)
        hand.role.receive("c", Unroute(CREW, market_id), 0)
    hand.role.due(count)
    assert hand.role.figures()["markets"] == LEFT
    assert [each.market_id for each in hand.mail.letters(MarketGone)] == [f"1.{number}" for number in range(5)]
    hand.give(prices(2.0, market_id="1.0"), whole("1.1", version=3, status="CLOSED", img=False))
    assert hand.trouble() == ""
    assert hand.role.figures()["markets"] == LEFT


def test_closed_market_leaves_as_late_as_it_leaves_the_exchange() -> None:
    hand = Hand()
    hand.image(whole())
    hand.route()
    hand.give(whole(version=2, status="CLOSED", img=False), at=1_000)
    hand.role.due(1_000 + CLOSED_MS - 1)
    assert hand.role.figures()["markets"] == 1
    hand.role.due(1_000 + CLOSED_MS)
    assert hand.role.figures()["markets"] == 0


def test_market_that_opens_again_stays() -> None:
    hand = Hand()
    hand.image(whole())
    hand.route()
    hand.give(whole(version=2, status="CLOSED", img=False), at=1_000)
    hand.give(whole(version=3, status="OPEN", img=False), at=2_000)
    hand.role.due(1_000 + CLOSED_MS)
    assert hand.role.figures()["markets"] == 1
    assert book_of(hand.updates()).status == "OPEN"


# -- several filters, many markets ---------------------------------------------------------------------------------


def plan_of(*filters: Any, **more: Any) -> StreamPlan:
    return StreamPlan("s1", "marketSubscription", json.dumps(list(filters)), **more)


def test_each_filter_has_a_connection_and_a_market_of_both_is_handed_on_once() -> None:
    hand = Hand(plan_of({"event_ids": ["1"]}, {"event_ids": ["2"]}), connections=2)
    hand.image(whole())
    hand.image(whole(), connection=1)
    hand.route()
    hand.give(prices(2.1))
    hand.give(prices(2.1), connection=1)
    assert hand.seen() == ["1.1"]
    assert [each.image for each in hand.updates()] == [True, False]


def test_market_of_two_connections_goes_on_with_the_other_when_one_loses_it() -> None:
    hand = Hand(plan_of({"event_ids": ["1"]}, {"event_ids": ["2"]}), connections=2)
    hand.image(whole())
    hand.image(whole(), connection=1)
    hand.route()
    hand.give(prices(2.1), connection=1)
    hand.image()
    hand.give(prices(2.2), connection=1)
    assert backs(book_of(hand.updates())) == {2.0: 10, 2.1: 5, 2.2: 5}
    assert hand.mail.letters(MarketGone) == []


def test_filter_that_the_stream_does_not_know_waits_for_ids() -> None:
    hand = Hand(plan_of({"competition_ids": ["31"]}), connections=0)
    hand.role.wake(10**15)
    assert hand.mail.letters(StreamState)[-1].state == "CONNECTING"
    assert "looked up" in hand.mail.letters(StreamState)[-1].error
    hand.role.receive("c", MarketIds("s1", ("1.1", "1.2")), 0)
    (connection,) = hand.role.connections
    assert connection.subscription.request["marketFilter"] == {"marketIds": ["1.1", "1.2"]}


# -- against an exchange -------------------------------------------------------------------------------------------


def desk(served: StreamServed) -> Any:
    def answer(name: str, letter: Letter) -> Letter | None:
        if isinstance(letter, SessionWanted):
            return Session("BETFAIR", ALICE.username, ALICE.app_key, served.token())
        return None

    return answer


def market(number: int) -> Stream:
    made = Stream(market_id=f"1.{number}")
    for at in range(1, 30):
        made.prices(at * 100, {1: {"atb": [[2.0, 10 + at]]}})
    return made


QUICK = StreamSettings(heartbeat_ms=500, first_wait=0.02, longest_wait=0.3)


class Playing:
    """An exchange with some markets, a stream of them, and a coordinator that routes each to a host."""

    def __init__(self, served: StreamServed, plan: StreamPlan) -> None:
        self.served = served
        token = desk(served)

        def answers(name: str, letter: Letter) -> Letter | None:
            if isinstance(letter, MarketSeen):
                return Route(CREW, letter.market_id, HOST)
            return token(name, letter)

        self.mail = FakeMail(answers=answers)
        self.mail.know(HOST, "fake:h1")
        self.role = MarketStreamRole(plan, plain_place(served), QUICK)
        self.running = Running(self.role, self.mail)

    def until(self, condition: Any) -> None:
        self.running.until(condition)

    def step(self) -> None:
        self.served.do(self.served.exchange.play_next)

    def books(self) -> dict[str, dict[float, float]]:
        """The backs of every market, as the host folds them."""
        updates = list(self.mail.letters(MarketUpdate, HOST))
        return {each: backs(book_of(updates, each)) for each in {update.market_id for update in updates}}

    def all_at(self, size: int, markets: int) -> None:
        """Wait until the host's books of so many markets have that size, as the exchange has."""
        self.until(lambda: list(self.books().values()) == [{2.0: size}] * markets)


@contextlib.contextmanager
def playing(markets: int, plan: StreamPlan | None = None, **settings: Any) -> Iterator[Playing]:
    exchange = exchange_of(*(market(number) for number in range(101, 101 + markets)), **settings)
    exchange.play_next()
    with served_stream(exchange) as served:
        found = Playing(served, plan or StreamPlan("s1", "marketSubscription"))
        with found.running:
            yield found


def ids(count: int) -> tuple[str, ...]:
    return tuple(f"1.{number}" for number in range(101, 101 + count))


def test_books_of_hosts_are_those_of_the_exchange() -> None:
    with playing(3) as found:
        found.until(lambda: len(found.books()) == 3)
        for _ in range(5):
            found.step()
        found.all_at(15, 3)
        assert found.role.figures()["markets"] == 3


def test_images_in_segments_are_joined() -> None:
    with playing(25) as found:
        found.step()
        found.all_at(11, 25)
        assert len(found.mail.letters(MarketSeen)) == 25
        found.step()
        found.all_at(12, 25)


@pytest.mark.parametrize("kind", ["drop", "reset", "half_line", "silence"])
def test_books_are_right_after_a_connection_has_ended(kind: str) -> None:
    with playing(12) as found:
        found.step()
        found.all_at(11, 12)
        found.served.fault(f"stream.{kind}", seconds=3)
        for _ in range(3):
            found.step()
        found.all_at(14, 12)
        found.step()
        found.all_at(15, 12)
        assert len(found.mail.letters(MarketSeen)) == 12
        assert found.role.connections[0].reconnects == 1


def test_books_are_right_after_a_refused_clock() -> None:
    with playing(3) as found:
        found.until(lambda: len(found.books()) == 3)
        found.served.fault("stream.refuse_clock")
        found.served.fault("stream.drop")
        for _ in range(3):
            found.step()
        found.all_at(13, 3)
        assert not any(each.state == "STOPPED" for each in found.mail.letters(StreamState))


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("market.image", {}),
        ("market.strip", {}),
        ("market.strip", {"value": "null"}),
        ("market.conflated", {}),
        ("market.behind", {"seconds": 0.05}),
        ("market.status_503", {"seconds": 0.1}),
    ],
)
def test_books_are_right_whatever_odd_messages_come(kind: str, more: dict[str, Any]) -> None:
    with playing(3) as found:
        found.until(lambda: len(found.books()) == 3)
        found.served.fault(kind, **more)
        for _ in range(4):
            found.step()
        found.all_at(14, 3)


def test_sources_that_are_not_well_are_told_while_they_are() -> None:
    with playing(1) as found:
        found.until(lambda: len(found.books()) == 1)
        found.served.fault("market.status_503", seconds=0.2)
        found.step()
        found.until(lambda: any("503" in each.error for each in found.mail.letters(StreamState)))
        found.until(lambda: found.mail.letters(StreamState)[-1].error == "")
        assert found.mail.letters(StreamState)[-1].state == "SUBSCRIBED"


@pytest.mark.parametrize("kind", ["market.twice", "market.no_definition"])
def test_faulty_images_do_not_stop_other_markets(kind: str) -> None:
    exchange = exchange_of(market(101), market(102))
    exchange.play_next()
    with served_stream(exchange) as served:
        served.fault(kind, market_id="1.101")
        found = Playing(served, StreamPlan("s1", "marketSubscription"))
        with found.running:
            for _ in range(3):
                found.step()
            found.until(lambda: found.books().get("1.102") == {2.0: 13})
            if kind == "market.twice":
                found.all_at(13, 2)
            else:
                assert "without a definition" in found.role.trouble()


def test_filter_that_lets_too_many_markets_pass_is_an_error_until_ids_come() -> None:
    with playing(7, limits=Limits(markets=3, connections=10)) as found:
        found.until(lambda: [each for each in found.mail.letters(StreamState) if each.state == "REFUSED"])
        state = next(each for each in found.mail.letters(StreamState) if each.state == "REFUSED")
        assert state.error.startswith("SUBSCRIPTION_LIMIT_EXCEEDED: trying to subscribe to 7 markets")
        found.mail.deliver(MarketIds("s1", ids(7)))
        found.until(lambda: len(found.books()) == 7)
        for _ in range(2):
            found.step()
        found.all_at(12, 7)
        assert len(found.role.connections) == 3
        state = found.mail.letters(StreamState)[-1]
        assert (state.state, state.left_out) == ("SUBSCRIBED", 0)


def test_new_ids_go_to_the_connection_with_room() -> None:
    with playing(5, limits=Limits(markets=3, connections=10)) as found:
        found.mail.deliver(MarketIds("s1", ids(4)))
        found.until(lambda: len(found.books()) == 4)
        found.mail.deliver(MarketIds("s1", ids(5)))
        found.until(lambda: len(found.books()) == 5)
        found.step()
        found.all_at(11, 5)
        sizes = [len(each.ids or ()) for each in found.role._shards.values()]
        assert sizes == [3, 2]
        assert len(found.mail.letters(MarketSeen)) == 5


def test_markets_that_no_connection_is_left_for_are_counted() -> None:
    with playing(9, limits=Limits(markets=3, connections=2)) as found:
        found.mail.deliver(MarketIds("s1", ids(9)))
        found.until(lambda: found.mail.letters(StreamState)[-1].left_out > 0)
        found.until(lambda: len(found.books()) == 3)
        state = found.mail.letters(StreamState)[-1]
        assert state.left_out == 6  # one connection is left to the account's orders
        assert state.state == "SUBSCRIBED"
        assert "6 markets cannot be subscribed to" in state.error


def test_connection_too_many_is_given_up_and_its_markets_are_left_out() -> None:
    with playing(6, limits=Limits(markets=3, connections=10)) as found:
        found.until(lambda: any(each.state == "REFUSED" for each in found.mail.letters(StreamState)))
        found.served.fault("stream.connection_limit")
        found.mail.deliver(MarketIds("s1", ids(6)))
        found.until(lambda: found.mail.letters(StreamState)[-1].left_out == 3)
        found.until(lambda: len(found.books()) == 3)
        assert len(found.role.connections) == 1
