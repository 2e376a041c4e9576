"""What all streams have in common: a live actor that keeps connections up, and tells the coordinator how they stand."""

from __future__ import annotations

import abc
import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..letters import Hello, Introduce, Letter, Session, SessionWanted, StreamState
from ..live.crews import StreamPlan
from ..mailboxes.mail import Mail
from .connection import Connection
from .stream_codes import CONNECTING, DOWN, REFUSED, STOPPED, SUBSCRIBED
from .stream_messages import Batch
from .stream_place import StreamPlace, StreamSettings
from .subscription import Subscription

logger = logging.getLogger("headrace")

COORDINATOR = "c"
#: Milliseconds between the states that the coordinator is told.
_STATE_MS = 1_000
#: The state of a stream is that of its connection that stands worst.
_WORST_FIRST = (REFUSED, DOWN, CONNECTING, SUBSCRIBED, STOPPED)


class StreamRole(abc.ABC):
    """Base of the streams. A subclass says what is subscribed to, and takes what comes.

    The stream asks the coordinator for a session before each connection (`SessionWanted`), also after one has ended,
    and connects when the `Session` comes. It asks again each minute while none comes. The turn is over as soon as the
    stream tells a state that is not CONNECTING.

    Args:
        plan: whose name it has.
        place: where the exchange is.
    """

    def __init__(
        self,
        plan: StreamPlan,
        place: StreamPlace,
        settings: StreamSettings | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = plan.name
        self.plan = plan
        self.place = place
        self.settings = settings or StreamSettings()
        self.mail: Mail
        self.venue, self.username = plan.venue, plan.username
        self.connections: list[Connection] = []
        self._now = now
        self._waiting: list[Connection] = []
        self._state_at = -math.inf
        self._told: tuple[str, str] | None = None
        self._stopped = False

    # -- what each kind has of its own ---------------------------------------------------------------------------

    @abc.abstractmethod
    def subscriptions(self) -> Iterator[Subscription]:
        """What is subscribed to at the start, each with a connection of its own."""

    @abc.abstractmethod
    def received(self, connection: Connection, batch: Batch) -> None:
        """Changes have come: an image, or others; never a part of one."""

    def take(self, sender: str, letter: Letter, at_ms: int) -> None:
        """A letter that is not about the life of streams."""
        return

    def due(self, at_ms: int) -> None:
        """Called a second after the last time, at most."""
        return

    @property
    def quiet_until(self) -> float:
        """When `quiet` is wanted, in seconds of the clock that never goes back; infinite: never."""
        return math.inf

    def quiet(self) -> None:
        """That time has come."""
        return

    def trouble(self) -> str:
        """What is wrong beside the connections; told where those are well."""
        return ""

    def figures(self) -> dict[str, Any]:
        """More of `StreamState`: markets, left_out."""
        return {}

    # -- a role --------------------------------------------------------------------------------------------------

    def start(self, mail: Mail) -> None:
        self.mail = mail
        self._greet()
        for subscription in self.subscriptions():
            self.make(subscription).open()

    def _greet(self) -> None:
        mail = self.mail
        mail.send(COORDINATOR, Hello(self.name, "STREAM", mail.address, mail.incarnation, os.getpid()))

    def make(self, subscription: Subscription) -> Connection:
        """One more connection; it is to be opened."""
        made = Connection(self.place, subscription, self, self.mail.watch, self.settings, now=self._now)
        self.connections.append(made)
        return made

    def receive(self, sender: str, letter: Letter, at_ms: int) -> None:
        kind = type(letter)
        if kind is Session:
            assert isinstance(letter, Session)
            self._session(letter)
        elif kind is Introduce:
            assert isinstance(letter, Introduce)
            if letter.address:
                self.mail.know(letter.name, letter.address)
                if letter.name == COORDINATOR:  # it has started anew
                    self._greet()
                    self._met_coordinator()
            else:
                self.mail.forget(letter.name)
            self.introduced(letter)
        else:
            self.take(sender, letter, at_ms)

    def introduced(self, letter: Introduce) -> None:
        """Another actor is there, or is gone."""
        return

    def caught_up(self, at_ms: int) -> None:
        return

    @property
    def next_ms(self) -> float:
        """When it wants `wake`: for a connection, or to tell its state."""
        deadline = min((each.deadline for each in self.connections), default=math.inf)
        deadline = min(deadline, self.quiet_until)
        left = deadline - self._now()
        if left <= 0:
            return 0.0
        return min(time.time() * 1000 + left * 1000, self._state_at + _STATE_MS)

    def wake(self, at_ms: int) -> None:
        for connection in tuple(self.connections):
            if connection.deadline <= self._now():
                connection.wake()
        if self.quiet_until <= self._now():
            self.quiet()
        if at_ms >= self._state_at + _STATE_MS:
            self._state_at = at_ms
            self.due(at_ms)
            self.tell_state(at_ms)

    def lost(self, sender: str) -> None:
        if sender == COORDINATOR:
            self._met_coordinator()

    def stop(self) -> None:
        self._stopped = True
        for connection in self.connections:
            connection.close()
        self._told = None
        self.tell_state(time.time_ns() // 1_000_000)

    # -- sessions ------------------------------------------------------------------------------------------------

    def session_wanted(self, connection: Connection, refused: str | None) -> None:
        """For connections: one of them asks at a time."""
        if connection not in self._waiting:
            self._waiting.append(connection)
        if self._waiting[0] is connection:
            self._ask(refused)

    def _ask(self, refused: str | None) -> None:
        self.mail.send(COORDINATOR, SessionWanted(self.name, self.venue, self.username, refused))

    def _met_coordinator(self) -> None:
        """The coordinator may be another than before, which knows nothing of what was asked."""
        if self._waiting:
            self._ask(None)
        self._told = None
        self._state_at = -math.inf

    def _session(self, letter: Session) -> None:
        self.venue, self.username = letter.venue, letter.username
        if self._waiting:
            connection = self._waiting.pop(0)
            connection.connect(letter.app_key, letter.token)
        if not self._waiting or self._busy:
            return
        self._ask(None)

    @property
    def _busy(self) -> bool:
        """One of its connections is being made."""
        return any(each.state == CONNECTING and not each.waits_for_session for each in self.connections)

    # -- states --------------------------------------------------------------------------------------------------

    def changed(self, connection: Connection) -> None:
        """For connections: a state or an error is another."""
        if connection.state != CONNECTING and connection in self._waiting:
            self._waiting.remove(connection)
        if self._waiting and not self._busy:
            self._ask(None)
        state, error, _ = self._standing()
        if (state, error) != self._told:
            if state in (DOWN, REFUSED):
                logger.debug("Stream %s is %s: %s", self.name, state, error)  # the coordinator tells people
            self.tell_state(time.time_ns() // 1_000_000)

    def _standing(self) -> tuple[str, str, Connection | None]:
        """The state of the connection that stands worst, with what is wrong."""
        if not self.connections:
            return STOPPED if self._stopped else CONNECTING, self.trouble(), None
        worst = min(self.connections, key=lambda each: (_WORST_FIRST.index(each.state), not each.error))
        return worst.state, worst.error or self.trouble(), worst

    def tell_state(self, at_ms: int) -> None:
        """Tell the coordinator how the stream stands."""
        state, error, worst = self._standing()
        self._told = (state, error)
        every = self.connections
        lags = [each.lags for each in every if each.messages]
        self.mail.send(
            COORDINATOR,
            StreamState(
                self.name,
                state,
                at_ms,
                error=error,
                messages=sum(each.messages for each in every),
                changes=sum(each.changes for each in every),
                lag_ms=max((each.last for each in lags), default=0.0),
                worst_ms=max((each.take_worst() for each in lags), default=0.0),
                least_ms=min((each.least for each in lags), default=0.0),
                reconnects=sum(each.reconnects for each in every),
                silent_ms=0 if worst is None else max(each.silent_ms for each in every),
                **self.figures(),
            ),
        )
