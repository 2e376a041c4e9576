"""Engines of live trading: roles are started, stopped, killed, and their ends are told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from headrace.actors.letters import Ask, Gone, Hello, Letter, Stop, Told
from headrace.actors.mailboxes.mail import Mail
from headrace.actors.shells.engine import Engine
from headrace.actors.shells.thread_engine import ThreadEngine
from headrace.strategies.errors import RunError
from live_roles import Answering, Failing, Gathering, Noting, until


class Local:
    """An engine, with a coordinator that a test can look into."""

    def __init__(self) -> None:
        self.ended: list[Gone] = []
        self.engine: Engine = ThreadEngine(self.ended.append)
        self.coordinator = Gathering()
        self.engine.start("c", lambda: self.coordinator)
        self.engine.ready("c", 10)

    def received(self, kind: type[Letter]) -> list[Letter]:
        return [each[1] for each in self.coordinator.seen if isinstance(each, tuple) and isinstance(each[1], kind)]


@pytest.fixture
def local() -> Iterator[Local]:
    made = Local()
    yield made
    made.engine.close(2.0)


def test_a_role_that_starts_knows_the_coordinator(local: Local) -> None:
    address = local.engine.start("h1", lambda: Answering("h1"))
    until(lambda: local.received(Hello))
    assert [hello.address for hello in local.received(Hello) if isinstance(hello, Hello)] == [address]
    assert local.engine.alive() == {"c", "h1"}


def test_a_role_takes_letters_in_turns(local: Local) -> None:
    role = Noting("h1")
    local.engine.start("h1", lambda: role)
    local.engine.ready("h1", 10)
    local.engine.stop("h1", "enough")
    until(lambda: "stop" in role.seen)
    assert role.seen == ["start", ("h1", Stop("enough")), "caught up", "stop"]


def test_a_role_wakes_when_it_wants_to(local: Local) -> None:
    role = Noting("h1")
    role.next_ms = time.time() * 1000 + 30
    local.engine.start("h1", lambda: role)
    until(lambda: "wake" in role.seen)
    assert "caught up" not in role.seen


def test_the_coordinator_is_told_when_a_role_has_ended_as_it_was_asked(local: Local) -> None:
    local.engine.start("h1", lambda: Noting("h1"), 3)
    local.engine.stop("h1")
    until(local.coordinator.gone)
    assert local.coordinator.gone() == local.ended == [Gone("h1", "", 3)]
    assert local.engine.alive() == {"c"}


def test_the_coordinator_is_told_why_a_role_could_not_start(local: Local) -> None:
    local.engine.start("h1", lambda: Failing("h1"))
    until(local.coordinator.gone)
    assert local.coordinator.gone() == [Gone("h1", "OSError: no such exchange")]
    with pytest.raises(RunError, match="h1 has ended: OSError: no such exchange"):
        local.engine.ready("h1", 1)


def test_a_turn_that_fails_does_not_end_its_role(local: Local) -> None:
    role = Answering("h1")
    local.engine.start("h1", lambda: role)
    local.engine.ready("h1", 10)
    role.mail.put(Ask("raise", "c", ""))
    role.mail.put(Ask("echo", "c", "", b'"still here"'))
    until(lambda: local.received(Told))
    assert local.received(Told) == [Told("echo", b'"still here"')]


def test_a_role_may_end_by_itself(local: Local) -> None:
    role = Answering("h1")
    local.engine.start("h1", lambda: role)
    local.engine.ready("h1", 10)
    role.mail.put(Ask("end", "c", ""))
    until(local.coordinator.gone)
    assert local.coordinator.gone() == [Gone("h1")]


def test_a_name_that_runs_cannot_be_started_again_but_one_that_was_killed_can(local: Local) -> None:
    first = local.engine.start("h1", lambda: Noting("h1"))
    with pytest.raises(RunError, match="h1 is open already"):
        local.engine.start("h1", lambda: Noting("h1"), 1)
    local.engine.kill("h1")
    assert local.engine.start("h1", lambda: Noting("h1"), 1) != first


def test_a_role_that_was_killed_in_a_long_call_sends_nothing_more_and_is_not_told(local: Local) -> None:
    role = Answering("h1")
    local.engine.start("h1", lambda: role)
    local.engine.ready("h1", 10)
    role.mail.put(Ask("sleep", "c", ""))
    until(lambda: len(role.seen) > 1)
    local.engine.kill("h1")
    assert local.engine.alive() == {"c"}
    until(lambda: "stop" in role.seen)
    assert not local.received(Told)
    assert not local.coordinator.gone()


def test_close_ends_everything_the_coordinator_last_and_names_what_had_to_be_killed() -> None:
    local = Local()
    role = Answering("h1")
    local.engine.start("h1", lambda: role)
    local.engine.start("h2", lambda: Noting("h2"))
    local.engine.ready("h1", 10)
    role.mail.put(Ask("sleep", "c", ""))
    until(lambda: len(role.seen) > 1)
    assert local.engine.close(0.2) == ("h1",)
    assert local.coordinator.gone() == [Gone("h2")]
    assert local.ended[-1] == Gone("c")
    assert not local.engine.alive()
    with pytest.raises(RunError, match="the engine is closed"):
        local.engine.start("h3", lambda: Noting("h3"))
    until(lambda: not [thread for thread in threading.enumerate() if thread.name in {"c", "h1", "h2"}])


def test_what_is_not_there_can_be_stopped_and_killed_but_not_waited_for(local: Local) -> None:
    local.engine.stop("h9")
    local.engine.kill("h9")
    with pytest.raises(RunError, match="h9 was not started"):
        local.engine.ready("h9", 1)


def test_a_role_that_takes_long_to_start_is_told_to_whoever_waits(local: Local) -> None:
    class Slow(Noting):
        def start(self, mail: Mail) -> None:
            time.sleep(0.3)

    local.engine.start("h1", lambda: Slow("h1"))
    with pytest.raises(RunError, match=r"h1 has not started within 0\.05 s"):
        local.engine.ready("h1", 0.05)
