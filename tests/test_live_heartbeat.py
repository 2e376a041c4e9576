"""Heartbeats of an account, at the rehearsal exchange: where they stop, it cancels the account's limit bets."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import MARKET, priced
from exchange_builders import ALICE, exchange_of, play
from exchange_servers import Served, merged, served
from headrace.actors.betfair.betfair_client import BetfairClient
from headrace.actors.betfair.live_account import LiveAccount
from headrace.config import Config
from headrace.simulate.exchange.betting import heartbeat_api
from headrace.simulate.exchange.betting.bank import Bank
from headrace.simulate.exchange.betting.betting import Betting
from headrace.simulate.exchange.betting.heartbeat_api import HeartbeatApi
from headrace.strategies.messages import PLACE, Request
from live_desk import Desk, limit
from live_trading import venue
from processes import LIMIT, TOOLS, environment, wait_until


@dataclasses.dataclass
class Timer:
    """A timer of the exchange, which a test lets run out."""

    seconds: float
    function: Callable[[], object]
    running: bool = True

    def cancel(self) -> None:
        self.running = False


class Watched:
    """An account that the exchange watches."""

    def __init__(self, exchange: Served, desk: Desk, timers: list[Timer], seconds: int = 30) -> None:
        self.exchange, self.desk, self.timers = exchange, desk, timers
        client = BetfairClient(exchange.stranger(ALICE), interactive_login=True, heartbeat_seconds=seconds)
        self.answers: list[Any] = []
        self.account = LiveAccount(client, desk.calls, self.answers.append, Config(), "tests")
        assert self.account.heartbeat is not None
        self.beat = self.account.heartbeat
        self.told: list[str] = []
        self.looks: list[bool] = []
        self.beat.report = self.told.append
        self.beat.cancelled = lambda: self.looks.append(True)
        desk.timed.append(self.account)

    def log_in(self) -> None:
        self.account.login(None, lambda error: None)
        self.heard(0)

    def heard(self, after: int) -> int:
        """Wait for an answer to a heartbeat that was sent after a moment; when it was sent."""
        return self.desk.until(lambda: (self.beat.heard_ms or 0) > after and self.beat.heard_ms)

    @property
    def beats(self) -> list[int]:
        """What the exchange was asked for, heartbeat by heartbeat: seconds."""
        found = self.exchange.entries("REQUEST")
        calls = [entry.values["params"] for entry in found if entry.values["operation"] == "heartbeat"]
        return [call["preferredTimeoutSeconds"] for call in calls]

    def runs_out(self) -> None:
        """The exchange has heard nothing for too long."""
        self.exchange.do(next(timer for timer in self.timers if timer.running).function)


@contextmanager
def watching(seconds: int = 30) -> Iterator[Watched]:
    exchange, timers = exchange_of(priced()), []

    def later(delay: float, function: Callable[[], object]) -> Timer:
        timers.append(Timer(delay, function))
        return timers[-1]

    def operations(server: Served) -> dict[str, Any]:
        bank = Bank(exchange, server.faults)
        betting = Betting(exchange, bank, server.faults, lambda: server.now)
        play(exchange, 100)
        return merged(bank, betting, HeartbeatApi(exchange, betting, server.faults, later))

    with served(exchange, operations) as server, Desk() as desk:
        yield Watched(server, desk, timers, seconds)


def test_the_exchange_is_asked_to_watch_at_once_and_three_times_within_its_patience() -> None:
    with watching() as watched:
        watched.log_in()
        first = watched.beat.heard_ms
        assert watched.beats == [30]
        assert first is not None
        watched.desk.skip(9.9)
        assert watched.beat.next_ms > watched.desk.now_ms()
        watched.desk.skip(0.2)
        assert watched.heard(first) - first >= 10_000
        assert watched.beats == [30, 30]
        assert [timer.running for timer in watched.timers] == [False, True]
        assert watched.told == []


def test_bets_are_cancelled_by_the_exchange_when_heartbeats_stop_and_that_is_told_with_the_next() -> None:
    with watching() as watched:
        watched.log_in()
        request = Request(
            "r1", MARKET, "strategy", "Betfair", ALICE.username, PLACE, (limit("order-1"),), watched.desk.now_ms()
        )
        watched.account.send(request)
        watched.desk.until(lambda: watched.answers)
        watched.runs_out()
        lost = [each.values for each in watched.exchange.entries("ACCOUNT") if each.values["what"] == "HEARTBEAT_LOST"]
        assert [(each["cancelled"], each["left"]) for each in lost] == [(1, 0)]
        watched.desk.skip(10)
        watched.heard(watched.beat.heard_ms or 0)
        assert watched.told == [
            f"the exchange has missed heartbeats of account {ALICE.username}: it has cancelled the account's bets"
        ]
        assert watched.looks == [True], "how bets stand is read"


def test_what_the_exchange_does_not_answer_in_time_is_told_once() -> None:
    with watching(10) as watched:
        watched.log_in()
        watched.exchange.fault("http.refused", operation="heartbeat", times=100)
        watched.desk.skip(10)
        watched.desk.until(lambda: watched.told)
        watched.desk.skip(10)
        for _ in range(5):
            watched.desk.turn()
        (text,) = watched.told
        assert text.endswith("was answered for 10 s: the exchange cancels the account's bets")
        assert watched.looks == [True]


def test_a_heartbeat_that_the_exchange_refuses_is_told_once() -> None:
    with watching(10) as watched:
        watched.exchange.fault("http.error", operation="heartbeat", value="ACCESS_DENIED", times=100)
        watched.account.login(None, lambda error: None)
        watched.desk.until(lambda: watched.told)
        watched.desk.skip(4)
        watched.desk.until(lambda: len(watched.beats) > 1)
        for _ in range(5):
            watched.desk.turn()
        (text,) = watched.told
        assert "ACCESS_DENIED" in text
        assert text.endswith("nothing cancels the account's bets if this system fails")


def test_at_the_end_the_exchange_is_told_to_wait_for_no_more() -> None:
    with watching() as watched:
        watched.log_in()
        ended: list[bool] = []
        watched.account.close(lambda: ended.append(True))
        watched.desk.until(lambda: ended)
        assert watched.beats == [30, 0]
        assert [timer.running for timer in watched.timers] == [False]
        operations = [entry.values["operation"] for entry in watched.exchange.entries("REQUEST")]
        assert operations.index("logout") > operations.index("heartbeat")


def test_accounts_on_paper_have_no_heartbeat_for_it_would_cancel_bets_of_others() -> None:
    with watching() as watched:
        client = BetfairClient(watched.exchange.stranger(ALICE), heartbeat_seconds=30, paper_trade=True)
        account = LiveAccount(client, watched.desk.calls, watched.answers.append, Config(), "tests")
        assert account.heartbeat is None


@pytest.mark.parametrize("seconds", [9, 301])
def test_the_exchange_takes_from_ten_seconds_to_five_minutes(seconds: int) -> None:
    with pytest.raises(hr.ClientError, match=f"heartbeat_seconds={seconds}: expected 10 to 300, or None"):
        hr.BetfairClient(heartbeat_seconds=seconds)


def test_the_exchange_says_itself_how_long_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat_api, "LONGEST", 12)
    with watching(60) as watched:
        watched.log_in()
        assert watched.beat.seconds == 12
        first = watched.beat.heard_ms
        assert first is not None
        assert watched.beat.next_ms == first + 4_000
        watched.desk.skip(4.1)
        watched.heard(first)
        assert watched.beats == [60, 60]


STRATEGY = """
import headrace as hr

