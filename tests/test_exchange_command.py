"""`hr.RehearsalExchange` and `headrace exchange`: the rehearsal exchange as users start it."""

from __future__ import annotations

import datetime
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import betfairlightweight
import pytest
from betfairlightweight.streaming.betfairstream import BetfairStream

import headrace as hr
from builders import START, Stream, priced
from command import call
from headrace.simulate.exchange.asking import accounts_of, faults_of, read_faults, with_settings
from headrace.simulate.exchange.faults import KINDS, NEED_SECONDS, Fault
from headrace.simulate.exchange.settings import AccountSettings, ExchangeSettings, Limits, Timers
from processes import TOOLS, environment, free_ports, run_python, wait_until

#: Seconds that a process may take for anything.
LIMIT = 60


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A recording of four messages."""
    path = tmp_path_factory.mktemp("exchange") / "1.100000001"
    return priced().prices(500, {1: {"atb": [[2.02, 40]]}}).close(9_000).write(path)


@pytest.fixture(scope="module")
def stepped(market: str) -> Iterator[hr.RehearsalExchange]:
    """An exchange whose first two messages have been played."""
    with hr.RehearsalExchange(
        market, speed="step", accounts=["alice,currency=EUR", {"username": "bob", "password": "builder"}]
    ) as exchange:
        assert exchange.step(2) == 2
        yield exchange


# -- clients ---------------------------------------------------------------------------------------------------------


def test_a_client_of_betfairlightweight_trades_at_it(stepped: hr.RehearsalExchange) -> None:
    client = stepped.client()
    client.login()
    try:
        (catalogue,) = client.betting.list_market_catalogue()
        assert catalogue.market_id == "1.100000001"
        assert client.account.get_account_details().currency_code == "EUR"
        assert client.account.get_account_funds().available_to_bet_balance == 10_000
        limit = {"price": 2.0, "size": 5.0, "persistenceType": "LAPSE"}
        order = {"selectionId": 1, "side": "BACK", "orderType": "LIMIT", "limitOrder": limit}
        report = client.betting.place_orders("1.100000001", [order])
        assert report.status == "SUCCESS"
        assert report.place_instruction_reports[0].size_matched == 5.0
        entries = stepped.ledger(kind="BET")
        assert [(each.values["username"], each.values["matched"]) for each in entries] == [("alice", 5.0)]
    finally:
        client.logout()


def test_a_stream_of_betfairlightweight_goes_to_it_and_the_class_is_left_alone(stepped: hr.RehearsalExchange) -> None:
    other = betfairlightweight.APIClient("someone", "else", app_key="key")
    client = stepped.client("bob")
    client.login()
    books: queue.Queue[Any] = queue.Queue()
    stream = client.streaming.create_stream(listener=betfairlightweight.StreamListener(output_queue=books))
    stream.subscribe_to_markets({}, {"fields": ["EX_ALL_OFFERS", "EX_MARKET_DEF"]})
    reader = threading.Thread(target=stream.start, daemon=True)
    reader.start()
    (book,) = books.get(timeout=LIMIT)
    assert [(each.price, each.size) for each in book.runners[1].ex.available_to_back] == [(1.8, 50.0)]
    stream.stop()
    reader.join(LIMIT)
    real = other.streaming.create_stream()
    assert (real.host, real._BetfairStream__port) == ("stream-api.betfair.com", 443)
    assert "localhost" not in BetfairStream.HOSTS.values()
    assert other.api_uri == betfairlightweight.APIClient.API_URLS[None]


def test_a_client_of_ones_own_is_pointed_at_it_as_often_as_one_likes(stepped: hr.RehearsalExchange) -> None:
    client = betfairlightweight.APIClient("alice", "rehearsal", app_key="alice-key", lightweight=True)
    assert stepped.point(stepped.point(client)) is client
    assert client.login()["loginStatus"] == "SUCCESS"
    assert client.login_interactive()["status"] == "SUCCESS"
    assert client.keep_alive()["status"] == "SUCCESS"
    stream = client.streaming.create_stream()
    assert (stream.host, stream._BetfairStream__port) == ("localhost", stepped.addresses.stream_tls)
    with pytest.raises(hr.InputError, match=r"no account 'carol'.*alice, bob"):
        stepped.client("carol")


# -- control ---------------------------------------------------------------------------------------------------------


def test_state_faults_and_ledger_are_read_and_changed(market: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    settings = ExchangeSettings(timers=Timers(settle=60.0))
    with hr.RehearsalExchange(
        market, speed="step", ledger=ledger, settings=settings, faults="session.token", seed=3
    ) as exchange:
        assert exchange.settings == ExchangeSettings(speed="step", seed=3, timers=Timers(settle=60.0))
        exchange.step()
        exchange.fault("event.suspend", seconds=0.2)
        assert [each["kind"] for each in exchange.faults()["pending"]] == ["session.token", "event.suspend"]
        exchange.step(2)
        assert exchange.faults()["counts"] == {"event.suspend": 1}
        exchange.clear_faults()
        assert exchange.faults()["pending"] == []
        assert [each["status"] for each in exchange.state()["markets"]] == ["OPEN"]
        with pytest.raises(hr.InputError, match="not a kind of fault"):
            exchange.fault("stream.explode")
        with pytest.raises(hr.InputError, match="kind is 'BETS', expected REQUEST, REPLY, BET"):
            exchange.ledger(kind="BETS")
        with pytest.raises(hr.InputError, match="N from 0 to"):
            exchange.step(-1)
        assert [each.values["what"] for each in exchange.ledger(kind="MARKET")] == ["OPENED"]
        exchange.step(9)
        last = exchange.ledger()[-1].number
        assert exchange.ledger(after=last - 1)[0].number == last
    numbers = [json.loads(line)["number"] for line in ledger.read_text().splitlines()]
    assert numbers == list(range(1, last + 1))


# -- its process -----------------------------------------------------------------------------------------------------


def test_it_stops_starts_again_and_says_when_it_does_not_run(market: str) -> None:
    exchange = hr.RehearsalExchange(market, speed="step")
    with pytest.raises(hr.RunError, match="does not run"):
        exchange.state()
    assert repr(exchange) == "<RehearsalExchange not running, speed step, accounts: rehearsal>"
    with exchange:
        port = exchange.addresses.http
        assert f" at http://localhost:{port}/, speed step" in repr(exchange)
        with pytest.raises(hr.RunError, match="runs already"):
            exchange.start()
    assert not _listens(port)
    with exchange:
        assert exchange.step() == 1
    exchange.stop()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def test_its_death_is_an_error_that_says_how(market: str) -> None:
    with hr.RehearsalExchange(market, speed="step") as exchange:
        assert exchange._process is not None
        exchange._process.send_signal(signal.SIGKILL)
        exchange._process.wait(LIMIT)
        folder = Path(exchange.addresses.certificate).parent
        with pytest.raises(hr.RunError, match="has ended by signal 9"):
            exchange.state()
    assert not folder.exists()


def test_what_it_cannot_play_is_refused_where_it_is_started(tmp_path: Path, market: str) -> None:
    nothing = tmp_path / "1.1"
    nothing.write_text('{"op":"mcm","pt":1700000000000,"mc":[{"id":"1.1","rc":[]}]}\n')
    with pytest.raises(hr.InputError, match="has no market definition"):
        hr.RehearsalExchange(nothing).start()
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(hr.InputError, match=f"port={taken.getsockname()[1]}.*in use"),
    ):
        hr.RehearsalExchange(market, port=taken.getsockname()[1]).start()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "nothing to play"),
        ({"markets": "x", "speed": 0}, "speed is 0"),
        ({"markets": "x", "speed": "fast"}, "speed is 'fast'"),
        ({"markets": "x", "accounts": ["alice,size=3"]}, "no 'size'"),
        ({"markets": "x", "accounts": ["alice", "alice"]}, "username 'alice'"),
        ({"markets": "x", "faults": ["stream.drop:hours=1"]}, "no 'hours'"),
        ({"generate": "two"}, "generate='two': expected how many markets"),
        ({"generate": 1, "seed": "x"}, "seed is 'x'; expected a whole number"),
        ({"generate": 1, "port": "x"}, "port is 'x'; expected 0 to 65535"),
        ({"generate": 1, "settings": {"port": 1}}, "expected ExchangeSettings"),
        ({"generate": 1, "speed": [1]}, r"speed is \[1\]"),
        ({"generate": 1, "before_start": 60}, "before_start=60: only recordings have it; name some with markets="),
        ({"generate": 1, "in_step": True}, "in_step=True: only recordings have it"),
        ({"generate": 1, "sports_data": "."}, "sports_data='.': only recordings have it"),
        (
            {"markets": "x", "sports": "tennis"},
            "sports='tennis': only made-up markets have it; say how many with generate=5",
        ),
        ({"markets": "x", "minutes_before": 5}, "minutes_before=5: only made-up markets have it"),
    ],
)
def test_what_says_nothing_is_refused_before_anything_starts(values: dict[str, Any], told: str) -> None:
    with pytest.raises(hr.InputError, match=told):
        hr.RehearsalExchange(**values)


def test_it_works_in_a_script_without_a_guard_and_ends_with_it(market: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal\n"
        "import headrace as hr\n"
        f"exchange = hr.RehearsalExchange({market!r}, speed='step').start()\n"
        "print(exchange._process.pid, exchange.addresses.http, exchange.step(), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=LIMIT, check=False, env=environment()
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    pid, port, played = map(int, ended.stdout.split())
    assert played == 1
    assert wait_until(lambda: not _lives(pid), LIMIT)
    assert not _listens(port)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text() if Path("/proc").is_dir() else True
    except OSError:
        return False


def test_importing_headrace_loads_no_server() -> None:
    code = (
        "import sys, headrace as hr; assert 'RehearsalExchange' in hr.__all__; assert 'aiohttp' not in sys.modules; "
        "hr.RehearsalExchange; assert 'aiohttp' not in sys.modules; print('fine')"
    )
    ended = run_python(code)
    assert ended.stdout == "fine\n", ended.stderr
    with pytest.raises(AttributeError, match="has no attribute 'RehearsalExchang'"):
        _ = hr.RehearsalExchang


# -- accounts and faults as words ------------------------------------------------------------------------------------


def test_accounts_are_asked_for_in_words() -> None:
    assert accounts_of(["alice", {"username": "bob", "balance": 5, "app_key": "k"}, AccountSettings()]) == (
        AccountSettings("alice", "rehearsal", "alice-key"),
        AccountSettings("bob", "rehearsal", "k", balance=5.0),
        AccountSettings(),
    )
    (account,) = accounts_of(["carol,password=x=y,currency=EUR,balance=12.5,best_execution=false,exposure_limit=7"])
    assert account == AccountSettings("carol", "x=y", "carol-key", "EUR", 12.5, 7.0, best_execution=False)
    wrong: list[tuple[Any, str]] = [
        ("alice,balance=-1", "balance is -1"),
        ("alice,balance=much", "account 'alice,balance=much': balance is 'much'; expected a number"),
        ("alice,best_execution=2", "best_execution is '2'; expected true or false"),
        ("alice,balnce=2", "there is no 'balnce'; did you mean 'balance'?"),
        ("", "the username is missing"),
        (",password=x", "the username is missing"),
        (7, "accounts: found 7; expected words such as 'alice,currency=EUR'"),
        ("alice,exposure_limit=-1", "exposure_limit is -1"),
        ("alice,bob", "account 'alice,bob': expected name=value, found 'bob'"),
        ("alice,currency=EUR,currency=GBP", "given twice"),
    ]
    for asked, told in wrong:
        with pytest.raises(hr.InputError, match=re.escape(told)):
            accounts_of([asked])


def test_faults_are_asked_for_in_words() -> None:
    found = faults_of(
        ["stream.drop:after=30,times=always,username=alice", "http.slow:seconds=3,every=4", {"kind": "http.cut"}]
    )
    assert found == [
        Fault("stream.drop", times=None, after=30.0, username="alice"),
        Fault("http.slow", seconds=3.0, every=4),
        Fault("http.cut"),
    ]
    wrong: list[tuple[Any, str]] = [
        ("stream", "not a kind of fault"),
        ("stream.drop:30", "expected name=value"),
        ("stream.drop:seconds=-1", "seconds and after are 0 or more"),
        ("stream.drop:done=1", "done is counted"),
        ("stream.dorp:after=3", r"fault 'stream.dorp:after=3': not a kind of fault; did you mean 'stream.drop'\?"),
        ("account.which_no_exchange_knows", "expected one of account.busy, account.heartbeat$"),
        ("zzz", "expected one of stream.slow_connect, .*event.remove_runner$"),
        ("stream.drop:aftr=3", "there is no 'aftr'; did you mean 'after'"),
        ("stream.drop:after=soon", "'stream.drop:after=soon': after is 'soon'; expected a number"),
        ("stream.drop:times=few", "times is 'few'; expected a whole number"),
        ("http.late", "seconds is missing: .*expected for example http.late:seconds=3"),
        ("http.cut:seconds=3", "http.cut takes no seconds"),
        ("stream.reset:value=1", "stream.reset takes no value"),
        ("http.status:value=bad", "value is 'bad', expected an HTTP status, 400 to 599"),
        ("session.expire:operation=keepAlive", "operation is not known where it happens; expected username"),
        ("event.suspend:seconds=1,username=alice", "username is not known where it happens; expected market_id"),
        ("stream.slow_connect:seconds=1,username=alice", "username is not known .*; it happens to whoever comes"),
        ("event.suspend:seconds=inf", "seconds and after are 0 or more"),
        ({"kind": 3}, "not a kind of fault"),
        (3, "faults: found 3; expected words such as 'stream.drop:after=30'"),
    ]
    for asked, told in wrong:
        with pytest.raises(hr.InputError, match=told):
            faults_of([asked])
    with pytest.raises(hr.InputError, match="faults is 3; expected a list"):
        faults_of(wrong[-1][0])
    assert faults_of("http.cut") == faults_of({"kind": "http.cut"}) == [Fault("http.cut")]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in NEED_SECONDS])
def test_a_fault_without_fields_is_one_that_does_something(kind: str) -> None:
    assert faults_of([kind]) == [Fault(kind)]


@pytest.mark.parametrize("kind", sorted(NEED_SECONDS))
def test_a_fault_that_does_nothing_without_seconds_says_so(kind: str) -> None:
    assert "`seconds`" in KINDS[kind]
    with pytest.raises(hr.InputError, match="seconds is missing"):
        faults_of([kind])
    assert faults_of([f"{kind}:seconds=2"]) == [Fault(kind, seconds=2.0)]


def test_limits_timers_and_switches_are_set_in_words() -> None:
    words = {"connections": "2", "session": "60.5", "settle_twice": "true", "connects_per_minute": "none"}
    settings = with_settings(ExchangeSettings(timers=Timers(vanish=5.0)), words)
    assert settings == ExchangeSettings(
        limits=Limits(connections=2), timers=Timers(session=60.5, vanish=5.0), settle_twice=True
    )
    for name, value, told in (
        ("conections", "2", "no such limit, timer or switch; did you mean 'connections'"),
        ("zzz", "2", "expected one of backlog_bytes"),
        ("connections", "many", "connections is 'many'; expected a whole number"),
        ("settle", "-1", "expected 0 or more"),
        ("settle", "inf", "expected 0 or more"),
        ("settle", "soon", "settle is 'soon'; expected a number"),
        ("token_changes", "perhaps", "token_changes is 'perhaps'; expected true or false"),
    ):
        with pytest.raises(hr.InputError, match=told):
            with_settings(ExchangeSettings(), {name: value})


def test_a_schedule_of_faults_is_drawn_by_its_seed(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"

    def drawn(**changes: Any) -> list[Fault]:
        schedule = {
            "seed": 7,
            "minutes": 30,
            "per_minute": 4,
            "faults": ["stream.drop", {"kind": "http.lost"}],
            **changes,
        }
        path.write_text(json.dumps(schedule))
        return read_faults(path)

    found = drawn()
    assert found == drawn()
    assert found != drawn(seed=8)
    assert 60 < len(found) < 180
    assert {each.kind for each in found} == {"stream.drop", "http.lost"}
    times = [each.after for each in found]
    assert times == sorted(times)
    assert 0 < times[0] < times[-1] < 1_800
    path.write_text('[{"kind": "http.cut", "times": "always"}]')
    assert read_faults(path) == [Fault("http.cut", times=None)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is not JSON"),
        ('{"faults": []}', "not a schedule"),
        ('{"minutes": 1, "per_minute": 1, "faults": []}', "a schedule has faults"),
        ('{"minutes": 1e9, "per_minute": 1, "faults": ["http.cut"]}', "at most 10000"),
        ('["http.cat"]', "not a kind of fault"),
        ("7", "not a schedule"),
        ("[3]", "faults: found 3"),
        ("[null]", "faults: found None"),
        ('{"kind": "http.cut"}', r'expected such as \["stream.drop"\] or {"seed": 7, '),
    ],
)
def test_a_file_that_is_not_a_schedule_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "faults.json"
    path.write_text(text)
    with pytest.raises(hr.InputError, match=told) as refused:
        read_faults(path)
    assert str(path) in str(refused.value)


# -- the command -----------------------------------------------------------------------------------------------------


class Served:
    """`headrace exchange` as it runs, and what it has said."""

    def __init__(self, *words: object) -> None:
        self.process = subprocess.Popen(
            [TOOLS / "headrace", "exchange", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert self.process.stdout is not None
        self.said = ""
        while "Ctrl-C" not in self.said:
            line = self.process.stdout.readline()
            assert line, self.process.communicate(timeout=LIMIT)
            self.said += line

    def end(self, by: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(by)
        _, errors = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, errors


def test_the_command_serves_until_it_is_stopped(market: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    served = Served("--markets", market, "--account", "alice,currency=EUR", "--account", "bob", "--ledger", ledger)
    try:
        assert "username=alice  password=rehearsal  app_key=alice-key  currency=EUR" in served.said
        assert "username=bob" in served.said
        token = re.search(r"X-Rehearsal-Token: (\S+)", served.said)
        assert token is not None
        # The lines that it prints, as somebody pastes them.
        lines = served.said.partition("betfairlightweight:\n")[2].partition("flumine, with")[0].splitlines()
        code = "\n".join(line.removeprefix("    ") for line in lines)
        more = "client.login(); print(client.account.get_account_details().currency_code, "
        more += "client.streaming.create_stream().host)"
        ended = run_python(f"{code}\n{more}")
        assert ended.stdout == "EUR localhost\n", ended.stderr
    finally:
        code_of_end, errors = served.end(signal.SIGINT)
    assert (code_of_end, errors) == (130, "headrace: stopped\n")
    assert {json.loads(line)["kind"] for line in ledger.read_text().splitlines()} >= {"MARKET", "REQUEST", "REPLY"}


def test_the_command_says_what_it_plays_and_when_the_first_is_off(market: str, tmp_path: Path) -> None:
    folder = tmp_path / "markets"
    folder.mkdir()
    (folder / "1.0").write_text("hello\n")
    shutil.copy(market, folder / "1.1")
    certlogin, plain = free_ports(2)
    served = Served(
        *("--markets", folder, "--generate", 2, "--speed", 2, "--fault", "http.cut", "--fault", "stream.drop"),
        *("--certlogin-port", certlogin, "--plain-stream-port", plain),
    )
    first, faults = served.said.splitlines()[:2]
    _, errors = served.end(signal.SIGTERM)
    minutes, seconds = divmod(START // 2_000, 60)
    assert (
        first == f"playing        1 recording, off in {minutes}:{seconds:02d} min; 2 made-up markets at once; speed 2"
    )
    assert faults == "faults         2 set up: http.cut, stream.drop"
    assert re.search(rf"^certlogin +https://localhost:{certlogin}/api/$", served.said, re.MULTILINE)
    assert re.search(rf"^stream, plain +localhost:{plain}$", served.said, re.MULTILINE)
    assert "1.0, line 1: is not JSON" in errors
    assert errors.endswith("it is left out\n")


def test_the_command_ends_quietly_when_it_is_terminated() -> None:
    served = Served("--generate", "1", "--speed", "50", "--fault", "stream.drop:after=5")
    assert served.end(signal.SIGTERM) == (0, "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "nothing to play"),
        (("--markets", "none.bz2"), "no such file"),
        (("--markets", "*.nothing"), "matches no file"),
        (
            ("--generate", "1", "--speed", "fast"),
            "--speed is 'fast'; expected a number from 0.01 to 10000, max or step",
        ),
        (("--generate", "1", "--speed", "0"), "speed is 0.0"),
        (("--generate", "1", "--speed", "-2"), "speed is -2.0"),
        (("--generate", "1", "--speed", "nan"), "speed is nan"),
        (("--generate", "1", "--host", "192.0.2.1"), "cannot listen at 192.0.2.1"),
        (("--generate", "1", "--account", "alice,size=2"), "no 'size'"),
        (("--generate", "1", "--fault", "explode"), "not a kind of fault"),
        (("--generate", "1", "--faults", "none.json"), "none.json: No such file"),
        (("--generate", "1", "--ledger", "none/ledger"), "the ledger cannot be written"),
        (("--generate", "1", "--catalogues", "none"), "no such folder"),
        (("--generate", "1", "--set", "connections"), "expected NAME=VALUE"),
        (("--generate", "1", "--set", "conections=2"), "no such limit, timer or switch"),
        (("--generate", "1", "--set", "session=-1"), "session is -1.0; expected 0 or more"),
        (("--generate", "1", "--set", "heartbeat_ms=0"), "heartbeat_ms is 0; expected 10 or more"),
        (("--generate", "1", "--sport", "chess"), "chess"),
        (
            ("--markets", "x", "--sport", "tennis"),
            "headrace: --sport tennis: only made-up markets have it; say how many",
        ),
        (
            ("--generate", "1", "--before-start", "60"),
            "headrace: --before-start 60.0: only recordings have it; name some with --markets\n",
        ),
        (
            ("--generate", "1", "--port", "4444", "--certlogin-port", "4444"),
            "headrace: --port 4444 and --certlogin-port 4444: expected a port for each, or 0",
        ),
        (("--generate", "1", "--certificates", "/proc/none"), "certificates cannot be kept there"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(
    words: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = call("exchange", *words)
    assert ended.exit_code == 2
    assert told in ended.stderr
    assert ended.stderr.startswith("headrace: ")
    assert ended.stderr.count("\n") == 1


def test_a_recording_without_definition_and_a_port_in_use_are_one_sentence(tmp_path: Path, market: str) -> None:
    path = tmp_path / "1.1"
    path.write_text(json.dumps(Stream("1.1").touch(100).lines[1]) + "\n")
    ended = call("exchange", "--markets", path)
    assert (ended.exit_code, ended.stderr.count("\n")) == (2, 1)
    assert "has no market definition" in ended.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = call("exchange", "--markets", market, "--port", taken.getsockname()[1])
    assert (ended.exit_code, ended.stderr.count("\n")) == (2, 1)
    assert "in use" in ended.stderr


def test_times_are_those_of_now(tmp_path: Path) -> None:
    path = priced().close(START + 9_000).write(tmp_path / "1.100000001")
    with hr.RehearsalExchange(path, speed=20.0, before_start=100) as exchange:
        begin = time.time()
        client = exchange.client(lightweight=True)
        client.login()
        (found,) = client.betting.list_market_catalogue(market_projection=["MARKET_START_TIME"])
        assert found["marketId"] == "1.100000001"
        (state,) = exchange.state()["markets"]
        assert -LIMIT < state["seconds_to_start"] <= 20
        assert time.time() - begin < LIMIT


def test_what_waits_begins_when_somebody_asks_for_markets(tmp_path: Path) -> None:
    """A client that takes long to start misses nothing: recorded time begins to run only then."""
    path = priced().touch(60_000).write(tmp_path / "1.100000001")
    with hr.RehearsalExchange(path, speed=100.0, wait=True) as exchange:
        client = exchange.client()
        client.login_interactive()
        time.sleep(0.5)
        assert client.betting.list_market_catalogue(lightweight=True) == []
        waiting = exchange.state()
        assert (waiting["markets"], waiting["finished"], waiting["behind"]) == ([], False, 0.0)
        before = time.time()
        (listed,) = client.betting.list_market_catalogue(
            {"marketIds": ["1.100000001"]}, market_projection=["MARKET_START_TIME"], lightweight=True
        )
        off = datetime.datetime.fromisoformat(listed["marketStartTime"]).timestamp()
        assert before - 0.1 < off - START / 100_000 < time.time() + 0.1
        assert len(exchange.state()["markets"]) == 1
