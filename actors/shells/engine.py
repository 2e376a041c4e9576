"""What every engine of live trading does: start roles, and end them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from ...strategies.errors import HeadraceError
from ..live.hosts import Found
from ..role import Role

#: The name of the role that is told of the ends of others, and that all others know from the start.
COORDINATOR = "c"


class Engine(Protocol):
    """Gives each role its mail and a thread that runs it.

    A role that has ended, or could not start, is reported by `Gone` to the coordinator, and to the function that the
    engine was made with. One that was killed by `kill` is not: whoever killed it knows.

    Attributes:
        coordinator: the coordinator's address, known from its start; empty before.
    """

    coordinator: str

    def prepare(self, names: Iterable[str], make_role: Callable[..., Role] | None = None) -> None:
        """Have what is slow about starting roles of these names done in the background. They need not be started.

        Args:
            make_role: what they will be made with, or the function of the `functools.partial` that they will be made
                with: what it needs is imported.
        """

    def spare(self, count: int, make_role: Callable[..., Role] | None = None) -> None:
        """Have so many more ready beside those, for roles of any name: for those that are started in place of others.

        One that is used is made up for.
        """

    @property
    def coming(self) -> int:
        """How many of those that were prepared are not ready to be started at once."""

    def start(self, name: str, make_role: Callable[[], Role], incarnation: int = 0) -> str:
        """Start a role, in the background.

        Args:
            make_role: called where the role runs; with the Ray engine it is pickled.
            incarnation: how often a role of this name was started before.

        Returns:
            Its address: what is sent there from now on is received.

        Raises:
            RunError: a role of this name is running, or the engine is closed.
        """

    def ready(self, name: str, seconds: float) -> None:
        """Wait until a role has started, and raise if it has not.

        Raises:
            RunError: it has ended by an error, which the message tells, was never started, or takes longer.
        """

    def stop(self, name: str, why: str = "") -> None:
        """Ask a role to end, after what waits for it. It is not waited for; one that is gone is left alone."""

    def kill(self, name: str) -> None:
        """End a role at once: nothing of it is sent or received any more. One that is gone is left alone."""

    def crash(self, name: str) -> None:
        """End a role as if it had been killed from outside: it is told of by `Gone`. One that is gone is left alone.

        Whoever has started it: on Ray its process gets a SIGKILL. A thread goes no further than to its next letter, or
        the next one that it sends; then it gives back what a process would have lost, and that is all.
        """

    def adopt(self, names: Iterable[str] | None = None) -> dict[str, Found]:
        """Take over roles that others of this system have started, and that run: this engine tells of their ends.

        Args:
            names: which; None: all but the coordinator.

        Returns:
            All of these that run, those that this engine has started among them.
        """

    def bury(self) -> None:
        """Tell of the ends of roles that have died while nobody has watched them: after their starter had died, too."""

    def next(self, name: str) -> int:
        """The incarnation that a role of this name would be started with."""

    def has_ended(self, name: str) -> bool:
        """Whether the last role of this name has ended because it was asked to."""

    @property
    def lost(self) -> bool:
        """What the engine stands on has ended, and all roles with it."""

    def abandon(self) -> None:
        """Give up an engine that is lost, as fast as can be."""

    def alive(self) -> frozenset[str]:
        """The roles that this engine has started or taken over, and that have not ended."""

    def close(self, seconds: float = 10.0) -> tuple[str, ...]:
        """Ask all roles to end, wait for them, kill those that do not, and remove everything that was made.

        Args:
            seconds: that roles have to end; the coordinator ends after them and has as long again.

        Returns:
            The names of those that had to be killed.
        """


def unforeseen(error: Exception) -> Exception | None:
    """An error whose traceback says more than its words; None: one of ours, which says it all."""
    return None if isinstance(error, HeadraceError) else error


def why_ended(error: Exception) -> str:
    """What an error says of the end of a role."""
    return str(error) if unforeseen(error) is None else f"{type(error).__name__}: {error}"


def end_all(engine: Engine, wait: Callable[[str, float], bool], seconds: float) -> tuple[str, ...]:
    """Ask all roles of an engine to end and wait for them; the coordinator is the last, for others report to it.

    Args:
        wait: waits for a role to end, for so many seconds; False: it has not.

    Returns:
        The names of those that did not, and were killed.
    """
    killed = []
    for names in (sorted(engine.alive() - {COORDINATOR}), sorted(engine.alive() & {COORDINATOR})):
        until = time.monotonic() + seconds
        for name in names:
            engine.stop(name, "the system ends")
        for name in names:
            if not wait(name, max(0.0, until - time.monotonic())):
                killed.append(name)
                engine.kill(name)
    return tuple(killed)
