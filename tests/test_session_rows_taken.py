"""Rows of a session on their way to the file: each letter once and in order, whoever dies and whatever is full."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from headrace.actors.letters import Introduce, RowsTaken, Stop
from headrace.actors.live.alerts import Alerts
from headrace.actors.live.rows_desk import RowsDesk
from headrace.actors.live.rows_file import RowsReader, unpacked
from headrace.actors.live.rows_outbox import RowsOutbox
from headrace.actors.mailboxes.mail import Waiting
from limits import most_bytes


class Post:
    """Letters that were sent, to whom."""

    name = "h1"

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def send(self, to: str, letter: Any, droppable: bool = False) -> None:
        self.sent.append((to, letter))

    def taken(self) -> list[Any]:
        """Letters since the last time."""
        sent, self.sent = self.sent, []
        return [letter for _, letter in sent]


class Wires:
    """A host's outbox, and coordinators' desks that write one file, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "rows.bin"
        self.there, self.back = Post(), Post()
        self.outbox = RowsOutbox(self.there, "c")  # type: ignore[arg-type]
        self.alerts = Alerts(None, "desk", lambda: 0)
        self.restart()

    def restart(self) -> None:
        """A coordinator is killed, and its successor starts."""
        if hasattr(self, "desk"):
            self.desk.crash()
        self.desk = RowsDesk(self.path, self.alerts, self.back.send)

    def put(self, number: int) -> None:
        self.outbox.put({"records": [(number,)]})

    def carry(self, letters: bool = True, answers: bool = True) -> None:
        """Bring what was sent to the other side, or lose it."""
        for letter in self.there.taken():
            if letters:
                self.desk.take(letter)
        for letter in self.back.taken():
            if answers:
                self.outbox.taken(letter)

    @property
    def written(self) -> list[int]:
        return [row[0] for data in RowsReader(self.path) for row in unpacked(data)["records"]]


def test_rows_whose_answer_was_lost_with_a_coordinator_are_written_once(tmp_path: Path) -> None:
    wires = Wires(tmp_path)
    wires.put(1)
    wires.carry(answers=False)  # written, and nobody heard of it
    wires.put(2)
    wires.carry(letters=False)  # lost with the coordinator
    wires.restart()
    wires.put(3)
    wires.outbox.again()
    wires.carry()
    assert wires.written == [1, 2, 3]
    assert len(wires.outbox) == 0


def test_a_host_that_is_started_anew_is_another_source(tmp_path: Path) -> None:
    wires = Wires(tmp_path)
    wires.put(1)
    wires.carry()
    wires.outbox = RowsOutbox(wires.there, "c")  # type: ignore[arg-type]
    wires.put(2)
    wires.carry()
    assert wires.written == [1, 2]


def test_rows_wait_for_a_disk_with_room(tmp_path: Path) -> None:
    wires = Wires(tmp_path)
    wires.put(1)
    wires.carry()
    with most_bytes(wires.path.stat().st_size + 20):
        wires.put(2)
        wires.desk.put({"records": [(100,)]})
        wires.put(3)
        wires.carry()
        assert wires.written == [1]
    assert [each.kind for each in wires.alerts.events] == ["ROWS"]
    for at_ms in (0, 4_000, 5_000):
        wires.outbox.look(at_ms)
    wires.desk.look()
    wires.carry()
    assert wires.written == [1, 100, 2, 3]
    assert [each.text for each in wires.alerts.events][-1] == "rows of the result can be written again"


def test_rows_that_the_file_has_lost_do_not_hold_up_the_next_ones(tmp_path: Path) -> None:
    wires = Wires(tmp_path)
    for number in (1, 2):
        wires.put(number)
        wires.carry()
    wires.restart()
    os.truncate(wires.path, 0)
    wires.put(3)
    wires.carry()
    assert wires.written == [3]


@settings_of(max_examples=100, deadline=None)
@given(steps=st.lists(st.sampled_from(["put", "lose letters", "lose answers", "carry", "restart"]), max_size=30))
def test_whatever_is_lost_each_letter_is_written_once_and_in_order(
    steps: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    wires, count = Wires(tmp_path_factory.mktemp("rows")), 0
    for step in [*steps, "restart", "carry"]:
        if step == "put":
            count += 1
            wires.put(count)
        elif step == "restart":
            wires.restart()
            wires.outbox.again()
        else:
            wires.carry(step != "lose letters", step != "lose answers")
    wires.desk.close()
    assert wires.written == list(range(1, count + 1))
    assert len(wires.outbox) == 0


class Inbox(Post):
    """A host's mail whose letters come when it waits, one batch at a time; then it is closed."""

    def __init__(self, *batches: list[Any]) -> None:
        super().__init__()
        self.batches, self.known = list(batches), dict[str, str]()

    def know(self, name: str, address: str) -> None:
        self.known[name] = address

    def wait(self, seconds: float) -> Waiting:
        return Waiting([("c", letter) for letter in (self.batches.pop(0) if self.batches else [])])


def test_a_host_that_ends_sends_its_rows_to_the_coordinator_that_comes_meanwhile() -> None:
    mail = Inbox()
    outbox = RowsOutbox(mail, "c")  # type: ignore[arg-type]
    outbox.put({"records": [(1,)]})
    (letter,) = mail.taken()
    mail.batches += [[Introduce("c", "")], [Introduce("c", "anew")], [RowsTaken(letter.source, 1)], [Stop()]]
    outbox.see_written(60.0)
    assert mail.taken() == [letter]
    assert mail.known == {"c": "anew"}
    assert len(outbox) == 0
    assert mail.batches == [[Stop()]]


def test_a_host_whose_mail_is_closed_does_not_wait() -> None:
    outbox = RowsOutbox(Inbox(), "c")  # type: ignore[arg-type]
    outbox.put({"records": [(1,)]})
    began = time.monotonic()
    outbox.see_written(60.0)
    assert time.monotonic() - began < 10.0
    assert len(outbox) == 1


def test_what_the_coordinator_counts_is_told_now_and_then_and_adds_up(tmp_path: Path) -> None:
    wires, counted = Wires(tmp_path), [0]

    def counts() -> dict[str, list[tuple[int, ...]]]:
        told, counted[0] = counted[0], 0
        return {"records": [(told,)] if told else []}

    wires.desk.counts = counts
    for at_ms in range(10_000, 35_000, 1_000):
        counted[0] += 1
        wires.desk.tell(at_ms)
    assert wires.written == [1, 10, 10]
    wires.desk.tell()
    assert wires.written == [1, 10, 10, 4]
