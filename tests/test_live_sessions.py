"""Sessions of live accounts at the rehearsal exchange, through real sockets."""

from __future__ import annotations

import copy
import logging
import math
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import betfairlightweight
import pytest
import requests

import headrace as hr
from exchange_builders import Stream, exchange_of
from exchange_servers import Served, point, served
from headrace.actors.betfair.betfair_client import BetfairClient
from headrace.actors.betfair.places import places_of
from headrace.actors.betfair.session import OwnSession, Session
from headrace.simulate.exchange.certificates import Certificates
from live_desk import Desk


@pytest.fixture
def exchange() -> Iterator[Served]:
    with served(exchange_of(Stream().close(9_000))) as server:
        yield server


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Desk() as made:
        yield made


def client_of(exchange: Served, **settings: Any) -> BetfairClient:
    return BetfairClient(exchange.stranger(), **{"interactive_login": True, **settings})


def session_of(exchange: Served, desk: Desk, **settings: Any) -> Session:
    session = Session(client_of(exchange, **settings), desk.calls)
    desk.timed.append(session)
    return session


def logged_in(session: Session, desk: Desk) -> str:
    told: list[str | None] = []
    session.want(told.append)
    token = desk.until(lambda: told)[0]
    assert token is not None, session.error
    return token


def logins(exchange: Served) -> list[str]:
    return [entry.values["operation"] for entry in exchange.entries("REQUEST")]


# -- clients -------------------------------------------------------------------------------------------------------


def test_client_knows_where_the_rehearsal_exchange_is_its_certificate_included() -> None:
    with hr.RehearsalExchange(generate=1, speed="step") as exchange:
        places = BetfairClient(exchange.client(), interactive_login=True).places
        assert places.stream == ("localhost", exchange.addresses.stream_tls)
        assert places.sports_stream == places.stream
        assert places.certificate == exchange.addresses.certificate
        assert places.api == f"http://localhost:{exchange.addresses.http}/exchange/"
        by_certificate = BetfairClient(exchange.client()).places
        assert by_certificate.client_certificate is not None
        assert Path(by_certificate.client_certificate[0]).name == "client.crt"


def test_client_that_points_nowhere_in_particular_trades_at_betfair() -> None:
    client = BetfairClient(betfairlightweight.APIClient("alice", "secret", "key"), interactive_login=True)
    assert client.places.identity == "https://identitysso.betfair.com/api/"
    assert client.places.api == "https://api.betfair.com/exchange/"
    assert client.places.stream == ("stream-api.betfair.com", 443)
    assert client.places.sports_stream == ("sports-data-stream-api.betfair.com", 443)
    assert client.places.certificate is None
    assert (client.place_limit, client.session_seconds) == (200, 43_200.0)
    italian = BetfairClient(betfairlightweight.APIClient("alice", "secret", "key", locale="italy"))
    assert (italian.place_limit, italian.session_seconds) == (50, 1_200.0)


