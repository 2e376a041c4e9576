"""The rehearsal exchange over HTTP: envelopes, errors, limits, faults, and clients that behave badly."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http.client
import json
import logging
import os
import random
import socket
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from betfairlightweight import exceptions

from exchange_builders import ALICE, BOB, exchange_of
from exchange_servers import WAIT, Served, eventually, point, read_all, served
from headrace.simulate.exchange.certificates import Certificates
from headrace.simulate.exchange.errors import ApiError, ParameterError
from headrace.simulate.exchange.ledger import Ledger
from headrace.simulate.exchange.operations import Operation
from headrace.simulate.exchange.settings import AccountSettings, Limits, Timers

BETTING = "SportsAPING/v1.0/"
ACCOUNT = "AccountAPING/v1.0/"
REPORT = {
    "status": "SUCCESS",
    "marketId": "1.1",
    "instructionReports": [
        {"status": "SUCCESS", "instruction": {"selectionId": 1, "side": "BACK", "orderType": "LIMIT"}}
    ],
}


class Calls:
    """Calls that are of no exchange: what they were asked stays with them."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.gate: asyncio.Event | None = None

    def operations(self) -> Mapping[str, Operation]:
        return {
            BETTING + "placeOrders": self.place,
            BETTING + "listEventTypes": self.echo,
            BETTING + "listCurrentOrders": self.wait,
            BETTING + "listClearedOrders": self.wait,
            BETTING + "listMarketProfitAndLoss": self.wait,
            BETTING + "listMarketBook": self.wait,
            BETTING + "fail": self.fail,
            BETTING + "unwritable": self.unwritable,
            BETTING + "refuse": self.refuse,
            ACCOUNT + "getAccountFunds": self.echo,
            ACCOUNT + "refuse": self.refuse,
            "HeartbeatAPING/v1.0/heartbeat": self.echo,
        }

    async def place(self, account: AccountSettings, params: dict[str, Any]) -> Any:
        self.asked.append((account.username, params))
        return REPORT

    async def echo(self, account: AccountSettings, params: dict[str, Any]) -> Any:
        return {"username": account.username, "params": params}

    async def wait(self, account: AccountSettings, params: dict[str, Any]) -> Any:
        if self.gate is not None:
            await asyncio.wait_for(self.gate.wait(), timeout=30)
        return []

    async def fail(self, account: AccountSettings, params: dict[str, Any]) -> Any:
        raise RuntimeError("a defect")

    async def unwritable(self, account: AccountSettings, params: dict[str, Any]) -> Any:
        return object()

    async def refuse(self, account: AccountSettings, params: dict[str, Any]) -> Any:
        if "code" not in params:
            raise ParameterError("code is missing")
        raise ApiError(params["code"], "as asked")


