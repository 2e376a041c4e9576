"""What is ended when a live system is: see `shutdown`, which says in which order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ...strategies.events import TerminationEvent
from ..letters import Stop
from ..mailboxes.mail import Mail
from .betting import Betting
from .directory import Directory
from .host_pool import HostPool
from .hosts import Hosts
from .quarantine import Quarantine
from .rows_desk import RowsDesk
from .seating import Seating
from .setup import LiveSetup
from .starter import Starter
from .threads import UserThreads


class System(Protocol):
    """A live system, as its coordinator has it."""

    setup: LiveSetup
    mail: Mail
    betting: Betting
    directory: Directory
    pool: HostPool
    quarantine: Quarantine
    rows_desk: RowsDesk
    seating: Seating
    starter: Starter
    threads: UserThreads


class SystemEnding:
    """Ends what the coordinator has; an `Ending`.

    Args:
        role: the coordinator; what it has is there once something is to be ended.
        engine: has started the hosts.
    """

    def __init__(self, role: System, engine: Hosts) -> None:
        self._role, self._engine = role, engine

    def stop_user_threads(self) -> None:
        self._role.threads.stop()

    def stop_hosts(self) -> None:
        self._role.pool.stop()
        for host in self._role.seating.hosts:
            self._engine.stop(host, "the system ends")

    @property
    def hosts_left(self) -> list[str]:
        return list(self._role.seating.hosts)

    @property
    def under_way(self) -> int:
        return sum(len(desk.under_way) for desk in self._role.betting.accounts)

    @property
    def resting(self) -> list[str]:
        return [bet_id for desk in self._role.betting.accounts for bet_id in desk.resting]

    def kill_hosts(self) -> None:
        for host in self.hosts_left:
            self._role.quarantine.killed(host)
            self._engine.kill(host)

    def log_out(self, then: Callable[[], object]) -> None:
        self._role.betting.accounts.close(then)

    def end(self) -> None:
        """Everything is done: the coordinator ends."""
        role = self._role
        coordinator = role.betting.coordinator
        try:
            coordinator.process_end()
        except Exception as error:
            role.betting.failed(error, None, None)
        coordinator.log(TerminationEvent(None))
        role.rows_desk.tell()
        role.betting.journal.say("STOPPED")
        if role.starter.gone:  # nobody else ends them
            for name in list(role.directory.entries):
                role.mail.send(name, Stop("the system has ended"))
        role.mail.stopped = True
