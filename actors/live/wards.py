"""Wards: the hosts and streams that the coordinator looks after. One that ends is started again at once.

Its successor has the same name and a later incarnation. A host goes on with the markets of its former self (see
`successors`); one that keeps ending is given up, and what rests in its markets is cancelled (see `quarantine`).
"""

from __future__ import annotations

import collections
import logging
from collections.abc import Callable
from typing import Protocol

from ...strategies.errors import RunError
from ..letters import FreeMarket, Gone, Hello, Hosting, Introduce, Restored
from ..mailboxes.mail import Mail
from ..role import Role
from .alerts import Alerts
from .betting import Betting
from .directory import Directory
from .former import Former
from .host_pool import HostPool
from .host_watch import HostWatch
from .hosts import Found, Hosts
from .live_workers import LiveWorkers
from .quarantine import Quarantine
from .recovery import Recovered
from .routes import Routes
from .seating import Place, Seating
from .setup import LiveSetup
from .stops import STARTED, Stops
from .stream_desk import StreamDesk
from .successors import Successors

logger = logging.getLogger("headrace")

#: Milliseconds within which a host that ends after it went on with its markets has not got on; and how often, one after
#: the other, that is tried.
_QUICK_MS, _MOST_QUICK = 1_000, 4
_HOUR_MS = 3_600_000
#: Milliseconds within which whoever has started the system has started all of its streams.
_STARTING_MS = 10_000
#: Milliseconds after which what must not be forgotten is written down again: of a day ago the journal tells nothing.
_AGAIN_MS = 6 * _HOUR_MS
_PAGE = "page"
#: Why markets wait for their hosts.
_ANEW, _UNKNOWN = "the system was started anew", "the coordinator was started anew"
#: Makes what makes a stream's role, by the stream's name.
MakeStream = Callable[[str], Callable[[], Role]]


class System(Protocol):
    """A live system, as its coordinator has it."""

    setup: LiveSetup
    mail: Mail
    alerts: Alerts
    betting: Betting
    directory: Directory
    former: Former
    page: str
    pool: HostPool
    quarantine: Quarantine
    routes: Routes
    seating: Seating
    stops: Stops
    stream_desk: StreamDesk
    watch: HostWatch
    workers: LiveWorkers


