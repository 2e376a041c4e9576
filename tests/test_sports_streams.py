"""Streams of races, of cricket, and of raw order changes: letters for the hosts of their markets."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from exchange_builders import ALICE, T0, settings
from headrace.actors.letters import (
    ImageWanted,
    Introduce,
    Letter,
    MarketSeen,
    MarketUpdate,
    Route,
    Session,
    SessionWanted,
    StreamState,
    Unroute,
)
from headrace.actors.live.crews import StreamPlan
from headrace.actors.streaming.data_stream import QUIET_MS, DataStreamRole
from headrace.actors.streaming.market_stream import MarketStreamRole
from headrace.actors.streaming.sports_stream import SportsStreamRole
from headrace.actors.streaming.stream_kinds import stream_of
from headrace.actors.streaming.stream_messages import Batch
from headrace.actors.streaming.stream_place import StreamPlace, StreamSettings
from headrace.simulate.exchange.exchange import Exchange
from headrace.simulate.exchange.feed_messages import FeedMessage
from headrace.simulate.exchange.timeline import Timeline
from live_builders import FakeMail, Running, plain_place
from stream_sockets import served_stream

NOWHERE = StreamPlace("127.0.0.1", 1, tls=False)
RACE, CRICKET, ORDERS = "raceSubscription", "cricketSubscription", "orderSubscription"


class Hand:
    """A stream whose messages are written by hand."""

    def __init__(self, operation: str, raw: bool = False) -> None:
        self.mail = FakeMail()
        self.mail.know("h1", "fake:h1")
        self.role = stream_of(StreamPlan("s2", operation, raw=raw), NOWHERE)
        self.role.start(self.mail)

    def give(self, *changes: Any, pt: int = 1, at: int = 0, **batch: Any) -> None:
        raws = [msgspec.Raw(json.dumps(each).encode()) for each in changes]
        self.role.received(self.role.connections[0], Batch(raws, pt, at * 1_000_000, **batch))

    def route(self, crew: str = "s1.market", market_id: str = "1.1") -> None:
        self.role.receive("c", Route(crew, market_id, "h1"), 0)

    def updates(self) -> list[tuple[str, bool, Any]]:
        return [(each.crew, each.image, json.loads(each.change)) for each in self.mail.letters(MarketUpdate)]


def runner(number: int, speed: float) -> dict[str, Any]:
    return {"id": number, "spd": speed}


def test_each_kind_of_stream_has_its_role() -> None:
    kinds = {
        operation: type(stream_of(StreamPlan("s1", operation), NOWHERE))
        for operation in ("marketSubscription", ORDERS, RACE, CRICKET)
    }
    assert kinds == {
        "marketSubscription": MarketStreamRole,
        ORDERS: DataStreamRole,
        RACE: SportsStreamRole,
        CRICKET: SportsStreamRole,
    }


def test_market_is_told_without_a_definition_and_late_hosts_get_all_that_is_known() -> None:
    hand = Hand(RACE)
    hand.give({"mid": "1.1", "id": "9.1650", "rrc": [runner(1, 10), runner(2, 11)], "rpc": {"rt": 3}})
    hand.give({"mid": "1.1", "rrc": [runner(2, 12)]}, pt=2)
    assert hand.mail.letters(MarketSeen) == [MarketSeen("s2", "1.1", b"", 0)]
    hand.route()
    hand.give({"mid": "1.1", "rpc": {"rt": 4}}, pt=3)
    known = {"mid": "1.1", "id": "9.1650", "rrc": [runner(1, 10), runner(2, 12)], "rpc": {"rt": 3}}
    assert hand.updates() == [
        ("s1.market", True, known),
        ("s1.market", False, {"mid": "1.1", "rpc": {"rt": 4}}),
    ]


def test_cricket_fields_replace_what_they_were() -> None:
    hand = Hand(CRICKET)
    hand.give({"marketId": "1.1", "eventId": "5", "matchStats": {"a": 1, "b": 2}, "homeTeam": {"name": "x"}})
    hand.give({"marketId": "1.1", "eventId": "5", "matchStats": {"a": 3}})
    hand.route()
    known = {"marketId": "1.1", "eventId": "5", "matchStats": {"a": 3}, "homeTeam": {"name": "x"}}
    assert hand.updates() == [("s1.market", True, known)]


def test_host_that_lost_changes_gets_what_is_known() -> None:
    hand = Hand(CRICKET)
    hand.route()
    hand.give({"marketId": "1.1", "matchStats": {"a": 1}}, {"marketId": "1.2", "matchStats": {"a": 2}})
    hand.role.receive("h1", ImageWanted("h1"), 0)
    assert [image for _, image, _ in hand.updates()] == [False, True]
    hand.role.receive("c", Unroute("s1.market", "1.1"), 0)
    hand.role.receive("h1", ImageWanted("h1"), 0)
    assert len(hand.updates()) == 2


def test_changes_of_no_market_are_for_nobody() -> None:
    hand = Hand(RACE)
    hand.give({"id": "9.1650"}, 5, {"mid": None})
    assert hand.mail.letters(MarketSeen) == []


def test_raw_changes_of_orders_are_kept_for_the_host_that_comes_and_are_never_left_out() -> None:
    hand = Hand(ORDERS, raw=True)
    first = {"id": "1.1", "orc": [{"id": 1, "fullImage": True, "uo": []}], "accountId": 7}
    hand.give(first, image=True, clk="c1")
    hand.mail.full.add("h1")
    hand.route()
    hand.give({"id": "1.1", "closed": True}, clk="c2")
    assert hand.updates() == [("s1.market", True, first), ("s1.market", False, {"id": "1.1", "closed": True})]
    assert [each.clk for each in hand.mail.letters(MarketUpdate)] == ["c1", "c2"]


def test_market_that_is_quiet_for_long_is_forgotten() -> None:
    hand = Hand(RACE)
    hand.give({"mid": "1.1"}, at=1_000)
    hand.role.due(1_000 + QUIET_MS)
    assert hand.role.figures() == {"markets": 1}
    hand.role.due(1_001 + QUIET_MS)
    assert hand.role.figures() == {"markets": 0}


def test_new_coordinator_is_told_of_every_market_and_hosts_that_are_gone_get_nothing() -> None:
    hand = Hand(RACE)
    hand.route()
    hand.give({"mid": "1.1"})
    hand.role.receive("c", Introduce("c", "fake:2"), 0)
    assert len(hand.mail.letters(MarketSeen)) == 2
    hand.role.receive("c", Introduce("h1", ""), 0)
    hand.mail.know("h1", "fake:h1")
    hand.give({"mid": "1.1"})
    assert len(hand.updates()) == 1


def test_races_and_matches_come_from_the_exchange_again_after_its_end() -> None:
    changes = [
        ("rcm", {"mid": "1.1", "id": "9.1650", "rpc": {"rt": 1}}),
        ("ccm", {"marketId": "1.1", "eventId": "e", "matchStats": {"a": 1}}),
        ("rcm", {"mid": "1.1", "id": "9.1650", "rpc": {"rt": 2}}),
        ("ccm", {"marketId": "1.1", "eventId": "e", "matchStats": {"a": 2}}),
    ]
    feed = [FeedMessage(T0 + 100 * place, sports=(change,)) for place, change in enumerate(changes, 1)]
    exchange = Exchange(settings(), Timeline("step", wall=lambda: T0), feed)
    with served_stream(exchange) as served:

        def answers(name: str, letter: Letter) -> Letter | None:
            if isinstance(letter, SessionWanted):
                return Session("BETFAIR", ALICE.username, ALICE.app_key, served.token())
            if isinstance(letter, MarketSeen):
                return Route("s1.market", letter.market_id, "h1")
            return None

        quick = StreamSettings(first_wait=0.02)
        mails = [FakeMail(name, answers) for name in ("s2", "s3")]
        roles = [
            SportsStreamRole(StreamPlan(mail.name, operation), plain_place(served), quick)
            for mail, operation in zip(mails, (RACE, CRICKET), strict=True)
        ]
        for mail in mails:
            mail.know("h1", "fake:h1")
        with Running(roles[0], mails[0]) as running, Running(roles[1], mails[1]):
            for mail in mails:
                running.until(lambda mail=mail: [e for e in mail.letters(StreamState) if e.state == "SUBSCRIBED"])
            served.do(exchange.play_next)
            served.do(exchange.play_next)
            for mail in mails:
                running.until(lambda mail=mail: len(mail.letters(MarketUpdate)) == 1)
            served.fault("stream.drop", times=2)
            served.do(exchange.play_next)
            served.do(exchange.play_next)
            running.until(lambda: all(role.connections[0].reconnects for role in roles))
            running.until(lambda: b'"a":2' in mails[1].letters(MarketUpdate)[-1].change)