CALLS = Calls()
SETTINGS: dict[str, Any] = {
    "limits": Limits(body_bytes=100_000, logins_per_minute=100_000, calls=5),
    "timers": Timers(http_transfer=1.0),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    certificates = Certificates(tmp_path_factory.mktemp("certificates"))
    with served(exchange_of(**SETTINGS), lambda _: CALLS.operations(), certificates) as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_left(server: Served) -> Iterator[None]:
    yield
    assert not server.do(lambda: server.faults.pending)


def post(server: Served, body: Any, path: str = "/exchange/betting/json-rpc/v1", **headers: str) -> requests.Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return requests.post(server.base + path, data=data, headers={**server.headers(), **headers}, timeout=WAIT)


def written(server: Served, body: Any, path: str = "/exchange/betting/json-rpc/v1") -> bytes:
    """A request as it goes over the wire."""
    data = json.dumps(body).encode()
    headers = {"Host": "x", **server.headers(), "Content-Length": str(len(data))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + data


def call(method: str, params: Any = None, **envelope: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params or {}, "id": 1, **envelope}


# -- JSON-RPC ------------------------------------------------------------------------------------------------------


def test_single_call_is_answered_with_its_id(server: Served) -> None:
    answer = post(server, call(BETTING + "listEventTypes", {"x": 1}, id="mine"))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
    assert answer.json() == {"jsonrpc": "2.0", "result": {"username": "alice", "params": {"x": 1}}, "id": "mine"}


def test_array_of_calls_is_answered_with_an_array(server: Served) -> None:
    calls = [call(BETTING + "listEventTypes", {"n": n}, id=n) for n in range(3)] + [call(BETTING + "nothing", id=3)]
    answers = post(server, calls).json()
    assert [each["id"] for each in answers] == [0, 1, 2, 3]
    assert [each["result"]["params"] for each in answers[:3]] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert answers[3]["error"] == {"code": -32601, "message": "DSC-0021"}


@pytest.mark.parametrize("path", ["/exchange/betting/json-rpc/v1", "/exchange/betting/json-rpc/v1/"])
def test_trailing_slash_makes_no_difference(server: Served, path: str) -> None:
    assert post(server, call(BETTING + "listEventTypes"), path).json()["result"]["username"] == "alice"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nonsense", b"\xff\xfe", b'{"a": NaN}', b"[" * 50_000, b'{"method": "\\ud800"']
)
def test_what_is_not_json_is_a_parse_error(server: Served, body: bytes) -> None:
    answer = post(server, body)
    assert answer.status_code == 200
    assert answer.json() == {"jsonrpc": "2.0", "error": {"code": -32700, "message": "DSC-0008"}}


@pytest.mark.parametrize("body", [[], [call(BETTING + "listEventTypes")] * 6])
def test_array_without_calls_or_with_too_many_is_invalid(server: Served, body: Any) -> None:
    assert post(server, body).json()["error"] == {"code": -32600, "message": "DSC-0031"}


@pytest.mark.parametrize("body", [1, "text", None, True])
def test_what_is_not_an_object_is_invalid(server: Served, body: Any) -> None:
    assert post(server, body).json()["error"]["code"] == -32600


@pytest.mark.parametrize("method", ["listEventTypes", BETTING + "nothing", "SportsAPING/v9/listEventTypes", None, 7])
def test_unknown_method_is_told_so(server: Served, method: Any) -> None:
    assert post(server, call(method)).json()["error"] == {"code": -32601, "message": "DSC-0021"}


@pytest.mark.parametrize(
    "params",
    [
        {"marketIds": "1.1"},
        {"marketIds": [{}]},
        {"filter": []},
        {"instructions": {}},
        {"instructions": [1]},
        {"maxResults": "many"},
        {"maxResults": 1.5},
        {"maxResults": True},
        {"instructions": [{"limitOrder": {"price": "NaN"}}]},
        {"instructions": [{"limitOrder": {"price": "1e999"}}]},
        {"instructions": [{"selectionId": 10**30}]},
        {"instructions": [{"selectionId": 10**400}]},
        {"instructions": [{"selectionId": "9" * 400}]},
        {"instructions": [{"limitOrder": {"price": -(10**400)}}]},
        {"async": "perhaps"},
        {"marketId": ["1.1"]},
        [1, 2],
        "text",
    ],
)
def test_parameter_of_another_type_is_invalid(server: Served, params: Any) -> None:
    assert post(server, call(BETTING + "placeOrders", params)).json()["error"] == {
        "code": -32602,
        "message": "DSC-0018",
    }


def test_missing_parameter_is_invalid(server: Served) -> None:
    assert post(server, call(BETTING + "refuse")).json()["error"] == {"code": -32602, "message": "DSC-0018"}


def test_nulls_are_absent_and_numbers_may_be_text(server: Served) -> None:
    CALLS.asked.clear()
    instruction = {
        "selectionId": "42",
        "handicap": None,
        "limitOrder": {"price": "2.02", "size": 2, "minFillSize": None, "timeInForce": None},
    }
    params = {"marketId": 1.5, "instructions": [None, instruction], "async": "true", "marketVersion": None}
    post(server, call(BETTING + "placeOrders", params))
    assert CALLS.asked == [
        (
            "alice",
            {
                "marketId": "1.5",
                "instructions": [{"selectionId": 42, "limitOrder": {"price": 2.02, "size": 2.0}}],
                "async": True,
            },
        )
    ]


def test_parameters_outside_the_envelope_are_not_seen(server: Served) -> None:
    CALLS.asked.clear()
    post(server, {"jsonrpc": "2.0", "method": BETTING + "placeOrders", "marketId": "1.1", "id": 1})
    assert CALLS.asked == [("alice", {})]


def test_refusal_has_its_number_its_code_and_the_number_of_the_request(server: Served) -> None:
    answer = post(server, call(BETTING + "refuse", {"code": "TOO_MUCH_DATA"}))
    assert answer.status_code == 200
    error = answer.json()["error"]
    uuid = error["data"]["APINGException"].pop("requestUUID")
    assert uuid
    assert error == {
        "code": -32099,
        "message": "ANGX-0001",
        "data": {
            "exceptionname": "APINGException",
            "APINGException": {"errorCode": "TOO_MUCH_DATA", "errorDetails": "as asked"},
        },
    }


@pytest.mark.parametrize(
    ("method", "code", "message"),
    [
        (BETTING, "INVALID_INPUT_DATA", "ANGX-0002"),
        (BETTING, "INVALID_SESSION_INFORMATION", "ANGX-0003"),
        (BETTING, "INVALID_APP_KEY", "ANGX-0007"),
        (BETTING, "TIMEOUT_ERROR", "ANGX-0010"),
        (ACCOUNT, "INVALID_APP_KEY", "AANGX-0004"),
        (ACCOUNT, "NO_SESSION", "AANGX-0010"),
        (ACCOUNT, "NO_APP_KEY", "AANGX-0011"),
    ],
)
def test_codes_have_the_numbers_that_clients_know(server: Served, method: str, code: str, message: str) -> None:
    assert server.rpc(method + "refuse", {"code": code})["error"]["message"] == message


@pytest.mark.parametrize(
    ("headers", "betting", "account"),
    [
        ({"X-Application": ""}, "NO_APP_KEY", "NO_APP_KEY"),
        ({"X-Application": "nobody's"}, "INVALID_APP_KEY", "INVALID_APP_KEY"),
        ({"X-Application": BOB.app_key}, "INVALID_APP_KEY", "INVALID_APP_KEY"),
        ({"X-Authentication": ""}, "NO_SESSION", "NO_SESSION"),
        ({"X-Authentication": "expired"}, "INVALID_SESSION_INFORMATION", "NO_SESSION"),
    ],
)
def test_calls_without_a_session_are_refused(
    server: Served, headers: dict[str, str], betting: str, account: str
) -> None:
    found = post(server, call(BETTING + "listEventTypes"), **headers).json()["error"]
    assert found["data"]["APINGException"]["errorCode"] == betting
    found = post(server, call(ACCOUNT + "getAccountFunds"), "/exchange/account/json-rpc/v1", **headers).json()["error"]
    assert found["data"]["AccountAPINGException"]["errorCode"] == account
    assert found["data"]["exceptionname"] == "AccountAPINGException"


def test_defect_in_a_call_is_an_unexpected_error_and_the_server_goes_on(
    server: Served, caplog: pytest.LogCaptureFixture
) -> None:
    before = server.ledger_number
    with caplog.at_level(logging.ERROR, "headrace"):
        error = server.rpc(BETTING + "fail")["error"]
    assert error["data"]["APINGException"]["errorCode"] == "UNEXPECTED_ERROR"
    assert [each.values["operation"] for each in server.entries("ERROR", before)] == ["fail"]
    assert any("a defect" in record.getMessage() for record in caplog.records)
    assert server.rpc(BETTING + "listEventTypes")["result"]["username"] == "alice"


def test_answer_that_cannot_be_written_is_an_internal_error_of_that_call_alone(
    server: Served, caplog: pytest.LogCaptureFixture
) -> None:
    answers = post(server, [call(BETTING + "unwritable"), call(BETTING + "listEventTypes")]).json()
    assert answers[0]["error"]["code"] == -32603
    assert answers[1]["result"]["username"] == "alice"
    assert server.rest("unwritable").status_code == 500
    assert server.rest("fail").json()["faultcode"] == "Server"


def test_ledger_has_every_call_and_what_became_of_it(server: Served) -> None:
    before = server.ledger_number
    post(
        server, [call(BETTING + "placeOrders", {"marketId": "1.1"}), call(BETTING + "refuse", {"code": "SERVICE_BUSY"})]
    )
    asked, answered = server.entries("REQUEST", before), server.entries("REPLY", before)
    assert [each.values["operation"] for each in asked] == ["placeOrders", "refuse"]
    assert asked[0].values["params"] == {"marketId": "1.1"}
    assert [each.values["request"] for each in answered] == [each.values["request"] for each in asked]
    assert answered[0].values["result"] == REPORT
    assert answered[1].values["error"] == "SERVICE_BUSY"
    assert {each.values["status"] for each in answered} == {200}


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "why"),
    [
        ("/exchange/betting/json-rpc/v1", b"{", 200, "DSC-0008", "the body is not JSON"),
        (
            "/exchange/betting/json-rpc/v1",
            b"[]",
            200,
            "DSC-0031",
            "not a call of JSON-RPC, or too many of them at once",
        ),
        ("/exchange/betting/rest/v1.0/nothing/", b"{}", 404, "DSC-0021", "there is no such operation"),
        ("/" + "x" * 500, b"{}", 404, "DSC-0023", "there is no such address"),
        ("/exchange/betting/json-rpc/v1", b"x" * 100_001, 413, None, None),
    ],
)
def test_ledger_has_what_is_not_a_call(
    server: Served, path: str, body: bytes, status: int, code: str | None, why: str | None
) -> None:
    before = server.ledger_number
    post(server, body, path)
    (asked,), (answered,) = server.entries("REQUEST", before), server.entries("REPLY", before)
    assert asked.values["operation"] == path[:100]
    assert (answered.values["status"], answered.values["error"], answered.values["why"]) == (status, code, why)


