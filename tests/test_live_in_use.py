"""`headrace live` as people use it: a system that trades at a rehearsal exchange, and another shell that asks it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import priced
from headrace.actors.live.control import ask
from headrace.actors.live.instance import Instance, running_instances
from processes import LIMIT, TOOLS, environment, run, wait_until

STRATEGIES = """
import headrace as hr


class Rester(hr.Strategy):
    \"\"\"Backs the first runner at a price that nobody lays, once.\"\"\"

    def check_market_book(self, market, book):
        return book.status == "OPEN"

    def process_market_book(self, market, book):
        if not market.blotter.strategy_orders(self):
            trade = hr.Trade(market.market_id, 1, 0, self)
            market.place_order(trade.create_order(side="BACK", order_type=hr.LimitOrder(500.0, 2.0)))


class Taker(hr.Strategy):
    \"\"\"Backs the first runner at the price that is there, once.\"\"\"

    def check_market_book(self, market, book):
        return book.status == "OPEN" and book.runners[0].ex.available_to_back

    def process_market_book(self, market, book):
        if not market.blotter.strategy_orders(self):
            trade = hr.Trade(market.market_id, 1, 0, self)
            market.place_order(trade.create_order(side="BACK", order_type=hr.LimitOrder(1.5, 2.0)))


class Failing(hr.Strategy):
    def check_market_book(self, market, book):
        raise ValueError("what a book")
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with strategies and two recordings: of a market that stays open for minutes, and of one that closes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    (tmp_path / "strategies.py").write_text(STRATEGIES)
    long = priced()
    for at in range(200, 600_000, 200):
        long.touch(at)
    long.write(tmp_path / "long")
    short = priced()
    for at in range(200, 3_000, 100):
        short.touch(at)
    short.close(3_000).write(tmp_path / "short")
    return tmp_path


