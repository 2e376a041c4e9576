"""`headrace live` starts the process that runs the system, and starts it anew when that dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from builders import priced
from headrace.actors.live.control import ask
from headrace.actors.live.guard import Guard
from headrace.actors.live.instance import Instance
from headrace.cli import supervisor
from headrace.cli.supervisor import Supervisor
from headrace.strategies.errors import HeadraceError, InputError
from processes import LIMIT, TOOLS, environment, wait_until

STRATEGY = """
import headrace as hr


class Rester(hr.Strategy):
    def check_market_book(self, market, book):
        return book.status == "OPEN"

    def process_market_book(self, market, book):
        if not market.blotter.strategy_orders(self):
            trade = hr.Trade(market.market_id, 1, 0, self)
            market.place_order(trade.create_order(side="BACK", order_type=hr.LimitOrder(500.0, 2.0)))
"""


class Command:
    """The command as a user gives it, and the system that it runs."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.instance = Instance("guarded", folder / "home")
        command = [TOOLS / "headrace", "live", "rester.py:Rester", "--rehearse", "markets", "--reference", "guarded"]
        self.process = subprocess.Popen(
            [*command, "--engine", "local", "--no-page", "--quiet", *words],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(HEADRACE_HOME=str(folder / "home")),
        )

    @property
    def state(self) -> dict[str, Any]:
        """Of the system; empty while it does not answer."""
        try:
            return ask(self.instance, "STATE", {}, timeout=5)
        except HeadraceError:
            return {}

    def until(self, true: Callable[[dict[str, Any]], Any], seconds: float = 40) -> dict[str, Any]:
        """Wait until the state of the system is as it should be."""
        found: dict[str, Any] = {}

        def look() -> bool:
            nonlocal found
            found = self.state
            return bool(found and true(found)) or self.process.poll() is not None

        assert wait_until(look, seconds), found
        assert self.process.poll() is None, self.process.communicate(timeout=LIMIT)
        return found

    def ended(self) -> tuple[int, str, str]:
        said, errors = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, said, errors


def resting(state: dict[str, Any]) -> bool:
    return [order["status"] for order in state["orders"]] == ["EXECUTABLE"]


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    (tmp_path / "rester.py").write_text(STRATEGY)
    market = priced()
    for at in range(200, 600_000, 200):
        market.prices(at, {2: {"atl": [[1.9, 50 + at % 7]]}})
    market.write(tmp_path / "markets")
    return tmp_path


@pytest.fixture
def started(desk: Path) -> Iterator[Callable[..., Command]]:
    made: list[Command] = []

    def start(*words: str) -> Command:
        made.append(Command(desk, *words))
        return made[-1]

    yield start
    for each in made:
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate(timeout=LIMIT)


def test_driver_that_is_killed_is_followed_by_another_and_the_system_ends_in_order(
    started: Callable[..., Command], desk: Path
) -> None:
    command = started("--out", "result")
    first = command.until(resting)["pid"]
    assert first != command.process.pid
    os.kill(first, signal.SIGKILL)
    second = command.until(lambda state: state["pid"] != first and resting(state))["pid"]
    with pytest.raises(InputError, match="in use on this machine"):
        command.instance.hold()
    command.process.send_signal(signal.SIGTERM)
    code, _, errors = command.ended()
    assert code == 0, errors
    assert "the process of the system was killed by SIGKILL; it is started again" in errors
    assert not alive(second)
    assert command.instance.running() is None
    assert not (command.instance.folder / "guard").exists()
    manifest = json.loads((desk / "result" / "manifest.json").read_text())
    assert manifest["stopped"] == "SIGTERM"


# -- drivers of the test's own -----------------------------------------------------------------------------------------

#: Notes what it is told. What it does is in a file: a line for each life.
DRIVER = """
import json, os, signal, sys, time
from pathlib import Path
from headrace.cli.supervised import Line
from headrace.strategies.errors import InputError, RunError
line = Line.here()
told = line.supervision
with open("lives", "a") as notes:
    print(json.dumps([told.session, told.again, told.died_at, line.began_at, sys.argv[1:]]), file=notes)
what = Path("what").read_text().splitlines()[len(Path("lives").read_text().splitlines()) - 1]
asked = []
signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
with line.reporting():
    exec(what)
"""
DIES = "os.kill(os.getpid(), signal.SIGKILL)"
RUNS = "line.running(lambda: Path('alone').touch()); "
WAITS = "[time.sleep(0.01) for _ in range(2000) if not asked]; "


class Lives:
    """A supervisor in this process, and what its drivers have noted."""

    def __init__(self, folder: Path, *what: str) -> None:
        (folder / "what").write_text("\n".join(what))
        self.folder, self.instance = folder, Instance("lives", folder / "home")

    def run(self) -> int:
        with Supervisor(self.instance, ["live", "x.toml"], None) as made:
            return made.run()

    @property
    def noted(self) -> list[Any]:
        path = self.folder / "lives"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Lives]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(supervisor, "_COMMAND", DRIVER)
    return lambda *what: Lives(tmp_path, *what)


def test_driver_is_told_when_its_supervisor_has_died(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from headrace.cli import supervisor; "
        "from headrace.cli.supervisor import Supervisor; from headrace.actors.live.instance import Instance; "
        "supervisor._COMMAND = sys.argv[1]; Supervisor(Instance('lives', Path('home')), [], None).run()"
    )
    (tmp_path / "what").write_text(f"{RUNS}[time.sleep(0.01) for _ in range(2000) if not Path('alone').exists()]")
    process = subprocess.Popen([sys.executable, "-c", code, DRIVER], cwd=tmp_path, env=environment())
    assert wait_until((tmp_path / "lives").exists, 20)
    time.sleep(0.2)
    process.kill()
    process.wait(LIMIT)
    assert wait_until((tmp_path / "alone").exists, 10)


