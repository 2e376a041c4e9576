"""`headrace live status`, `stop` and `cancel-all`: what they ask of a running system, and what they wait for."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command import call
from control_desks import desk
from headrace.actors.live.instance import Instance

STARTING_PRICE = {
    "order_id": "1",
    "market_id": "1.100000001",
    "selection_id": 7,
    "side": "LAY",
    "order_type": "MARKET_ON_CLOSE",
    "liability": 10.0,
    "bet_id": "300",
    "why": "it waits for the starting price",
}


class System:
    """Answers as a running system does, and keeps what it was asked.

    Args:
        steps: what `cancelling` of its state is after a question that cancels, one after the other; the last one stays.
        ends: it ends once these have been told.
    """

    def __init__(self, steps: list[dict[str, Any]], ends: bool = False) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.ended = threading.Event()
        self._steps = steps
        self._ends = ends
        self._at = 0

    def answer(self, what: str, values: dict[str, Any]) -> dict[str, Any]:
        if what != "STATE":
            self.asked.append((what, values))
            return {}
        state: dict[str, Any] = {"at": 1_795_900_000_000, "reference": "desk", "markets": [], "orders": []}
        if self.asked:
            state["cancelling"] = self._steps[min(self._at, len(self._steps) - 1)]
            self._at += 1
            if self._ends and self._at >= len(self._steps):
                self.ended.set()
        return state


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    monkeypatch.setattr("headrace.cli.live_questions._LOOK_S", 0.01)


@contextlib.contextmanager
def running(system: System) -> Iterator[None]:
    """A system that runs, until the block ends or it ends itself."""
    with contextlib.ExitStack() as stack:
        held = stack.enter_context(Instance("desk"))
        held.tell(page="http://127.0.0.1:9/?token=t")
        stack.enter_context(desk(held, system.answer))

        def end() -> None:
            if system.ended.wait(60):
                held.release()

        thread = threading.Thread(target=end, daemon=True)
        thread.start()
        yield
        system.ended.set()
        thread.join(10)


def test_status_shows_the_system_that_runs_and_where_its_page_is() -> None:
    with running(System([])):
        lines = call("live", "status").output.splitlines()
        assert lines[0] == "page: http://127.0.0.1:9/?token=t"
        assert lines[1].startswith("desk  21:06:40 UTC  0 markets, 0 live orders")
        assert call("live", "status", "--reference", "desk").exit_code == 0


def test_status_as_json_is_the_state_itself() -> None:
    with running(System([])):
        found = json.loads(call("live", "status", "--json").output)
    assert found == {"at": 1_795_900_000_000, "reference": "desk", "markets": [], "orders": []}


def test_cancel_all_says_done_only_when_no_order_is_open() -> None:
    system = System([{"done": False, "open": 2}, {"done": False, "open": 1}, {"done": True, "open": 0, "left": []}])
    with running(system):
        ended = call("live", "cancel-all")
    assert ended.exit_code == 0
    assert ended.output.startswith("done: no order is open")
    assert system.asked == [("CANCEL_ALL", {"why": "headrace live cancel-all", "whole_account": False})]
    assert system._at == 3


def test_cancel_all_lists_what_cannot_be_cancelled() -> None:
    with running(System([{"done": True, "open": 0, "left": [STARTING_PRICE]}])):
        ended = call("live", "cancel-all")
    assert ended.stderr.splitlines() == [
        "1 cannot be cancelled:",
        "  1.100000001 7 LAY MARKET_ON_CLOSE 10.0, bet 300: it waits for the starting price",
    ]


@pytest.mark.parametrize("command", ["cancel-all", "stop"])
def test_bets_that_the_exchange_does_not_cancel_are_listed_and_are_exit_code_1(command: str) -> None:
    refused = STARTING_PRICE | {"order_type": "LIMIT", "why": "it is refused with PERMISSION_DENIED"}
    with running(System([{"done": True, "open": 0, "left": [refused]}] * 2, ends=command == "stop")):
        ended = call("live", command)
    assert ended.exit_code == 1
    assert ended.stderr.splitlines()[-2:] == [
        "  1.100000001 7 LAY LIMIT 10.0, bet 300: it is refused with PERMISSION_DENIED",
        "headrace: the exchange does not cancel 1 bets: they rest there; look at the account",
    ]


def test_cancel_all_that_takes_too_long_is_exit_code_1() -> None:
    with running(System([{"done": False, "open": 2}])):
        ended = call("live", "cancel-all", "--timeout", "0.1")
    assert ended.exit_code == 1
    assert ended.stderr == (
        "headrace: not all is cancelled within 0.1 seconds: 2 orders are open; it goes on cancelling\n"
    )


def test_whole_account_is_asked_for_once_more() -> None:
    system = System([{"done": True}])
    with running(system):
        ended = call("live", "cancel-all", "--whole-account", input="n\n")
        assert (ended.exit_code, system.asked) == (1, [])
        assert "also those placed elsewhere or by hand?" in ended.stderr
        assert call("live", "cancel-all", "--whole-account", input="y\n").exit_code == 0
        assert call("live", "cancel-all", "--whole-account", "--yes").exit_code == 0
    assert [values["whole_account"] for _, values in system.asked] == [True, True]


def test_stop_waits_until_the_system_has_ended() -> None:
    system = System([{"done": False, "open": 1}, {"done": True, "open": 0, "left": [STARTING_PRICE]}], ends=True)
    with running(system):
        ended = call("live", "stop")
    assert (ended.exit_code, ended.stdout) == (0, "desk: stopped\n")
    assert "1 cannot be cancelled" in ended.stderr
    assert system.asked == [("STOP", {"why": "headrace live stop"})]


def test_stop_leaves_orders_where_it_is_told_to() -> None:
    system = System([{}], ends=True)
    with running(system):
        assert call("live", "stop", "--leave").exit_code == 0
    assert system.asked == [("STOP", {"why": "headrace live stop", "leave": True})]


def test_stop_of_a_system_that_does_not_end_is_exit_code_1() -> None:
    with running(System([{"done": False, "open": 3}])):
        ended = call("live", "stop", "--timeout", "0.1")
    assert ended.exit_code == 1
    assert "'desk' has not ended within 0.1 seconds: 3 orders are open; it goes on stopping" in ended.stderr


def test_a_system_that_was_cut_short_is_named_where_none_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    for name, file in {"desk": "session.json", "rehearsed": "session-rehearsal.json", "ended": "risk.json"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / file).touch()
    told = "desk was cut short, and its orders may rest at the exchange: start it again with the same command"
    for words in (("status",), ("stop", "--reference", "desk")):
        ended = call("live", *words)
        assert ended.exit_code == 2
        assert told in ended.stderr
    assert "cut short" not in call("live", "status", "--reference", "ended").stderr
