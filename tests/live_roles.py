"""Roles for tests of mail and engines."""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from headrace.actors.letters import Ask, Hello, Introduce, Letter, Told
from headrace.actors.mailboxes.mail import Mail
from headrace.actors.shells.engine import Engine

Kind = TypeVar("Kind")


class Noting:
    """A role that notes what happens to it."""

    def __init__(self, name: str = "noting") -> None:
        self.name = name
        self.next_ms = math.inf
        self.seen: list[Any] = []

    def start(self, mail: Mail) -> None:
        self.mail = mail
        self.seen.append("start")

    def receive(self, sender: str, letter: Letter, at_ms: int) -> None:
        self.seen.append((sender, letter))

    def caught_up(self, at_ms: int) -> None:
        self.seen.append("caught up")

    def wake(self, at_ms: int) -> None:
        self.seen.append("wake")
        self.next_ms = math.inf

    def lost(self, sender: str) -> None:
        self.seen.append(f"lost {sender}")

    def stop(self) -> None:
        self.seen.append("stop")


class Answering(Noting):
    """Says hello to the coordinator, and does what it is asked, letter by letter.

    `echo`: answers; `die`: the process is killed; `raise`: the turn fails; `sleep`: it is busy for a second; `end`: it
    ends by itself.
    """

    def start(self, mail: Mail) -> None:
        super().start(mail)
        mail.send("c", Hello(self.name, "HOST", mail.address, 0, os.getpid()))

    def receive(self, sender: str, letter: Letter, at_ms: int) -> None:
        super().receive(sender, letter, at_ms)
        if isinstance(letter, Introduce):
            self.mail.know(letter.name, letter.address)
        elif isinstance(letter, Ask):
            if letter.address:
                self.mail.know(letter.reply_to, letter.address)
            if letter.what == "die":
                os.kill(os.getpid(), 9)
            elif letter.what == "raise":
                raise ValueError("as it was asked to")
            elif letter.what == "sleep":
                time.sleep(1.0)
            elif letter.what == "end":
                self.mail.stopped = True
            self.mail.send(letter.reply_to, Told(letter.what, letter.values))


class Failing(Noting):
    """Cannot start."""

    def start(self, mail: Mail) -> None:
        raise OSError("no such exchange")


class Gathering(Noting):
    """Stands for the coordinator, in the process of the test, which looks into it and sends by its mail."""

    def __init__(self) -> None:
        super().__init__("c")

    def receive(self, sender: str, letter: Letter, at_ms: int) -> None:
        super().receive(sender, letter, at_ms)
        if isinstance(letter, Hello):
            self.mail.know(letter.name, letter.address)

    def send(self, name: str, letter: Letter) -> None:
        """From the thread of a test, as soon as the actor has said hello."""
        until(lambda: self.mail.aside(name, letter))

    def received(self, kind: type[Kind]) -> list[Kind]:
        return [each[1] for each in self.seen if isinstance(each, tuple) and isinstance(each[1], kind)]


class Bystander(Noting):
    """Starts another actor by its copy of the engine, as the coordinator does with hosts."""

    def __init__(self, name: str, engine: Engine, other: str) -> None:
        super().__init__(name)
        self.engine = engine
        self.other = other

    def start(self, mail: Mail) -> None:
        super().start(mail)
        self.engine.start(self.other, functools.partial(Answering, self.other))


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for a condition, or fail."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it has not come true in time"
        time.sleep(0.002)
