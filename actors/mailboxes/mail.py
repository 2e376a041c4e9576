"""The mail of a live actor: its inbox, and the ways to others. Sockets and threads carry it alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..letters import Letter


@dataclasses.dataclass(slots=True)
class Waiting:
    """What an actor finds when it looks.

    Attributes:
        letters: sender and letter, in the order in which they came; those of one sender in the order of sending.
        lost: senders of whom letters were lost since the last look.
        files: functions to call, for files that are ready to be read.
    """

    letters: Sequence[tuple[str, Letter]] = ()
    lost: Sequence[str] = ()
    files: Sequence[Callable[[], object]] = ()


class CrashedError(BaseException):
    """The actor was made to crash: it goes no further. No handler of errors is to catch it."""


class Mail(Protocol):
    """An actor's mail. All but `put`, `aside` and `stopped` is for the actor's own thread.

    Attributes:
        name: the actor's.
        incarnation: how often an actor of this name was started before.
        address: where others send to it; it names the actor's incarnation.
        stopped: the loop is to end.
    """

    name: str
    incarnation: int
    address: str
    stopped: bool

    def know(self, name: str, address: str) -> None:
        """Another actor is at this address: what is sent to it goes there, and what waits for its former self goes."""

    def forget(self, name: str) -> None:
        """Another actor is gone: nothing more is sent to it. What was sent may still arrive, if it is not."""

    def send(self, name: str, letter: Letter, droppable: bool = False) -> bool:
        """Send a letter. It is not waited for; an actor that nobody knows does not get it.

        Args:
            droppable: it may be left out where the receiver is too far behind; False: it waits, however long.

        Returns:
            False: it was left out, and the receiver is told by `lost` of this actor when it catches up; or nobody
            is known by this name.
        """

    def put(self, letter: Letter) -> None:
        """Put a letter into the actor's own inbox: for its other threads, such as those of HTTP calls."""

    def aside(self, name: str, letter: Letter) -> bool:
        """Send a letter from another thread of the actor, such as the one that watches its callbacks.

        It goes its own way: it may overtake letters of the actor's own thread, and its loss is told to nobody.

        Returns:
            False: it was not sent.
        """

    def watch(self, file: Any, ready: Callable[[], object] | None) -> None:
        """Call `ready` whenever a file can be read; None: no longer."""

    def wait(self, seconds: float) -> Waiting:
        """What is waiting; at least one thing, unless `seconds` pass."""

    @property
    def depth(self) -> int:
        """Letters that wait, as far as that is known."""

    @property
    def counts(self) -> dict[str, int]:
        """What became of letters so far.

        `received`, `sent`, `lost` (on their way here), `dropped` (left out for slow receivers), `undelivered` (nobody
        was at the address), `stale` (of former incarnations).
        """

    def close(self) -> None:
        """Take no more, and remove what the inbox has made."""


class Post(Protocol):
    """Where the mail of one system's actors is opened."""

    def open(self, name: str, incarnation: int = 0) -> Mail:
        """Open an actor's mail.

        Raises:
            RunError: the name is taken by another that is open, the incarnation is not later than the last of that
                name, or there is no place for it.
        """

    def close(self) -> None:
        """The system has ended: nothing of it remains."""
