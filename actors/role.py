"""What a live actor is: a plain class that takes letters, one at a time, in one thread. And the loop that runs it.

Nothing here knows Ray or sockets' protocols: an engine gives the actor its mail and runs the loop, in a thread or in a
process of its own.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any, Protocol

from .letters import Letter, Stop
from .mailboxes.mail import Mail

logger = logging.getLogger("headrace")


class Role(Protocol):
    """A live actor.

    Attributes:
        name: its own, unique in the system; without a slash.
        next_ms: when it wants `wake`, milliseconds since the epoch; infinite: never.
    """

    name: str

    @property
    def next_ms(self) -> float: ...

    def start(self, mail: Mail) -> None:
        """Its mail is open: it may send from now on, and watch files."""

    def receive(self, sender: str, letter: Letter, at_ms: int) -> None:
        """Take a letter.

        Args:
            sender: the name of the actor that sent it; its own name for what its threads have put.
            at_ms: now, milliseconds since the epoch: one time for all that was waiting.
        """

    def caught_up(self, at_ms: int) -> None:
        """Everything that was waiting has been taken."""

    def wake(self, at_ms: int) -> None:
        """`next_ms` has come."""

    def lost(self, sender: str) -> None:
        """Letters of a sender were lost: it, or this actor, was too slow, or has been started anew."""

    def stop(self) -> None:
        """The loop has ended: close what is open."""


def run(role: Role, mail: Mail, started: Callable[[], object] = lambda: None) -> None:
    """Run a role until it takes `Stop`, or stops its mail.

    Args:
        started: called once `start` is done.
    """
    role.start(mail)
    started()
    try:
        while not mail.stopped:
            now = time.time_ns() // 1_000_000
            wait = role.next_ms - now
            waiting = mail.wait(0.0 if wait <= 0 else min(wait / 1000, 60.0) if wait < math.inf else 60.0)
            at_ms = time.time_ns() // 1_000_000
            for ready in waiting.files:
                guarded(role, ready)
            for sender in waiting.lost:
                guarded(role, role.lost, sender)
            for sender, letter in waiting.letters:
                if type(letter) is Stop:
                    mail.stopped = True
                guarded(role, role.receive, sender, letter, at_ms)
            if waiting.letters or waiting.files:
                guarded(role, role.caught_up, at_ms)
            if role.next_ms <= at_ms:
                guarded(role, role.wake, at_ms)
    finally:
        try:
            role.stop()
        finally:
            mail.close()


def guarded(role: Role, function: Callable[..., object], *arguments: Any) -> None:
    """Call a function of a role: an error is logged, and the role goes on with the next letter."""
    try:
        function(*arguments)
    except Exception:
        logger.exception("%s failed at %s", role.name, getattr(function, "__name__", function))
