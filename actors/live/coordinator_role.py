"""The coordinator of a live system: one thread in which all meets that is not one market's alone.

It seats markets, joins their actors to the accounts, sends their requests on and hears what becomes of them, gives
sessions to streams, keeps the limits, and stops the system. What takes long is done in other threads; what they find
comes back as a letter. So all state is touched by one thread.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...strategies.clock import Clock, WallClock
from ...strategies.events import ConfigEvent, StrategyEvent, TerminationEvent
from ...strategies.messages import OrderFact, Request
from ...values import legible
from ..exchange import Answer
from ..letters import (
    Ask,
    Carried,
    ForeignBet,
    Gone,
    Hello,
    HostState,
    Letter,
    MarketGone,
    MarketSeen,
    OrdersClosed,
    OrdersImage,
    Outcome,
    Position,
    Rows,
    SessionWanted,
    Stop,
    StreamState,
    UserEvent,
)
from ..mailboxes.mail import Mail
from ..role import Role
from .absent import AbsentMarkets
from .accounts import MakeAccount
from .alerts import Alerts
from .answers import Answers
from .betting import Betting
from .control import ControlDesk
from .directory import Directory
from .event_desk import EventDesk
from .framework import SOON, LiveFramework, Soon
from .host_pool import HostPool
from .host_watch import HostWatch
from .hosts import Hosts
from .instance import control_path
from .live_workers import LiveWorkers
from .market_ends import MarketEnds
from .quarantine import Quarantine
from .routes import Routes
from .rows_file import ROWS, RowsWriter, packed
from .setup import LiveSetup
from .starter import Starter
from .stops import Stops
from .stream_desk import StreamDesk
from .threads import UserThreads

logger = logging.getLogger("headrace")

#: Milliseconds between two looks at what only time changes.
_TICK_MS = 1000


class CoordinatorRole:
    """See the module.

    Args:
        setup: what the system is made of.
        engine: starts hosts.
        make_host: makes the role of a host, by its name; with the Ray engine it is pickled.
        make_account: makes the accounts at real exchanges; None: `LiveAccounts`.
        dumps: pickles custom events for hosts.
        make_stream: makes what makes a stream's role, by the stream's name; None: streams that end stay ended.
        clock: the time; None: the machine's.
    """

    name = "c"

    def __init__(
        self,
        setup: LiveSetup,
        engine: Hosts,
        make_host: Callable[[str], Role],
        make_account: MakeAccount | None = None,
        dumps: Callable[[Any], bytes] | None = None,
        make_stream: Callable[[str], Callable[[], Role]] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.setup = setup
        self._engine, self._make_host = engine, make_host
        self._make_account, self._dumps, self._make_stream = make_account, dumps, make_stream
        self._clock = WallClock() if clock is None else clock
        self.page = ""
        self._next_ms = math.inf
        self._takers: dict[type, Callable[[str, Any, int], object]] = {
            Carried: lambda sender, letter, at_ms: self.betting.receive(sender, letter.crew, letter.message),
            Outcome: self._outcome,
            UserEvent: lambda sender, letter, at_ms: self.events.take(letter.here),
            OrderFact: self._from_order_stream,
            ForeignBet: self._from_order_stream,
            Position: self._from_order_stream,
            OrdersImage: self._from_order_stream,
            OrdersClosed: self._from_order_stream,
            MarketSeen: self._seen,
            MarketGone: self._market_gone,
            HostState: self._host_state,
            StreamState: self._stream_state,
            SessionWanted: lambda sender, letter, at_ms: self.stream_desk.want(letter),
            Rows: lambda sender, letter, at_ms: self._rows_writer.add(letter.data),
            Ask: lambda sender, letter, at_ms: self.answers.ask(letter),
            Hello: self._hello,
            Gone: self._gone,
            Stop: self._told_to_stop,
        }

    # -- a role --------------------------------------------------------------------------------------------------

    @property
    def next_ms(self) -> float:
        return min(self._next_ms, self.betting.accounts.next_ms, self.workers.next_ms, self.stops.next_ms)

    def start(self, mail: Mail) -> None:
        """Open everything.

        Raises:
            RunError: what was kept of today's results cannot be read, or the control socket cannot be opened.
            ClientError: an account cannot be used.
        """
        self.mail = mail
        setup, clock = self.setup, self._clock
        self.alerts = Alerts(setup.webhook, setup.reference, lambda: clock.now_ms)
        self.directory = Directory(mail)
        self.pool = HostPool(setup.max_hosts, self._engine, self._make_host, self.directory)
        self.seating = self.pool.seating
        self.routes = Routes(setup, mail, self.directory, self.seating, self._seated)
        self.betting = Betting(
            setup, clock, mail.put, self.alerts, self._to_actor, self.routes.definition_of, self._make_account
        )
        accounts, log = self.betting.accounts, self.betting.coordinator.log
        self.stream_desk = StreamDesk(setup, accounts, self.alerts, mail.send, lambda: clock.now_ms)
        self._absent = AbsentMarkets(setup.streams, self.alerts.note)
        self.watch = HostWatch(self.seating, self.alerts.alert, self.alerts.note)
        self.workers = LiveWorkers(setup, accounts, mail, self.directory, self.routes, self.seating, log)
        self.ends = MarketEnds(accounts, self._free)
        self.stops = Stops(self.betting, self.alerts, self, setup.on_stop == "leave", lambda: clock.now_ms)
        self.quarantine = Quarantine(
            setup, self.seating, self.watch, self.routes, self.betting, self.stops, self.alerts
        )
        stop = self.stops.stop_system
        self.events = EventDesk(self.betting, self.seating, mail, self._dumps, stop, self.alerts.note, clock)
        self._rows_writer = RowsWriter(Path(setup.instance) / ROWS)
        self._failure_rows = setup.rows_of_failures(self.betting.failures)
        self.answers = Answers(self)
        self._desk = ControlDesk(control_path(setup.instance), self.answers.answer)
        self._desk.open(mail)
        self._starter = Starter(setup.instance, setup.reference)
        self._begin()

    def _begin(self) -> None:
        setup, log = self.setup, self.betting.coordinator.log
        log(ConfigEvent(setup.config))
        for strategy in setup.strategies:
            log(StrategyEvent(strategy))
        self.soon = Soon(self.mail.put)
        clients, strategies = self.betting.coordinator.clients, setup.strategies
        self.framework = LiveFramework(
            setup.config,
            clients,
            strategies,
            lambda: self.routes.markets,
            self.soon,
            log,
            self.events.take,
            self.events.why_not,
        )
        self.threads = UserThreads(
            self.framework,
            lambda error, name: self.soon(lambda: self._thread_failed(error, name)),
            lambda name: self.soon(lambda: self.alerts.note("CUSTOM", f"{name} has nothing more to read")),
        )
        self.threads.start(setup.workers, setup.custom_streams)
        self._next_ms = self._clock.now_ms + _TICK_MS

    def receive(self, sender: str, letter: Letter, at_ms: int) -> None:
        take = self._takers.get(type(letter))
        if take is None:
            logger.warning("The coordinator has no use for %s of %s", type(letter).__name__, sender)
            return
        take(sender, letter, at_ms)

    def caught_up(self, at_ms: int) -> None:
        """Do what what has come makes possible."""
        if self.betting.gate.unready:
            self.betting.look_ready()
        failed = self.betting.failures.users
        if failed and self.setup.config.raise_errors:
            self.stops.stop_system(failed)
        self.stops.look(at_ms)

    def wake(self, at_ms: int) -> None:
        self.betting.accounts.wake(at_ms)
        if self.workers.next_ms <= at_ms:
            self.workers.look(at_ms)
        if self._next_ms <= at_ms:
            self._next_ms = at_ms + _TICK_MS
            self.stream_desk.grants.look(at_ms)
            self.watch.look(at_ms)
            self._start_streams(at_ms)
            self._absent.look(self.stream_desk.states, self.routes.markets, at_ms)
            self.workers.look(at_ms)
            self.ends.look(at_ms)
            self.betting.save()
            self._starter.look(at_ms, self.stops)
            self._write_failures()
        self.caught_up(at_ms)

    def lost(self, sender: str) -> None:
        """Letters were lost. A stream tells all that it knows again; what bets have come to is read from the lists."""
        text = f"letters of {sender} to the coordinator were lost"
        self.stream_desk.lost(sender, self.mail.address, self._clock.now_ms)
        owner = self.stream_desk.owners.get(sender)
        if owner is not None and self.betting.accounts.of(owner).orders is not None:
            self.alerts.note("LOST", f"{text}; how the account's bets stand is read from the lists")
        else:
            self.alerts.alert("LOST", text)

    def stop(self) -> None:
        """Close what is open; what rests at the exchange stays as it is."""
        self._desk.close()
        self.threads.stop(0.0)
        self.betting.accounts.end()
        self.betting.save(wait=True)
        self._write_failures()
        self._rows_writer.close()
        self.alerts.close()
        if self._starter.gone:
            self._engine.close()
        self._starter.release()

    def _thread_failed(self, error: Exception, name: str) -> None:
        self.betting.failed(error, None, None)
        self.alerts.note("FAILURE", f"{name} failed: {type(error).__name__}: {legible(error)}")

    def _write_failures(self) -> None:
        rows = self._failure_rows()
        if any(rows.values()):
            self._rows_writer.add(packed(rows))

    # -- actors --------------------------------------------------------------------------------------------------

    def _hello(self, sender: str, letter: Hello, at_ms: int) -> None:
        news = self.directory.arrived(letter.name, letter.address, letter.kind, letter.incarnation, letter.pid)
        self.page = letter.url or self.page
        if letter.kind == "HOST":
            self.workers.greet(letter.name)
            self.pool.arrived()
            for name in self.stream_desk.owners:
                if (state := self.stream_desk.states.get(name)) is not None:
                    self.mail.send(letter.name, state)
        elif news and letter.kind == "STREAM":
            self.routes.again(letter.name)
            self.workers.again(letter.name)

    def fill_hosts(self) -> None:
        """Start all hosts that may be needed."""
        if self.stops.shutdown is None:
            self.pool.fill()

    def _start_streams(self, at_ms: int) -> None:
        """Start streams anew that have ended; their markets stay where they are."""
        if self._make_stream is None or self.stops.shutdown is not None:
            return
        for name, incarnation in self.stream_desk.due(at_ms):
            self._engine.start(name, self._make_stream(name), incarnation)

    @property
    def hosts_coming(self) -> int:
        """How many of them are not ready."""
        return self.pool.coming

    def _seated(self, host: str, crew: str, market_id: str) -> None:
        self.betting.join(host, crew)
        self.events.seated(host)
        self.workers.want_catalogue(market_id, host, self._clock.now_ms)

    def _to_actor(self, host: str, crew: str, message: Answer | Request) -> None:
        self.mail.send(host, Carried(crew, message))

    def _gone(self, sender: str, letter: Gone, at_ms: int) -> None:
        if letter.incarnation < self.stream_desk.incarnation(letter.name):
            return  # its successor is there
        self.directory.gone(letter.name)
        stream = self.stream_desk.gone(letter.name, at_ms)
        if letter.name in self.seating.hosts:
            self.quarantine.gone(letter)
        elif stream and self.stops.shutdown is None:
            self.stream_desk.ended(letter, at_ms)

    # -- markets -------------------------------------------------------------------------------------------------

    def _seen(self, sender: str, letter: MarketSeen, at_ms: int) -> None:
        if self.stops.shutdown is None:
            self.routes.see(letter)
            self.betting.defined(letter.market_id)

    def _market_gone(self, sender: str, letter: MarketGone, at_ms: int) -> None:
        if self.routes.gone(letter.stream, letter.market_id):
            self.ends.leave(letter.market_id)

    def _free(self, market_id: str) -> None:
        self.routes.free(market_id)
        self.workers.forget(market_id)

    def _host_state(self, sender: str, letter: HostState, at_ms: int) -> None:
        rows = self.watch.take(letter, at_ms)
        if rows is not None:
            self.ends.take(rows, at_ms)

    # -- what comes from accounts and streams --------------------------------------------------------------------

    def _from_order_stream(self, sender: str, letter: Letter, at_ms: int) -> None:
        owner = self.stream_desk.owners.get(sender)
        if owner is None:
            logger.warning("%s tells of orders, and is no order stream", sender)
            return
        self.betting.accounts.take(owner, letter, at_ms)

    def _outcome(self, sender: str, letter: Outcome, at_ms: int) -> None:
        if letter.call == SOON:
            self.soon.run()
        else:
            self.betting.accounts.outcome(letter)

    def _stream_state(self, sender: str, letter: StreamState, at_ms: int) -> None:
        if self.stream_desk.take(letter, at_ms):
            self.workers.stream_state(letter)
            self.framework.order_stream_connected = self.stream_desk.orders_connected
            if letter.stream in self.stream_desk.owners:
                self.directory.tell("HOST", letter)

    def _told_to_stop(self, sender: str, letter: Stop, at_ms: int) -> None:
        """The engine ends: the loop does not wait for anything any more."""
        self.stops.halt(letter.why or "the system ends")

    # -- for `Shutdown` ------------------------------------------------------------------------------------------

    def stop_user_threads(self) -> None:
        self.threads.stop()

    def stop_hosts(self) -> None:
        self.pool.stop()
        for host in self.seating.hosts:
            self._engine.stop(host, "the system ends")

    @property
    def hosts_left(self) -> list[str]:
        return list(self.seating.hosts)

    @property
    def under_way(self) -> int:
        return sum(len(desk.under_way) for desk in self.betting.accounts)

    @property
    def resting(self) -> list[str]:
        return [bet_id for desk in self.betting.accounts for bet_id in desk.resting]

    def kill_hosts(self) -> None:
        for host in self.hosts_left:
            self.quarantine.killed(host)
            self._engine.kill(host)

    def log_out(self, then: Callable[[], object]) -> None:
        self.betting.accounts.close(then)

    def end(self) -> None:
        """Everything is done: the coordinator ends."""
        coordinator = self.betting.coordinator
        try:
            coordinator.process_end()
        except Exception as error:
            self.betting.failed(error, None, None)
        coordinator.log(TerminationEvent(None))
        rows = self.setup.rows_at_end(coordinator)
        if any(rows.values()):
            self._rows_writer.add(packed(rows))
        if self._starter.gone:  # nobody else ends them
            for name in list(self.directory.entries):
                self.mail.send(name, Stop("the system has ended"))
        self.mail.stopped = True
