"""Accounts are looked at before a system starts: what the user can mend is told at once, in one sentence."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import betfairlightweight
import pytest

import headrace as hr
from builders import priced
from headrace.actors.betfair.betfair_client import BetfairClient
from headrace.actors.betfair.entrance import check_accounts


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[hr.RehearsalExchange]:
    path = tmp_path_factory.mktemp("exchange") / "1.100000001"
    recording = priced().prices(500, {1: {"atb": [[2.02, 40]]}}).write(path)
    with hr.RehearsalExchange(recording, speed="step", accounts=["alice", "late,delayed=true"]) as started:
        started.step(2)
        yield started


def client(exchange: hr.RehearsalExchange, username: str = "alice", **settings: Any) -> BetfairClient:
    return BetfairClient(exchange.client(username), **{"interactive_login": True, **settings})


def test_account_that_is_as_it_should_be_passes_and_is_logged_out(exchange: hr.RehearsalExchange) -> None:
    made = client(exchange)
    check_accounts([made, hr.SimulatedClient()])
    assert made.betting_client.session_token is None
    check_accounts([client(exchange, interactive_login=False)])


def test_a_login_that_fails_by_a_fault_of_the_exchange_is_tried_again(exchange: hr.RehearsalExchange) -> None:
    for _ in range(2):
        exchange.fault("session.login_fail", value="INTERNAL_ERROR", username="alice")
    check_accounts([client(exchange)])


def test_a_login_that_goes_on_failing_is_told_in_time(exchange: hr.RehearsalExchange) -> None:
    for _ in range(9):
        exchange.fault("session.login_fail", value="INTERNAL_ERROR", username="alice")
    try:
        with pytest.raises(hr.InputError, match="cannot log in: the exchange refuses the login: INTERNAL_ERROR"):
            check_accounts([client(exchange)], seconds=2.0)
    finally:
        exchange.clear_faults()


def test_password_that_is_wrong_is_told_without_it(exchange: hr.RehearsalExchange) -> None:
    betting = exchange.point(betfairlightweight.APIClient("alice", "swordfish", app_key="alice-key"))
    with pytest.raises(hr.InputError, match="account 'alice' cannot log in: the exchange refuses the login") as error:
        check_accounts([BetfairClient(betting, interactive_login=True)])
    assert "swordfish" not in str(error.value)
    assert "check username, password" in str(error.value)


def test_application_key_that_is_wrong_is_told(exchange: hr.RehearsalExchange) -> None:
    betting = exchange.point(betfairlightweight.APIClient("alice", "rehearsal", app_key="another"))
    with pytest.raises(hr.InputError, match=r"account 'alice'.*INVALID_APP_KEY"):
        check_accounts([BetfairClient(betting, interactive_login=True)])


def test_exchange_that_is_down_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    betting = betfairlightweight.APIClient("alice", "rehearsal", app_key="alice-key")
    betting.identity_uri = f"http://127.0.0.1:{port}/api/"
    with pytest.raises(hr.InputError, match=r"account 'alice' cannot log in: .*127\.0\.0\.1.*refused"):
        check_accounts([BetfairClient(betting, interactive_login=True)])


def test_exchange_that_does_not_answer_is_told_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        betting = betfairlightweight.APIClient("alice", "rehearsal", app_key="alice-key")
        betting.identity_uri = f"http://127.0.0.1:{door.getsockname()[1]}/api/"
        with pytest.raises(hr.InputError, match=r"exchange at http://127\.0\.0\.1:\d+/api/ takes too long to answer"):
            check_accounts([BetfairClient(betting, interactive_login=True)], seconds=0.3)


def test_certificate_that_is_not_there_is_told(exchange: hr.RehearsalExchange, tmp_path: Path) -> None:
    betting = betfairlightweight.APIClient("alice", "rehearsal", app_key="alice-key", certs=str(tmp_path))
    with pytest.raises(hr.InputError, match=r"alice.*certificate"):
        check_accounts([BetfairClient(betting)])


def test_delayed_key_is_refused_where_orders_are_placed(exchange: hr.RehearsalExchange) -> None:
    with pytest.raises(hr.InputError, match="'late': its application key is a delayed one, whose order stream"):
        check_accounts([client(exchange, "late")])


def test_delayed_key_does_on_paper_with_a_warning(
    exchange: hr.RehearsalExchange, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "headrace"):
        check_accounts([client(exchange, "late", paper_trade=True)])
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING] == [
        "The application key of late is a delayed one: prices come late"
    ]
