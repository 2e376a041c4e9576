"""The order stream: who is told what of an account's bets."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from headrace.actors.letters import (
    ForeignBet,
    ImageWanted,
    Introduce,
    OrdersClosed,
    OrdersImage,
    Position,
    Route,
    Unroute,
)
from headrace.actors.live.crews import StreamPlan
from headrace.actors.streaming.order_stream import OrderStreamRole
from headrace.actors.streaming.stream_messages import Batch
from headrace.actors.streaming.stream_place import StreamPlace
from headrace.strategies.messages import OrderFact
from live_builders import FakeMail

MARKET = "1.207"


class Hand:
    """A stream whose messages are written by hand."""

    def __init__(self, **plan: Any) -> None:
        self.mail = FakeMail("o1")
        for host in ("h1", "h2"):
            self.mail.know(host, f"fake:{host}")
        of_alice = StreamPlan("o1", "orderSubscription", venue="Betfair", username="alice", **plan)
        self.role = OrderStreamRole(of_alice, StreamPlace("127.0.0.1", 1, tls=False), "mine")
        self.role.start(self.mail)

    def give(self, *bets: str, market_id: str = MARKET, pt: int = 1_000, ref: str = "mine", **batch: Any) -> None:
        """Bets rest."""
        orders = [
            {"id": bet, "side": "B", "status": "E", "ot": "L", "pt": "L", "p": 3.0, "s": 2.0, "sr": 2.0, "rfs": ref}
            for bet in bets
        ]
        change = {"id": market_id, "orc": [{"id": 7, "uo": orders, "mb": [[3.0, 1.0]]}]}
        raw = msgspec.Raw(json.dumps(change).encode())
        self.role.received(self.role.connections[0], Batch([raw], pt, 0, **batch))

    def route(self, host: str = "h1", crew: str = "s1.market", market_id: str = MARKET) -> None:
        self.role.receive("c", Route(crew, market_id, host), 0)

    def facts(self, to: str) -> list[str | None]:
        return [fact.bet_id for fact in self.mail.letters(OrderFact, to)]


@pytest.fixture
def hand() -> Hand:
    return Hand()


def test_it_asks_for_all_bets_and_the_overall_position(hand: Hand) -> None:
    (subscription,) = hand.role.subscriptions()

    assert subscription.operation == "orderSubscription"
    assert subscription.request["orderFilter"] == {
        "includeOverallPosition": True,
        "partitionMatchedByStrategyRef": False,
    }
    assert subscription.request["conflateMs"] == 0


def test_conflation_is_as_the_client_wants_it() -> None:
    (subscription,) = Hand(conflate_ms=250).role.subscriptions()

    assert subscription.request["conflateMs"] == 250


def test_facts_go_to_the_hosts_of_their_market_and_to_the_coordinator(hand: Hand) -> None:
    hand.route("h1")
    hand.route("h2", market_id="1.208")
    hand.give("31")

    assert (hand.facts("h1"), hand.facts("h2"), hand.facts("c")) == (["31"], [], ["31"])


def test_the_coordinator_hears_whose_a_new_bet_is_before_how_it_stands(hand: Hand) -> None:
    hand.give("31")

    kinds = [type(letter) for name, letter in hand.mail.sent if name == "c"]
    assert kinds[-3:] == [ForeignBet, OrderFact, Position]


def test_bets_placed_elsewhere_go_to_the_coordinator_alone(hand: Hand) -> None:
    hand.route("h1")
    hand.give("31", ref="")

    assert hand.facts("h1") == []
    assert [bet.own for bet in hand.mail.letters(ForeignBet, "c")] == [False]


@pytest.mark.parametrize("kind", ["image", "resumed"])
def test_the_coordinator_hears_of_an_image_after_what_is_in_it(hand: Hand, kind: str) -> None:
    hand.give("31", **{kind: True})

    assert isinstance(hand.mail.sent[-1][1], OrdersImage)
    assert (hand.mail.letters(OrdersImage)[0].username, hand.mail.letters(OrdersImage)[0].at) == ("alice", 1_000)


def test_a_host_that_comes_later_hears_how_bets_stand(hand: Hand) -> None:
    hand.give("31", "32")
    hand.give("33", market_id="1.208")
    hand.route("h1")

    assert hand.facts("h1") == ["31", "32"]


def test_a_host_that_has_lost_letters_hears_it_again(hand: Hand) -> None:
    hand.give("31")
    hand.give("33", market_id="1.208")
    hand.route("h1")
    hand.mail.sent.clear()
    hand.role.receive("h1", ImageWanted("h1"), 0)

    assert hand.facts("h1") == ["31"]


def test_a_host_of_two_crews_is_told_once_and_until_both_are_gone(hand: Hand) -> None:
    hand.route("h1")
    hand.route("h1", "s2.event")
    hand.give("31")
    hand.role.receive("c", Unroute("s1.market", MARKET), 0)
    hand.give("32")
    hand.role.receive("c", Unroute("s2.event", MARKET), 0)
    hand.give("33")

    assert hand.facts("h1") == ["31", "32"]


def test_a_host_that_is_gone_is_told_nothing(hand: Hand) -> None:
    hand.route("h1")
    hand.role.receive("c", Introduce("h1", ""), 0)
    hand.give("31")

    assert hand.facts("h1") == []


def test_a_new_coordinator_is_told_all_again(hand: Hand) -> None:
    hand.give("31", image=True)
    hand.give("41", ref="")
    hand.role.received(hand.role.connections[0], Batch([msgspec.Raw(b'{"id": "1.207", "closed": true}')], 2_000, 0))
    hand.mail.sent.clear()
    hand.role.receive("c", Introduce("c", "fake:c2"), 0)

    assert [(bet.bet_id, bet.own) for bet in hand.mail.letters(ForeignBet, "c")] == [("31", True), ("41", False)]
    assert hand.facts("c") == ["31"]
    assert [each.backs for each in hand.mail.letters(Position, "c")] == [((3.0, 1.0),)]
    assert [each.closed for each in hand.mail.letters(OrdersClosed, "c")] == [True]
    assert isinstance(hand.mail.sent[-1][1], OrdersImage)


def test_closed_markets_are_forgotten_after_an_hour(hand: Hand) -> None:
    hand.give("31")
    hand.role.received(hand.role.connections[0], Batch([msgspec.Raw(b'{"id": "1.207", "closed": true}')], 2_000, 0))
    hand.role.due(2_000 + 3_600_000)
    assert hand.role.figures() == {"markets": 1}
    hand.role.due(2_001 + 3_600_000)

    assert hand.role.figures() == {"markets": 0}
