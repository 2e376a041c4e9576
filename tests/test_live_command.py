"""`headrace live` and `headrace paper`: what they refuse, in one sentence and with exit code 2, and what they plan."""

from __future__ import annotations

import datetime
import socket
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from command import call
from headrace.actors.live.instance import Instance
from headrace.cli.live import run
from headrace.cli.live_plan import LivePlan, moment, plan_of
from processes import TOOLS
from processes import run as run_command

STRATEGY = """
import headrace as hr

class Backer(hr.Strategy):
    stake: float = 2.0

class Layer(hr.Strategy):
    stake: float = 2.0
"""
NOON = datetime.datetime(2026, 6, 3, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two strategies, in which no system runs, and no credentials in the environment."""
    (tmp_path / "backer.py").write_text(STRATEGY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    for name in ("USERNAME", "PASSWORD", "APP_KEY", "CERTS"):
        monkeypatch.delenv(f"BETFAIR_{name}", raising=False)
    return tmp_path


def planned(*words: str, paper: bool = False) -> LivePlan:
    """The plan of words of the command line."""
    options = dict(run.make_context("live", list(words)).params)
    options.pop("quiet")
    return plan_of(options.pop("words"), options, paper)


# -- what is planned -------------------------------------------------------------------------------------------------


def test_strategies_are_named_as_in_backtest() -> None:
    plan = planned("backer.py:Backer", "backer.py:Layer", "-p", "stake=5", "--reference", "desk")
    assert [(each.name, each.stake) for each in plan.strategies] == [  # type: ignore[attr-defined]
        ("Backer", 5.0),
        ("Layer", 5.0),
    ]
    assert plan.instance.reference == plan.config.customer_strategy_ref == "desk"
    assert plan.exchange is None
    assert plan.options == {}


def test_file_is_run_and_the_command_line_goes_before_it(desk: Path) -> None:
    (desk / "live.toml").write_text(
        '[headrace]\ncustomer_strategy_ref = "of-the-file"\nplace_latency = 0.5\ncancel_latency = 0.5\n'
        '[live]\nengine = "local"\non_stop = "leave"\nfiles = ["a"]\n[risk]\nmax_exposure = 5\n'
        '[[strategies]]\nclass = "backer.py:Layer"\n'
    )
    plan = planned("live.toml", "backer.py:Backer", "--engine=ray", "--file=b", "--set=place_latency=0.1")
    assert plan.options == {"engine": "ray", "on_stop": "leave", "files": ["a", "b"]}
    assert (plan.config.place_latency, plan.config.cancel_latency) == (0.1, 0.5)
    assert plan.instance.reference == "of-the-file"
    assert [each.name for each in plan.strategies] == ["Layer", "Backer"]
    assert plan.risk.max_exposure == 5.0
    assert planned("live.toml", "--reference", "mine").instance.reference == "mine"


def test_settings_are_of_the_environment_where_the_file_has_none(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_CUSTOMER_STRATEGY_REF", "of-the-shell")
    (desk / "live.toml").write_text('[[strategies]]\nclass = "backer.py:Layer"\n')
    assert planned("live.toml").instance.reference == "of-the-shell"


def test_accounts_of_a_rehearsal_are_those_of_the_file_and_need_no_credentials(desk: Path, one_market: str) -> None:
    (desk / "live.toml").write_text(
        '[[clients]]\nusername = "alice"\ncurrency_code = "EUR"\n[[clients]]\ncredentials = "not-there.toml"\n'
        '[[strategies]]\nclass = "backer.py:Layer"\n'
    )
    plan = planned("live.toml", "--rehearse", one_market, "--speed", "50")
    assert plan.exchange is not None
    assert plan.exchange.settings.speed == 50.0
    assert [(each.username, each.currency) for each in plan.exchange.accounts] == [
        ("alice", "EUR"),
        ("rehearsal2", "GBP"),
    ]
    with plan.exchange:
        clients: list[Any] = plan.clients()
        assert [(each.username, each.currency_code) for each in clients] == [("alice", "EUR"), ("rehearsal2", "GBP")]
        assert clients[0].places.api == f"{plan.exchange.addresses.url}exchange/"
        assert not any(each.paper_trade for each in clients)


def test_all_accounts_are_on_paper_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USERNAME", "PASSWORD", "APP_KEY"):
        monkeypatch.setenv(f"BETFAIR_{name}", name.lower())
    assert [each.paper_trade for each in planned("backer.py:Backer", paper=True).clients()] == [True]
    assert [each.paper_trade for each in planned("backer.py:Backer").clients()] == [False]


# -- until -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "hours"),
    [("13:30", 1.5), ("12:00", 24), ("11:59", 24 - 1 / 60), ("2026-06-03T13:00", 1), ("2026-06-03T13:00+00:00", 2)],
)
def test_until_is_the_next_such_time(text: str, hours: float) -> None:
    assert moment(text, NOON) - NOON == datetime.timedelta(hours=hours)


@pytest.mark.parametrize("text", ["half past", "25:00", "2026-06-03T11:59", "2026-13-01", ""])
def test_until_that_says_no_time_to_come_is_refused(text: str) -> None:
    with pytest.raises(hr.InputError, match=f"until='{text}': "):
        moment(text, NOON)


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-q"], "there is nothing to run: name a file, such as live.toml, or strategies"),
        (["live.toml"], "live.toml: No such file"),
        (["a.toml", "b.toml"], "a.toml and b.toml: give one file"),
        (["backer.py:Baker"], "backer.py has no strategy 'Baker'; did you mean Backer?"),
        (["backer.py:Backer", "-p", "stak=1"], "no parameter 'stak'; did you mean 'stake'?"),
        (["backer.py:Backer", "--reference", "sixteen-letters-"], "expected 1 to 15 characters, got 16"),
        (["backer.py:Backer", "--reference", "two words"], "the exchange does not take ' '"),
        (["backer.py:Backer", "--set", "place_latenci=1"], "no setting 'place_latenci'; did you mean 'place_latency'?"),
        (["backer.py:Backer", "--set", "engine=ray"], "--set engine: that is an option: --engine"),
        (["backer.py:Backer", "--speed", "2"], "--speed and --before-start are of a rehearsal"),
        (["backer.py:Backer", "--until", "25:00"], "until='25:00': expected such as 23:30"),
        (["backer.py:Backer", "--rehearse", "nothing/*.bz2"], "nothing/*.bz2"),
        (["backer.py:Backer", "--rehearse", "backer.py", "--speed", "0"], "speed is 0.0; expected 0.01 to 10000"),
        (["backer.py:Backer"], "BETFAIR_USERNAME, BETFAIR_PASSWORD and BETFAIR_APP_KEY are not set"),
    ],
)
@pytest.mark.parametrize("command", ["live", "paper"])
def test_slip_is_one_sentence_and_exit_code_2(command: str, words: list[str], message: str) -> None:
    ended = call(command, *words)
    assert ended.exit_code == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("headrace: ")
    assert message in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "live.toml: there are no strategies; add [[strategies]] with class = "),
        ("[live]\nengin = 1", "live.toml, [live]: 'engin' is not known; did you mean 'engine'?"),
        ('[[strategies]]\nclass = "backer.py:Baker"', "[[strategies]] 1 (Baker): "),
        ('[[strategies]]\nclass = "backer.py:Backer"\n' * 2, "two strategies are named 'Backer'"),
        ('[headrace]\ncustomer_strategy_ref = "sixteen-letters-"', "expected 1 to 15 characters, got 16"),
        ('[[strategies]]\nclass = "backer.py:Backer"\n[[clients]]\ncredentials = "alice.toml"', "run: chmod 600 alice"),
    ],
)
def test_slip_in_the_file_is_one_sentence_and_exit_code_2(text: str, message: str, desk: Path) -> None:
    (desk / "live.toml").write_text(text)
    (desk / "alice.toml").write_text('username = "alice"\npassword = "swordfish"\napp_key = "key"')
    (desk / "alice.toml").chmod(0o644)
    ended = call("live", "live.toml")
    assert ended.exit_code == 2
    (line,) = ended.stderr.splitlines()
    assert message in line
    assert "swordfish" not in ended.output


def test_reference_in_use_on_this_machine_is_refused(one_market: str) -> None:
    with Instance("desk"):
        ended = call("live", "backer.py:Backer", "--reference", "desk", "--rehearse", one_market)
    assert ended.exit_code == 2
    assert "customer_strategy_ref='desk' is in use on this machine by process" in ended.stderr


@pytest.mark.parametrize("command", ["status", "stop", "cancel-all"])
def test_what_does_not_run_is_not_asked(command: str) -> None:
    assert call("live", command).stderr == "headrace: no live system runs on this machine\n"
    assert call("live", command).exit_code == 2
    with Instance("desk"), Instance("other"):
        ended = call("live", command)
        assert "several live systems run on this machine; name one with --reference: desk, other" in ended.stderr
        ended = call("live", command, "--reference", "deks")
        assert "no live system with the reference 'deks' runs on this machine; running: desk, other" in ended.stderr
        assert ended.exit_code == 2


def test_system_that_starts_or_ends_is_not_waited_for() -> None:
    with Instance("desk"):
        ended = call("live", "status")
    assert ended.exit_code == 1
    assert "the live system 'desk' does not answer: it is starting, or ending" in ended.stderr


def test_help_of_live_tells_of_its_options_and_of_its_commands() -> None:
    text = call("live", "--help").output
    assert text == call("live", "-h").output
    assert text.startswith("Usage: headrace live") or text.startswith("Usage: main live")
    for word in ("--rehearse", "--until", "  status ", "  stop ", "  cancel-all ", "Example: headrace live"):
        assert word in text
    assert " run " not in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--webhook", "ftp://x"), "webhook='ftp://x': expected a URL such as https://hooks.example.com/headrace"),
        (("--record", "backer.py/session"), "record='backer.py/session': the folder cannot be made: "),
        (("--out", "full"), "full: exists and is not empty; name another folder for the result"),
    ],
)
def test_places_that_cannot_be_used_are_told_before_anything_runs(
    words: tuple[str, ...], message: str, desk: Path, one_market: str
) -> None:
    (desk / "full").mkdir()
    (desk / "full" / "x").touch()
    ended = run_command([TOOLS / "headrace", "live", "backer.py:Backer", "--rehearse", one_market, "--quiet", *words])
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith(f"headrace: {message}")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_port_in_use_is_told_before_anything_runs(engine: str, desk: Path, one_market: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = ("--rehearse", one_market, "--engine", engine, "--page-port", port, "--quiet")
        ended = call("live", "backer.py:Backer", *words)
    assert ended.exit_code == 2
    told = f"headrace: --page-port {port}: the page cannot be there: Address already in use; name another port, or 0"
    assert ended.stderr.splitlines()[-1].startswith(told)
    assert not (desk / "home").exists()
