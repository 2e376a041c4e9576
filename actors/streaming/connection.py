"""One connection to a stream of the exchange, kept up: made, subscribed, watched, and made again when it ends.

Steps of the handshake follow each other strictly: the exchange's greeting, authentication, its answer, the
subscription, its answer, the image. Whoever owns a connection gives it a session each time it asks for one: that is
its leave to connect, so that one stream connects at a time. Nothing here blocks; everything is called by one thread.
Source: Betfair Exchange Stream API.
"""

from __future__ import annotations

import itertools
import logging
import math
import random
import ssl
import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from ...values import UNREADABLE
from .lags import Lags
from .line_socket import ConnectionLostError, LineSocket, Opening
from .stream_codes import CONNECTING, DOWN, LIMIT_EXCEEDED, REFUSALS, REFUSED, SESSION_ERRORS, STOPPED, SUBSCRIBED
from .stream_messages import Batch, StreamMessage, decode_message
from .stream_place import StreamPlace, StreamSettings
from .subscription import Subscription

logger = logging.getLogger("headrace")

#: Seconds after which is tried again what could not be sent.
_FLUSH_S = 0.02

Watch = Callable[[Any, Callable[[], object] | None], None]


class Owner(Protocol):
    """Whose connection it is."""

    def session_wanted(self, connection: Connection, refused: str | None) -> None:
        """It is about to connect: call its `connect` with a session. `refused`: the token that was not taken."""

    def received(self, connection: Connection, batch: Batch) -> None:
        """Changes have come, an image or others, never a part of one."""

    def changed(self, connection: Connection) -> None:
        """Its state or its error is another."""