@pytest.mark.parametrize(
    ("params", "why", "shown"),
    [
        ({"price": "LAPSE"}, "price is 'LAPSE', expected a number", {"unread": "{'price': 'LAPSE'}"}),
        ({"instructions": {}}, "instructions is {}, expected a list", {"unread": "{'instructions': {}}"}),
        (
            {"maxResults": 1.5},
            "maxResults is 1.5, expected a whole number of 64 bits",
            {"unread": "{'maxResults': 1.5}"},
        ),
    ],
)
def test_ledger_says_why_parameters_cannot_be_read_where_clients_see_a_code_alone(
    server: Served, params: dict[str, Any], why: str, shown: dict[str, str]
) -> None:
    before = server.ledger_number
    assert server.rpc(BETTING + "listEventTypes", params)["error"] == {"code": -32602, "message": "DSC-0018"}
    (asked,), (answered,) = server.entries("REQUEST", before)[-1:], server.entries("REPLY", before)[-1:]
    assert asked.values["params"] == shown
    assert (answered.values["error"], answered.values["why"]) == ("DSC-0018", why)


def test_parameters_that_are_nested_very_deeply_are_a_line_of_the_ledger(server: Served) -> None:
    before = server.ledger_number
    post(
        server, b'{"method":"%slistEventTypes","id":1,"params":%s1%s}' % (BETTING.encode(), b'{"a":' * 900, b"}" * 900)
    )
    (asked,), (answered,) = server.entries("REQUEST", before), server.entries("REPLY", before)
    assert len(str(asked.values["params"])) < 6_000
    assert answered.values["status"] == 200


