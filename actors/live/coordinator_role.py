"""The coordinator of a live system: one thread in which all meets that is not one market's alone.

It seats markets, joins their actors to the accounts, sends their requests on and hears what becomes of them, gives
sessions to streams, keeps the limits, and stops the system. What takes long is done in other threads; what they find
comes back as a letter. So all state is touched by one thread.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...config import instance_id_of, with_instance_id
from ...strategies.clock import Clock, WallClock
from ...strategies.events import ConfigEvent, StrategyEvent
from ...strategies.messages import OrderFact, Request
from ...values import legible
from ..exchange import Answer
from ..letters import (
    Ask,
    Carried,
    ForeignBet,
    Gone,
    Hello,
    Hosting,
    HostState,
    Letter,
    MarketGone,
    MarketSeen,
    OrdersClosed,
    OrdersImage,
    Outcome,
    Position,
    Restored,
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
from .blocking import Watch
from .control import ControlDesk
from .directory import Directory
from .ending import SystemEnding
from .event_desk import EventDesk
from .former import Former
from .framework import SOON, LiveFramework, Soon
from .host_pool import HostPool
from .host_watch import HostWatch
from .hosts import Hosts
from .instance import control_path
from .journal_place import kind_of
from .live_workers import LiveWorkers
from .market_ends import MarketEnds
from .quarantine import Quarantine
from .recovery import Recovery
from .routes import Routes
from .rows_desk import RowsDesk
from .rows_file import rows_path
from .setup import LiveSetup
from .starter import Starter
from .stops import INSTANCE, STARTED, Stops
from .stream_desk import StreamDesk
from .threads import UserThreads
from .wards import Wards
from .watchdogs import Watchdogs

logger = logging.getLogger("headrace")

#: Milliseconds between two looks at what only time changes.
_TICK_MS = 1000
_HOUR_MS = 3_600_000


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

    Attributes:
        watched: a second thread says in the log where it stands, if it stands for long.
    """

    name = "c"
    watched = False
    # What `start` opens is handed to its parts, which find there what they need.
    answers: Answers
    events: EventDesk
    former: Former
    rows_desk: RowsDesk
    starter: Starter
    stops: Stops
    threads: UserThreads
    wards: Wards

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
        self.blocking = Watch(
            self.name, lambda: "the coordinator", lambda busy_ms, where: None, setup.config.stall_limit
        )
        self.page = ""
        self._next_ms = math.inf
        self._takers: dict[type, Callable[[str, Any, int], object]] = {
            Carried: lambda sender, letter, at_ms: self.betting.receive(
                sender, letter.crew, letter.message, letter.kept
            ),
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
            Rows: lambda sender, letter, at_ms: self.rows_desk.take(letter),
            Ask: lambda sender, letter, at_ms: self.answers.ask(letter),
            Hello: lambda sender, letter, at_ms: self.wards.hello(sender, letter, at_ms),
            Gone: lambda sender, letter, at_ms: self.wards.gone(sender, letter, at_ms),
            Hosting: lambda sender, letter, at_ms: self.wards.hosting(sender, letter, at_ms),
            Restored: lambda sender, letter, at_ms: self.wards.restored(sender, letter, at_ms),
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
        self.routes = Routes(setup, mail, self.directory, self.seating, self._seated, self._held)
        definition_of, anew = self.routes.definition_of, mail.incarnation > 0
        self.betting = Betting(
            setup, clock, mail.put, self.alerts, self._to_actor, definition_of, self._make_account, anew
        )
        accounts, log = self.betting.accounts, self.betting.coordinator.log
        self.stream_desk = StreamDesk(setup, accounts, self.alerts, mail.send, lambda: clock.now_ms)
        self._absent = AbsentMarkets(setup.streams, self.alerts.note)
        self.watch = HostWatch(self.seating, self.alerts.alert, self.alerts.note, setup.config.stall_limit)
        self.workers = LiveWorkers(setup, accounts, mail, self.directory, self.routes, self.seating, log)
        self.ends = MarketEnds(accounts, self._free)
        self.ending = SystemEnding(self, self._engine)
        self.stops = Stops(self.betting, self.alerts, self.ending, setup.on_stop == "leave", lambda: clock.now_ms)
        self.quarantine = Quarantine(
            setup, self.seating, self.watch, self.routes, self.betting, self.stops, self.alerts
        )
        stop = self.stops.stop_system
        self.events = EventDesk(self.betting, self.seating, mail, self._dumps, stop, self.alerts.note, clock)
        self.rows_desk = RowsDesk(rows_path(Path(setup.instance), kind_of(setup.clients)), self.alerts, mail.send)
        self.rows_desk.failures = setup.rows_of_failures(self.betting.failures)
        self.watchdogs = Watchdogs(self, self._engine.crash)
        self.answers = Answers(self)
        self.wards = Wards(self, self._engine, self._make_stream, lambda: clock.now_ms)
        self._recall()
        self._desk = ControlDesk(control_path(setup.instance), self.answers.answer)
        self._desk.open(mail)
        self.starter = Starter(setup.instance, setup.reference)
        if self.watched:
            self.blocking.start()
        self._begin()

    def _recall(self) -> None:
        """Go on where a former coordinator has ended, as the journal says."""
        journal = self.betting.journal
        recovery = Recovery(self.setup, self.betting)
        with journal.reading():
            recovered = recovery.read(journal.journal)
            hour = self._clock.now_ms // _HOUR_MS * _HOUR_MS
            told = journal.journal.open_markets
            recovery.count(journal.journal.since(hour, told), told)
        journal.say(STARTED, self.setup.session)
        journal.say(INSTANCE, instance_id_of(self.setup.config))
        self.wards.recall(recovered)
        recovery.look_into(self._clock.now_ms)
        self.rows_desk.counts = self.setup.rows_of_coordinator(self.betting.coordinator)
        self.former = Former(self, recovered, self._clock.now_ms)

    def _held(self, crew: str, market_id: str) -> bool:
        return self.wards.held(crew, market_id)

    def _begin(self) -> None:
        setup, log = self.setup, self.betting.coordinator.log
        log(ConfigEvent(with_instance_id(setup.config)))
        for strategy in setup.strategies:
            log(StrategyEvent(strategy))
        self.soon = Soon(self.mail.put)
        clients, strategies = self.betting.coordinator.clients, setup.strategies
        markets, events = lambda: self.routes.markets, self.events
        self.framework = LiveFramework(
            setup.config, clients, strategies, markets, self.soon, log, events.take, events.why_not
        )
        self.threads = UserThreads(
            self.framework,
            lambda error, name: self.soon(lambda: self._thread_failed(error, name)),
            lambda name: self.soon(lambda: self.alerts.note("CUSTOM", f"{name} has nothing more to read")),
        )
        self.threads.start(setup.workers, setup.custom_streams)
        self.former.begin()
        self._next_ms = self._clock.now_ms + _TICK_MS

    def receive(self, sender: str, letter: Letter, at_ms: int) -> None:
        take = self._takers.get(type(letter))
        if take is None:
            logger.warning("The coordinator has no use for %s of %s", type(letter).__name__, sender)
            return
        with self.blocking:
            take(sender, letter, at_ms)

    def caught_up(self, at_ms: int) -> None:
        """Do what what has come makes possible."""
        with self.blocking:
            self._catch_up(at_ms)

    def _catch_up(self, at_ms: int) -> None:
        self.betting.journal.flush()
        if self.betting.gate.unready:
            self.betting.look_ready()
        failed = self.betting.failures.users
        if failed and self.setup.config.raise_errors:
            self.stops.stop_system(failed)
        self.stops.look(at_ms)
        self.betting.journal.flush()

    def wake(self, at_ms: int) -> None:
        with self.blocking:
            self._wake(at_ms)

    def _wake(self, at_ms: int) -> None:
        self.betting.accounts.wake(at_ms)
        if self.workers.next_ms <= at_ms:
            self.workers.look(at_ms)
        if self._next_ms <= at_ms:
            self._next_ms = at_ms + _TICK_MS
            self.stream_desk.grants.look(at_ms)
            self.watchdogs.look(at_ms)
            self.wards.look(at_ms)
            self.former.look(at_ms)
            self._absent.look(self.stream_desk.states, self.routes.markets, at_ms)
            self.workers.look(at_ms)
            self.ends.look(at_ms)
            self.betting.save()
            self.betting.journal.look()
            self.starter.look(at_ms, self.stops)
            self.rows_desk.tell(at_ms)
        self._catch_up(at_ms)

    def lost(self, sender: str) -> None:
        """Letters were lost: see `Wards.lost`."""
        self.wards.lost(sender)

    def stop(self) -> None:
        """Close what is open; what rests at the exchange stays as it is."""
        self.blocking.close()
        self._desk.close()
        self.threads.stop(0.0)
        self.betting.accounts.end()
        self.betting.save(wait=True)
        self.rows_desk.tell()
        self.rows_desk.close()
        self.betting.journal.end()
        self.alerts.close()
        if self.starter.gone:
            self._engine.close()
        self.starter.release()

    def crash(self) -> None:
        """As a process that is killed: what is under way is lost, what was not written is not written."""
        self.blocking.close()
        with contextlib.suppress(AttributeError):  # in the order of the start, which may not have come so far
            self.betting.journal.close()
            self.betting.accounts.end()
            self.rows_desk.crash()
            self._desk.close()
            self.starter.release()
            self.threads.stop(0.0)

    def _thread_failed(self, error: Exception, name: str) -> None:
        self.betting.failed(error, None, None)
        self.alerts.note("FAILURE", f"{name} failed: {type(error).__name__}: {legible(error)}")

    # -- actors --------------------------------------------------------------------------------------------------

    def fill_hosts(self) -> None:
        """Start all hosts that may be needed."""
        if self.stops.shutdown is None:
            self.pool.fill()

    def _seated(self, host: str, crew: str, market_id: str, event_id: str | None, new: bool) -> None:
        self.betting.join(host, crew)
        if new:
            self.betting.journal.seat(crew, market_id, event_id, host, self.routes.known(market_id)[0])
        self.events.seated(host)
        self.workers.want_catalogue(market_id, host, self._clock.now_ms)

    def _to_actor(self, host: str, crew: str, message: Answer | Request) -> None:
        self.mail.send(host, Carried(crew, message))

    # -- markets -------------------------------------------------------------------------------------------------

    def _seen(self, sender: str, letter: MarketSeen, at_ms: int) -> None:
        if self.stops.shutdown is None:
            self.routes.see(letter)
            self.ends.shown(letter.market_id)
            self.betting.defined(letter.market_id)

    def _market_gone(self, sender: str, letter: MarketGone, at_ms: int) -> None:
        if self.routes.gone(letter.stream, letter.market_id):
            self.ends.leave(letter.market_id, at_ms)

    def _free(self, market_id: str) -> None:
        self.routes.free(market_id)
        self.wards.successors.forget(market_id)
        self.betting.over(market_id)
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
        self.betting.accounts.take_letter(owner, letter, at_ms)

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
