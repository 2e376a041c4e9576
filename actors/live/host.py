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
    HostState,
    ImageWanted,
    Introduce,
    Letter,
    MarketUpdate,
    Rows,
    Stop,
    StreamState,
    Unroute,
    UserEvent,
)
from ..logs import ThreadContext
from ..mailboxes.mail import Mail
from .blocking import Watch
from .crew_room import CrewRoom
from .host_events import HostEvents
from .host_state import MarketRows
from .latencies import Latencies
from .rows_file import TableRows, packed
from .session_recording import SessionRecording
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
        incarnation: how often an actor of this name was started before.
        now: what time it is, milliseconds since the epoch; None: the machine's time. A turn's time is constant.

    Attributes:
        rooms: the market actors here, by crew.
        next_state_ms: when it tells its state next.
        files: what lays out files of the run for this process, and removes them with it.
    """

    def __init__(self, name: str, setup: LiveSetup, incarnation: int = 0, now: Callable[[], int] | None = None) -> None:
        self.name = name
        self.rooms: dict[str, CrewRoom] = {}
        self._setup = setup
        self._incarnation = incarnation
        self._now = now or _machine_ms
        self._plans = {plan.name: plan for plan in setup.streams}
        self._answers: list[tuple[str, Letter]] = []
        self._waiting: list[tuple[str, Letter]] = []
        self._changes: dict[tuple[str, str, str], int] = {}
        # Markets whose changes were lost, by stream, crew and market: what comes before their image is not used.
        self._broken: set[tuple[str, str, str]] = set()
        self._routed: dict[tuple[str, str, str], None] = {}
        self._funds: dict[tuple[str, str], AccountFact] = {}
        self._order_streams: dict[str, bool] = {}
        self._at = 0
        self.next_state_ms = 0.0
        self._lost = self._behind = 0
        self._ticks = Latencies()
        self._rows = MarketRows()
        self._markets = b"[]"
        self._events = HostEvents()
        self._at_work: CrewRoom | None = None
        self._asked_to_stop = self._ended = False
        self._recording: SessionRecording | None = None
        self.files: object = None
        self._watch = Watch(name, self._what, self._tell_busy)

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
        open_strategies(self._setup)
        if self._setup.record is not None:
            self._recording = SessionRecording(self._setup.record, self.name, self._setup.deliver)
        self._lines = ThreadContext(self._setup.config)
        self._lines.join()
        mail.send(COORDINATOR, Hello(self.name, "HOST", mail.address, self._incarnation, os.getpid()))
        self._watch.start()

    def stop(self) -> None:
        """Hand over what is here, unless that was done when it was asked to stop."""
        self._end()
        self._watch.close()
        if self._recording is not None:
            self._recording.close()
        self._lines.leave()

    def receive(self, sender: str, letter: Letter, at_ms: int) -> None:
        """Take a letter: it is dealt with once all that is waiting has been taken (see `caught_up`)."""
        if type(letter) is MarketUpdate:
            key = (sender, letter.crew, letter.market_id)
            self._changes[key] = self._changes.get(key, 0) + 1
        elif type(getattr(letter, "message", letter)) in (OrderFact, Reply):
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
            self._watch.end()
        self._lines.actor = None
        self._changes.clear()
        self._look_for_stop()

    def wake(self, at_ms: int) -> None:
        """Timers are due, or the next state is."""
        self._time(at_ms)
        for room in self.rooms.values():
            if room.clock.next_ms <= self._at:
                self._go_to(room)
                self._watch.begin()
                if self._recording is not None:
                    self._recording.woke(room.crew.name, self._at)
                room.actor.tick(self._at)
                self._watch.end()
        self._lines.actor = None
        if self.next_state_ms <= self._at:
            self.next_state_ms = self._at + STATE_MS
            self._markets = json.dumps(self._rows.of(self.rooms.values())).encode()
            self._send_failures()
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
            self._broken.update(key for key in self._routed if key[0] == sender)
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
            if self._recording is not None and isinstance(letter.message, Request):
                self._recording.asked(letter.crew, letter.message, self._at, paper=True)
            self._record_answer(room, letter.message)
            room.take(letter.message, self._at)
        elif isinstance(letter, OrderFact | ClearedOrder | Reply):
            for room in self._rooms_of(letter):
                self._go_to(room)
                self._record_answer(room, letter)
                room.take(letter, self._at)
        elif isinstance(letter, Introduce):
            if letter.address:
                self._mail.know(letter.name, letter.address)
            else:
                self._mail.forget(letter.name)
        elif isinstance(letter, AccountFact):
            known = self._funds.get((letter.venue, letter.username))
            if known is None or known.at <= letter.at:
                self._funds[letter.venue, letter.username] = letter
            for room in self.rooms.values():
                room.take_funds(letter)
        elif isinstance(letter, Catalogue):
            for room in list(self.rooms.values()):
                self._go_to(room)
                room.catalogue(letter.market_id, letter.data, self._at)
        elif isinstance(letter, StreamState):
            self._order_streams[letter.stream] = letter.state == "SUBSCRIBED"
            for room in self.rooms.values():
                room.actor.order_stream_connected = self._orders_connected
        elif isinstance(letter, UserEvent):
            for room in self._events.take(letter, list(self.rooms.values()), self._recording, self._at):
                self._go_to(room)
        elif isinstance(letter, FreeMarket):
            self._free(letter.crew, letter.market_id)
        elif isinstance(letter, Stop):
            self._end()
        else:
            logger.warning("%s: %s sends %s, which a host does not take", self.name, sender, type(letter).__name__)

    def _room(self, crew: str) -> CrewRoom:
        room = self.rooms.get(crew)
        if room is None:
            send = functools.partial(self._carry, crew)
            room = self.rooms[crew] = CrewRoom(self._setup, self._setup.crew(crew), send)
            for funds in self._funds.values():
                room.take_funds(funds)
            room.actor.order_stream_connected = self._orders_connected
            self._events.enter(room, self._at)
        return room

    @property
    def _orders_connected(self) -> bool:
        """Whether every order stream is there, as far as that was told."""
        return all(self._order_streams.values())

    def _rooms_of(self, message: OrderFact | ClearedOrder | Reply) -> list[CrewRoom]:
        """The rooms that a message about a market is for: the one that has the order, or all that host the market."""
        order_id = None if isinstance(message, Reply) else message.order_id
        found = []
        for room in self.rooms.values():
            market = room.actor.market(message.market_id)
            if market is not None:
                if market.order(order_id) is not None:
                    return [room]
                found.append(room)
        return found

    def _update(self, sender: str, update: MarketUpdate) -> None:
        """A change of a market."""
        key = (sender, update.crew, update.market_id)
        self._changes[key] -= 1
        if key in self._broken and not update.image:
            return
        self._broken.discard(key)
        self._routed[key] = None
        room = self._go_to(self._room(update.crew))
        plan, more = self._plans.get(sender), self._changes[key] > 0
        if self._recording is not None and plan is not None and plan.brings_books:
            self._recording.change(room.crew, update, self._at, more)
        try:
            shown = room.update(update, plan, self._at, more)
        except MessageError as error:
            room.actor.failed(error, update.market_id)
            self._broken.add(key)
            self._mail.send(sender, ImageWanted(self.name, update.market_id))
            return
        if not shown:
            self._behind += 1
            return
        self._ticks.add((time.time_ns() - update.received_ns) / 1e6)
        if not room.wants(update.market_id):
            # No strategy of the crew wants it, now that its definition is known.
            del self._routed[key]
            self._mail.send(sender, Unroute(update.crew, update.market_id))
            self._carry(update.crew, MarketFact(update.market_id, "REMOVED", self._at))

    def _free(self, crew: str, market_id: str) -> None:
        room = self.rooms.get(crew)
        if room is None:
            return
        self._go_to(room)
        rows = room.free(market_id)
        if self._recording is not None:
            self._recording.over(crew, market_id)
        for key in [key for key in self._routed if key[1:] == (crew, market_id)]:
            del self._routed[key]
            self._broken.discard(key)
        self._send_rows(rows)

    # -- what it tells -------------------------------------------------------------------------------------------

    def _record_answer(self, room: CrewRoom, message: Any) -> None:
        if self._recording is not None and isinstance(message, Reply | OrderFact | ClearedOrder):
            self._recording.answered(room.crew.name, message, self._at)

    def _carry(self, crew: str, message: Any) -> None:
        if self._recording is not None and isinstance(message, Request):
            self._recording.asked(crew, message, self._at)
        self._mail.send(COORDINATOR, Carried(crew, message))

    def _send_rows(self, rows: TableRows) -> None:
        if any(rows.values()):
            self._mail.send(COORDINATOR, Rows(self.name, packed(rows)))

    def _send_failures(self) -> None:
        """What has failed since it was last told, as rows with the counts since then."""
        for room in self.rooms.values():
            self._send_rows(room.new_failures())

    def _state(self, busy_ms: int) -> HostState:
        ticks = json.dumps(self._ticks.figures()).encode()
        depth = self._mail.depth + len(self._waiting)
        return HostState(self.name, self._at, self._behind, depth, self._lost, busy_ms, self._markets, ticks)

    def _tell_busy(self, busy_ms: int) -> None:
        """From the thread that watches: a callback has not returned."""
        self._mail.aside(COORDINATOR, self._state(busy_ms))

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
        self._send_failures()
        self._mail.send(COORDINATOR, self._state(0))


def _machine_ms() -> int:
    return time.time_ns() // 1_000_000
