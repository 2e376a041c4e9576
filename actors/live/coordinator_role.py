"""The coordinator of a live system: one thread in which all meets that is not one market's alone.

It seats markets, joins their actors to the accounts, sends their requests on and hears what becomes of them, gives
sessions to streams, keeps the limits, and stops the system. What takes long is done in other threads; what they find
comes back as a letter. So all state is touched by one thread.
"""

from __future__ import annotations

import functools
import logging
import math
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from ...strategies.clock import Clock, WallClock
from ...strategies.errors import HeadraceError
from ...strategies.events import ConfigEvent, CustomEvent, StrategyEvent, TerminationEvent
from ...strategies.host import Host, unique_id
from ...strategies.messages import ClearedOrder, OrderFact, Reply, Request
from ...values import legible
from ..betfair.known_bets import KnownBet
from ..betfair.live_account import LiveAccounts
from ..coordinator import Coordinator
from ..exchange import Answer
from ..failures import Failures, users_place
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
    Session,
    SessionWanted,
    Stop,
    StreamState,
    UserEvent,
)
from ..logging_controls import LoggingControls
from ..mailboxes.mail import Mail
from ..role import Role
from ..switchboard import Switchboard
from .accounts import Accounts, Desk, MakeAccount, Owner
from .alerts import Alerts
from .answers import Answers
from .control import ControlDesk
from .day import Day
from .directory import Directory
from .framework import SOON, LiveFramework, Soon
from .grants import Grants
from .host_watch import HostWatch
from .instance import control_path
from .live_workers import LiveWorkers
from .market_ends import MarketEnds
from .risk import Exposure, Gate, GateControl, Risk, RiskControl
from .routes import Routes
from .rows_file import ROWS, RowsWriter, packed
from .seating import Seating
from .setup import LiveSetup
from .shutdown import Shutdown
from .stopping import Cancelling
from .threads import UserThreads

logger = logging.getLogger("headrace")

#: Between two looks at what only time changes; the same while something is being cancelled, or the system ends.
_TICK_MS, _BUSY_TICK_MS = 1000, 100
_SEPARATOR = "/"
_ORDERS = "orderSubscription"


class Hosts(Protocol):
    """What the coordinator asks of its engine: see `actors.shells.engine`."""

    def prepare(self, names: Sequence[str]) -> None: ...

    def start(self, name: str, make_role: Callable[[], Role], incarnation: int = 0) -> str: ...

    def stop(self, name: str, why: str = "") -> None: ...

    def kill(self, name: str) -> None: ...