def test_ledger_does_not_keep_what_is_very_long(server: Served) -> None:
    before = server.ledger_number
    server.rpc(BETTING + "listEventTypes", {"text": "x" * 10_000})
    assert server.entries("REQUEST", before)[0].values["params"] == {"left_out": 10_012}


def test_call_of_an_expired_session_is_refused_until_the_next_login(server: Served) -> None:
    client = server.client()
    assert client.betting.list_event_types(lightweight=True)["username"] == "alice"
    server.fault("session.expire", username="alice")
    with pytest.raises(exceptions.APIError, match="ANGX-0003"):
        client.betting.list_event_types()
    client.login_interactive()
    assert client.betting.list_event_types(lightweight=True)["username"] == "alice"


# -- REST ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "/"])
def test_rest_answers_with_the_bare_result(server: Served, end: str) -> None:
    answer = post(server, {"x": None, "y": 1}, f"/exchange/betting/rest/v1.0/listEventTypes{end}")
    assert (answer.status_code, answer.json()) == (200, {"username": "alice", "params": {"y": 1}})
    assert server.rest("heartbeat", folder="heartbeat").json()["username"] == "alice"


def test_rest_takes_an_empty_body_for_no_parameters(server: Served) -> None:
    assert post(server, b"", "/exchange/account/rest/v1.0/getAccountFunds/").json()["params"] == {}