class Wards:
    """Looks after hosts and streams.

    Args:
        role: the coordinator; what it has is there once this is asked for something.
        engine: starts them.
        make_stream: None: streams that end stay ended.
        clock_ms: now, milliseconds since the epoch.

    Attributes:
        successors: places whose host has ended.
        restarts: how many were started again.
    """

    def __init__(
        self, role: System, engine: Hosts, make_stream: MakeStream | None, clock_ms: Callable[[], int]
    ) -> None:
        self._role, self._engine, self._make_stream, self._clock_ms = role, engine, make_stream, clock_ms
        self.restarts = 0
        self._hellos: dict[str, Hello] = {}
        self._ends: dict[str, int] = {}
        self._again_at = clock_ms() + _AGAIN_MS
        self._to_start: dict[str, str] = {}
        self._starting: set[str] = set()
        self._said_hello: dict[str, int] = {}
        self._gone_on_at: dict[str, int] = {}
        self._quick: dict[str, int] = {}
        self._later: dict[Place, None] = {}
        self._deaths: dict[Place, collections.deque[int]] = {}
        betting = role.betting
        self.successors = Successors(
            betting.journal.journal,
            role.seating,
            {crew.name: crew.strategies for crew in role.setup.crews},
            role.mail.send,
            role.routes.known,
            betting.switchboard.owner_of,
            self._goes_on,
            self._given_up,
        )

    # -- from a former coordinator -------------------------------------------------------------------------------

    def recall(self, recovered: Recovered) -> None:
        """Take over what a former coordinator looked after: as the journal says, and as the engine finds it.

        Those that run are introduced to this one, and say what they have. What does not run is started again; of a
        former system only hosts that have markets: others are started as in any system.
        """
        role, now = self._role, self._clock_ms()
        found = self._engine.adopt()
        again = role.mail.incarnation > 0
        for (crew, market_id), seat in recovered.places.items():
            if seat.definition:
                role.routes.recall(market_id, seat.definition, now)
            role.seating.recall(role.setup.crew(crew), market_id, seat.event_id, seat.host)
            role.betting.join(seat.host, crew)
        for crew, market_id in recovered.given_up:
            role.quarantine.recall(crew, market_id)
        if again:
            for name, hello in recovered.actors.items():
                self._knew(name, hello.kind, hello.incarnation, now, name in found)
        for name, each in found.items():
            self._found(name, each)
        for host in list(role.seating.hosts):
            places = [(crew, market_id) for crew, market_id, its in role.seating if its == host]
            if host in found:
                self.successors.want(places, _UNKNOWN)
            else:
                self._start_again(host, _ANEW)
        if again:
            role.stream_desk.missing(found, now + _STARTING_MS)
            self.look(now)

    def _knew(self, name: str, kind: str, incarnation: int, at_ms: int, runs: bool) -> None:
        """A former coordinator of this system knew an actor."""
        role = self._role
        if kind == "HOST":
            role.pool.incarnations[name] = incarnation
            role.seating.recall_host(name)
        elif kind == "STREAM":
            role.stream_desk.recall(name, incarnation)
            if not runs:
                role.stream_desk.ended(Gone(name, "", incarnation), at_ms)

    def _found(self, name: str, found: Found) -> None:
        """An actor of this system runs."""
        role = self._role
        kind = "STREAM" if role.stream_desk.has(name) else "PAGE" if name == _PAGE else "HOST"
        self._knew(name, kind, found.incarnation, 0, True)
        role.directory.arrived(name, found.address, kind, found.incarnation)
        role.mail.send(name, Introduce(role.mail.name, role.mail.address))

    def hosting(self, sender: str, letter: Hosting, at_ms: int) -> None:
        """A host says what it has, to a coordinator that is new to it."""
        role, host = self._role, letter.host
        if letter.incarnation < self._incarnation(host):
            return  # its successor has been started: it has nothing
        for crew, market_id, event_id in letter.places:
            its = role.seating.host_of(crew, market_id)
            if its is None and not role.routes.is_given_up(crew, market_id):
                role.seating.recall(role.setup.crew(crew), market_id, event_id, host)
                role.betting.join(host, crew)
                role.betting.journal.seat(crew, market_id, event_id, host)
            elif its != host:
                role.mail.send(host, FreeMarket(crew, market_id))
                continue
            self.successors.drop(crew, market_id)
            role.betting.tell_again(host, crew, market_id)
            self._route(crew, market_id)
        # What it had to go on with, and has not heard of.
        role.betting.journal.flush()
        self.successors.begin(host)
        self._route_later()

    def _incarnation(self, name: str) -> int:
        """The last one of an actor that was started."""
        return max(self._role.stream_desk.incarnation(name), self._role.pool.incarnations.get(name, 0))

    # -- who comes, and who goes ---------------------------------------------------------------------------------

    def hello(self, sender: str, letter: Hello, at_ms: int) -> None:
        """An actor has started."""
        role = self._role
        if letter.incarnation < self._incarnation(letter.name):
            return  # it has ended by now
        news = role.directory.arrived(letter.name, letter.address, letter.kind, letter.incarnation, letter.pid)
        self._hellos[letter.name] = letter
        role.betting.journal.note(letter)
        role.page = letter.url or role.page
        if letter.kind == "HOST":
            self._said_hello[letter.name] = at_ms
            role.workers.greet(letter.name)
            role.pool.arrived()
            for name in role.stream_desk.owners:
                if (state := role.stream_desk.states.get(name)) is not None:
                    role.mail.send(letter.name, state)
            if letter.name in self._starting:
                self._starting.discard(letter.name)
                role.betting.journal.flush()  # what is known of its markets is read there
                self.successors.begin(letter.name)
        elif news and letter.kind == "STREAM":
            self._engine.adopt([letter.name])  # whoever has started it may die before it does
            role.former.unsure(role.routes.again(letter.name), at_ms)
            role.workers.again(letter.name)

    def lost(self, sender: str) -> None:
        """Letters of an actor were lost, or it was started anew.

        A stream tells all that it knows again; what bets have come to is read from the lists. A host tells what it has,
        and what is not answered.
        """
        role, text = self._role, f"letters of {sender} to the coordinator were lost"
        role.stream_desk.lost(sender, role.mail.address, self._clock_ms())
        owner = role.stream_desk.owners.get(sender)
        if sender in role.seating.hosts:
            role.mail.send(sender, Introduce(role.mail.name, role.mail.address))
            if self._said_hello.get(sender, 0) and sender not in self._starting:
                role.alerts.note("LOST", f"{text}; it tells again what it has")
        elif owner is not None and role.betting.accounts.of(owner).orders is not None:
            role.alerts.note("LOST", f"{text}; how the account's bets stand is read from the lists")
        else:
            role.alerts.alert("LOST", text)

    def gone(self, sender: str, letter: Gone, at_ms: int) -> None:
        """An actor has ended."""
        role, name = self._role, letter.name
        if letter.incarnation < self._incarnation(name):
            return  # its successor is there
        if letter.incarnation <= self._ends.get(name, -1):
            return  # more than one engine has told of it
        self._ends[name] = letter.incarnation
        role.directory.gone(name)
        self._hellos.pop(name, None)
        stream = role.stream_desk.gone(name, at_ms)
        if name in role.seating.hosts:
            self._host_gone(letter, at_ms)
        elif stream and role.stops.shutdown is None:
            role.stream_desk.ended(letter, at_ms)
            self.look(at_ms)

    def _host_gone(self, letter: Gone, at_ms: int) -> None:
        role, host = self._role, letter.name
        role.betting.ended(host)
        places = [(crew, market_id) for crew, market_id, its in role.seating if its == host]
        if role.stops.shutdown is not None or self._keeps_ending(host, places, at_ms):
            for place in places:
                self.successors.drop(*place)
            role.quarantine.gone(letter)
            return
        why = f"host {host} has ended{f': {letter.why}' if letter.why else ''}"
        markets = ", ".join(sorted({market_id for _, market_id in places})) or "none"
        role.alerts.alert("RESTART", f"{why}; it is started again, and goes on with its markets: {markets}")
        role.betting.journal.say("GONE", why)
        role.watch.forget(host)
        most = role.setup.config.max_deaths_an_hour
        for place in places:
            if self._deaths_of(place, at_ms) > most:
                self._given_up(*place, f"its host has ended more than {most} times in an hour")
        self.restarts += 1
        self._start_again(host, why)

    def _start_again(self, host: str, why: str) -> None:
        """Start a host; its places wait for it."""
        role = self._role
        self.successors.want([(crew, market_id) for crew, market_id, its in role.seating if its == host], why)
        self._starting.add(host)
        for stream in role.directory.named("STREAM"):
            # Its former self may have ended while no coordinator was there to tell them: to its successor they send
            # a market when that can go on with it.
            role.mail.send(stream, Introduce(host, ""))
        try:
            role.pool.start(host)
        except RunError as error:
            logger.warning("%s; it is tried again", error)
            self._to_start[host] = why

    def _keeps_ending(self, host: str, places: list[Place], at_ms: int) -> bool:
        """Whether a host is not started again: it does not start at all, or never gets on with its markets."""
        if host not in self._said_hello and not places:
            return True
        since = max(self._gone_on_at.pop(host, 0), self._said_hello.get(host, at_ms))
        quick = bool(places) and at_ms - since < _QUICK_MS
        self._quick[host] = self._quick.get(host, 0) + 1 if quick else 0
        return self._quick[host] >= _MOST_QUICK

    def _deaths_of(self, place: Place, at_ms: int) -> int:
        """How often its host has ended in the last hour."""
        deaths = self._deaths.setdefault(place, collections.deque())
        deaths.append(at_ms)
        while deaths[0] <= at_ms - _HOUR_MS:
            deaths.popleft()
        return len(deaths)

    # -- restoring -----------------------------------------------------------------------------------------------

    def restored(self, sender: str, letter: Restored, at_ms: int) -> None:
        """A host says that it can go on with a market, or that it cannot."""
        if letter.incarnation < self._incarnation(letter.host):
            return
        self._gone_on_at[letter.host] = at_ms
        self.successors.restored(letter)
        self._route_later()

    def held(self, crew: str, market_id: str) -> bool:
        """Whether a market is not to be sent to its host yet: that is to go on with it, or with others first.

        Strategies that have several markets would else begin with a new one, and not know what they knew.
        """
        role = self._role
        if self.successors.held(crew, market_id):
            return True
        host = role.seating.host_of(crew, market_id)
        if host is None or role.setup.crew(crew).scope == "market" or not self.successors.awaits(crew, host):
            return False
        self._later[crew, market_id] = None
        return True

    def _route_later(self) -> None:
        """Hosts may have gone on: see what has waited for that."""
        later, self._later = self._later, {}
        for crew, market_id in later:
            if self._role.seating.host_of(crew, market_id) is not None:
                self._route(crew, market_id)

    def _goes_on(self, crew: str, market_id: str) -> None:
        """A host goes on with a market."""
        betting, host = self._role.betting, self._role.seating.host_of(crew, market_id)
        betting.journal.say("RESTORED", f"market {market_id}, {crew}")
        if host is not None:
            betting.tell_again(host, crew, market_id)  # what was heard since it was told
        self._route(crew, market_id)

    def _route(self, crew: str, market_id: str) -> None:
        """Streams are to send a market to its host, if they show it."""
        role = self._role
        known = role.routes.markets.get(market_id)
        if known is not None and known.streams:
            role.routes.route(role.setup.crew(crew), market_id, known.event_id)

    def _given_up(self, crew: str, market_id: str, why: str) -> None:
        """A market cannot be gone on with."""
        self.successors.drop(crew, market_id)
        self._role.quarantine.give_up(crew, market_id, why)

    # -- time ----------------------------------------------------------------------------------------------------

    def look(self, at_ms: int) -> None:
        """Start what is to be started again, and could not be, or is not to be at once."""
        role = self._role
        if at_ms >= self._again_at:
            self._again_at = at_ms + _AGAIN_MS
            role.betting.journal.say(STARTED, role.setup.session)
            for said in role.stops.said:
                role.betting.journal.note(said)
            for hello in self._hellos.values():
                role.betting.journal.note(hello)
        if self._later:
            self._route_later()
        waiting, self._to_start = self._to_start, {}
        if role.stops.shutdown is not None:
            for host in waiting:
                role.quarantine.gone(Gone(host))
            return
        for host, why in waiting.items():
            if host in role.seating.hosts:
                self._start_again(host, why)
        if self._make_stream is None:
            return
        for name, incarnation in role.stream_desk.due(at_ms):
            self.restarts += 1
            try:
                self._engine.start(name, self._make_stream(name), incarnation)
            except RunError as error:
                role.stream_desk.ended(Gone(name, str(error), incarnation), at_ms)
