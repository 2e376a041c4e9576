"""Streams, as the coordinator deals with them: sessions, turns to connect, and how they stand."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Container

from ..letters import Gone, Introduce, Letter, Session, SessionWanted, StreamState
from .accounts import Accounts
from .alerts import Alerts
from .desk import Desk, Owner
from .grants import Grants
from .setup import LiveSetup

_ORDERS = "orderSubscription"
#: Milliseconds before a stream that has ended again is started anew: first, doubled each time, and at most. The first
#: time it is started at once.
_FIRST_MS, _MOST_MS = 1_000, 60_000


class StreamDesk:
    """Gives streams what they need to connect, and hears how they stand.

    Args:
        send: sends a letter to a stream.
        clock_ms: now, milliseconds since the epoch.

    Attributes:
        states: how each stream stands, by name.
        owners: the accounts of order streams, by the stream's name.
    """

    def __init__(
        self,
        setup: LiveSetup,
        accounts: Accounts,
        alerts: Alerts,
        send: Callable[[str, Letter], object],
        clock_ms: Callable[[], int],
    ) -> None:
        self._accounts, self._alerts, self._send, self._clock_ms = accounts, alerts, send, clock_ms
        self.grants = Grants(self._grant)
        self.states: dict[str, StreamState] = {}
        self._down: dict[str, str] = {}
        self._names = {plan.name for plan in setup.streams}
        self._incarnations: dict[str, int] = {}
        self._ends: dict[str, int] = {}
        self._due: dict[str, float] = {}
        self.owners: dict[str, Owner] = {
            plan.name: (plan.venue, plan.username) for plan in setup.streams if plan.operation == _ORDERS
        }

    # -- sessions ------------------------------------------------------------------------------------------------

    def want(self, letter: SessionWanted) -> None:
        """A stream is about to connect."""
        desk = self._accounts.connecting(letter.venue, letter.username)
        if desk is None or desk.live is None:
            who = f"account {letter.username!r} of {letter.venue}" if letter.username else "an account at an exchange"
            self._alerts.alert("SESSION", f"stream {letter.stream} needs {who}, and none was added")
            return
        desk.live.session.want(functools.partial(self._have, desk, letter.stream), letter.refused, patient=True)

    def _have(self, desk: Desk, stream: str, token: str | None) -> None:
        assert desk.live is not None
        if token is None:
            self._alerts.alert("SESSION", f"{desk.owner[1]} cannot log in: {desk.live.session.error}")
        else:
            self.grants.want(desk.owner, stream, self._clock_ms())

    def _grant(self, owner: Owner, stream: str) -> bool:
        live = self._accounts.of(owner).live
        if live is None:
            return False
        if live.token is None:
            live.session.want(lambda token: self.grants.serve(owner, self._clock_ms()) if token else None)
            return False
        self._send(stream, Session(*owner, live.app_key, live.token))
        return True

    # -- states --------------------------------------------------------------------------------------------------

    def take(self, letter: StreamState, at_ms: int) -> bool:
        """A stream tells how it stands; True if that is news."""
        known = self.states.get(letter.stream)
        self.states[letter.stream] = letter
        if known is not None and (known.state, known.error) == (letter.state, letter.error):
            return False
        if letter.state != "CONNECTING" and (known is None or known.state != letter.state):
            self.grants.settled(letter.stream, at_ms)
        if letter.state == "SUBSCRIBED":
            self._ends.pop(letter.stream, None)
        if letter.state == "REFUSED":
            self._down[letter.stream] = letter.error
            self._alerts.alert("STREAM", f"stream {letter.stream} is refused: {letter.error}")
        elif letter.state == "DOWN":
            self._is_down(letter.stream, letter.error or "no reason was given")
        elif letter.state == "SUBSCRIBED" and self._down.pop(letter.stream, None) is not None:
            self._alerts.note("STREAM", f"stream {letter.stream} is there again")
        elif letter.error and letter.state == "SUBSCRIBED":
            self._alerts.alert("STREAM", f"stream {letter.stream}: {letter.error}")
        owner = self.owners.get(letter.stream)
        if owner is not None and letter.state != "SUBSCRIBED":
            orders = self._accounts.of(owner).orders
            if orders is not None:
                orders.stream_down()
        return True

    def _is_down(self, stream: str, why: str) -> None:
        """Said once, and again only for another reason: it connects again and again."""
        if self._down.get(stream) != why:
            self._down[stream] = why
            self._alerts.note("STREAM", f"stream {stream} is down: {why}", logging.WARNING)

    # -- ends ----------------------------------------------------------------------------------------------------

    def incarnation(self, name: str) -> int:
        """How often a stream was started before, the last time; of what is no stream 0."""
        return self._incarnations.get(name, 0)

    def recall(self, name: str, incarnation: int) -> None:
        """A stream was started before, so often."""
        self._incarnations[name] = max(self.incarnation(name), incarnation)

    def has(self, name: str) -> bool:
        """Whether a stream has this name."""
        return name in self._names

    def missing(self, found: Container[str], due_ms: int) -> None:
        """Streams that do not run, and of which nothing is known, are started then, if nobody else does it."""
        for name in self._names:
            if name not in found and name not in self._due and name not in self.states:
                self._due[name] = due_ms

    def gone(self, name: str, at_ms: int) -> bool:
        """An actor is no more; True if it is a stream."""
        self.grants.gone(name, at_ms)
        self.states.pop(name, None)
        owner = self.owners.get(name)
        orders = None if owner is None else self._accounts.of(owner).orders
        if orders is not None:
            orders.stream_down()
        return name in self._names

    def lost(self, name: str, coordinator: str, at_ms: int) -> None:
        """Letters of an actor were lost: a stream tells all that it knows again. `coordinator`: the address."""
        if name not in self._names:
            return
        self._send(name, Introduce("c", coordinator))
        owner = self.owners.get(name)
        orders = None if owner is None else self._accounts.of(owner).orders
        if orders is not None:
            orders.look_soon(at_ms)

    def ended(self, letter: Gone, at_ms: int) -> None:
        """A stream has ended, and nobody has asked it to: it is to be started anew, ever later if it ends again."""
        name, count = letter.name, self._ends.get(letter.name, 0)
        self._ends[name] = count + 1
        self._due[name] = at_ms + (min(_FIRST_MS * 2 ** (count - 1), _MOST_MS) if count else 0)
        self._alerts.alert("STREAM", f"stream {name} has ended{f': {letter.why}' if letter.why else ''}")

    def due(self, at_ms: int) -> list[tuple[str, int]]:
        """Streams that are to be started now, each with how often it was started before."""
        found = [name for name, due in self._due.items() if due <= at_ms]
        for name in found:
            del self._due[name]
        wanted = [name for name in found if name not in self.states]  # others somebody has started
        for name in wanted:
            self._incarnations[name] = self.incarnation(name) + 1
        return [(name, self.incarnation(name)) for name in wanted]

    @property
    def markets_connected(self) -> bool:
        """Whether every stream that is none of orders is there."""
        states = [self.states.get(name) for name in self._names if name not in self.owners]
        return all(state is not None and state.state == "SUBSCRIBED" for state in states)

    @property
    def orders_connected(self) -> bool:
        """Whether every order stream is there."""
        states = [self.states.get(name) for name in self.owners]
        return all(state is not None and state.state == "SUBSCRIBED" for state in states)
