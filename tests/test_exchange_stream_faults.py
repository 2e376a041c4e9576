"""Faults of the stream's connections and of messages of markets: each provoked, seen by a client, and counted."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from builders import MARKET, T0
from exchange_builders import ALICE, BOB, Stream, exchange_of, play
from headrace.simulate.exchange.faults import KINDS
from stream_in_process import Client, InProcess
from stream_sockets import StreamServed, served_stream

OFFERS = {"atb": [[2.0, 10]], "atl": [[2.1, 6]]}
#: Fields of a definition that the exchange leaves out at times.
RICH = {"name": "To Win", "venue": "Ascot", "countryCode": "GB"}


def ticking() -> Stream:
    stream = Stream(**RICH)
    for number in range(1, 51):
        stream.prices(number, {1: {"atb": [[2.0, number]]}}, tv=number)
    return stream


@pytest.fixture
def stream() -> Iterator[InProcess]:
    with InProcess(play(exchange_of(ticking()), until=0)) as found:
        yield found


def subscribe(client: Client, request_id: int = 7, **request: Any) -> list[dict[str, Any]]:
    """The answers to a subscription."""
    fields = {"fields": ["EX_ALL_OFFERS", "EX_TRADED_VOL", "EX_MARKET_DEF"]}
    return client.send(op="marketSubscription", id=request_id, marketFilter={}, marketDataFilter=fields, **request)


def subscribed(stream: InProcess) -> Client:
    client = stream.connect().log_in()
    assert subscribe(client)[-1]["ct"] == "SUB_IMAGE"
    return client


def log_in(stream: InProcess, client: Client) -> list[dict[str, Any]]:
    token = stream.sessions.login(ALICE.username, ALICE.password)
    return client.send(op="authentication", id=1, appKey=ALICE.app_key, session=token)


def happened(stream: InProcess, kind: str) -> None:
    assert stream.faults.counts[kind] == 1
    [entry] = stream.exchange.ledger.entries(kind="FAULT")
    assert entry.values["fault"] == kind


# -- connections ----------------------------------------------------------------------------------------------------


def test_the_connection_line_can_come_late(stream: InProcess):
    stream.fault("stream.slow_connect", seconds=2.0)
    client = stream.connect()
    assert log_in(stream, client) == []  # asked before the line came: it is answered after it
    stream.let_pass(1_900)
    assert client.read() == []
    stream.let_pass(200)
    connection, status = client.read()
    assert (connection["op"], status["statusCode"]) == ("connection", "SUCCESS")
    happened(stream, "stream.slow_connect")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("stream.throttle", "TOO_MANY_REQUESTS"),
        ("stream.connection_limit", "MAX_CONNECTION_LIMIT_EXCEEDED"),
        ("stream.not_authorized", "NOT_AUTHORIZED"),
        ("stream.no_session", "INVALID_SESSION_INFORMATION"),
        ("stream.unexpected", "UNEXPECTED_ERROR"),
    ],
)
def test_authentication_can_be_refused(stream: InProcess, kind: str, code: str):
    stream.fault(kind)
    client = stream.connect()
    error = log_in(stream, client)[-1]
    assert (error["id"], error["errorCode"], error["connectionClosed"]) == (1, code, True)
    assert client.closed
    happened(stream, kind)
    stream.connect().log_in()


@pytest.mark.parametrize(
    ("kind", "code", "closes"),
    [
        ("stream.unexpected", "UNEXPECTED_ERROR", True),
        ("stream.subscription_limit", "SUBSCRIPTION_LIMIT_EXCEEDED", False),
    ],
)
def test_a_subscription_can_be_refused(stream: InProcess, kind: str, code: str, closes: bool):
    client = stream.connect().log_in()
    stream.fault(kind, username=ALICE.username, operation="marketSubscription")
    error = subscribe(client)[-1]
    assert (error["errorCode"], error["connectionClosed"], client.closed) == (code, closes, closes)
    happened(stream, kind)


def test_who_is_over_the_limit_waits_and_hears_heartbeats_and_nothing_else(stream: InProcess):
    client = stream.connect().log_in()
    stream.fault("stream.subscription_limit")
    assert subscribe(client)[-1]["errorCode"] == "SUBSCRIPTION_LIMIT_EXCEEDED"
    for _ in range(4):  # longer than one may be without asking for anything
        play(stream.exchange, until=3)
        stream.let_pass(5_000)
        [beat] = client.read()
        assert (beat["op"], beat["id"], beat["ct"], set(beat)) == ("mcm", 7, "HEARTBEAT", {"op", "id", "ct", "pt"})
    assert subscribe(client, 8)[-1]["ct"] == "SUB_IMAGE"
    stream.let_pass(5_000)
    assert [each["id"] for each in client.read()] == [8]
    client.leave()
    stream.let_pass(5_000)
    assert client.read() == []


def test_a_good_clock_can_be_refused(stream: InProcess):
    client = stream.connect().log_in()
    image = subscribe(client)[-1]
    stream.fault("stream.refuse_clock", times=None)
    clocks = {key: image[key] for key in ("initialClk", "clk")}
    for _ in range(2):
        assert subscribe(stream.connect().log_in(), **clocks)[-1]["errorCode"] == "INVALID_CLOCK"
    assert subscribe(stream.connect().log_in())[-1]["ct"] == "SUB_IMAGE"


def test_a_fault_of_one_account_leaves_the_other_alone(stream: InProcess):
    mine, other = subscribed(stream), stream.connect().log_in(BOB)
    subscribe(other)
    stream.fault("stream.drop", username=BOB.username)
    play(stream.exchange, until=1)
    assert len(mine.read()) == 1
    assert other.read() == []
    assert other.closed
    assert not mine.closed


def test_a_connection_can_be_dropped_between_messages(stream: InProcess):
    client = subscribed(stream)
    play(stream.exchange, until=1)
    stream.fault("stream.drop")
    play(stream.exchange, until=3)
    assert [each["pt"] for each in client.read()] == [T0 + 1]
    assert client.closed
    happened(stream, "stream.drop")


@pytest.mark.parametrize("kind", ["stream.drop", "stream.fail_close", "stream.silence"])
def test_of_two_streams_of_an_account_only_that_of_the_operation_ends(stream: InProcess, kind: str):
    markets, orders = subscribed(stream), stream.connect().log_in()
    orders.send(op="orderSubscription", id=8)
    stream.fault(kind, operation="orderSubscription", seconds=70)
    play(stream.exchange, until=3)
    assert [each["id"] for each in markets.read()] == [7, 7, 7]
    assert not stream.faults.counts
    stream.let_pass(5_000)  # a heartbeat is due on both
    happened(stream, kind)
    assert [each["ct"] for each in markets.read()] == ["HEARTBEAT"]
    assert not [each for each in orders.read() if "ct" in each]
    assert (markets.closed, orders.closed) == (False, kind != "stream.silence")


def test_a_connection_can_fail_with_a_status(stream: InProcess):
    client = subscribed(stream)
    stream.fault("stream.fail_close", value="CONNECTION_FAILED")
    play(stream.exchange, until=3)
    [error] = client.read()
    assert (error["errorCode"], error["connectionClosed"]) == ("CONNECTION_FAILED", True)
    assert "id" not in error
    assert client.closed


def test_a_connection_can_fall_silent_and_go_on(stream: InProcess):
    client = subscribed(stream)
    stream.fault("stream.silence", seconds=70.0)
    play(stream.exchange, until=20)
    stream.let_pass(69_900)
    assert client.read() == []
    play(stream.exchange, until=30)
    stream.let_pass(200)
    messages = client.read()
    assert [change["rc"][0]["atb"] for each in messages for change in each["mc"]][-1] == [[2.0, 30.0]]
    happened(stream, "stream.silence")


def test_a_subscription_can_bring_heartbeats_only(stream: InProcess):
    client = stream.connect().log_in()
    stream.fault("stream.no_subscription")
    assert [each["op"] for each in subscribe(client)] == ["status"]
    play(stream.exchange, until=9)
    assert client.read() == []
    stream.let_pass(5_000)
    assert [each["ct"] for each in client.read()] == ["HEARTBEAT"]


def test_changes_of_the_former_subscription_can_go_on_before_the_image(stream: InProcess):
    client = subscribed(stream)
    stream.fault("stream.stale_changes", seconds=1.0)
    assert [each["op"] for each in subscribe(client, 8)] == ["status"]
    play(stream.exchange, until=2)
    assert [each["id"] for each in client.read()] == [7, 7]
    stream.let_pass(1_000)
    play(stream.exchange, until=3)
    image, change = client.read()
    assert (image["id"], image["ct"], change["id"]) == (8, "SUB_IMAGE", 8)


def test_a_former_subscription_ends_with_its_connection(stream: InProcess):
    client = subscribed(stream)
    stream.fault("stream.stale_changes", seconds=1.0)
    subscribe(client, 8)
    client.leave()
    stream.let_pass(1_000)
    assert not stream.server._subscribed
    assert not stream.server.markets._subscriptions


def test_a_subscription_that_was_waiting_for_its_turn_gives_way_to_the_next(stream: InProcess):
    client = subscribed(stream)
    stream.fault("stream.stale_changes", seconds=1.0)
    subscribe(client, 8)
    assert [each["id"] for each in subscribe(client, 9)] == [9, 9]
    stream.let_pass(1_000)
    play(stream.exchange, until=1)
    assert [each["id"] for each in client.read()] == [9]
    assert len(stream.server._subscribed) == 1


# -- on sockets -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sockets() -> Iterator[StreamServed]:
    with served_stream(exchange_of(ticking())) as found:
        found.do(lambda: play(found.exchange, until=0))
        yield found


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("kind", ["stream.half_line", "stream.reset", "stream.half_close"])
def test_a_line_can_break_off(sockets: StreamServed, kind: str, tls: bool):
    with sockets.connect(tls=tls) as client:
        client.log_in()
        client.send(op="marketSubscription", id=7, marketFilter={})
        while client.line().get("ct") != "SUB_IMAGE":
            pass
        sockets.fault(kind)
        sockets.do(sockets.exchange.play_next)
        data, end = client.rest()
        if kind == "stream.half_close":
            assert (data, end) == (b"", "end")
            if not tls:  # Python's TLS writes no more once it has read an end
                client.send(op="heartbeat", id=1)  # it is still read, and not answered
        elif kind == "stream.half_line":
            assert data.startswith(b'{"op":"mcm"')
            assert b"\r\n" not in data
            assert end == "end"
        else:
            assert b"\r\n" not in data
            assert end == ("end" if tls else "reset")  # OpenSSL tells both alike


def test_who_is_read_but_told_no_more_is_forgotten_when_it_goes(sockets: StreamServed):
    with sockets.connect() as client:
        client.log_in()
        client.send(op="marketSubscription", id=7, marketFilter={})
        while client.line().get("ct") != "SUB_IMAGE":
            pass
        sockets.fault("stream.half_close")
        sockets.do(sockets.exchange.play_next)
        assert client.rest() == (b"", "end")
        assert len(sockets.do(lambda: dict(sockets.server.connections))) == 1
        client.socket.shutdown(socket.SHUT_WR)
    sockets.until(lambda: not sockets.server.connections)


# -- messages -------------------------------------------------------------------------------------------------------


def test_messages_can_carry_status_503_for_a_while(stream: InProcess):
    client = subscribed(stream)
    stream.fault("market.status_503", seconds=3.0)
    play(stream.exchange, until=2)
    stream.let_pass(2_900)
    play(stream.exchange, until=3)
    assert [each.get("status") for each in client.read()] == [503, 503, 503]
    stream.let_pass(200)
    play(stream.exchange, until=4)
    assert [each.get("status") for each in client.read()] == [None]


def test_an_image_can_come_in_mid_stream(stream: InProcess):
    client = subscribed(stream)
    stream.fault("market.image")
    play(stream.exchange, until=2)
    image, change = client.read()
    assert (image["ct"], image["id"]) == ("SUB_IMAGE", 7)
    assert image["mc"][0]["rc"][0]["atb"] == [[2.0, 1.0]]
    assert "ct" not in change
    delta = subscribe(client, 8, initialClk=image["initialClk"], clk=change["clk"])[-1]
    assert delta["ct"] == "RESUB_DELTA"


def test_an_image_can_have_a_market_twice(stream: InProcess):
    client = stream.connect().log_in()
    stream.fault("market.twice", market_id=MARKET)
    changes = subscribe(client)[-1]["mc"]
    assert [each["id"] for each in changes] == [MARKET, MARKET]
    assert [each["marketDefinition"]["version"] for each in changes] == [1, 0]


def test_an_image_can_lack_its_definition(stream: InProcess):
    client = stream.connect().log_in()
    stream.fault("market.no_definition")
    [change] = subscribe(client)[-1]["mc"]
    assert change["img"] is True
    assert "marketDefinition" not in change


def test_optional_fields_can_be_left_out(stream: InProcess):
    client = stream.connect().log_in()
    stream.fault("market.strip", times=2)
    definition = subscribe(client)[-1]["mc"][0]["marketDefinition"]
    assert not {"name", "venue", "countryCode", "marketType"} & definition.keys()
    assert "eventId" in definition
    play(stream.exchange, until=2)
    assert ["tv" in each["mc"][0] for each in client.read()] == [False, True]


def test_optional_fields_can_be_null(stream: InProcess):
    client = stream.connect().log_in()
    stream.fault("market.strip", value="null")
    definition = subscribe(client)[-1]["mc"][0]["marketDefinition"]
    assert (definition["name"], definition["venue"], definition["countryCode"]) == (None, None, None)
    assert definition["eventId"] is not None


def test_publish_times_can_be_behind(stream: InProcess):
    client = subscribed(stream)
    stream.fault("market.behind", seconds=3.0)
    play(stream.exchange, until=2)
    assert [each["pt"] - T0 for each in client.read()] == [1 - 3_000, 2]


def test_a_change_can_say_that_it_is_conflated(stream: InProcess):
    client = subscribed(stream)
    stream.fault("market.conflated")
    play(stream.exchange, until=2)
    assert [each["mc"][0].get("con") for each in client.read()] == [True, None]


def test_every_kind_of_fault_of_streams_and_markets_is_provoked_here():
    with open(__file__, encoding="utf-8") as file:
        text = file.read()
    for kind in KINDS:
        if kind.startswith(("stream.", "market.")):
            assert json.dumps(kind) in text, kind
