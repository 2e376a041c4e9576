"""The pool of hosts: all that may be needed run before there are markets, which then open at once.

A host's process takes most of a second to start, and strategies may load for longer. One host goes first: where no
strategy can start, that is told once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from ..role import Role
from .directory import Directory
from .hosts import Hosts
from .seating import Seating

#: Processes that are ready for hosts and streams that are started in place of others.
SPARES = 2


class HostPool:
    """Starts hosts.

    Args:
        max_hosts: hosts at once, 1 or more.
        engine: starts them.
        make_host: makes the role of a host, by its name.

    Attributes:
        seating: which host hosts what; it has hosts started here.
        incarnations: how often each host was started before, the last time.
    """

    def __init__(self, max_hosts: int, engine: Hosts, make_host: Callable[[str], Role], directory: Directory) -> None:
        self._engine, self._make_host, self._directory = engine, make_host, directory
        self.seating = Seating(max_hosts, self.start)
        self.incarnations: dict[str, int] = {}
        self._filling = self._spared = False

    def start(self, name: str) -> None:
        """Start a host, for the first time or again.

        Raises:
            RunError: it cannot be started.
        """
        incarnation = self.incarnations.get(name, -1) + 1
        address = self._engine.start(name, functools.partial(self._make_host, name), incarnation)
        self.incarnations[name] = incarnation
        self._directory.arrived(name, address, "HOST", incarnation)
        self._prepare()

    def _prepare(self) -> None:
        """Have the processes of all hosts that may yet be needed made ready."""
        self._engine.prepare(self.seating.next_hosts, functools.partial(self._make_host, ""))

    def fill(self) -> None:
        """Start all hosts that may be needed: one, and the others when it has said hello."""
        self._filling = True
        if self.seating.hosts:
            self.arrived()
        else:
            self.seating.add_host()

    def arrived(self) -> None:
        """A host has said hello."""
        if self._filling:
            self._filling = False
            for _ in self.seating.next_hosts:
                self.seating.add_host()
        if not self._spared and not self.coming:
            self._spared = True
            self._engine.spare(SPARES, functools.partial(self._make_host, ""))

    def stop(self) -> None:
        """Start no more of them."""
        self._filling = False

    @property
    def coming(self) -> int:
        """How many hosts are not ready."""
        entries = self._directory.entries
        silent = [name for name in self.seating.hosts if name in entries and not entries[name].pid]
        return self._engine.coming + len(silent)
