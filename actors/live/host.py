"""The host: an actor that hosts markets with the strategies that trade them live.

It has a market actor for each crew that is placed here, and does for it what replay does for a simulation: it brings it
what comes in, in the order in which it came, and tells it the time. All rules are the market actor's.

What was waiting when it looks is one batch. Where several changes of one market are in a batch, the actor is behind:
all are folded into the book, and strategies are called once, with the last.
"""

from __future__ import annotations

import functools
import json
import logging
import math
import os
import time
from collections.abc import Callable
from typing import Any

from ...strategies.errors import MessageError
from ...strategies.messages import AccountFact, ClearedOrder, MarketFact, OrderFact, Reply, Request
from ...values import legible
from ..failures import raised_at
from ..letters import (
    Ask,
    Carried,
    Catalogue,
    FreeMarket,
    Hello,
    Hosting,
    HostState,
    ImageWanted,
    Introduce,
    Letter,
    MarketUpdate,
    Restore,
    Restored,
    RowsTaken,
    Stop,
    StreamState,
    Unroute,
    UserEvent,
)
from ..logs import ThreadContext
from ..mailboxes.mail import Mail
from .account_news import AccountNews
from .blocking import Watch
from .crew_room import CrewRoom, rooms_of
from .feeds import Feeds
from .host_events import HostEvents
from .host_state import MarketRows
from .latencies import Latencies
from .rows_outbox import RowsOutbox
from .session_recording import SessionRecording, Unrecorded
from .setup import LiveSetup
from .starting import open_strategies

logger = logging.getLogger("headrace")

COORDINATOR = "c"
#: Milliseconds between two states.
STATE_MS = 1000


