"""The coordinator of a live system: one thread in which all meets that is not one market's alone.

It seats markets, joins their actors to the accounts, sends their requests on, and gives sessions to streams.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ...strategies.clock import Clock, WallClock
from ...strategies.errors import HeadraceError
from ...strategies.host import Host, unique_id
from ...strategies.messages import LogRow, OrderFact, Request
from ...values import legible
from ..clients import BaseClient
from ..coordinator import Coordinator
from ..exchange import Answer
from ..failures import Failures, users_place
from ..letters import (
    Carried,
    Gone,
    Hello,
    HostState,
    Letter,
    MarketSeen,
    Outcome,
    Session,
    SessionWanted,
    Stop,
    StreamState,
)
from ..logging_controls import LoggingControls
from ..mailboxes.mail import Mail
from ..role import Role
from ..switchboard import Switchboard
from .accounts import Account, Owner, connecting
from .directory import Directory
from .errands import Errands
from .grants import Grants
from .routes import Routes
from .seating import Seating
from .setup import LiveSetup

logger = logging.getLogger("headrace")

#: Between two looks at what only time changes.
_TICK_MS = 1000
#: The longest wait before a failed login is tried again.
_LONGEST_WAIT_MS = 60_000
_SEPARATOR = "/"


class Hosts(Protocol):
    """What the coordinator asks of its engine: see `actors.shells.engine`."""

    def prepare(self, names: Sequence[str]) -> None: ...

    def start(self, name: str, make_role: Callable[[], Role], incarnation: int = 0) -> str: ...

    def stop(self, name: str, why: str = "") -> None: ...

    def kill(self, name: str) -> None: ...


#: Makes an account of a client: client, coordinator, and what puts a letter into the coordinator's inbox.
MakeAccount = Callable[[BaseClient, Coordinator, Callable[[Letter], object]], Account]


class CoordinatorRole:
    """See the module.

    Args:
        setup: what the system is made of.
        engine: starts hosts.
        make_host: makes the role of a host, by its name; with the Ray engine it is pickled.
        make_account: makes the accounts at real exchanges.
        clock: the time; None: the machine's.
    """

    name = "c"

    def __init__(
        self,
        setup: LiveSetup,
        engine: Hosts,
        make_host: Callable[[str], Role],
        make_account: MakeAccount,
        clock: Clock | None = None,
    ) -> None:
        self.setup = setup
        self._engine, self._make_host, self._make_account = engine, make_host, make_account
        self._clock = WallClock() if clock is None else clock
        self.failures = Failures("coordinator")
        self.accounts: dict[Owner, Account] = {}
        self.streams: dict[str, StreamState] = {}
        self.hosts: dict[str, HostState] = {}
        self._next_ms = math.inf
        self._refused: dict[Owner, str] = {}
        self._logging_in: set[Owner] = set()
        self._login_failures: dict[Owner, int] = {}
        self._login_from: dict[Owner, int] = {}
        self._takers: dict[type, Callable[[str, Any, int], object]] = {
            Carried: self._carried,
            OrderFact: self._fact,
            Outcome: self._outcome,
            MarketSeen: self._seen,
            HostState: self._host_state,
            StreamState: self._stream_state,
            SessionWanted: self._session_wanted,
            Hello: self._hello,
            Gone: self._gone,
            Stop: self._stop,
        }

    # -- a role --------------------------------------------------------------------------------------------------

    @property
    def next_ms(self) -> float:
        return self._next_ms

    def start(self, mail: Mail) -> None:
        self.mail = mail
        self.directory = Directory(mail)
        self.errands = Errands(mail.put)
        self.grants = Grants(self._grant)
        setup = self.setup
        logs = LoggingControls(setup.logging_controls)
        self.coordinator = setup.coordinator(setup.clients, logs if setup.logging_controls else None)
        self.host = Host(self._clock, setup.config, unique_id)
        self.coordinator.connect(
            self.host,
            self,
            [each for each in setup.client_controls if each[1].scope == "account"],
            [each for each in setup.trading_controls if each[0].scope == "account"],
            self.failed,
        )
        self.switchboard = Switchboard(self.coordinator, self.failed)
        self._joined: set[str] = set()
        self.seating = Seating(setup.max_hosts, self._start_host)
        self.routes = Routes(setup, mail, self.directory, self.seating, self._seated)
        for client in self.coordinator.clients:
            if client.betting_client is not None:
                account = self._make_account(client, self.coordinator, mail.put)
                self.accounts[client.venue, client.username] = account
        self._engine.prepare([self.seating.next_host])
        self._next_ms = self._clock.now_ms + _TICK_MS

    def receive(self, sender: str, letter: Letter, at_ms: int) -> None:
        take = self._takers.get(type(letter))
        if take is None:
            logger.warning("The coordinator has no use for %s of %s", type(letter).__name__, sender)
            return
        take(sender, letter, at_ms)

    def caught_up(self, at_ms: int) -> None:
        """Nothing is put off until then."""

    def wake(self, at_ms: int) -> None:
        self._next_ms = at_ms + _TICK_MS
        self.grants.look(at_ms)

    def lost(self, sender: str) -> None:
        logger.error("Letters of %s to the coordinator were lost", sender)

    def stop(self) -> None:
        self.errands.close()

    # -- failures ------------------------------------------------------------------------------------------------

    def failed(self, error: Exception, market_id: str | None, strategy: str | None) -> None:
        """Count an error, and log the first of its kind."""
        if self.failures.add(error, strategy, market_id, users_place(error), self.host.clock.now_ms):
            known = isinstance(error, HeadraceError)
            logger.error("%s", legible(error), exc_info=None if known else error)

    # -- actors --------------------------------------------------------------------------------------------------

    def _hello(self, sender: str, letter: Hello, at_ms: int) -> None:
        news = self.directory.arrived(letter.name, letter.address, letter.kind, letter.incarnation, letter.pid)
        if news and letter.kind == "STREAM":
            self.routes.again(letter.name)

    def _start_host(self, name: str) -> None:
        address = self._engine.start(name, functools.partial(self._make_host, name))
        self.directory.arrived(name, address, "HOST")
        self._engine.prepare([self.seating.next_host])

    def _seated(self, host: str, crew: str) -> None:
        actor = f"{host}.{crew}"
        if actor not in self._joined:
            self._joined.add(actor)
            self.switchboard.join(actor, functools.partial(self._to_actor, host, crew))

    def _to_actor(self, host: str, crew: str, message: Answer | Request) -> None:
        self.mail.send(host, Carried(crew, message))

    def _gone(self, sender: str, letter: Gone, at_ms: int) -> None:
        entry = self.directory.gone(letter.name)
        self.grants.gone(letter.name, at_ms)
        self.streams.pop(letter.name, None)
        if entry is not None and entry.kind == "HOST":
            self.hosts.pop(letter.name, None)
            for crew, market_id in self.seating.lose(letter.name):
                self.routes.free_place(crew, market_id)
            for actor in [each for each in self._joined if each.partition(".")[0] == letter.name]:
                self._joined.discard(actor)
                self.switchboard.leave(actor)

    def _stop(self, sender: str, letter: Stop, at_ms: int) -> None:
        """The loop ends by itself."""

    # -- markets -------------------------------------------------------------------------------------------------

    def _seen(self, sender: str, letter: MarketSeen, at_ms: int) -> None:
        self.routes.see(letter)

    def _host_state(self, sender: str, letter: HostState, at_ms: int) -> None:
        self.hosts[letter.host] = letter

    # -- requests and answers ------------------------------------------------------------------------------------

    def _carried(self, sender: str, letter: Carried, at_ms: int) -> None:
        actor = f"{sender}.{letter.crew}"
        if actor not in self._joined:
            logger.debug("%s is not joined any more: %s", actor, type(letter.message).__name__)
            return
        message = letter.message
        if type(message) is LogRow and message.name == "custom_event":
            return  # what is put here is told here; what an actor puts is its own
        self.switchboard.receive(actor, message)

    def send(self, request: Request) -> None:
        """Send a request on: to the exchange, or for a paper account back to its host."""
        account = self.accounts.get((request.venue, request.username))
        client = self.coordinator.clients.named(request.venue, request.username)
        if client.simulated or account is None:
            host, _, crew = request.request_id.partition(_SEPARATOR)[0].partition(".")
            self._to_actor(host, crew, request)
        else:
            account.send(request)

    def _fact(self, sender: str, letter: OrderFact, at_ms: int) -> None:
        """The order stream tells of a bet; hosts of its market hear it from the stream itself."""

    def _outcome(self, sender: str, letter: Outcome, at_ms: int) -> None:
        if self.errands.take(letter):
            return
        for account in self.accounts.values():
            if account.outcome(letter):
                return

    # -- sessions ------------------------------------------------------------------------------------------------

    def _session_wanted(self, sender: str, letter: SessionWanted, at_ms: int) -> None:
        client = connecting(list(self.coordinator.clients), letter.venue, letter.username)
        account = None if client is None else self.accounts.get((client.venue, client.username))
        if client is None or account is None:
            who = f"account {letter.username!r} of {letter.venue}" if letter.username else "an account at an exchange"
            logger.error("Stream %s needs %s, and none was added", letter.stream, who)
            return
        owner = (client.venue, client.username)
        if letter.refused is not None:
            self._refused[owner] = letter.refused
        self.grants.want(owner, letter.stream, at_ms)

    def _grant(self, owner: Owner, stream: str) -> bool:
        account = self.accounts[owner]
        refused = self._refused.get(owner)
        if account.token is None or account.token == refused:
            self._login(account, refused)
            return False
        self.mail.send(stream, Session(owner[0], owner[1], account.app_key, account.token))
        return True

    def _login(self, account: Account, refused: str | None) -> None:
        """Log in, in the background; one that has failed is tried again only after a while, each time a longer one."""
        owner = (account.client.venue, account.client.username)
        if owner in self._logging_in or self.host.clock.now_ms < self._login_from.get(owner, 0):
            return
        self._logging_in.add(owner)

        def done(error: Exception | None) -> None:
            self._logging_in.discard(owner)
            if error is None:
                self._login_failures.pop(owner, None)
                self.grants.serve(owner, self.host.clock.now_ms)
                return
            count = self._login_failures[owner] = self._login_failures.get(owner, 0) + 1
            self._login_from[owner] = self.host.clock.now_ms + min(1000 * 2**count, _LONGEST_WAIT_MS)
            self.failed(error, None, None)

        account.login(refused, done)

    def _stream_state(self, sender: str, letter: StreamState, at_ms: int) -> None:
        known = self.streams.get(letter.stream)
        self.streams[letter.stream] = letter
        if letter.state != "CONNECTING" and (known is None or known.state != letter.state):
            self.grants.settled(letter.stream, at_ms)
