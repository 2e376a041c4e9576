"""A role that can be made to crash where it is a thread, as it can be killed where it is a process."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from ..letters import Letter
from ..mailboxes.mail import CrashedError, Mail
from ..role import Role

logger = logging.getLogger("headrace")


@runtime_checkable
class Crashing(Protocol):
    """A role whose `stop` hands over, saves or tells something: which one that crashes does not."""

    def crash(self) -> None:
        """Give back what a process that is killed loses: locks, sockets, threads. Nothing is written, sent or told."""


class Mortal:
    """A role, until it has crashed: from then on it takes nothing, and goes no further.

    Args:
        crashed: whether it has.
    """

    def __init__(self, role: Role, crashed: Callable[[], bool]) -> None:
        self.name = role.name
        self._role, self._crashed = role, crashed

    @property
    def next_ms(self) -> float:
        return self._role.next_ms

    def start(self, mail: Mail) -> None:
        try:
            self._look()
            self._role.start(mail)
            self._look()
        except CrashedError:
            self._give_back()
            raise

    def receive(self, sender: str, letter: Letter, at_ms: int) -> None:
        self._look()
        self._role.receive(sender, letter, at_ms)

    def caught_up(self, at_ms: int) -> None:
        self._look()
        self._role.caught_up(at_ms)

    def wake(self, at_ms: int) -> None:
        self._look()
        self._role.wake(at_ms)

    def lost(self, sender: str) -> None:
        self._look()
        self._role.lost(sender)

    def stop(self) -> None:
        if self._crashed():
            self._give_back()
        else:
            self._role.stop()

    def _look(self) -> None:
        if self._crashed():
            raise CrashedError

    def _give_back(self) -> None:
        try:
            if isinstance(self._role, Crashing):
                self._role.crash()
            else:
                self._role.stop()
        except Exception:
            logger.exception("%s did not give back all that it had when it was made to crash", self.name)
        except CrashedError:  # it would have sent something
            return