class System:
    """`headrace live` as it runs, with what it has said.

    Args:
        words: of the command, beside the engine and no page.
    """

    def __init__(self, *words: object, command: str = "live") -> None:
        self.process = subprocess.Popen(
            [TOOLS / "headrace", command, *map(str, words), "--engine", "local", "--no-page"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def end(self, by: signal.Signals | None = None) -> tuple[int, str, str]:
        """Its exit code, and what it has said; a signal may end it."""
        if by is not None:
            self.process.send_signal(by)
        said, errors = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, said, errors


@contextlib.contextmanager
def trading(*words: object, orders: int = 1) -> Iterator[System]:
    """A system that runs, once so many of its orders rest at the exchange."""
    system = System(*words)
    try:

        def there() -> bool:
            found = state()
            return len(found.get("orders", ())) >= orders and bool(found.get("markets"))

        assert wait_until(lambda: there() or system.process.poll() is not None, 60)
        assert system.process.poll() is None, system.end()
        yield system
    finally:
        if system.process.poll() is None:
            system.process.kill()
            system.process.communicate(timeout=LIMIT)


def call(*words: object) -> subprocess.CompletedProcess[str]:
    return run([TOOLS / "headrace", "live", *map(str, words)])


def state() -> dict[str, Any]:
    """How the system of this machine stands; empty while it does not answer."""
    for running in running_instances():
        with contextlib.suppress(hr.RunError):
            return ask(Instance(running.reference), "STATE", timeout=5.0)
    return {}


RESTER = ("strategies.py:Rester", "--rehearse", "long", "--reference", "desk")


def test_system_is_asked_cancelled_and_stopped_from_another_shell(desk: Path) -> None:
    with trading(*RESTER) as system:
        shown = call("status")
        assert shown.returncode == 0
        assert shown.stdout.startswith("desk  ")
        assert re.search(r"1 market, 1 live order$", shown.stdout.splitlines()[0])
        assert "EXECUTABLE" in shown.stdout
        found = json.loads(call("status", "--json").stdout)
        assert [(each["side"], each["price"], each["size"]) for each in found["orders"]] == [("BACK", 500.0, 2.0)]
        assert [(each["username"], each["paper"]) for each in found["clients"]] == [("rehearsal", False)]
        taken = call("strategies.py:Taker", "--rehearse", "long", "--reference", "desk")
        assert taken.returncode == 2
        assert "customer_strategy_ref='desk' is in use on this machine by process" in taken.stderr
        cancelled = call("cancel-all")
        assert (cancelled.returncode, cancelled.stderr) == (0, "")
        assert cancelled.stdout.startswith("done: ")
        assert state()["orders"] == []
        stopped = call("stop")
        assert (stopped.returncode, stopped.stdout) == (0, "desk: stopped\n"), stopped.stderr
        code, said, errors = system.end()
        assert code == 0, errors
        assert "desk trades in rehearsal: Rester" in said
        assert "digest" in said
    assert call("status").stderr == "headrace: no live system runs on this machine\n"
    assert not any(path.is_socket() for path in (desk / "home").rglob("*"))


@pytest.mark.parametrize(("by", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_signal_stops_in_order_and_open_orders_are_cancelled(by: signal.Signals, code: int, desk: Path) -> None:
    with trading(*RESTER, "--out", "result") as system:
        ended, said, errors = system.end(by)
    assert ended == code, errors
    assert "tables in result" in said
    (order,) = hr.Result.load(str(desk / "result")).orders.to_pylist()
    assert (order["size_cancelled"], order["size_matched"], order["status"]) == (2.0, 0.0, "EXECUTION_COMPLETE")


@pytest.mark.parametrize(
    "words",
    [("paper", *RESTER, "--no-page"), ("record", "--rehearse", "long", "--out", "recorded")],
    ids=lambda w: w[0],
)
def test_ctrl_c_exits_130(words: tuple[str, ...], desk: Path) -> None:
    process = subprocess.Popen(
        [TOOLS / "headrace", *words, "--engine", "local"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        assert wait_until(lambda: bool(state().get("markets")) or process.poll() is not None, 60)
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
        process.wait(LIMIT)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "digest" in said or "1 market was recorded" in said


def test_second_ctrl_c_does_not_wait_for_what_does_not_end(desk: Path) -> None:
    with trading(*RESTER) as system:
        system.process.send_signal(signal.SIGINT)
        assert system.process.stderr is not None
        while "Ctrl-C once more" not in system.process.stderr.readline():
            assert system.process.poll() is None
        code, _, errors = system.end(signal.SIGINT)
    assert code == 130
    assert errors.endswith("headrace: stopped\n")
    assert "Traceback" not in errors
    assert call("status").returncode == 2


def test_orders_are_left_where_it_is_told_to(desk: Path) -> None:
    with trading(*RESTER, "--on-stop", "leave", "--out", "result") as system:
        assert system.end(signal.SIGTERM)[0] == 0
    (order,) = hr.Result.load(str(desk / "result")).orders.to_pylist()
    assert (order["size_cancelled"], order["size_remaining"]) == (0.0, 2.0)


def test_system_ends_by_itself_when_its_markets_are_over(desk: Path) -> None:
    system = System("strategies.py:Taker", "--rehearse", "short", "--stop-when-idle", "--out", "result")
    code, _, errors = system.end()
    assert code == 0, errors
    result = hr.Result.load(str(desk / "result"))
    assert [(each["status"], each["settled"]) for each in result.markets.to_pylist()] == [("CLOSED", 1)]
    (order,) = result.orders.to_pylist()
    assert order["size_matched"] == 2.0
    assert order["profit"] == pytest.approx(2.0 * (order["average_price_matched"] - 1))


def test_paper_is_matched_here_and_errors_of_a_strategy_are_rows_and_exit_code_1(desk: Path) -> None:
    strategies = ("strategies.py:Taker", "strategies.py:Failing")
    code, said, errors = System(
        *(*strategies, "--rehearse", "short", "--stop-when-idle", "--out", "result"), command="paper"
    ).end()
    assert code == 1, errors
    assert "trades on paper: Taker, Failing" in said
    assert "failed: Failing" in said
    result = hr.Result.load(str(desk / "result"))
    (order,) = result.orders.to_pylist()
    assert (order["strategy"], order["size_matched"]) == ("Taker", 2.0)
    assert {each["error_type"] for each in result.failures.to_pylist()} == {"ValueError"}


def test_until_ends_it(desk: Path) -> None:
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 15))
    code, _, errors = System(*RESTER, "--until", moment).end()
    assert code == 0, errors


@pytest.mark.parametrize(
    ("credentials", "told"),
    [
        ('username = "alice"\npassword = "wrong"\napp_key = "alice-key"', "cannot log in: the exchange refuses"),
        ('username = "alice"\npassword = "rehearsal"\napp_key = "other"', "INVALID_APP_KEY"),
        ('username = "late"\npassword = "rehearsal"\napp_key = "late-key"', "a delayed one, whose order stream shows"),
        (None, "Connection refused"),
    ],
)
def test_account_that_cannot_trade_is_told_in_one_sentence(credentials: str | None, told: str, desk: Path) -> None:
    account = desk / "account.toml"
    account.write_text(credentials or 'username = "alice"\npassword = "rehearsal"\napp_key = "alice-key"')
    account.chmod(0o600)
    with hr.RehearsalExchange(str(desk / "long"), accounts=["alice", "late,delayed=true"]) as exchange:
        there = exchange.addresses
        if credentials is None:
            exchange.stop()
        (desk / "live.toml").write_text(
            '[[strategies]]\nclass = "strategies.py:Rester"\n[[clients]]\ncredentials = "account.toml"\n'
            f'exchange = {{ url = "{there.url}", stream = "{there.host}:{there.stream_tls}" }}\n'
        )
        ended = call("live.toml", "--engine", "local")
    assert ended.returncode == 2
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("headrace: ")]
    assert told in line
    assert "Traceback" not in ended.stderr


def test_view_is_on_a_terminal_and_warnings_above_it(desk: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [TOOLS / "headrace", "live", *RESTER, "--engine", "local", "--no-page"],
        stdout=theirs,
        stderr=theirs,
        env=environment(TERM="xterm", COLUMNS="140", LINES="40"),
    )
    os.close(theirs)
    try:
        assert seen(ours, "EXECUTABLE")
        process.send_signal(signal.SIGINT)
        assert seen(ours, "digest")
        assert process.wait(LIMIT) == 130
    finally:
        process.kill()
        process.wait(LIMIT)
        os.close(ours)


def seen(terminal: int, word: str) -> bool:
    """Whether a terminal shows a word, sooner or later."""
    text, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.5)[0]:
            try:
                text += os.read(terminal, 65_536)
            except OSError:  # Linux tells so that the other end is closed
                break
        if word.encode() in text:
            return True
    return word.encode() in text


def test_record_keeps_markets_that_backtest_reads(desk: Path) -> None:
    ended = run(
        [TOOLS / "headrace", "record", "--rehearse", "short", "--out", "recorded", "--stop-when-idle", "--quiet"]
    )
    assert ended.returncode == 0, ended.stderr
    assert "1 market was recorded" in ended.stdout
    result = hr.backtest(hr.Strategy(), markets=str(desk / "recorded" / "markets"), engine="local", progress=False)
    assert result.failures.to_pylist() == []
    assert [each["status"] for each in result.markets.to_pylist()] == ["CLOSED"]
