"""Logging in to the rehearsal exchange, staying in, and being kept out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import betfairlightweight
import pytest
import requests
from betfairlightweight import exceptions

from exchange_builders import ALICE, BOB, Fault, exchange_of, faults_of, settings
from exchange_servers import WAIT, Served, point, served
from headrace.simulate.exchange.certificates import Certificates
from headrace.simulate.exchange.errors import ApiError
from headrace.simulate.exchange.faults import Faults
from headrace.simulate.exchange.sessions import SessionRefused, Sessions
from headrace.simulate.exchange.settings import Limits, Timers


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def sessions_of(*faults: Fault, **changes: Any) -> tuple[Sessions, Clock, Faults]:
    clock = Clock()
    exchange = exchange_of(**changes)
    made = faults_of(exchange, *faults)
    return Sessions(settings(**changes), made, clock), clock, made


def refusal(call: Any, *args: Any) -> str:
    with pytest.raises((SessionRefused, ApiError)) as caught:
        call(*args)
    return caught.value.code


# -- rules ---------------------------------------------------------------------------------------------------------


def test_session_is_of_the_account_that_logged_in() -> None:
    sessions, _, _ = sessions_of()
    alice, bob = sessions.login("alice", "wonderland"), sessions.login("bob", "builder")
    assert sessions.account("alice-key", alice) is ALICE
    assert sessions.account("bob-key", bob) is BOB


def test_what_is_missing_or_wrong_has_its_code() -> None:
    sessions, _, _ = sessions_of()
    token = sessions.login("alice", "wonderland")
    assert refusal(sessions.account, None, token) == "NO_APP_KEY"
    assert refusal(sessions.account, "nobody's", token) == "INVALID_APP_KEY"
    assert refusal(sessions.account, "bob-key", token) == "INVALID_APP_KEY"
    assert refusal(sessions.account, "alice-key", None) == "NO_SESSION"
    assert refusal(sessions.account, "alice-key", "made up") == "INVALID_SESSION_INFORMATION"
    assert refusal(sessions.login, "carol", "x") == "INVALID_USERNAME_OR_PASSWORD"


def test_session_ends_unless_it_is_kept_alive_and_calls_do_not_prolong_it() -> None:
    sessions, clock, _ = sessions_of(timers=Timers(session=100))
    idle, kept = sessions.login("alice", "wonderland"), sessions.login("alice", "wonderland")
    for _ in range(3):
        clock.now += 40
        if clock.now < 1_100:
            sessions.account("alice-key", idle)
        assert sessions.keep_alive(kept) == kept
    assert refusal(sessions.account, "alice-key", idle) == "INVALID_SESSION_INFORMATION"
    assert refusal(sessions.keep_alive, idle) == "NO_SESSION"
    assert sessions.account("alice-key", kept) is ALICE


def test_keep_alive_may_answer_with_another_token() -> None:
    sessions, _, _ = sessions_of(token_changes=True)
    old = sessions.login("alice", "wonderland")
    new = sessions.keep_alive(old)
    assert new != old
    assert sessions.account("alice-key", new) is ALICE
    assert refusal(sessions.account, "alice-key", old) == "INVALID_SESSION_INFORMATION"


def test_logout_ends_one_session_and_leaves_the_others() -> None:
    sessions, _, _ = sessions_of()
    first, second = sessions.login("alice", "wonderland"), sessions.login("alice", "wonderland")
    sessions.logout(first)
    assert refusal(sessions.account, "alice-key", first) == "INVALID_SESSION_INFORMATION"
    assert sessions.account("alice-key", second) is ALICE
    assert refusal(sessions.logout, first) == "NO_SESSION"


def test_too_many_logins_in_a_minute_ban_the_account_for_a_while() -> None:
    sessions, clock, _ = sessions_of(limits=Limits(logins_per_minute=3, login_ban_s=1_200))
    for _ in range(3):
        sessions.login("alice", "wonderland")
    assert refusal(sessions.login, "alice", "wonderland") == "TEMPORARY_BAN_TOO_MANY_REQUESTS"
    assert sessions.login("bob", "builder")
    clock.now += 1_199
    assert refusal(sessions.login, "alice", "wonderland") == "TEMPORARY_BAN_TOO_MANY_REQUESTS"
    clock.now += 1
    assert sessions.login("alice", "wonderland")


def test_logins_spread_over_minutes_are_not_banned() -> None:
    sessions, clock, _ = sessions_of(limits=Limits(logins_per_minute=2))
    for _ in range(10):
        clock.now += 31
        assert sessions.login("alice", "wonderland")


def test_wrong_passwords_lock_the_account() -> None:
    sessions, _, _ = sessions_of(limits=Limits(wrong_passwords=3))
    codes = [refusal(sessions.login, "alice", "wrong") for _ in range(4)]
    assert codes == ["INVALID_USERNAME_OR_PASSWORD"] * 2 + ["ACCOUNT_NOW_LOCKED", "ACCOUNT_ALREADY_LOCKED"]
    assert refusal(sessions.login, "alice", "wonderland") == "ACCOUNT_ALREADY_LOCKED"


def test_right_password_forgives_the_wrong_ones_before_it() -> None:
    sessions, _, _ = sessions_of(limits=Limits(wrong_passwords=2))
    for _ in range(5):
        assert refusal(sessions.login, "alice", "wrong") == "INVALID_USERNAME_OR_PASSWORD"
        sessions.login("alice", "wonderland")


def test_sessions_are_forgotten_when_they_have_expired() -> None:
    sessions, clock, _ = sessions_of(timers=Timers(session=10), limits=Limits(logins_per_minute=10_000))
    for _ in range(1_000):
        clock.now += 1
        sessions.login("alice", "wonderland")
    assert sessions.count("alice") <= 10


# -- faults --------------------------------------------------------------------------------------------------------


def test_fault_ends_every_session_of_the_account_at_once() -> None:
    sessions, _, faults = sessions_of()
    tokens = [sessions.login("alice", "wonderland") for _ in range(2)]
    other = sessions.login("bob", "builder")
    faults.add(Fault("session.expire", username="alice"))
    assert faults.counts["session.expire"] == 1
    assert sessions.login("alice", "wonderland")
    for token in tokens:
        assert refusal(sessions.account, "alice-key", token) == "INVALID_SESSION_INFORMATION"
    assert sessions.account("bob-key", other) is BOB


def test_fault_that_was_there_before_the_session_ends_it_at_its_first_use() -> None:
    sessions, _, _ = sessions_of(Fault("session.expire"))
    token = sessions.login("alice", "wonderland")
    assert refusal(sessions.account, "alice-key", token) == "INVALID_SESSION_INFORMATION"
    assert sessions.account("alice-key", sessions.login("alice", "wonderland")) is ALICE


def test_faults_of_keep_alive_leave_the_session_as_it_is() -> None:
    sessions, _, _ = sessions_of(Fault("session.keep_alive_fail", value="NO_SESSION"), Fault("session.token"))
    token = sessions.login("alice", "wonderland")
    assert refusal(sessions.keep_alive, token) == "NO_SESSION"
    assert sessions.account("alice-key", token) is ALICE
    assert sessions.keep_alive(token) != token


def test_fault_of_login_has_the_code_that_was_asked_for() -> None:
    sessions, _, _ = sessions_of(Fault("session.login_fail", value="STRONG_AUTH_CODE_REQUIRED"))
    with pytest.raises(SessionRefused) as caught:
        sessions.login("alice", "wonderland")
    assert (caught.value.code, caught.value.status) == ("STRONG_AUTH_CODE_REQUIRED", "LIMITED_ACCESS")


# -- over HTTP -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    certificates = Certificates(tmp_path_factory.mktemp("certificates"))
    with served(exchange_of(), certificates=certificates) as server:
        yield server


def login(server: Served, data: Any, **headers: str) -> requests.Response:
    named = {"Accept": "application/json", "X-Application": "alice-key", **headers}
    return requests.post(f"{server.base}/api/login", data=data, headers=named, timeout=WAIT)


RIGHT = {"username": "alice", "password": "wonderland"}


def test_stock_client_logs_in_keeps_alive_and_logs_out(server: Served) -> None:
    client = server.stranger()
    result = client.login_interactive()
    token = client.session_token
    assert token
    assert result.__class__.__name__ == "LoginResource"
    kept = client.keep_alive()
    assert (kept.status, kept.token, kept.product, kept.error) == ("SUCCESS", token, "alice-key", "")
    assert client.session_token == token
    out = client.logout()
    assert (out.status, out.error) == ("SUCCESS", "")
    assert client.session_token is None
    client.session_token = token
    with pytest.raises(exceptions.KeepAliveError, match="NO_SESSION"):
        client.keep_alive()


def test_login_answers_with_token_product_status_and_error(server: Served) -> None:
    answer = login(server, RIGHT).json()
    assert answer == {"token": answer["token"], "product": "alice-key", "status": "SUCCESS", "error": ""}
    wrong = login(server, {"username": "alice", "password": "nope"})
    assert wrong.status_code == 200
    assert wrong.json() == {
        "token": "",
        "product": "alice-key",
        "status": "FAIL",
        "error": "INVALID_USERNAME_OR_PASSWORD",
    }


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        ({"username": "alice"}, {}),
        ({}, {}),
        (RIGHT, {"X-Application": ""}),
        ('{"username": "alice", "password": "wonderland"}', {"Content-Type": "application/json"}),
        (b"\xff\xfe", {"Content-Type": "application/x-www-form-urlencoded"}),
    ],
)
def test_login_that_cannot_be_read_is_an_input_error(server: Served, data: Any, headers: dict[str, str]) -> None:
    assert login(server, data, **headers).json()["error"] == "INPUT_VALIDATION_ERROR"


def test_login_that_does_not_accept_json_gets_a_page(server: Served) -> None:
    answer = login(server, RIGHT, Accept="*/*")
    assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) == (200, "text/html")
    assert "<html" in answer.text


def test_wrong_method_is_refused(server: Served) -> None:
    assert requests.get(f"{server.base}/api/login", timeout=WAIT).status_code == 405
    token = server.token()
    kept = requests.get(
        f"{server.base}/api/keepAlive",
        headers={"Accept": "application/json", "X-Application": "alice-key", "X-Authentication": token},
        timeout=WAIT,
    )
    assert kept.json()["token"] == token


def test_ban_is_told_as_login_restricted(server: Served) -> None:
    server.fault("session.login_fail", value="TEMPORARY_BAN_TOO_MANY_REQUESTS")
    answer = login(server, RIGHT).json()
    assert (answer["status"], answer["error"]) == ("LOGIN_RESTRICTED", "TEMPORARY_BAN_TOO_MANY_REQUESTS")


def test_keep_alive_fails_once_and_the_session_goes_on(server: Served) -> None:
    client = server.client()
    token = client.session_token
    server.fault("session.keep_alive_fail", value="INTERNAL_ERROR")
    with pytest.raises(exceptions.KeepAliveError, match="INTERNAL_ERROR"):
        client.keep_alive()
    client.session_token = token
    assert client.keep_alive().status == "SUCCESS"


def test_client_takes_the_other_token_of_keep_alive(server: Served) -> None:
    client = server.client()
    token = client.session_token
    server.fault("session.token")
    client.keep_alive()
    assert client.session_token not in (None, "", token)
    assert server.do(lambda: server.sessions.account("alice-key", client.session_token)) is ALICE


def test_neither_passwords_nor_tokens_are_in_the_ledger(server: Served) -> None:
    before = server.ledger_number
    client = server.client()
    client.keep_alive()
    token = client.session_token
    client.logout()
    entries = server.do(lambda: server.exchange.ledger.entries(before))
    assert [(each.kind, each.values["operation"]) for each in entries] == [
        (kind, operation) for operation in ("login", "keepAlive", "logout") for kind in ("REQUEST", "REPLY")
    ]
    assert all(each.values["username"] == "alice" for each in entries)
    assert "wonderland" not in str(entries)
    assert str(token) not in str(entries)


# -- certificates --------------------------------------------------------------------------------------------------


def certificate_client(server: Served, certs: Path, certlogin: str, base: str) -> betfairlightweight.APIClient:
    client = betfairlightweight.APIClient("alice", "wonderland", "alice-key", certs=str(certs))
    point(client, base, certlogin)
    return client


def test_certificate_login_over_plain_http_takes_any_certificate(server: Served) -> None:
    assert server.certificates is not None
    client = certificate_client(server, server.certificates.client_folder, server.base, server.base)
    result = client.login()
    assert (result.login_status, result.session_token) == ("SUCCESS", client.session_token)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_stock_client_logs_in_with_a_certificate_over_tls(
    server: Served, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    assert server.certificates is not None
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.certificates.server))
    certlogin = f"https://{host}:{server.http.certlogin_port}"
    base = f"https://{host}:{server.http.https_port}"
    client = certificate_client(server, server.certificates.client_folder, certlogin, base)
    assert client.login().login_status == "SUCCESS"
    assert client.keep_alive().status == "SUCCESS"


def test_certificate_login_without_a_certificate_is_refused(server: Served) -> None:
    assert server.certificates is not None
    answer = requests.post(
        f"https://localhost:{server.http.certlogin_port}/api/certlogin",
        data=RIGHT,
        headers={"X-Application": "alice-key"},
        verify=str(server.certificates.server),
        timeout=WAIT,
    )
    assert answer.json() == {"loginStatus": "CERT_AUTH_REQUIRED"}


def test_certificate_that_the_exchange_was_not_given_is_not_heard(server: Served, tmp_path: Path) -> None:
    assert server.certificates is not None
    other = Certificates(tmp_path).client_folder
    with pytest.raises(requests.ConnectionError):
        requests.post(
            f"https://localhost:{server.http.certlogin_port}/api/certlogin",
            data=RIGHT,
            headers={"X-Application": "alice-key"},
            verify=str(server.certificates.server),
            cert=(str(other / "client.crt"), str(other / "client.key")),
            timeout=WAIT,
        )


@pytest.mark.parametrize("named", [True, False])
def test_certificate_that_the_exchange_was_given_is_heard(tmp_path: Path, named: bool) -> None:
    """It is named, or lies in the folder of clients' certificates."""
    own = Certificates(tmp_path / "own").client_folder
    folder = tmp_path / "exchange" / "client"
    folder.mkdir(parents=True)
    (folder / "key.pem").write_bytes((own / "client.key").read_bytes())
    if not named:
        (folder / "mine.pem").write_bytes((own / "client.crt").read_bytes())
    certificates = Certificates(tmp_path / "exchange", trusted=[own / "client.crt"] if named else [])
    with served(exchange_of(), certificates=certificates) as server:
        answer = requests.post(
            f"https://localhost:{server.http.certlogin_port}/api/certlogin",
            data=RIGHT,
            headers={"X-Application": "alice-key"},
            verify=str(certificates.server),
            cert=(str(own / "client.crt"), str(own / "client.key")),
            timeout=WAIT,
        )
        assert answer.json()["loginStatus"] == "SUCCESS"


def test_certificates_are_kept_and_their_keys_are_nobody_elses(tmp_path: Path) -> None:
    first = Certificates(tmp_path)
    texts = [path.read_bytes() for path in (first.server, first.client_folder / "client.crt")]
    second = Certificates(tmp_path)
    assert [path.read_bytes() for path in (second.server, second.client_folder / "client.crt")] == texts
    for key in (first.server_key, first.client_folder / "client.key"):
        assert key.stat().st_mode & 0o077 == 0
