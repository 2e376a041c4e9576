"""For tests of live actors: a mail that collects letters, and a way to run a role without an engine."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from headrace.actors.letters import Letter, Stop
from headrace.actors.mailboxes.mail import Waiting
from headrace.actors.role import Role, guarded
from headrace.actors.streaming.stream_place import StreamPlace

_Kind = TypeVar("_Kind")


class FakeMail:
    """A mail whose letters to others are kept in `sent`, and whose inbox tests fill with `deliver`.

    Attributes:
        sent: receiver and letter, in order.
        known: addresses by name; letters to others than the coordinator and these are not taken.
        full: names of receivers that are too slow: what is droppable is left out.
        answers: called with receiver and letter for each letter that is sent; what it returns comes back from there.
        told_aside: what other threads of the actor have sent.
    """

    def __init__(self, name: str = "s1", answers: Callable[[str, Letter], Letter | None] | None = None) -> None:
        self.name = name
        self.incarnation = 0
        self.address = f"fake:{name}"
        self.stopped = False
        self.sent: list[tuple[str, Letter]] = []
        self.known: dict[str, str] = {"c": "fake:c"}
        self.full: set[str] = set()
        self.answers = answers
        self.told_aside: list[Letter] = []
        self.inbox: list[tuple[str, Letter]] = []
        self.files: dict[Any, Callable[[], object]] = {}
        self.closed = False

    def know(self, name: str, address: str) -> None:
        self.known[name] = address

    def forget(self, name: str) -> None:
        self.known.pop(name, None)

    def send(self, name: str, letter: Letter, droppable: bool = False) -> bool:
        if name not in self.known or (droppable and name in self.full):
            return False
        self.sent.append((name, letter))
        answer = self.answers(name, letter) if self.answers is not None else None
        if answer is not None:
            self.deliver(answer, name)
        return True

    def put(self, letter: Letter) -> None:
        self.deliver(letter, self.name)

    def aside(self, name: str, letter: Letter) -> bool:
        self.told_aside.append(letter)
        return True

    def deliver(self, letter: Letter, sender: str = "c") -> None:
        """A letter comes."""
        self.inbox.append((sender, letter))

    def watch(self, file: Any, ready: Callable[[], object] | None) -> None:
        if ready is None:
            self.files.pop(file, None)
        else:
            self.files[file] = ready

    def wait(self, seconds: float) -> Waiting:
        letters, self.inbox = self.inbox, []
        found = select.select(list(self.files), [], [], 0.0 if letters else min(seconds, 0.02))[0] if self.files else []
        if not self.files and not letters:
            time.sleep(min(seconds, 0.02))
        return Waiting(letters, (), [self.files[file] for file in found if file in self.files])

    @property
    def depth(self) -> int:
        return len(self.inbox)

    @property
    def counts(self) -> dict[str, int]:
        return {"received": 0, "sent": len(self.sent), "lost": 0, "dropped": 0, "stale": 0}

    def close(self) -> None:
        self.closed = True

    def letters(self, kind: type[_Kind], to: str | None = None) -> list[_Kind]:
        """The letters of a kind that were sent."""
        return [letter for name, letter in self.sent if isinstance(letter, kind) and to in (None, name)]


class Running:
    """A role that runs in a thread of its own, with a fake mail: for tests against a real exchange.

    with Running(role, mail) as running:
        running.until(lambda: mail.letters(StreamState))
    """

    def __init__(self, role: Role, mail: FakeMail) -> None:
        self.role, self.mail = role, mail
        self._todo: list[Callable[[], object]] = []
        self._thread = threading.Thread(target=self._run, name=mail.name, daemon=True)

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.mail.deliver(Stop())
        self._thread.join(20)
        assert not self._thread.is_alive(), "the role has not ended"

    def _run(self) -> None:
        role, mail = self.role, self.mail
        role.start(mail)
        while not mail.stopped:
            now = time.time_ns() / 1_000_000
            waiting = mail.wait(max(0.0, role.next_ms - now) / 1000)
            at_ms = time.time_ns() // 1_000_000
            for ready in waiting.files:
                guarded(role, ready)
            for sender, letter in waiting.letters:
                if isinstance(letter, Stop):
                    mail.stopped = True
                guarded(role, role.receive, sender, letter, at_ms)
            if waiting.letters or waiting.files:
                guarded(role, role.caught_up, at_ms)
            if role.next_ms <= at_ms:
                guarded(role, role.wake, at_ms)
            while self._todo:
                self._todo.pop(0)()
        role.stop()
        mail.close()

    def do(self, function: Callable[[], Any]) -> Any:
        """Call something in the role's thread."""
        done = threading.Event()
        found: list[Any] = []

        def call() -> None:
            try:
                found.append(function())
            finally:
                done.set()

        self._todo.append(call)
        assert done.wait(20), "the role is busy"
        return found[0]

    def until(self, condition: Callable[[], Any], seconds: float = 20.0) -> Any:
        """What a condition becomes, once it is true."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, "it has not happened"
            time.sleep(0.005)
        return found


def plain_place(served: Any) -> StreamPlace:
    """Where the stream of `stream_sockets.served_stream` is, without TLS."""
    return StreamPlace("127.0.0.1", served.port(), tls=False)


def tls_place(served: Any, certificate: Path | str | None) -> StreamPlace:
    """Where it is with TLS; `certificate`: the server's file."""
    return StreamPlace("127.0.0.1", served.port(tls=True), ca_file=None if certificate is None else str(certificate))