class Rester(hr.Strategy):
    def process_new_market(self, market, book):
        trade = hr.Trade(market.market_id, 1, 0, self)
        market.place_order(trade.create_order(side="BACK", order_type=hr.LimitOrder(500.0, 2.0)))
"""
FILE = """
[headrace]
customer_strategy_ref = "beating"
[live]
engine = "local"
page = false
[[clients]]
credentials = "account.toml"
interactive_login = true
heartbeat_seconds = 300
exchange = {{ url = "{url}", stream = "{stream}", certificate = "{certificate}" }}
[[strategies]]
class = "rester.py:Rester"
"""


def test_all_processes_of_a_system_are_killed_and_the_exchange_cancels_its_bets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat_api, "LONGEST", 2)  # a second is long enough for a test
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    (tmp_path / "rester.py").write_text(STRATEGY)
    account = tmp_path / "account.toml"
    account.write_text(f'username = "{ALICE.username}"\npassword = "{ALICE.password}"\napp_key = "{ALICE.app_key}"\n')
    account.chmod(0o600)
    with venue() as exchange:
        places = exchange.service.addresses
        stream = places.place(places.stream_tls)
        (tmp_path / "live.toml").write_text(FILE.format(url=places.url, stream=stream, certificate=places.certificate))
        system = subprocess.Popen(
            [TOOLS / "headrace", "live", "live.toml", "--quiet"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
            start_new_session=True,
        )
        try:
            assert wait_until(lambda: exchange.bets, LIMIT)
            (bet,) = exchange.bets
            assert wait_until(lambda: len(exchange.calls("heartbeat")) > 3, LIMIT)
            assert bet.executable, "heartbeats go on"
        finally:
            os.killpg(system.pid, signal.SIGKILL)
            system.wait(LIMIT)
        assert wait_until(lambda: not bet.executable, 30)
        assert bet.cancelled == 2.0
