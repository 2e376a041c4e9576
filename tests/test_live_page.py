"""The page of a live system: who is answered, what is asked for it, and what it passes on."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import headrace as hr
from headrace.actors.page import page_role, page_server
from headrace.actors.page.page_role import PageRole
from headrace.actors.shells.thread_engine import ThreadEngine
from live_states import TellingCoordinator, market, state

TOKEN = "the-token-of-this-system"


class Running:
    """A page and its coordinator, as threads."""

    def __init__(self, metrics: Callable[[], Callable[[dict[str, Any]], object]] | None = None) -> None:
        self.coordinator = TellingCoordinator()
        self._engine = ThreadEngine()
        self._engine.start("c", lambda: self.coordinator)
        self._engine.start("page", lambda: PageRole(0, TOKEN, metrics))
        self._engine.ready("page", 20)
        until(lambda: self.coordinator.hello is not None)
        assert self.coordinator.hello is not None
        self.url = self.coordinator.hello.url
        self.port = int(self.url.rstrip("/").rpartition(":")[2])

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    @contextlib.contextmanager
    def looking(self) -> Iterator[Callable[[], dict[str, Any]]]:
        """Look at the states: what is given reads the next one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", f"/events?token={TOKEN}")
            answer = connection.getresponse()

            def following() -> dict[str, Any]:
                while not (line := answer.readline()).startswith(b"data: "):
                    assert line
                found: dict[str, Any] = json.loads(line[6:])
                return found

            yield following

    def close(self) -> tuple[str, ...]:
        return self._engine.close()


def until(holds: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(page_role, "_EVERY_MS", 50)
    monkeypatch.setattr(page_role, "_PATIENCE_MS", 500)
    monkeypatch.setattr(page_server, "_ANSWERS_S", 0.5)
    running = Running()
    yield running
    assert running.close() == ()


BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", f"/?token={TOKEN}", {}, 200),
        ("GET", "/", BEARER, 200),
        ("GET", "/", {}, 401),
        ("GET", "/?token=", {}, 401),
        ("GET", f"/?token={TOKEN}x", {}, 401),
        ("GET", f"/?token={TOKEN[:-1]}", {}, 401),
        ("GET", "/?token=%C3%A9%F0%9F%98%80", {}, 401),
        ("GET", "/", {"Authorization": "Bearer wrong"}, 401),
        ("GET", "/events", {}, 401),
        ("GET", "/state", {}, 401),
        ("GET", f"/nothing?token={TOKEN}", {}, 404),
        ("GET", "/stop", BEARER, 404),
        ("POST", "/stop", {}, 401),
        # A form of another site could send this, if it knew the token.
        ("POST", f"/stop?token={TOKEN}", {}, 401),
        ("GET", f"/?token={TOKEN}", {"Host": "attacker.example"}, 421),
        ("GET", f"/?token={TOKEN}", {"Host": "127.0.0.1"}, 421),
        # A page of another site, whatever it knows.
        ("GET", f"/state?token={TOKEN}", {"Origin": "https://attacker.example"}, 403),
        ("POST", "/stop", {**BEARER, "Origin": "https://attacker.example"}, 403),
        ("POST", "/stop", {**BEARER, "Origin": "null"}, 403),
        ("OPTIONS", "/stop", {"Origin": "https://attacker.example"}, 403),
    ],
)
def test_only_who_knows_the_token_and_the_address_is_answered(
    running: Running, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    assert running.ask(path, method, **headers)[0] == status
    assert running.coordinator.stops == []


def test_it_listens_on_this_machine_only(running: Running) -> None:
    assert running.url == f"http://127.0.0.1:{running.port}/"
    with socket.socket() as other:
        # Another of this machine's own addresses: nobody is there.
        assert other.connect_ex(("127.0.0.2", running.port)) != 0


def test_states_come_as_they_change_and_the_coordinator_is_asked_only_while_somebody_looks(running: Running) -> None:
    time.sleep(0.2)
    assert running.coordinator.asked == 0
    with running.looking() as following:
        assert following()["markets"][1]["live"] == 2
        running.coordinator.state = state(markets=[market(9, live=7)])
        until(lambda: following()["markets"][0]["live"] == 7)
    until(lambda: not threads_busy_asking(running))


def threads_busy_asking(running: Running) -> bool:
    asked = running.coordinator.asked
    time.sleep(0.2)
    return running.coordinator.asked > asked


def test_one_state_is_told_to_programs(running: Running) -> None:
    status, body = running.ask("/state", Authorization=f"bearer {TOKEN}")
    assert (status, json.loads(body)["reference"]) == (200, "trader1")
    running.coordinator.state = None
    assert running.ask("/state", **BEARER) == (503, "The coordinator does not answer\n")


def test_the_stop_switch_reaches_the_coordinator(running: Running) -> None:
    own = f"http://127.0.0.1:{running.port}"
    assert running.ask("/stop", "POST", **BEARER, Origin=own) == (202, "Stopping")
    until(lambda: running.coordinator.stops)
    assert running.coordinator.stops == ["STOP: the stop switch of the page"]


def test_a_question_that_is_not_answered_is_asked_again_and_not_heaped_up(running: Running) -> None:
    running.coordinator.state = None
    with running.looking() as following:
        time.sleep(0.3)
        assert running.coordinator.asked == 1
        running.coordinator.state = state(reference="later")
        assert following()["reference"] == "later"


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        engine = ThreadEngine()
        engine.start("page", lambda: PageRole(port, TOKEN))
        with pytest.raises(hr.RunError, match=f"page_port={port}: the page cannot be there: Address already in use;"):
            engine.ready("page", 20)
        engine.close()


def test_many_who_look_are_told_and_all_are_gone_when_it_ends() -> None:
    running = Running()
    before = {thread.name for thread in threading.enumerate()}
    assert "page" in before
    with contextlib.ExitStack() as stack:
        following = [stack.enter_context(running.looking()) for _ in range(12)]
        assert {each()["instance"] for each in following} == {"i-3f2a"}
        assert running.close() == ()
    assert not {"page", "c"} & {thread.name for thread in threading.enumerate()}
    with socket.socket() as gone:
        assert gone.connect_ex(("127.0.0.1", running.port)) != 0


def test_metrics_are_kept_without_anybody_looking() -> None:
    told: list[dict[str, Any]] = []
    running = Running(lambda: told.append)
    until(lambda: told)
    assert told[0]["reference"] == "trader1"
    assert running.close() == ()