def test_rest_refuses_with_a_fault(server: Served) -> None:
    answer = server.rest("refuse", {"code": "INVALID_INPUT_DATA"})
    body = answer.json()
    assert answer.status_code == 400
    assert body["detail"]["APINGException"].pop("requestUUID")
    assert body == {
        "faultcode": "Client",
        "faultstring": "ANGX-0002",
        "detail": {
            "exceptionname": "APINGException",
            "APINGException": {"errorCode": "INVALID_INPUT_DATA", "errorDetails": "as asked"},
        },
    }
    account = server.rest("refuse", {"code": "TIMEOUT_ERROR"}, folder="account")
    assert (account.status_code, account.json()["faultcode"]) == (500, "Server")
    assert account.json()["detail"]["AccountAPINGException"]["errorCode"] == "TIMEOUT_ERROR"


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "code"),
    [
        ("/exchange/betting/rest/v1.0/nothing/", b"{}", {}, 404, "DSC-0021"),
        ("/exchange/betting/rest/v1.0/getAccountFunds/", b"{}", {}, 404, "DSC-0021"),
        ("/exchange/nothing/rest/v1.0/listEventTypes/", b"{}", {}, 404, "DSC-0023"),
        ("/nothing", b"{}", {}, 404, "DSC-0023"),
        ("/exchange/betting/rest/v1.0/listEventTypes/", b"{", {}, 400, "DSC-0008"),
        ("/exchange/betting/rest/v1.0/listEventTypes/", b'{"filter": 1}', {}, 400, "DSC-0018"),
        ("/exchange/betting/rest/v1.0/refuse/", b"{}", {}, 400, "DSC-0018"),
        ("/exchange/betting/rest/v1.0/listEventTypes/", b"{}", {"Content-Type": "text/plain"}, 415, "DSC-0011"),
        ("/exchange/betting/rest/v1.0/listEventTypes/", b"{}", {"Accept": "image/png"}, 406, "DSC-0013"),
        ("/exchange/betting/json-rpc/v1", b"{}", {"Content-Type": "application/xml"}, 415, "DSC-0011"),
    ],
)
def test_faults_of_the_framework(
    server: Served, path: str, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = post(server, body, path, **headers)
    assert (answer.status_code, answer.json()["faultstring"]) == (status, code)
    assert answer.json()["detail"] == {}


def test_json_has_another_name(server: Served) -> None:
    answer = post(server, call(BETTING + "listEventTypes"), **{"Content-Type": "text/json; charset=utf-8"})
    assert answer.json()["result"]["username"] == "alice"


def test_wrong_http_method_is_refused(server: Served) -> None:
    assert requests.get(f"{server.base}/exchange/betting/json-rpc/v1", timeout=WAIT).status_code == 405
    assert requests.get(f"{server.base}/exchange/betting/rest/v1.0/listEventTypes/", timeout=WAIT).status_code == 404


# -- HTTP ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "packed"), [("gzip, deflate", True), ("*", True), ("gzip;q=0", False), ("identity", False)]
)
def test_long_answers_are_compressed_for_those_who_take_it(server: Served, encoding: str, packed: bool) -> None:
    params = {"text": "x" * 5_000}
    connection = http.client.HTTPConnection("127.0.0.1", server.http.port, timeout=WAIT)
    body = json.dumps(call(BETTING + "listEventTypes", params))
    connection.request("POST", "/exchange/betting/json-rpc/v1", body, {**server.headers(), "Accept-Encoding": encoding})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    assert (answer.getheader("Content-Encoding") == "gzip") == packed
    assert json.loads(gzip.decompress(data) if packed else data)["result"]["params"] == params


def test_expecting_100_continue_fails(server: Served) -> None:
    answer = server.raw(
        b"POST /exchange/betting/json-rpc/v1 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 417 ")