class HostRole:
    """A host: see the module.

    Args:
        name: the actor's.
        setup: what the system is made of; this process's copy.
        now: what time it is, milliseconds since the epoch; None: the machine's time. A turn's time is constant.

    Attributes:
        rooms: the market actors here, by crew.
        next_state_ms: when it tells its state next.
        files: what lays out files of the run for this process, and removes them with it.
    """

    def __init__(self, name: str, setup: LiveSetup, now: Callable[[], int] | None = None) -> None:
        self.name = name
        self.rooms: dict[str, CrewRoom] = {}
        self._setup = setup
        self._now = now or _machine_ms
        self._plans = {plan.name: plan for plan in setup.streams}
        self._answers: list[tuple[str, Letter]] = []
        self._waiting: list[tuple[str, Letter]] = []
        self._feeds = Feeds()
        self._accounts = AccountNews()
        self._at = 0
        self.next_state_ms = 0.0
        self._lost = self._behind = 0
        self._ticks = Latencies()
        self._rows = MarketRows()
        self._markets = b"[]"
        self._asked: set[str] = set()
        self._events = HostEvents()
        self._at_work: CrewRoom | None = None
        self._asked_to_stop = self._ended = False
        self._recording = Unrecorded()
        self.files: object = None
        self._watch = Watch(name, self._what, self._tell_busy, setup.config.stall_limit)

    # -- its life ------------------------------------------------------------------------------------------------

    @property
    def next_ms(self) -> float:
        return min(self.next_state_ms, min((room.clock.next_ms for room in self.rooms.values()), default=math.inf))

    def start(self, mail: Mail) -> None:
        """Have the strategies start, and tell the coordinator.

        Raises:
            RunError: a strategy failed in `start`.
        """
        self._mail = mail
        self._outbox = RowsOutbox(mail, COORDINATOR)
        open_strategies(self._setup)
        if self._setup.record is not None:
            self._recording = SessionRecording(self._setup.record, self.name, self._setup.deliver)
        self._lines = ThreadContext(self._setup.config)
        self._lines.join()
        self._greet()
        self._watch.start()

    def _greet(self) -> None:
        hello = Hello(self.name, "HOST", self._mail.address, self._mail.incarnation, os.getpid())
        self._mail.send(COORDINATOR, hello)

    def _present(self) -> None:
        """The coordinator has started anew: tell it what is here, and what it may not have heard."""
        self._greet()
        places = [place for room in self.rooms.values() for place in room.places]
        self._mail.send(COORDINATOR, Hosting(self.name, tuple(places), self._mail.incarnation))
        for room in self.rooms.values():
            room.tell_again()
        self._outbox.again()

    def stop(self) -> None:
        """Hand over what is here, unless that was done when it was asked to stop."""
        self._end()
        self._outbox.see_written()
        self._watch.close()
        self._recording.close()
        self._lines.leave()

    def crash(self) -> None:
        """As a process that is killed: what is here is lost."""
        self._watch.close()
        self._recording.close()
        self._lines.leave()

    def receive(self, sender: str, letter: Letter, at_ms: int) -> None:
        """Take a letter: it is dealt with once all that is waiting has been taken (see `caught_up`)."""
        if type(letter) is MarketUpdate:
            self._feeds.came(sender, letter)
        elif type(getattr(letter, "message", letter)) in (OrderFact, Reply, Restore):
            self._answers.append((sender, letter))
            return
        self._waiting.append((sender, letter))

    def caught_up(self, at_ms: int) -> None:
        """Deal with everything that was waiting: what became of orders first, then the rest, both in order."""
        waiting, self._answers, self._waiting = self._answers + self._waiting, [], []
        if self._ended:
            return
        for sender, letter in waiting:
            if self._ended:
                break
            self._time(at_ms)
            self._watch.begin()
            try:
                self._take(sender, letter)
            except Exception as error:
                self._failed(error, letter)
            if self._asked:
                self._keep_up()
            self._watch.end()
        self._lines.actor = None
        self._feeds.caught_up()
        self._look_for_stop()

    def wake(self, at_ms: int) -> None:
        """Timers are due, or the next state is."""
        self._time(at_ms)
        for room in self.rooms.values():
            if room.clock.next_ms <= self._at:
                self._go_to(room)
                self._watch.begin()
                self._recording.woke(room.crew.name, self._at)
                room.actor.tick(self._at)
                if self._asked:
                    self._keep_up()
                self._watch.end()
        self._lines.actor = None
        if self.next_state_ms <= self._at:
            self.next_state_ms = self._at + STATE_MS
            self._markets = json.dumps(self._rows.of(self.rooms.values())).encode()
            self._send_rows()
            self._outbox.look(self._at)
            self._mail.send(COORDINATOR, self._state(0))
        self._look_for_stop()

    def lost(self, sender: str) -> None:
        """Letters of a sender were lost: where it is a stream, its markets wait for images."""
        self._lost += 1
        if sender not in self._plans:
            logger.error("%s: letters of %s were lost", self.name, sender)
            return
        if self._plans[sender].brings_books:
            # What is said of books is of use after an image only; raw changes and sports data are, by themselves.
            self._feeds.lost(sender)
        self._mail.send(sender, ImageWanted(self.name))

    def _time(self, at_ms: int) -> None:
        """What time it is for the turn that begins; it never goes back."""
        self._at = max(self._at, at_ms, self._now())

    def _go_to(self, room: CrewRoom) -> CrewRoom:
        """What follows is that room's: errors, lines of the log, and what is told of a callback that blocks."""
        self._at_work = room
        self._lines.actor = room.actor
        return room

    # -- letters -------------------------------------------------------------------------------------------------

    def _take(self, sender: str, letter: Letter) -> None:
        if isinstance(letter, MarketUpdate):
            self._update(sender, letter)
        elif isinstance(letter, Carried):
            room = self._go_to(self._room(letter.crew))
            if isinstance(letter.message, Request):
                self._recording.asked(letter.crew, letter.message, self._at, paper=True)
            self._recording.answered(room.crew.name, letter.message, self._at)
            room.take(letter.message, self._at)
        elif isinstance(letter, OrderFact | ClearedOrder | Reply):
            for room in rooms_of(self.rooms.values(), letter):
                self._go_to(room)
                self._recording.answered(room.crew.name, letter, self._at)
                room.take(letter, self._at)
        elif isinstance(letter, Introduce):
            if letter.address:
                self._mail.know(letter.name, letter.address)
            else:
                self._mail.forget(letter.name)
            if letter.name == COORDINATOR:
                self._present()
        elif isinstance(letter, AccountFact):
            self._accounts.funds(letter, self.rooms.values())
        elif isinstance(letter, Catalogue):
            for room in list(self.rooms.values()):
                self._go_to(room)
                room.catalogue(letter.market_id, letter.data, self._at)
        elif isinstance(letter, StreamState):
            self._accounts.stream(letter, self.rooms.values())
        elif isinstance(letter, UserEvent):
            for room in self._events.take(letter, list(self.rooms.values()), self._recording, self._at):
                self._go_to(room)
        elif isinstance(letter, FreeMarket):
            self._free(letter.crew, letter.market_id)
        elif isinstance(letter, Restore):
            self._restore(letter)
        elif isinstance(letter, RowsTaken):
            self._outbox.taken(letter)
        elif isinstance(letter, Stop):
            self._end()
        else:
            logger.warning("%s: %s sends %s, which a host does not take", self.name, sender, type(letter).__name__)

    def _room(self, crew: str) -> CrewRoom:
        room = self.rooms.get(crew)
        if room is None:
            send = functools.partial(self._carry, crew)
            room = self.rooms[crew] = CrewRoom(self._setup, self._setup.crew(crew), send, self.name)
            self._accounts.tell(room)
            self._events.enter(room, self._at)
        return room

    def _update(self, sender: str, update: MarketUpdate) -> None:
        """A change of a market."""
        if not self._feeds.take(sender, update):
            return
        room = self._go_to(self._room(update.crew))
        plan, more = self._plans.get(sender), self._feeds.more(sender, update)
        if plan is not None and plan.brings_books:
            self._recording.change(room.crew, update, self._at, more)
        try:
            shown = room.update(update, plan, self._at, more)
        except MessageError as error:
            room.actor.failed(error, update.market_id)
            self._feeds.breaks(sender, update)
            self._mail.send(sender, ImageWanted(self.name, update.market_id))
            return
        if not shown:
            self._behind += 1
            return
        self._ticks.add((time.time_ns() - update.received_ns) / 1e6)
        if not room.wants(update.market_id):
            # No strategy of the crew wants it, now that its definition is known.
            self._feeds.unwanted(sender, update)
            self._mail.send(sender, Unroute(update.crew, update.market_id))
            self._carry(update.crew, MarketFact(update.market_id, "REMOVED", self._at))

    def _free(self, crew: str, market_id: str) -> None:
        room = self.rooms.get(crew)
        if room is None:
            return
        self._go_to(room)
        rows = room.free(market_id)
        self._recording.over(crew, market_id)
        self._feeds.over(crew, market_id)
        self._outbox.put(rows)

    def _restore(self, letter: Restore) -> None:
        """A market goes on here."""
        room = self._go_to(self._room(letter.crew))
        self._recording.leave_out(letter.crew, letter.market_id)
        orders, why = 0, ""
        try:
            orders = room.restore(letter, self._at)
        except Exception as error:
            why = f"{type(error).__name__}: {legible(error)}"
            self._failed(error, letter)
        self._mail.send(
            COORDINATOR, Restored(self.name, letter.crew, letter.market_id, orders, why, self._mail.incarnation)
        )

    # -- what it tells -------------------------------------------------------------------------------------------

    def _carry(self, crew: str, message: Any, kept: bytes = b"") -> None:
        if isinstance(message, Request):
            self._asked.add(crew)
            self._recording.asked(crew, message, self._at)
        self._mail.send(COORDINATOR, Carried(crew, message, kept))

    def _keep_up(self) -> None:
        """The turn is over: hand over what strategies that have asked for something know by now."""
        asked, self._asked = self._asked, set()
        for crew in asked:
            self.rooms[crew].keep_up()

    def _send_rows(self) -> None:
        """Rows that have come since they were last sent."""
        for room in self.rooms.values():
            for rows in room.new_rows():
                self._outbox.put(rows)

    def _state(self, busy_ms: int, busy_in: str = "") -> HostState:
        ticks = json.dumps(self._ticks.figures()).encode()
        depth = self._mail.depth + len(self._waiting)
        return HostState(self.name, self._at, self._behind, depth, self._lost, busy_ms, self._markets, ticks, busy_in)

    def _tell_busy(self, busy_ms: int, busy_in: str) -> None:
        """From the thread that watches: a callback has not returned."""
        self._mail.aside(COORDINATOR, self._state(busy_ms, busy_in))

    def _what(self) -> str:
        room = self._at_work
        turn = None if room is None else room.actor.turn
        strategy = turn.strategy.name if turn and turn.strategy else None
        market = turn.market.market_id if turn and turn.market else None
        return f"{f'strategy {strategy!r}' if strategy else 'something'} in market {market}"

    def _look_for_stop(self) -> None:
        """A strategy has asked for the end of the run; or one has failed, and that ends it."""
        if self._asked_to_stop:
            return
        failed = [room.failures.users for room in self.rooms.values() if room.failures.users]
        why = {"why": failed[0]} if failed and self._setup.config.raise_errors else {}
        if why or any(room.actor.stopped for room in self.rooms.values()):
            self._asked_to_stop = True
            self._mail.send(COORDINATOR, Ask("STOP", "", "", json.dumps(why).encode()))

    def _failed(self, error: Exception, letter: Letter) -> None:
        """A letter could not be dealt with: that is a failure, and the next one is taken."""
        logger.error("%s: %s: %s", self.name, type(letter).__name__, legible(error), exc_info=error)
        room = self._at_work
        if room is not None:
            room.failures.add(error, None, getattr(letter, "market_id", None), raised_at(error), self._at)

    def _end(self) -> None:
        """Free all markets, and tell their rows and what has failed."""
        if self._ended:
            return
        self._ended = True
        for room in self.rooms.values():
            for market in room.actor.hosted:
                free = FreeMarket(room.crew.name, market.market_id)
                try:
                    self._free(free.crew, free.market_id)
                except Exception as error:
                    self._failed(error, free)
        self._send_rows()
        self._mail.send(COORDINATOR, self._state(0))


def _machine_ms() -> int:
    return time.time_ns() // 1_000_000