class CoordinatorRole:
    """See the module.

    Args:
        setup: what the system is made of.
        engine: starts hosts.
        make_host: makes the role of a host, by its name; with the Ray engine it is pickled.
        make_account: makes the accounts at real exchanges; None: `LiveAccounts`.
        dumps: pickles custom events for hosts.
        travels: says why something cannot be sent to hosts; None where it can.
        clock: the time; None: the machine's.
    """

    name = "c"

    def __init__(
        self,
        setup: LiveSetup,
        engine: Hosts,
        make_host: Callable[[str], Role],
        make_account: MakeAccount | None = None,
        dumps: Callable[[Any], bytes] = pickle.dumps,
        travels: Callable[[Any], str | None] = lambda value: None,
        clock: Clock | None = None,
    ) -> None:
        self.setup = setup
        self._engine, self._make_host = engine, make_host
        self._make_account, self._dumps, self._travels = make_account, dumps, travels
        self._clock = WallClock() if clock is None else clock
        self.failures = Failures("coordinator")
        self.streams: dict[str, StreamState] = {}
        self.cancelling: Cancelling | None = None
        self.shutdown: Shutdown | None = None
        self._next_ms = math.inf
        self._joined: set[str] = set()
        self._incarnations: dict[str, int] = {}
        self._ended_hosts: set[str] = set()
        self._owners: dict[str, Owner] = {}
        self._takers: dict[type, Callable[[str, Any, int], object]] = {
            Carried: self._carried,
            Outcome: self._outcome,
            OrderFact: self._from_order_stream,
            ForeignBet: self._from_order_stream,
            Position: self._from_order_stream,
            OrdersImage: self._from_order_stream,
            OrdersClosed: self._from_order_stream,
            MarketSeen: self._seen,
            MarketGone: self._market_gone,
            HostState: self._host_state,
            StreamState: self._stream_state,
            SessionWanted: self._session_wanted,
            Rows: self._rows,
            Ask: self._ask,
            Hello: self._hello,
            Gone: self._gone,
            Stop: self._told_to_stop,
        }

    # -- a role --------------------------------------------------------------------------------------------------

    @property
    def next_ms(self) -> float:
        return min(self._next_ms, self.accounts.next_ms, self.workers.next_ms)

    def start(self, mail: Mail) -> None:
        """Open everything.

        Raises:
            RunError: what was kept of today's results cannot be read, or the control socket cannot be opened.
            ClientError: an account cannot be used.
        """
        self.mail = mail
        setup, clock = self.setup, self._clock
        self.alerts = Alerts(setup.webhook, setup.reference, lambda: clock.now_ms)
        self.day = Day(Path(setup.instance), setup.risk.risk_timezone)
        self.gate = Gate()
        self.directory = Directory(mail)
        self.grants = Grants(self._grant)
        self.soon = Soon(mail.put)
        self._rows_writer = RowsWriter(Path(setup.instance) / ROWS)
        self._failure_rows = setup.rows_of_failures(self.failures)
        logs = LoggingControls(setup.logging_controls)
        self.coordinator: Coordinator = setup.coordinator(setup.clients, logs if setup.logging_controls else None)
        self.host = Host(clock, setup.config, unique_id)
        self._connect()
        self.switchboard = Switchboard(self.coordinator, self.failed)
        self.seating = Seating(setup.max_hosts, self._start_host)
        self.watch = HostWatch(self.seating, self.alerts.alert, self.alerts.note)
        self.routes = Routes(setup, mail, self.directory, self.seating, self._seated)
        self.workers = LiveWorkers(
            setup, self.accounts, mail, self.directory, self.routes, self.seating, self.coordinator.log
        )
        self.ends = MarketEnds(self.accounts, self._free)
        for plan in setup.streams:
            if plan.operation == _ORDERS:
                self._owners[plan.name] = (plan.venue, plan.username)
        self.answers = Answers(self)
        self._desk = ControlDesk(control_path(setup.instance), self.answers.answer)
        self._desk.open(mail)
        self._begin()

    def _connect(self) -> None:
        """Join the accounts, with the controls of the system before those of the user."""
        setup, clock = self.setup, self._clock
        self.coordinator.connect(
            self.host,
            self,
            [each for each in setup.client_controls if each[1].scope == "account"],
            [
                (GateControl, {"gate": self.gate}),
                (RiskControl, {}),
                *[each for each in setup.trading_controls if each[0].scope == "account"],
            ],
            self.failed,
        )
        make = self._make_account
        if make is None:
            make = LiveAccounts(setup.config, setup.reference, lambda: clock.now_ms)
        clients = self.coordinator.clients
        self.accounts = Accounts(clients, setup.reference, self, self.mail.put, lambda: clock.now_ms, make)
        self.exposure = Exposure(
            lambda owner, market_id: self.accounts.of(owner).open_in(market_id),
            lambda market_id: self.routes.definition_of(market_id),
        )
        self.risk = Risk(
            setup.risk,
            self.day,
            self.exposure,
            lambda owner, order_id, bet_id: self.accounts.of(owner).bets.of(order_id, bet_id),
            {(client.venue, client.username): client.currency_code for client in clients},
            lambda: clock.now_ms,
            lambda why: self.alerts.alert("LIMIT", why),
        )
        for control in self.coordinator.account_controls:
            if isinstance(control, RiskControl):
                control.risk = self.risk
        for desk in self.accounts:
            if not desk.ready:
                self.gate.unready[desk.owner] = "how the account's bets stand at the exchange is not known yet"

    def _begin(self) -> None:
        setup = self.setup
        self.coordinator.log(ConfigEvent(setup.config))
        for strategy in setup.strategies:
            self.coordinator.log(StrategyEvent(strategy))
        framework = LiveFramework(
            setup.config,
            self.coordinator.clients,
            setup.strategies,
            lambda: self.routes.markets,
            self.soon,
            self.coordinator.log,
            self._custom_event,
            self._travels,
        )
        self.framework = framework
        self.threads = UserThreads(framework, lambda error, name: self.soon(lambda: self._thread_failed(error, name)))
        self.threads.start(setup.workers, setup.custom_streams)
        self._engine.prepare([self.seating.next_host])
        self._next_ms = self._clock.now_ms + _TICK_MS

    def receive(self, sender: str, letter: Letter, at_ms: int) -> None:
        take = self._takers.get(type(letter))
        if take is None:
            logger.warning("The coordinator has no use for %s of %s", type(letter).__name__, sender)
            return
        take(sender, letter, at_ms)

    def caught_up(self, at_ms: int) -> None:
        """Do what what has come makes possible."""
        if self.gate.unready:
            self._look_ready()
        if self.cancelling is not None:
            self.cancelling.look(at_ms)
        if self.shutdown is not None:
            self.shutdown.look(at_ms)

    def wake(self, at_ms: int) -> None:
        self.accounts.wake(at_ms)
        if self.workers.next_ms <= at_ms:
            self.workers.look(at_ms)
        if self._next_ms <= at_ms:
            busy = self.cancelling is not None or self.shutdown is not None
            self._next_ms = at_ms + (_BUSY_TICK_MS if busy else _TICK_MS)
            self.grants.look(at_ms)
            self.watch.look(at_ms)
            self.workers.look(at_ms)
            self.ends.look(at_ms)
            self._write_failures()
        self.caught_up(at_ms)

    def lost(self, sender: str) -> None:
        self.alerts.alert("LOST", f"letters of {sender} to the coordinator were lost")

    def stop(self) -> None:
        """Close what is open; what rests at the exchange stays as it is."""
        self._desk.close()
        self.threads.stop(0.0)
        for desk in self.accounts:
            if desk.live is not None:
                desk.live.calls.close()
        self._write_failures()
        self._rows_writer.close()
        self.alerts.close()

    # -- failures and rows ---------------------------------------------------------------------------------------

    def failed(self, error: Exception, market_id: str | None, strategy: str | None) -> None:
        """Count an error, and log the first of its kind."""
        if self.failures.add(error, strategy, market_id, users_place(error), self._clock.now_ms):
            known = isinstance(error, HeadraceError)
            logger.error("%s", legible(error), exc_info=None if known else error)

    def _thread_failed(self, error: Exception, name: str) -> None:
        self.failed(error, None, None)
        self.alerts.note("FAILURE", f"{name} failed: {type(error).__name__}: {legible(error)}")

    def _rows(self, sender: str, letter: Rows, at_ms: int) -> None:
        self._rows_writer.add(letter.data)

    def _write_failures(self) -> None:
        rows = self._failure_rows()
        if any(rows.values()):
            self._rows_writer.add(packed(rows))

    # -- actors --------------------------------------------------------------------------------------------------

    def _hello(self, sender: str, letter: Hello, at_ms: int) -> None:
        news = self.directory.arrived(letter.name, letter.address, letter.kind, letter.incarnation, letter.pid)
        if letter.kind == "HOST":
            self.workers.greet(letter.name)
        elif news and letter.kind == "STREAM":
            self.routes.again(letter.name)
            self.workers.again(letter.name)

    def _start_host(self, name: str) -> None:
        address = self._engine.start(name, functools.partial(self._make_host, name))
        self.directory.arrived(name, address, "HOST")
        self._engine.prepare([self.seating.next_host])

    def _seated(self, host: str, crew: str, market_id: str) -> None:
        actor = f"{host}.{crew}"
        if actor not in self._joined:
            self._joined.add(actor)
            self.switchboard.join(actor, functools.partial(self._to_actor, host, crew))
        self.workers.want_catalogue(market_id, host, self._clock.now_ms)

    def _to_actor(self, host: str, crew: str, message: Answer | Request) -> None:
        self.mail.send(host, Carried(crew, message))

    def _gone(self, sender: str, letter: Gone, at_ms: int) -> None:
        entry = self.directory.entries.get(letter.name)
        if entry is not None and letter.incarnation < entry.incarnation:
            return  # its successor is there
        self.directory.gone(letter.name)
        self.grants.gone(letter.name, at_ms)
        if letter.name in self.seating.hosts:
            self._host_gone(letter)
        elif letter.name in self.streams and self.shutdown is None:
            self.alerts.alert("STREAM", f"stream {letter.name} has ended{f': {letter.why}' if letter.why else ''}")

    def _host_gone(self, letter: Gone) -> None:
        """A host has ended. Unless it was asked to, nobody trades its markets: what rests there is cancelled."""
        self._ended_hosts.add(letter.name)
        self.watch.forget(letter.name)
        places = self.seating.lose(letter.name)
        markets = sorted({market_id for _, market_id in places})
        if self.shutdown is None:
            why = f": {letter.why}" if letter.why else ""
            text = f"host {letter.name} has ended{why}; nothing is placed any more in its markets"
            self.alerts.alert("QUARANTINE", f"{text}: {', '.join(markets) or 'none'}")
            self.gate.quarantined.update(dict.fromkeys(markets, text))
            if markets and self.setup.on_stop == "cancel":
                self._cancel_in(set(markets))
        for crew, market_id in places:
            self.routes.free_place(crew, market_id)
        for actor in [each for each in self._joined if each.partition(".")[0] == letter.name]:
            self._joined.discard(actor)
            self.switchboard.leave(actor)

    def _cancel_in(self, markets: set[str]) -> None:
        """Cancel what rests in markets that nobody looks after any more."""
        for desk in self.accounts:
            if desk.orders is None or desk.live is None:
                continue
            for market_id in markets:
                ids = [bet.bet_id for bet in desk.bets.in_market(market_id) if not bet.ended and not bet.at_sp]
                known = [each for each in ids if each is not None]
                if known:
                    desk.live.cancel(market_id, known)

    # -- markets -------------------------------------------------------------------------------------------------

    def _seen(self, sender: str, letter: MarketSeen, at_ms: int) -> None:
        if self.shutdown is not None:
            return
        self.routes.see(letter)

    def _market_gone(self, sender: str, letter: MarketGone, at_ms: int) -> None:
        if self.routes.gone(letter.stream, letter.market_id):
            self.ends.leave(letter.market_id)

    def _free(self, market_id: str) -> None:
        self.routes.free(market_id)
        self.workers.forget(market_id)
        self.gate.quarantined.pop(market_id, None)

    def _host_state(self, sender: str, letter: HostState, at_ms: int) -> None:
        rows = self.watch.take(letter, at_ms)
        if rows is not None:
            self.ends.take(rows, at_ms)

    # -- requests and answers ------------------------------------------------------------------------------------

    def _carried(self, sender: str, letter: Carried, at_ms: int) -> None:
        actor = f"{sender}.{letter.crew}"
        if actor not in self._joined:
            logger.debug("%s is not joined any more: %s", actor, type(letter.message).__name__)
            return
        message = letter.message
        if isinstance(message, (Reply, OrderFact, ClearedOrder)):
            known = self.request_of(message.request_id) if isinstance(message, Reply) else None
            self.accounts.simulated(known, message)
        self.switchboard.receive(actor, message)

    def send(self, request: Request) -> None:
        """For the coordinator: send a request on."""
        self.accounts.send(request)

    def to_host(self, request: Request) -> None:
        """Take a request of an account on paper back to the host that asked."""
        host, _, crew = request.request_id.partition(_SEPARATOR)[0].partition(".")
        self._to_actor(host, crew, request)

    def hand_on(self, message: Answer) -> None:
        """Something was answered, or found out, of an account."""
        self.coordinator.answer(message)

    def request_of(self, request_id: str) -> Request | None:
        """A request that is not answered in full."""
        known = self.coordinator.requests.get(request_id)
        return None if known is None else known[0]

    def changed(self, owner: Owner, market_id: str) -> None:
        """Something has happened to bets of an account in a market."""
        self.exposure.changed(owner, market_id)

    def settled(self, owner: Owner, market_id: str, profit: float) -> None:
        """The results of an account's bets in a market come to this."""
        client, known = self.accounts.of(owner).client, self.routes.markets.get(market_id)
        rate = client.commission_rate(5.0 if known is None else known.definition.market_base_rate)
        after = round(profit - max(0.0, profit) * rate, 2)
        if self.day.settle(market_id, " ".join(owner), client.currency_code, after, self._clock.now_ms):
            self.day.save(self._clock.now_ms)

    def report(self, word: str, market_id: str, text: str) -> None:
        """Something about orders that people should know."""
        said = f"market {market_id}: {text}" if market_id else text
        if word in ("in_doubt", "settled"):
            self.alerts.note(word.upper(), said)
        else:
            self.alerts.alert("DIFFERENCE" if word == "difference" else word.upper(), said)

    def _from_order_stream(self, sender: str, letter: Letter, at_ms: int) -> None:
        owner = self._owners.get(sender)
        if owner is None:
            logger.warning("%s tells of orders, and is no order stream", sender)
            return
        self.accounts.take(owner, letter, at_ms)

    def _look_ready(self) -> None:
        for owner in [each for each in self.gate.unready if self.accounts.of(each).ready]:
            del self.gate.unready[owner]
            self.alerts.note("READY", f"account {owner[1]}: how its bets stand is known; orders may be placed")

    def _outcome(self, sender: str, letter: Outcome, at_ms: int) -> None:
        if letter.call == SOON:
            self.soon.run()
        else:
            self.accounts.outcome(letter)

    # -- events of the user's own --------------------------------------------------------------------------------

    def _custom_event(self, event: CustomEvent | TerminationEvent) -> None:
        """In the coordinator's thread: it sees the event once, then every host that hosts one of its markets."""
        if isinstance(event, TerminationEvent):
            self.stop_system("a termination event asks for it")
            return
        try:
            self.coordinator.process_custom_event(event)
        except Exception as error:
            self.failed(error, None, None)
        self.coordinator.log(event)
        data = self._dumps(event)
        for host in self._hosts_of(event):
            self.mail.send(host, UserEvent(data))

    def _hosts_of(self, event: CustomEvent) -> list[str]:
        if event.market_ids is None:
            return list(self.seating.hosts)
        return list(dict.fromkeys(host for _, market_id, host in self.seating if market_id in event.market_ids))

    # -- sessions and streams ------------------------------------------------------------------------------------

    def _session_wanted(self, sender: str, letter: SessionWanted, at_ms: int) -> None:
        desk = self.accounts.connecting(letter.venue, letter.username)
        if desk is None or desk.live is None:
            who = f"account {letter.username!r} of {letter.venue}" if letter.username else "an account at an exchange"
            self.alerts.alert("SESSION", f"stream {letter.stream} needs {who}, and none was added")
            return
        desk.live.session.want(functools.partial(self._have_session, desk, letter.stream), letter.refused, patient=True)

    def _have_session(self, desk: Desk, stream: str, token: str | None) -> None:
        assert desk.live is not None
        if token is None:
            self.alerts.alert("SESSION", f"{desk.owner[1]} cannot log in: {desk.live.session.error}")
            return
        self.grants.want(desk.owner, stream, self._clock.now_ms)

    def _grant(self, owner: Owner, stream: str) -> bool:
        live = self.accounts.of(owner).live
        if live is None or live.token is None:
            if live is not None:
                live.session.want(lambda token: self.grants.serve(owner, self._clock.now_ms) if token else None)
            return False
        self.mail.send(stream, Session(*owner, live.app_key, live.token))
        return True

    def _stream_state(self, sender: str, letter: StreamState, at_ms: int) -> None:
        known = self.streams.get(letter.stream)
        self.streams[letter.stream] = letter
        if known is not None and (known.state, known.error) == (letter.state, letter.error):
            return
        if letter.state != "CONNECTING" and (known is None or known.state != letter.state):
            self.grants.settled(letter.stream, at_ms)
        self.workers.stream_state(letter)
        if letter.state == "REFUSED":
            self.alerts.alert("STREAM", f"stream {letter.stream} is refused: {letter.error}")
        elif letter.state == "DOWN":
            self.alerts.note("STREAM", f"stream {letter.stream} is down: {letter.error or 'no reason was given'}")
        owner = self._owners.get(letter.stream)
        if owner is not None and letter.state != "SUBSCRIBED":
            orders = self.accounts.of(owner).orders
            if orders is not None:
                orders.stream_down()
        self._tell_order_streams()

    def _tell_order_streams(self) -> None:
        """Workers and controls may ask whether the order streams are there."""
        states = [self.streams.get(name) for name in self._owners]
        self.framework.order_stream_connected = all(
            state is not None and state.state == "SUBSCRIBED" for state in states
        )

    # -- questions and stopping ----------------------------------------------------------------------------------

    def _ask(self, sender: str, letter: Ask, at_ms: int) -> None:
        self.answers.ask(letter)

    def _told_to_stop(self, sender: str, letter: Stop, at_ms: int) -> None:
        """The engine ends: the loop does not wait for anything any more."""
        self.gate.stopping = self.gate.stopping or letter.why or "the system ends"

    def cancel_all(self, why: str, whole_account: bool = False) -> None:
        """Halt placing, and cancel what rests."""
        self._halt(why)
        if self.cancelling is None or (whole_account and not self.cancelling.whole_account):
            self.cancelling = Cancelling(self.accounts, self._ask_host, self.alerts.alert, whole_account)
        self.cancelling.look(self._clock.now_ms)
        self._next_ms = self._clock.now_ms + _BUSY_TICK_MS

    def stop_system(self, why: str, leave: bool | None = None) -> None:
        """Halt placing, cancel what rests or leave it, and end."""
        if self.shutdown is not None:
            return
        self._halt(why)
        if leave is None:
            leave = self.setup.on_stop == "leave"
        if leave:
            self.cancelling = None
        else:
            self.cancel_all(why)
        self.shutdown = Shutdown(self, self.cancelling, self.alerts.note)
        self._next_ms = self._clock.now_ms + _BUSY_TICK_MS
        self.shutdown.look(self._clock.now_ms)

    def _halt(self, why: str) -> None:
        if not self.gate.stopping:
            self.gate.stopping = why
            self.alerts.alert("STOP", f"placing has stopped: {why}")

    def _ask_host(self, bet: KnownBet, request: Request) -> None:
        """Send a request of ours to the host that simulates a bet."""
        actor = self.switchboard.owner_of(bet.market_id, bet.order_id or "")
        if actor is not None:
            host, _, crew = actor.partition(".")
            self._to_actor(host, crew, request)

    # -- for `Shutdown` ------------------------------------------------------------------------------------------

    def stop_user_threads(self) -> None:
        self.threads.stop()

    def stop_hosts(self) -> None:
        for host in self.seating.hosts:
            self._engine.stop(host, "the system ends")

    @property
    def hosts_left(self) -> list[str]:
        return list(self.seating.hosts)

    def kill_hosts(self) -> None:
        for host in self.hosts_left:
            self._engine.kill(host)

    def log_out(self, then: Callable[[], object]) -> None:
        self.accounts.close(then)

    def end(self) -> None:
        """Everything is done: the coordinator ends."""
        try:
            self.coordinator.process_end()
        except Exception as error:
            self.failed(error, None, None)
        self.coordinator.log(TerminationEvent(None))
        rows = self.setup.rows_at_end(self.coordinator)
        if any(rows.values()):
            self._rows_writer.add(packed(rows))
        self.mail.stopped = True