def test_connection_is_kept_for_the_next_call(server: Served) -> None:
    with requests.Session() as session:
        opened = server.do(lambda: server.http.connections)
        for _ in range(3):
            session.post(
                f"{server.base}/exchange/betting/json-rpc/v1",
                json=call(BETTING + "listEventTypes"),
                headers=server.headers(),
                timeout=WAIT,
            )
        assert server.do(lambda: server.http.connections) <= opened + 1


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_stock_client_reaches_it_over_ipv4_ipv6_and_tls(
    server: Served, monkeypatch: pytest.MonkeyPatch, host: str, scheme: str
) -> None:
    if host == "[::1]" and not _has_ipv6():
        pytest.skip("this machine has no IPv6; runs where ::1 can be listened at")
    assert server.certificates is not None
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.certificates.server))
    port = server.http.port if scheme == "http" else server.http.https_port
    client = server.stranger()
    point(client, f"{scheme}://{host}:{port}")
    client.login_interactive()
    assert client.betting.list_event_types(lightweight=True)["username"] == "alice"
    client.session_token = "expired"
    with pytest.raises(exceptions.APIError, match="NO_SESSION"):
        client.account.get_account_funds()


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as each:
            each.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_clients_are_asked_for_a_certificate_at_certlogin_only(server: Served) -> None:
    """A client shows its certificate only where it is asked."""
    assert server.certificates is not None
    folder = server.certificates.client_folder
    found = {}
    for port in (server.http.https_port, server.http.certlogin_port):
        found[port] = requests.post(
            f"https://localhost:{port}/api/certlogin",
            data={"username": "alice", "password": "wonderland"},
            headers={"X-Application": "alice-key"},
            verify=str(server.certificates.server),
            cert=(str(folder / "client.crt"), str(folder / "client.key")),
            timeout=WAIT,
        ).json()["loginStatus"]
    assert found == {server.http.https_port: "CERT_AUTH_REQUIRED", server.http.certlogin_port: "SUCCESS"}


def test_large_bodies_are_refused_however_they_come(server: Served) -> None:
    assert post(server, b"x" * 100_001).status_code == 413
    head = b"POST /exchange/betting/json-rpc/v1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert server.raw(head + b"186A1\r\n" + b"x" * 100_001 + b"\r\n0\r\n\r\n").startswith(b"HTTP/1.1 413 ")


def test_packed_bodies_are_refused(server: Served) -> None:
    assert post(server, gzip.compress(b"{}"), **{"Content-Encoding": "gzip"}).status_code == 415