class Connection:
    """One connection, kept up from `open` to `close`.

    Args:
        place: where the exchange is.
        subscription: what is asked for.
        owner: whose it is.
        watch: calls a function whenever a file can be read: `watch` of the mail.
        settings: how it is watched.
        now: seconds that never go back.
        chance: a number from 0 to 1, for waits.

    Attributes:
        state: CONNECTING, SUBSCRIBED, DOWN, REFUSED or STOPPED.
        error: what is wrong; empty where all is well.
        error_code: the exchange's, where it said one.
        reconnects: how often a connection that was subscribed has been made again.
        messages, changes: read so far.
        heard_at: when anything was last read, in seconds of `now`.
        lags: from publish time to reading.
        available: connections that the account may still make, as told when this one logged in; None: not told.
    """

    def __init__(
        self,
        place: StreamPlace,
        subscription: Subscription,
        owner: Owner,
        watch: Watch,
        settings: StreamSettings | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.place = place
        self.subscription = subscription
        self._owner = owner
        self._watch = watch
        self._settings = settings or StreamSettings()
        self._now = now
        self._chance = chance
        self.state = STOPPED
        self.error = self.error_code = ""
        self.reconnects = self.messages = self.changes = 0
        self.heard_at = now()
        self.lags = Lags()
        self.available: int | None = None
        self._tls: ssl.SSLContext | None = None
        self._opening: Opening | None = None
        self._socket: LineSocket | None = None
        self._credentials: tuple[str, str] = ("", "")
        self._step: Callable[[StreamMessage], None] | None = None
        self._numbers = itertools.count(1)
        self._failures = 0
        self._was_subscribed = False
        self._refused_token: str | None = None
        self._deadlines: dict[str, float] = {}
        self._read_at_ns = 0
        self._unwell = False

    # -- life ----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin: a session is asked for at once.

        Raises:
            InputError: the file of authorities cannot be read.
        """
        self._tls = self.place.context()
        self._want_session()

    def connect(self, app_key: str, token: str) -> None:
        """A session, and leave to connect. Not asked for: nothing happens."""
        if self.state != CONNECTING or self._opening is not None or self._socket is not None:
            return
        self._deadlines.pop("session", None)
        self._credentials = (app_key, token)
        self._opening = Opening(self.place, self._settings.connect)
        self._deadlines["connect"] = self._now() + self._settings.connect + 1.0
        self._watch(self._opening.file, self._opened)

    def close(self) -> None:
        """End it for good."""
        self._drop()
        self._deadlines.clear()
        self._set(STOPPED, "")

    def ask_again(self) -> None:
        """Ask for what the subscription now wants: on this connection, or with the next one."""
        if self.settled:
            self._guarded(self._subscribe)

    def renew(self, why: str) -> None:
        """Give it up, and ask for a new image with the next one."""
        self.subscription.forget_clocks()
        self._lose(why)

    @property
    def settled(self) -> bool:
        """It is connected and nothing is open: it can be asked for something else."""
        return self._socket is not None and self._step is None and self.subscription.asked is None

    @property
    def waits_for_session(self) -> bool:
        """It has asked for a session and has none."""
        return self.state == CONNECTING and self._opening is None and self._socket is None

    @property
    def silent_ms(self) -> int:
        """Milliseconds since anything was read."""
        return max(0, round((self._now() - self.heard_at) * 1000))

    @property
    def deadline(self) -> float:
        """When it wants `wake`, in seconds of `now`; infinite: never."""
        return min(self._deadlines.values(), default=math.inf)

    def wake(self) -> None:
        """Do what is due."""
        now = self._now()
        for name, at in tuple(self._deadlines.items()):
            if at <= now and self._deadlines.get(name) == at:
                del self._deadlines[name]
                self._due(name)

    def _due(self, name: str) -> None:
        settings = self._settings
        if name == "wait":
            self._want_session()
        elif name == "session":
            self._owner.session_wanted(self, self._refused_token)
            self._deadlines["session"] = self._now() + settings.longest_wait
        elif name == "flush" and self._socket is not None:
            self._guarded(self._socket.flush)
            self._flush_later()
        elif name == "connect":
            self._lose(f"{self.place} does not answer within {settings.connect:g} s")
        else:
            self._readable()  # it may have spoken while this actor was busy
            if name == "heard":
                self._check_silence()
            elif name == "handshake" and self._step is not None and name not in self._deadlines:
                self._lose(f"{self.place} has not answered for {settings.handshake:g} s: {self._step_name()}")
            elif name == "image" and self._socket is not None and not self.subscription.imaged:
                self.subscription.forget_clocks()
                self._lose(f"the subscription was taken, but no image came for {settings.image:g} s")

    def _check_silence(self) -> None:
        if self._socket is None or self.state != SUBSCRIBED:
            return
        limit = 2 * self.subscription.heartbeat_ms / 1000
        if self._now() - self.heard_at >= limit:
            self._lose(f"nothing came for {limit:g} s, not even heartbeats")
        else:
            self._deadlines["heard"] = self.heard_at + limit

    def _step_name(self) -> str:
        missing: dict[Callable[[StreamMessage], None], str] = {
            self._greeted: "its greeting is missing",
            self._authenticated: "the answer to the authentication is missing",
            self._answered: "the answer to the subscription is missing",
        }
        return "" if self._step is None else missing[self._step]

    # -- the handshake -------------------------------------------------------------------------------------------

    def _want_session(self) -> None:
        self._set(CONNECTING, self.error, self.error_code)
        self._deadlines["session"] = self._now() + self._settings.longest_wait
        self._owner.session_wanted(self, self._refused_token)

    def _opened(self) -> None:
        opening = self._opening
        if opening is None:
            return
        self._watch(opening.file, None)
        self._opening = None
        self._deadlines.pop("connect", None)
        try:
            raw = opening.take()
            name = self.place.server_name or self.place.host
            self._socket = LineSocket(raw, self._tls, name, self._settings.most_line_bytes)
        except ConnectionLostError as error:
            self._lose(str(error))
            return
        self.heard_at = self._now()
        self._expect(self._greeted)
        self._watch(raw, self._readable)
        self._readable()

    def _expect(self, step: Callable[[StreamMessage], None] | None) -> None:
        """What the next status is an answer to; None: nothing is open."""
        self._step = step
        if step is None:
            self._deadlines.pop("handshake", None)
        else:
            self._deadlines["handshake"] = self._now() + self._settings.handshake

    def _send(self, data: bytes) -> None:
        if self._socket is not None:
            self._socket.write(data)
            self._flush_later()

    def _flush_later(self) -> None:
        """Try again, if not all that was written could be sent."""
        if self._socket is not None and self._socket.pending:
            self._deadlines["flush"] = self._now() + _FLUSH_S

    def _greeted(self, message: StreamMessage) -> None:
        if message.op != "connection":
            self._lose(f"{self.place} does not greet as the exchange does: op {message.op!r}")
            return
        app_key, token = self._credentials
        request = {"op": "authentication", "id": next(self._numbers), "appKey": app_key, "session": token}
        self._expect(self._authenticated)
        self._send(msgspec.json.encode(request) + b"\r\n")

    def _authenticated(self, message: StreamMessage) -> None:
        self._refused_token = None
        self.available = message.connections_available
        self._subscribe()

    def _subscribe(self) -> None:
        self._expect(self._answered)
        self._send(self.subscription.ask(next(self._numbers)))

    def _answered(self, message: StreamMessage) -> None:
        if message.id not in (None, self.subscription.asked):
            return
        self._expect(None)
        self.subscription.taken()
        if self._was_subscribed and self.state != SUBSCRIBED:
            self.reconnects += 1
        self._was_subscribed = True
        if not self.subscription.imaged:
            self._deadlines["image"] = self._now() + self._settings.image
        self._set(SUBSCRIBED, "")
        self._check_silence()

    # -- reading -------------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        found = self._socket
        if found is None:
            return
        self._read_at_ns = time.time_ns()
        self._guarded(lambda: found.read(self._line))

    def _guarded(self, action: Callable[[], object]) -> None:
        found = self._socket
        try:
            action()
        except ConnectionLostError as error:
            if self._socket is found:  # else its end was noticed on the way
                self._lose(str(error))

    def _line(self, line: bytes) -> None:
        """One line. What comes after an end that was noticed on the way is of no use any more."""
        if self._socket is None:
            return
        self.heard_at = self._now()
        try:
            message = decode_message(line)
        except UNREADABLE as error:
            self.subscription.forget_clocks()
            self._lose(f"what came is not a message of the exchange ({error}): {line[:80]!r}")
            return
        if message.op == "status":
            self._status(message)
        elif self._step is not None and message.op == "connection":
            self._step(message)
        elif self._step == self._greeted:
            self._greeted(message)
        else:
            self._changes(message)

    def _changes(self, message: StreamMessage) -> None:
        self.messages += 1
        batch = self.subscription.take(message, self._read_at_ns)
        if message.pt and message.id == self.subscription.id:
            self.lags.add(self._read_at_ns / 1_000_000 - message.pt, self.heard_at)
        if (message.status == 503) is not self._unwell and message.id == self.subscription.id:
            self._unwell = message.status == 503
            told = "the exchange says that its data may be late (status 503)" if self._unwell else ""
            self._set(self.state, told, "503" if self._unwell else "")
        if batch is not None:
            self._deadlines.pop("image", None)
            self.changes += len(batch.changes)
            try:
                self._owner.received(self, batch)
            except Exception as error:  # nothing that came with it may be passed over in silence
                logger.exception("Stream at %s: a message could not be taken", self.place)
                self.renew(f"a message could not be taken: {type(error).__name__}: {error}")
            if self._socket is None:
                return  # it was given up for what came
            self.subscription.done(batch)
        if self.subscription.imaged:
            self._failures = 0

    def _status(self, message: StreamMessage) -> None:
        if message.status_code == "SUCCESS":
            if self._step is not None:
                self._step(message)
            return
        code = message.error_code or "UNEXPECTED_ERROR"
        told = f"{code}: {message.error_message or 'the exchange gives no reason'}"
        if code == LIMIT_EXCEEDED and message.connection_closed is not True:
            self._expect(None)
            self.subscription.refused()
            self._set(REFUSED if self.subscription.id is None else self.state, told, code)
            return
        if code == "INVALID_CLOCK":
            self.subscription.forget_clocks()
        if code in SESSION_ERRORS:
            self._refused_token = self._credentials[1]
        self._lose(told, code)

    # -- ends ----------------------------------------------------------------------------------------------------

    def _lose(self, why: str, code: str = "") -> None:
        """The connection has ended, or is given up: it is made again after a while."""
        was, refused = self.state, code in REFUSALS
        self._drop()
        self._deadlines.clear()
        longest = self._settings.longest_wait
        wait = min(longest, self._settings.first_wait * 2.0 ** min(self._failures, 20))
        wait = longest if refused else 0.0 if code == "INVALID_CLOCK" else wait
        self._failures += code != "INVALID_CLOCK"
        self._deadlines["wait"] = self._now() + wait * (0.5 + 0.5 * self._chance())
        if was != STOPPED:
            logger.debug("Stream at %s: %s", self.place, why)
        self._set(REFUSED if refused else DOWN, why, code)

    def _drop(self) -> None:
        if self._opening is not None:
            self._watch(self._opening.file, None)
            self._opening.abandon()
            self._opening = None
        if self._socket is not None:
            self._watch(self._socket.file, None)
            self._socket.close()
            self._socket = None
        self._step = None
        self._unwell = False
        self.subscription.disconnected()

    def _set(self, state: str, error: str, code: str = "") -> None:
        if (state, error, code) != (self.state, self.error, self.error_code):
            self.state, self.error, self.error_code = state, error, code
            self._owner.changed(self)
