"""The stream's handshake, its errors, and what ends a connection: one client, without sockets."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest

from builders import MARKET
from exchange_builders import ALICE, BOB, Stream, exchange_of, play
from headrace.simulate.exchange.settings import ExchangeSettings, Limits, Timers
from stream_in_process import Client, InProcess

FILTER = {"marketIds": [MARKET]}


def stream_of(*streams: Stream, until: int | None = 0, **settings: Any) -> InProcess:
    return InProcess(play(exchange_of(*(streams or (Stream(),)), **settings), until=until))


@pytest.fixture
def stream() -> Iterator[InProcess]:
    with stream_of() as found:
        yield found


def subscribe(client: Client, request_id: int = 7, **request: Any) -> list[dict[str, Any]]:
    """The answers to a subscription."""
    return client.send(
        op="marketSubscription",
        id=request_id,
        **{"marketFilter": FILTER, "marketDataFilter": {"fields": ["EX_MARKET_DEF"]}, **request},
    )


def failure(client: Client, code: str, messages: list[dict[str, Any]], closed: bool = True) -> dict[str, Any]:
    """The error that a client was told of, after which it was cut off or not."""
    error = messages[-1]
    assert (error["op"], error["statusCode"], error["errorCode"]) == ("status", "FAILURE", code)
    assert error["connectionClosed"] is closed
    assert client.closed is closed
    assert error["connectionId"] == client.connection.connection_id
    assert error["errorMessage"]
    return error


# -- the handshake --------------------------------------------------------------------------------------------------


def test_the_connection_line_comes_alone_and_first(stream: InProcess):
    client = stream.connect()
    assert client.read() == [{"op": "connection", "connectionId": client.connection.connection_id}]


def test_connections_have_names_of_their_own(stream: InProcess):
    names = {stream.connect().read()[0]["connectionId"] for _ in range(3)}
    assert len(names) == 3


def test_authentication_is_answered_by_its_id_with_the_connections_that_are_left(stream: InProcess):
    client = stream.connect()
    client.read()
    token = stream.sessions.login(ALICE.username, ALICE.password)
    assert client.send(op="authentication", id=10_002, appKey=ALICE.app_key, session=token) == [
        {"op": "status", "id": 10_002, "statusCode": "SUCCESS", "connectionClosed": False, "connectionsAvailable": 9}
    ]


def test_ids_are_taken_as_they_come(stream: InProcess):
    client = stream.connect().log_in(request_id=10_002)
    status, image = subscribe(client, 10_001)
    assert (status["id"], image["id"], image["ct"]) == (10_001, 10_001, "SUB_IMAGE")
    again = subscribe(client, 10_001)
    assert [each["id"] for each in again] == [10_001, 10_001]


def test_requests_without_ids_are_answered_without(stream: InProcess):
    client = stream.connect().log_in()
    answers = client.send(op="marketSubscription", marketFilter=FILTER)
    assert answers[0] == {"op": "status", "statusCode": "SUCCESS", "connectionClosed": False}
    assert "id" not in answers[1]


def test_nulls_mean_absent(stream: InProcess):
    client = stream.connect().log_in()
    _, image = client.send(
        op="marketSubscription",
        id=3,
        marketFilter={"marketIds": None, "bspMarket": None},
        marketDataFilter={"fields": None, "ladderLevels": None},
        initialClk=None,
        clk=None,
        conflateMs=None,
        heartbeatMs=None,
        segmentationEnabled=None,
    )
    assert (image["conflateMs"], image["heartbeatMs"]) == (0, 5_000)
    assert [each["id"] for each in image["mc"]] == [MARKET]


def test_a_request_that_comes_in_pieces_is_one_request(stream: InProcess):
    client = stream.connect().log_in()
    line = json.dumps({"op": "heartbeat", "id": 4}).encode() + b"\r\n"
    assert client.send_bytes(line[:9]) == []
    assert client.send_bytes(line[9:-1]) == []
    assert client.send_bytes(line[-1:])[0]["id"] == 4


def test_requests_that_come_together_are_answered_in_order(stream: InProcess):
    client = stream.connect().log_in()
    lines = b"".join(json.dumps({"op": "heartbeat", "id": each}).encode() + b"\r\n" for each in range(5))
    assert [each["id"] for each in client.send_bytes(lines)] == [0, 1, 2, 3, 4]


def test_a_clients_heartbeat_is_answered(stream: InProcess):
    assert stream.connect().log_in().send(op="heartbeat", id=5) == [
        {"op": "status", "id": 5, "statusCode": "SUCCESS", "connectionClosed": False}
    ]


# -- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"appKey": None}, "NO_APP_KEY"),
        ({"appKey": ""}, "NO_APP_KEY"),
        ({"appKey": "unknown"}, "INVALID_APP_KEY"),
        ({"appKey": BOB.app_key}, "INVALID_APP_KEY"),
        ({"session": None}, "NO_SESSION"),
        ({"session": "stale"}, "INVALID_SESSION_INFORMATION"),
        ({"session": 5}, "INVALID_INPUT"),
    ],
)
def test_who_cannot_say_who_it_is_is_cut_off(stream: InProcess, changes: dict[str, Any], code: str):
    client = stream.connect()
    token = stream.sessions.login(ALICE.username, ALICE.password)
    request = {"op": "authentication", "id": 2, "appKey": ALICE.app_key, "session": token, **changes}
    assert failure(client, code, client.send(**request))["id"] == 2


def test_a_second_authentication_is_refused(stream: InProcess):
    client = stream.connect().log_in()
    token = stream.sessions.login(ALICE.username, ALICE.password)
    answers = client.send(op="authentication", id=9, appKey=ALICE.app_key, session=token)
    assert failure(client, "INVALID_REQUEST", answers)["id"] == 9


def test_nobody_subscribes_who_has_not_authenticated(stream: InProcess):
    client = stream.connect()
    failure(client, "NOT_AUTHORIZED", subscribe(client))


@pytest.mark.parametrize(
    "line",
    [
        b"hello",
        b"[1]",
        b'{"op":',
        b'{"op":"dance"}',
        b'{"id":1}',
        b"\xff\xfe",
        b"[" * 9_999,
        b'{"op":"\xf7"}',
        b'{"op":"heartbeat","id":%d}' % 2**64,
    ],
)
def test_what_is_not_a_request_has_an_error_without_an_id(stream: InProcess, line: bytes):
    client = stream.connect().log_in()
    error = failure(client, "INVALID_INPUT", client.send_bytes(line + b"\r\n"))
    assert error.get("id") == (1 if line == b'{"id":1}' else None)


@pytest.mark.parametrize(
    "changes",
    [
        {"heartbeatMs": "often"},
        {"conflateMs": 1.5},
        {"segmentationEnabled": 1},
        {"clk": 5},
        {"marketFilter": []},
        {"marketFilter": {"marketIds": "1.1"}},
        {"marketFilter": {"marketIds": [None]}},
        {"marketFilter": {"bspMarket": "yes"}},
        {"marketFilter": {"inPlay": True}},
        {"marketDataFilter": {"fields": ["EX_EVERYTHING"]}},
        {"marketDataFilter": {"fields": "EX_LTP"}},
        {"marketDataFilter": {"ladderLevels": 0}},
        {"marketDataFilter": {"ladderLevels": 11}},
    ],
)
def test_a_subscription_that_says_nonsense_is_refused(stream: InProcess, changes: dict[str, Any]):
    client = stream.connect().log_in()
    assert failure(client, "INVALID_INPUT", subscribe(client, **changes))["id"] == 7


def test_an_endless_line_is_refused(stream: InProcess):
    with stream_of(limits=Limits(line_bytes=1_000)) as small:
        client = small.connect()
        client.read()
        assert client.send_bytes(b"x" * 900) == []
        assert "id" not in failure(client, "INVALID_INPUT", client.send_bytes(b"x" * 101))


def test_who_does_not_subscribe_in_time_is_cut_off():
    with stream_of(timers=Timers(subscribe=15.0)) as stream:
        silent, authenticated, subscribed = stream.connect(), stream.connect().log_in(), stream.connect().log_in()
        silent.read()
        subscribe(subscribed)
        stream.let_pass(14_900)
        assert silent.read() == authenticated.read() == []
        stream.let_pass(200)
        for client in (silent, authenticated):
            error = failure(client, "TIMEOUT", client.read())
            assert error["errorMessage"] == "Connection is not subscribed and is idle: 15000 ms"
            assert "id" not in error
        assert not subscribed.closed


def test_heartbeats_do_not_stand_for_a_subscription():
    with stream_of(timers=Timers(subscribe=1.0)) as stream:
        client = stream.connect().log_in()
        client.send(op="heartbeat", id=1)
        stream.let_pass(1_001)
        failure(client, "TIMEOUT", client.read())


def test_more_connections_than_allowed_are_refused():
    with stream_of(limits=Limits(connections=2)) as stream:
        first = stream.connect().log_in()
        second = stream.connect()
        second.read()
        token = stream.sessions.login(ALICE.username, ALICE.password)
        request = {"op": "authentication", "id": 1, "appKey": ALICE.app_key, "session": token}
        assert second.send(**request)[0]["connectionsAvailable"] == 0
        third = stream.connect()
        failure(third, "MAX_CONNECTION_LIMIT_EXCEEDED", third.send(**request))
        stream.connect().log_in(BOB)  # another account has its own
        first.leave()
        stream.connect().log_in()


def test_connecting_too_often_is_refused_for_a_while():
    with stream_of(limits=Limits(connects_per_minute=2)) as stream:
        for _ in range(2):
            stream.connect().log_in().leave()
        token = stream.sessions.login(ALICE.username, ALICE.password)
        throttled = stream.connect()
        answers = throttled.send(op="authentication", id=1, appKey=ALICE.app_key, session=token)
        failure(throttled, "TOO_MANY_REQUESTS", answers)
        stream.let_pass(60_000)
        stream.connect().log_in()


def markets(count: int, **definition: Any) -> list[Stream]:
    return [Stream(f"1.2{number:08}", **definition) for number in range(count)]


def test_more_markets_than_allowed_are_refused_and_the_connection_stays():
    with stream_of(*markets(4), limits=Limits(markets=3)) as stream:
        client = stream.connect().log_in()
        two = {"marketFilter": {"marketIds": ["1.200000000", "1.200000001"]}}
        assert subscribe(client, 1, **two)[-1]["ct"] == "SUB_IMAGE"
        error = failure(client, "SUBSCRIPTION_LIMIT_EXCEEDED", subscribe(client, 2, marketFilter={}), closed=False)
        assert error["id"] == 2
        stream.let_pass(5_000)  # what was in force is still
        assert [(each["ct"], each["id"]) for each in client.read()] == [("HEARTBEAT", 1)]


def test_closed_markets_do_not_count_against_the_limit():
    streams = markets(3)
    streams.append(Stream("1.300000000").close(50))
    with stream_of(*streams, until=100, limits=Limits(markets=3)) as stream:
        _, image = subscribe(stream.connect().log_in(), marketFilter={})
        assert len(image["mc"]) == 4


def test_unexpected_errors_are_told_and_end_the_connection(stream: InProcess, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stream.server, "subscriptions", {"marketSubscription": lambda *_: 1 // 0})
    client = stream.connect().log_in()
    failure(client, "UNEXPECTED_ERROR", subscribe(client))


def test_every_request_is_in_the_ledger_without_secrets(stream: InProcess):
    client = stream.connect().log_in()
    subscribe(client)
    client.leave()
    requests = stream.exchange.ledger.entries(kind="REQUEST")
    assert [each.values["operation"] for each in requests] == ["authentication", "marketSubscription"]
    told = json.dumps(
        [dataclasses.asdict(each) if dataclasses.is_dataclass(each) else each.values for each in requests]
    )
    assert ALICE.app_key not in told
    assert '"session"' not in told
    what = [each.values["what"] for each in stream.exchange.ledger.entries(kind="CONNECTION")]
    assert what == ["OPENED", "AUTHENTICATED", "SUBSCRIBED", "ENDED"]


def test_the_ledger_does_not_keep_what_is_very_long(stream: InProcess):
    for _ in range(3):
        stream.connect().send(op="x" * 1_000, junk="y" * 500_000)
    asked = [each.values for each in stream.exchange.ledger.entries(kind="REQUEST")]
    assert [(len(each["operation"]), each["request"]["left_out"] > 500_000) for each in asked] == [(100, True)] * 3


def test_settings_name_the_exchanges_limits():
    settings = ExchangeSettings()
    assert (settings.limits.markets, settings.limits.connections, settings.timers.subscribe) == (200, 10, 15.0)