def test_body_that_does_not_come_is_not_waited_for(server: Served) -> None:
    started = time.monotonic()
    answer = server.raw(b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nuser")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert 0.9 < time.monotonic() - started < 60


def test_client_that_does_not_read_loses_its_connection(server: Served) -> None:
    """It has a second to read; then its connection, and what it was to get, are gone."""
    request = written(server, call(BETTING + "listEventTypes", {"text": "x" * 80_000}))
    before = server.do(lambda: server.http.connections)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.settimeout(0.5)
        client.connect(("127.0.0.1", server.http.port))
        with pytest.raises(OSError, match=r"timed out|reset|pipe"):  # at last nothing more is read from it
            client.sendall(request * 1_000)
        eventually(lambda: server.do(lambda: server.http.connections) <= before)
    assert server.rpc(BETTING + "listEventTypes")["result"]["username"] == "alice"


def test_memory_for_clients_that_do_not_read_is_bounded() -> None:
    """Beyond the limit the client that has waited longest loses its connection; the last one is served."""
    limits = Limits(http_bytes=6_000_000, body_bytes=10_000_000)

    async def long(account: AccountSettings, params: dict[str, Any]) -> Any:
        return "x" * 5_000_000

    with (
        served(exchange_of(limits=limits), lambda _: {BETTING + "listEventTypes": long}) as server,
        server.connect() as first,
    ):
        request = written(server, call(BETTING + "listEventTypes"))
        first.sendall(request)
        eventually(lambda: server.entries("REPLY"))
        with server.connect() as second:
            second.sendall(request)
            answer = second.makefile("rb")
            length = next(int(line[16:]) for line in answer if line.startswith(b"Content-Length: "))
            assert length > 5_000_000
            assert next(line for line in answer if line == b"\r\n")
            assert len(answer.read(length)) == length
        assert len(read_all(first)) < 5_000_000


def test_idle_connections_are_closed() -> None:
    with served(exchange_of(timers=Timers(idle_http=0.3))) as server, server.connect() as client:
        started = time.monotonic()
        assert read_all(client) == b""
        assert time.monotonic() - started < 60


def test_connection_beyond_the_limit_takes_the_place_of_the_idlest() -> None:
    with served(exchange_of(limits=Limits(http_connections=2))) as server:
        first, second = server.connect(), server.connect()
        eventually(lambda: server.do(lambda: server.http.connections) == 2)
        with first, second, server.connect() as third:
            first.settimeout(WAIT)
            assert read_all(first) == b""
            third.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
            assert third.recv(100).startswith(b"HTTP/1.1 404 ")
            assert server.do(lambda: server.http.connections) == 2


def test_garbage_does_not_stop_it_serving_the_others(server: Served) -> None:
    noise = random.Random(7)
    garbage = [
        noise.randbytes(5_000),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise.randbytes(20),
        b"GET " + b"a" * 200_000,
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000,
        b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"\r\n" * 1_000,
        b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%ff%00/..\\ HTTP/1.1\r\nHost: x\r\nX-Application: \xff\r\n\r\n",
    ]
    ports = (server.http.port, server.http.https_port, server.http.certlogin_port)
    opened = []
    for data in garbage * 3:
        for port in ports:
            client = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
            opened.append(client)
            with contextlib.suppress(OSError):  # it may be cut in the middle of it
                client.sendall(data)
    assert server.rpc(BETTING + "listEventTypes")["result"]["username"] == "alice"
    for client in opened:
        client.close()
    assert server.rpc(BETTING + "listEventTypes")["result"]["username"] == "alice"


def test_heads_that_are_not_utf8_are_answered_and_noted(tmp_path: Path) -> None:
    with served(exchange_of()) as server:
        server.exchange.ledger = Ledger(tmp_path / "ledger.jsonl")
        head = (
            b"HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nX-Application: \xff\xfe\r\nContent-Length: 0\r\n\r\n"
        )
        with server.connect() as client:
            for path, status in ((b"/api/login", b"200"), (b"/nothing/%ff%fe", b"404"), (b"/nothing/\xc3", b"400")):
                client.sendall(b"POST " + path + b" " + head)
                assert client.recv(1_000).split()[1] == status, path
        assert server.rpc(BETTING + "nothing")["error"]["code"] == -32601
        server.do(server.exchange.ledger.close)
    lines = (tmp_path / "ledger.jsonl").read_bytes().splitlines()
    assert all(json.loads(line) for line in lines)
    assert not [line for line in lines if b"Unicode" in line]


def test_many_connections_opened_and_closed_leave_nothing_behind(server: Served) -> None:
    opened = len(os.listdir("/proc/self/fd"))
    before = server.do(lambda: server.http.connections)
    for _ in range(500):
        server.connect().close()
    eventually(lambda: server.do(lambda: server.http.connections) <= before)
    eventually(lambda: len(os.listdir("/proc/self/fd")) < opened + 100)


def test_port_in_use_is_an_error_of_the_system(server: Served) -> None:
    with pytest.raises(OSError, match="in use"), served(exchange_of(port=server.http.port)):
        pass


# -- queues --------------------------------------------------------------------------------------------------------


def test_fourth_call_of_a_shared_queue_is_refused(server: Served) -> None:
    def gate() -> asyncio.Event:
        CALLS.gate = asyncio.Event()
        return CALLS.gate

    held = [
        ("listCurrentOrders", {}, ALICE),
        ("listMarketProfitAndLoss", {}, ALICE),
        ("listMarketBook", {"orderProjection": "ALL"}, ALICE),
        ("listClearedOrders", {}, ALICE),
        ("listCurrentOrders", {}, BOB),
        ("listMarketBook", {}, ALICE),
    ]
    opened, before = server.do(gate), server.ledger_number
    with ThreadPoolExecutor(len(held)) as pool:
        try:
            waiting = [pool.submit(server.rpc, BETTING + name, params, who) for name, params, who in held]
            eventually(lambda: len(server.entries("REQUEST", before)) == len(held))
            refused = server.rpc(BETTING + "listMarketBook", {"matchProjection": "NO_ROLLUP"})
            assert refused["error"]["data"]["APINGException"]["errorCode"] == "TOO_MANY_REQUESTS"
        finally:
            CALLS.gate = None
            server.loop.call_soon_threadsafe(opened.set)
        assert [each.result(WAIT)["result"] for each in waiting] == [[]] * len(held)
    assert server.rpc(BETTING + "listCurrentOrders")["result"] == []


# -- faults --------------------------------------------------------------------------------------------------------


def asked(server: Served) -> Any:
    return server.rpc(BETTING + "placeOrders", {"marketId": "1.1"})


@pytest.mark.parametrize(("kind", "done"), [("http.refused", False), ("http.lost", True), ("http.cut", True)])
def test_connection_is_cut(server: Served, kind: str, done: bool) -> None:
    CALLS.asked.clear()
    before = server.ledger_number
    server.fault(kind, operation="placeOrders")
    with pytest.raises(requests.RequestException):
        asked(server)
    assert bool(CALLS.asked) == done
    assert [each.values["fault"] for each in server.entries("FAULT", before)] == [kind]
    assert [each.values["status"] for each in server.entries("REPLY", before)] == [0]


def test_half_a_reply_is_sent_before_the_cut(server: Served) -> None:
    server.fault("http.cut")
    head, _, rest = server.raw(written(server, call(BETTING + "placeOrders"))).partition(b"\r\n\r\n")
    length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    assert 0 < len(rest) == length // 2


@pytest.mark.parametrize(("kind", "done"), [("http.status", False), ("http.status_done", True)])
def test_status_of_http_in_place_of_an_answer(server: Served, kind: str, done: bool) -> None:
    CALLS.asked.clear()
    client = server.client()
    server.fault(kind, value="502", operation="placeOrders")
    with pytest.raises(exceptions.StatusCodeError, match="502"):
        client.betting.place_orders(market_id="1.1", instructions=[])
    assert bool(CALLS.asked) == done
    server.fault(kind, operation="placeOrders")
    with pytest.raises(exceptions.StatusCodeError, match="503"):
        client.betting.place_orders(market_id="1.1", instructions=[])


def test_reply_that_is_not_json(server: Served) -> None:
    client = server.client()
    server.fault("http.garbage", operation="placeOrders")
    with pytest.raises(exceptions.InvalidResponse):
        client.betting.place_orders(market_id="1.1", instructions=[])


@pytest.mark.parametrize(("kind", "done"), [("http.error", False), ("http.timeout_error", True)])
def test_exception_of_the_api(server: Served, kind: str, done: bool) -> None:
    CALLS.asked.clear()
    client = server.client()
    server.fault(kind, value="SERVICE_BUSY", username="alice", market_id="1.1")
    with pytest.raises(exceptions.APIError, match="SERVICE_BUSY" if kind == "http.error" else "TIMEOUT_ERROR"):
        client.betting.place_orders(market_id="1.1", instructions=[])
    assert bool(CALLS.asked) == done


@pytest.mark.parametrize(("kind", "done"), [("http.slow", True), ("http.late", False)])
def test_reply_is_late_and_what_was_asked_is_done_before_or_after_the_wait(
    server: Served, kind: str, done: bool
) -> None:
    CALLS.asked.clear()
    server.fault(kind, seconds=0.4)
    with server.connect() as client:
        request = written(server, call(BETTING + "placeOrders"))
        started, before = time.monotonic(), server.ledger_number
        client.sendall(request)
        eventually(lambda: server.entries("FAULT", before))
        assert bool(CALLS.asked) == done
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        assert time.monotonic() - started >= 0.4
    assert CALLS.asked


def test_client_that_does_not_wait_has_its_order_nevertheless(server: Served) -> None:
    CALLS.asked.clear()
    server.fault("http.slow", seconds=0.5)
    with pytest.raises(requests.ReadTimeout):
        requests.post(
            f"{server.base}/exchange/betting/json-rpc/v1",
            json=call(BETTING + "placeOrders"),
            headers=server.headers(),
            timeout=0.2,
        )
    assert CALLS.asked


def test_reports_have_fields_that_nobody_knows(server: Served) -> None:
    client = server.client()
    server.fault("http.extra_fields")
    with pytest.raises(exceptions.InvalidResponse):
        client.betting.place_orders(market_id="1.1", instructions=[])
    assert client.betting.place_orders(market_id="1.1", instructions=[]).status == "SUCCESS"


def test_idle_connection_is_closed_early_by_a_fault(server: Served) -> None:
    server.fault("http.idle_close", seconds=0.2)
    with server.connect() as client:
        started = time.monotonic()
        client.sendall(b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert read_all(client).startswith(b"HTTP/1.1 200 ")
        assert 0.2 <= time.monotonic() - started < 60  # and not after three minutes


def test_faults_are_for_those_they_name(server: Served) -> None:
    server.fault("http.status", username="bob", operation="placeOrders")
    assert asked(server)["result"] == REPORT
    assert server.rpc(BETTING + "listEventTypes", account=BOB)["result"]["username"] == "bob"
    with pytest.raises(requests.JSONDecodeError):
        server.rpc(BETTING + "placeOrders", account=BOB)
    server.fault("http.status", operation="login")
    with pytest.raises(exceptions.StatusCodeError):
        server.client()
