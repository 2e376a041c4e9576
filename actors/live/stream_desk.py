"""Streams, as the coordinator deals with them: sessions, turns to connect, and how they stand."""

from __future__ import annotations

import functools
from collections.abc import Callable

from ..letters import Gone, Introduce, Letter, Session, SessionWanted, StreamState
from .accounts import Accounts, Desk, Owner
from .alerts import Alerts
from .grants import Grants
from .setup import LiveSetup

_ORDERS = "orderSubscription"
#: Milliseconds until a stream that has died is started again: at first, doubled each time, and at most.
_AGAIN_MS, _MOST_AGAIN_MS = 1_000, 60_000
#: Starts a stream: its name, and how often one of this name was started before.
Restart = Callable[[str, int], object]


class StreamDesk:
    """Gives streams what they need to connect, and hears how they stand.

    Args:
        send: sends a letter to a stream.
        clock_ms: now, milliseconds since the epoch.
        restart: starts a stream that has died; None: nothing does.

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
        restart: Restart | None = None,
    ) -> None:
        self._accounts, self._alerts, self._send, self._clock_ms = accounts, alerts, send, clock_ms
        self.grants = Grants(self._grant)
        self._restart = restart
        self._planned = {plan.name for plan in setup.streams}
        self._deaths: dict[str, int] = {}
        # When those that have died are started again, and as which incarnation.
        self._due: dict[str, tuple[int, int]] = {}
        self.states: dict[str, StreamState] = {}
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
        if letter.state == "REFUSED":
            self._alerts.alert("STREAM", f"stream {letter.stream} is refused: {letter.error}")
        elif letter.state == "DOWN":
            self._alerts.note("STREAM", f"stream {letter.stream} is down: {letter.error or 'no reason was given'}")
        elif known is not None and known.state in ("REFUSED", "DOWN") and letter.state == "SUBSCRIBED":
            self._alerts.note("STREAM", f"stream {letter.stream} is there again")
        elif letter.error and letter.state == "SUBSCRIBED":
            self._alerts.alert("STREAM", f"stream {letter.stream}: {letter.error}")
        if letter.state != "SUBSCRIBED":
            self._orders_down(letter.stream)
        return True

    def _orders_down(self, stream: str) -> None:
        owner = self.owners.get(stream)
        orders = None if owner is None else self._accounts.of(owner).orders
        if orders is not None:
            orders.stream_down()

    # -- ends ----------------------------------------------------------------------------------------------------

    def gone(self, letter: Gone, at_ms: int) -> bool:
        """An actor has ended; False if it is no stream. One that has died is started again."""
        stream = letter.name
        if stream not in self._planned:
            return False
        self.grants.gone(stream, at_ms)
        self.states.pop(stream, None)
        self._orders_down(stream)
        if letter.why and self._restart is not None:
            deaths = self._deaths[stream] = self._deaths.get(stream, 0) + 1
            wait_ms = min(_AGAIN_MS * 2 ** (deaths - 1), _MOST_AGAIN_MS)
            self._due[stream] = (at_ms + wait_ms, letter.incarnation + 1)
        return True

    def look(self, at_ms: int) -> None:
        """Time has passed."""
        self.grants.look(at_ms)
        for stream, (due_ms, incarnation) in list(self._due.items()):
            if due_ms <= at_ms and self._restart is not None:
                del self._due[stream]
                self._restart(stream, incarnation)
                self._alerts.note("STREAM", f"stream {stream} is started again")

    def lost(self, stream: str, coordinator: str, at_ms: int) -> None:
        """Letters of a stream were lost: it tells all that it knows again. `coordinator`: the address."""
        if stream not in self._planned:
            return
        self._send(stream, Introduce("c", coordinator))
        owner = self.owners.get(stream)
        orders = None if owner is None else self._accounts.of(owner).orders
        if orders is not None:
            orders.look_soon(at_ms)

    @property
    def orders_connected(self) -> bool:
        """Whether every order stream is there."""
        states = [self.states.get(name) for name in self.owners]
        return all(state is not None and state.state == "SUBSCRIBED" for state in states)