def test_each_driver_is_told_the_session_and_whether_there_was_one_before(
    lives: Callable[..., Lives], capfd: pytest.CaptureFixture[str]
) -> None:
    began = time.time()
    made = lives(f"{RUNS}{DIES}", DIES, f"{RUNS}sys.exit(1)")
    assert made.run() == 1
    first, second, third = made.noted
    assert first[0] == second[0] == third[0] != ""
    assert [each[1] for each in (first, second, third)] == [False, True, True]
    assert first[2] == 0 < began < second[2] < third[2]
    assert first[3] == second[3] == third[3]
    assert first[4] == ["live", "x.toml"]
    assert capfd.readouterr().err.splitlines() == [
        "headrace: the process of the system was killed by SIGKILL; it is started again"
    ] * 2  # fmt: skip
    assert made.instance.running() is None


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("pass", 0),
        ("sys.exit(3)", 3),
        ("raise KeyboardInterrupt", 130),
        ("sys.exit(2)", 2),
        (f"{RUNS}line.stopping(); raise RunError('the result cannot be written')", 1),
        (f"{RUNS}line.stopping(); raise InputError('no such folder')", 2),
    ],
)
def test_driver_that_ends_as_it_should_is_not_started_again(what: str, code: int, lives: Callable[..., Lives]) -> None:
    made = lives(what)
    assert made.run() == code
    assert len(made.noted) == 1


def test_driver_that_fails_before_the_system_runs_is_not_started_again(lives: Callable[..., Lives]) -> None:
    made = lives("raise RunError('no such account')")
    assert made.run() == 1
    assert len(made.noted) == 1


def test_driver_that_fails_while_the_system_runs_is_started_again(lives: Callable[..., Lives]) -> None:
    made = lives(f"{RUNS}raise RunError('a defect')", "pass")
    assert made.run() == 0
    assert [again for _, again, *_ in made.noted] == [False, True]


def test_driver_that_dies_again_and_again_at_its_start_is_given_up(
    lives: Callable[..., Lives], capfd: pytest.CaptureFixture[str]
) -> None:
    made = lives(*[DIES] * 6)
    assert made.run() == 1
    assert len(made.noted) == 5
    assert capfd.readouterr().err.splitlines()[-1] == (
        "headrace: the process of the system was killed by SIGKILL, 5 times within 10 s: given up"
    )


def test_signal_is_passed_on(lives: Callable[..., Lives]) -> None:
    made = lives(f"{RUNS}os.kill(os.getppid(), signal.SIGTERM); {WAITS}sys.exit(len(asked))")
    assert made.run() == 1


def test_signal_that_comes_while_there_is_no_driver_is_for_the_next_one_once_it_runs(
    lives: Callable[..., Lives],
) -> None:
    dies = f"{RUNS}os.kill(os.getppid(), signal.SIGTERM); {DIES}"
    made = lives(dies, f"time.sleep(0.2); early = len(asked); {RUNS}{WAITS}sys.exit(10 * early + len(asked))")
    assert made.run() == 1
    assert len(made.noted) == 2


def test_signal_before_the_system_has_run_ends_it(lives: Callable[..., Lives]) -> None:
    made = lives("signal.signal(signal.SIGTERM, signal.SIG_DFL); os.kill(os.getppid(), signal.SIGTERM); time.sleep(20)")
    assert made.run() == 128 + signal.SIGTERM
    assert len(made.noted) == 1


# -- the guard of an instance ------------------------------------------------------------------------------------------


def test_guarded_instance_is_refused_to_others_and_held_by_whom_it_is_guarded_for(tmp_path: Path) -> None:
    guard = Guard(Instance("desk", tmp_path))
    with pytest.raises(InputError, match="in use on this machine"):
        Instance("desk", tmp_path).hold()
    with pytest.raises(InputError, match="in use on this machine"):
        Guard(Instance("desk", tmp_path))
    held = Instance("desk", tmp_path)
    held.hold(guarded=True)
    running = Instance("desk", tmp_path).running()
    assert running is not None
    assert running.pid == os.getpid()
    held.release()
    assert Instance("desk", tmp_path).running() is not None, "it may be held anew"
    guard.release()
    assert Instance("desk", tmp_path).running() is None
    assert list(tmp_path.iterdir()) == []


def test_guarding_what_is_held_is_refused(tmp_path: Path) -> None:
    with Instance("desk", tmp_path) as held, pytest.raises(InputError, match="in use on this machine"):
        Guard(Instance(held.reference, tmp_path))


def test_what_a_former_holder_has_told_is_known_to_the_next(tmp_path: Path) -> None:
    began = time.time()
    guard = Guard(Instance("desk", tmp_path))
    first = Instance("desk", tmp_path)
    first.hold(guarded=True, mailboxes="/there")
    lock, first._lock = first._lock, None  # as if its process had died
    assert lock is not None
    os.close(lock)
    second = Instance("desk", tmp_path)
    second.hold(guarded=True)
    assert second.before.note == {"mailboxes": "/there"}
    assert second.before.started_at >= int(began * 1000)
    second.release()
    guard.release()