def test_client_travels_with_its_addresses_and_shows_no_password(exchange: Served) -> None:
    client = client_of(exchange, transaction_limit=7, order_stream_conflate_ms=250)
    there: BetfairClient = pickle.loads(pickle.dumps(client))
    assert (there.places, there.app_key, there.password) == (client.places, "alice-key", "wonderland")
    assert (there.transaction_limit, there.order_stream_conflate_ms) == (7, 250)
    there.betting_client.login_interactive()
    assert there.betting_client.session_token
    assert there.betting_client is there.betting_client
    assert copy.copy(client).betting_client is client.betting_client
    assert "wonderland" not in repr(client) + repr(vars(pickle.loads(pickle.dumps(client))))
    bare = client.without_credentials()
    assert (bare.username, bare.betting_client) == ("alice", None)
    with pytest.raises(hr.ClientError, match="client 'alice' has no betting client; make it with"):
        _ = bare.places


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"comission_base": 0.05}, "BetfairClient has no setting 'comission_base'; did you mean 'commission_base'"),
        ({"order_stream_conflate_ms": 200_000}, "order_stream_conflate_ms=200000: expected 0 to 120000, or None"),
        ({"betting_client": "alice"}, "betting_client is str; expected a betfairlightweight.APIClient"),
    ],
)
def test_setting_that_cannot_be_is_refused_by_name(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(hr.ClientError) as caught:
        BetfairClient(**settings)
    assert message in str(caught.value)


def test_addresses_that_cannot_be_used_are_refused_by_name(tmp_path: Path) -> None:
    client = betfairlightweight.APIClient("alice", "secret", "key")
    client.api_uri = "api.example"
    with pytest.raises(hr.ClientError, match=r"the address 'api\.example' cannot be used; expected one such as https"):
        places_of(client)
    client.api_uri = "https://api.example/exchange"
    assert places_of(client).api == "https://api.example/exchange/"
    client.certs = str(tmp_path)
    with pytest.raises(hr.ClientError, match=r"login by certificate: .* or log in with interactive_login=True"):
        places_of(client, by_certificate=True)
    client.session = requests.Session()
    client.session.verify = str(tmp_path / "there.crt")
    with pytest.raises(hr.ClientError, match=r"the certificate '.*there\.crt' is not there"):
        places_of(client)
    client.session.verify = False
    with pytest.raises(hr.ClientError, match="verify=False, and money is not sent to whoever answers"):
        places_of(client)


# -- login ---------------------------------------------------------------------------------------------------------


def test_many_who_want_a_session_share_one_login(exchange: Served, desk: Desk) -> None:
    session = session_of(exchange, desk)
    told: list[str | None] = []
    for _ in range(5):
        session.want(told.append)
    desk.until(lambda: len(told) == 5)
    assert len(set(told)) == 1
    assert logins(exchange) == ["login"]
    session.want(told.append)
    assert told[5] == session.token == session.client.betting_client.session_token
    assert exchange.do(lambda: exchange.sessions.username(session.token)) == "alice"


def test_token_that_was_refused_leads_to_one_login_however_many_say_so(exchange: Served, desk: Desk) -> None:
    session = session_of(exchange, desk)
    old = logged_in(session, desk)
    told: list[str | None] = []
    for _ in range(3):
        session.want(told.append, refused=old)
    desk.until(lambda: len(told) == 3)
    assert set(told) == {session.token}
    assert old != session.token
    session.want(told.append, refused=old)  # said late: there is another by now
    assert told[3] == session.token
    assert logins(exchange) == ["login", "login"]


def test_login_by_certificate_over_tls_that_is_verified(
    tmp_path: Path, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    certificates = Certificates(tmp_path)
    with served(exchange_of(Stream().close(9_000)), certificates=certificates) as exchange:
        client = exchange.stranger()
        point(
            client, f"https://localhost:{exchange.http.https_port}", f"https://localhost:{exchange.http.certlogin_port}"
        )
        client.stream_certificate = str(certificates.server)
        client.certs = str(certificates.client_folder)
        session = Session(BetfairClient(client), desk.calls)
        assert logged_in(session, desk)
        assert logins(exchange) == ["certlogin"]
        client.stream_certificate = None
        distrusted = Session(BetfairClient(client), desk.calls)
        told: list[str | None] = []
        distrusted.want(told.append)
        assert desk.until(lambda: told) == [None]
        assert "certificate verify failed" in distrusted.error
        assert not distrusted.given_up
    assert "wonderland" not in caplog.text


def test_wrong_password_is_tried_once_and_told(exchange: Served, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    session = session_of(exchange, desk)
    session.client.betting_client.password = "through the looking-glass"
    told: list[str | None] = []
    session.want(told.append, patient=True)
    session.want(told.append)
    assert desk.until(lambda: len(told) == 2 and told) == [None, None]
    assert session.given_up
    assert session.error == (
        "the exchange refuses the login: INVALID_USERNAME_OR_PASSWORD; "
        "check username, password, application key and certificate, then start again"
    )
    session.want(told.append)
    desk.skip(3_600)
    desk.turn()
    assert (told[2], logins(exchange)) == (None, ["login"])
    assert "looking-glass" not in caplog.text


def test_exchange_that_is_down_is_tried_again_ever_more_slowly(exchange: Served, desk: Desk) -> None:
    for _ in range(3):
        exchange.fault("http.refused", operation="login")
    session = session_of(exchange, desk)
    told: list[str | None] = []
    patient: list[str | None] = []
    session.want(patient.append, patient=True)
    session.want(told.append)
    waits: list[float] = []
    while len(waits) < 3:
        desk.until(lambda: len(logins(exchange)) > len(waits) and session.next_ms < math.inf)
        waits.append((session.next_ms - desk.now_ms()) / 1000)
        desk.skip(waits[-1])
    assert desk.until(lambda: patient) == [session.token]
    assert told == [None]
    assert waits == [pytest.approx(1, rel=0.25), pytest.approx(2, rel=0.25), pytest.approx(4, rel=0.25)]
    assert session.error == ""


def test_ban_is_waited_for(exchange: Served, desk: Desk) -> None:
    exchange.fault("session.login_fail", value="TEMPORARY_BAN_TOO_MANY_REQUESTS")
    session = session_of(exchange, desk)
    told: list[str | None] = []
    session.want(told.append)
    assert desk.until(lambda: told) == [None]
    assert session.error.endswith("TEMPORARY_BAN_TOO_MANY_REQUESTS; no login for 20 minutes")
    session.want(told.append)
    assert (told[1], logins(exchange)) == (None, ["login"])
    desk.skip(1_201)
    assert desk.until(lambda: session.token)


def test_account_that_had_logged_in_is_not_given_up_for_one_refusal(exchange: Served, desk: Desk) -> None:
    session = session_of(exchange, desk)
    old = logged_in(session, desk)
    exchange.fault("session.login_fail", value="INVALID_USERNAME_OR_PASSWORD", times=3)
    told: list[str | None] = []
    session.want(told.append, refused=old)
    assert desk.until(lambda: told) == [None]
    assert not session.given_up
    desk.skip(61)
    desk.until(lambda: len(logins(exchange)) == 3 and session.next_ms < math.inf)
    assert not session.given_up
    desk.skip(61)
    desk.until(lambda: session.given_up)
    assert len(logins(exchange)) == 4


# -- keep alive ----------------------------------------------------------------------------------------------------


def test_session_is_kept_alive_every_twenty_minutes_and_a_new_token_is_taken(exchange: Served, desk: Desk) -> None:
    session = session_of(exchange, desk)
    old = logged_in(session, desk)
    assert session.next_ms == pytest.approx(desk.now_ms() + 1_200_000, abs=5_000)
    exchange.fault("session.token")
    desk.skip(1_200)
    desk.until(lambda: session.token != old)
    assert logins(exchange) == ["login", "keepAlive"]
    assert exchange.do(lambda: exchange.sessions.username(session.token)) == "alice"
    assert session.client.betting_client.session_token == session.token


def test_keep_alive_that_fails_leads_to_login(exchange: Served, desk: Desk) -> None:
    session = session_of(exchange, desk)
    old = logged_in(session, desk)
    exchange.fault("session.keep_alive_fail", value="NO_SESSION")
    desk.skip(1_200)
    desk.until(lambda: session.logins == 2)
    assert session.token not in (None, old)


def test_keep_alive_without_an_answer_is_tried_again_with_the_session_as_it_was(exchange: Served, desk: Desk) -> None:
    session = session_of(exchange, desk)
    old = logged_in(session, desk)
    exchange.fault("http.lost", operation="keepAlive")
    desk.skip(1_200)
    desk.until(lambda: len(logins(exchange)) == 2 and session.next_ms < desk.now_ms() + 11_000)
    assert session.token == old
    desk.skip(10)
    desk.until(lambda: len(logins(exchange)) == 3 and session.next_ms < math.inf)
    assert session.next_ms > desk.now_ms() + 1_000_000
    assert logins(exchange) == ["login", "keepAlive", "keepAlive"]


def test_logout_ends_the_session_and_nothing_is_kept_alive(exchange: Served, desk: Desk) -> None:
    session = session_of(exchange, desk)
    token = logged_in(session, desk)
    out: list[bool] = []
    session.close(lambda: out.append(True))
    desk.until(lambda: out)
    assert exchange.do(lambda: exchange.sessions.username(token)) is None
    assert session.token is None
    assert session.next_ms == math.inf
    session.close(lambda: out.append(True))
    assert len(out) == 2
    assert logged_in(session, desk) != token


# -- clients of the user's own -------------------------------------------------------------------------------------


class Elsewhere(hr.BaseClient):
    """An account at another exchange."""

    calls: list[str]

    def login(self) -> str:
        self.calls.append("login")
        return f"token {len(self.calls)}"

    def keep_alive(self) -> None:
        self.calls.append("keep_alive")
        raise ConnectionError("gone")


def test_own_client_logs_in_by_its_own_methods(desk: Desk) -> None:
    client = Elsewhere(username="there")
    client.calls = []
    session = OwnSession(client, desk.calls)
    desk.timed.append(session)
    assert logged_in(session, desk) == "token 1"
    desk.skip(1_200)
    desk.until(lambda: session.token == "token 3")
    assert client.calls == ["login", "keep_alive", "login"]


def test_login_of_ones_own_that_fails_is_told(desk: Desk) -> None:
    class Locked(hr.BaseClient):
        def login(self) -> None:
            raise PermissionError("no key")

    session = OwnSession(Locked(username="there"), desk.calls)
    told: list[str | None] = []
    session.want(told.append)
    assert desk.until(lambda: told) == [None]
    assert session.error == "its login has failed: no key"
