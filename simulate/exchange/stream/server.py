"""The stream's server: listens, admits, and tells subscriptions what the exchange tells it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import ssl
import tempfile
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..account_bet import AccountBet
from ..certificates import Certificates
from ..errors import StreamError
from ..exchange import Exchange, ExchangeMarket
from ..faults import Fault, Faults
from ..ledger import brief
from ..listening import Listening
from ..positions import Positions
from ..public_market import Touched
from ..settings import AccountSettings, ExchangeSettings
from .clocks import Clocks
from .connection import Connection
from .host import Client, Kind, Live, StreamSessions
from .market_stream import MarketStream
from .market_subscription import MarketSubscription
from .order_subscription import OrderSubscription
from .sports_board import SportsBoard
from .sports_subscription import CricketSubscription, RaceSubscription
from .subscription import Subscription

logger = logging.getLogger("headrace")

#: Bytes that the system holds of what a client has not read.
SEND_BUFFER = 262_144
#: Requests of more characters are not in the ledger.
LONGEST_NOTED = 20_000


class StreamServer:
    """The stream's side of the exchange: a listener of it.

    Args:
        exchange: told of; the server adds itself to its listeners.
        sessions: asked at authentication.
        faults: asked at each place that can fail.
        settings: ports, limits, timers.
        certificates: for TLS; None: made at the start, in a folder that goes with the server.

    Attributes:
        subscriptions: what clients can subscribe to, by operation.
        connections: those that are open, in order of opening.
        addresses: after the start: `(host, port)` by "tcp" and "tls".
    """

    def __init__(
        self,
        exchange: Exchange,
        sessions: StreamSessions,
        faults: Faults,
        settings: ExchangeSettings,
        certificates: Certificates | None = None,
    ) -> None:
        self.exchange = exchange
        self.sessions = sessions
        self.faults = faults
        self.settings = settings
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        self.clocks = Clocks(self.now, settings.timers.clocks)
        self.markets = MarketStream(exchange)
        self.positions = Positions(exchange.bets.values())
        self.board = SportsBoard()
        self.subscriptions: Mapping[str, type[Subscription]] = self._kinds()
        self.connections: dict[str, Client] = {}
        self.addresses: dict[str, tuple[str, int]] = {}
        self._certificates = certificates
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._numbers = itertools.count(1)
        self._listening: list[Listening] = []
        self._strangers: dict[Client, None] = {}
        self._connects: dict[str, deque[float]] = {}
        self._subscribed: dict[Live, None] = {}
        self._message_at = self._published = 0
        exchange.listeners.append(self)

    def _kinds(self) -> dict[str, type[Subscription]]:
        kinds = (MarketSubscription, OrderSubscription, RaceSubscription, CricketSubscription)
        return {kind.operation: kind for kind in kinds}

    # -- listening -----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen, on plain TCP and on TLS.

        Raises:
            OSError: a port is taken, or the host is not one of this machine.
        """
        if self._certificates is None:
            self._folder = tempfile.TemporaryDirectory(prefix="headrace-exchange-")
            self._certificates = Certificates(Path(self._folder.name))
        context = self._certificates.server_context()
        try:
            self.addresses["tcp"] = self._listen(self.settings.plain_stream_port, None)
            self.addresses["tls"] = self._listen(self.settings.stream_port, context)
        except OSError:
            await self.stop()
            raise

    def _listen(self, port: int, context: ssl.SSLContext | None) -> tuple[str, int]:
        listening = Listening(
            lambda: Connection(self, context is not None),
            context,
            self.settings.timers.subscribe,
            prepare=self._prepare,
            crowded=self._make_room,
        )
        found = listening.open(self.settings.host, port)
        self._listening.append(listening)
        return self.settings.host, found

    def _prepare(self, client: socket.socket) -> None:
        # What lies in the system's buffer can no longer be conflated.
        held = min(SEND_BUFFER, self.settings.limits.backlog_bytes)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, held)

    @property
    def arriving(self) -> int:
        """How many have connected whose connection is not made yet: those at TLS's handshake."""
        return sum(len(each.arriving) for each in self._listening)

    def _make_room(self, exhausted: bool) -> None:
        """Close the oldest of those who have not authenticated, if there are too many."""
        most = self.settings.limits.sockets
        surplus = self.arriving + len(self._strangers) - (most // 2 if exhausted else most)
        for each in self._listening:
            if surplus > 0:
                surplus -= each.cut(surplus)
        for connection in list(self._strangers)[: max(surplus, 0)]:
            connection.abort("too many connections are open")

    async def stop(self) -> None:
        """Close all connections and listen no more."""
        if self in self.exchange.listeners:
            self.exchange.listeners.remove(self)
        for listening in self._listening:
            await listening.stop()
        self._listening.clear()
        for connection in list(self.connections.values()):
            connection.abort("the exchange stops")
        await asyncio.sleep(0)  # for those that were cut
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    # -- for connections -----------------------------------------------------------------------------------------

    def fault(self, kind: str, connection: Client, operation: object = None, **where: Any) -> Fault | None:
        """The fault that happens here and now, if any."""
        if not self.faults.armed:
            return None
        account = connection.account
        return self.faults.take(
            kind,
            at=self.exchange.clock.now_ms,
            username=None if account is None else account.username,
            operation=operation,
            **where,
        )

    def opened(self, connection: Client) -> None:
        """A client has connected: name it."""
        number = next(self._numbers)
        connection.connection_id = f"206-{self.exchange.clock.now_ms}-{number:06d}"
        self.connections[connection.connection_id] = connection
        self._strangers[connection] = None
        self._note(connection, "OPENED", peer=connection.peer, tls=connection.secure)

    def admit(self, connection: Client, account: AccountSettings) -> int:
        """Let a client in who has said who it is.

        Returns:
            How many more connections the account can have.

        Raises:
            StreamError: TOO_MANY_REQUESTS, MAX_CONNECTION_LIMIT_EXCEEDED, NOT_AUTHORIZED or
                INVALID_SESSION_INFORMATION.
        """
        limits, name = self.settings.limits, account.username
        for kind, code in (
            ("stream.throttle", "TOO_MANY_REQUESTS"),
            ("stream.connection_limit", "MAX_CONNECTION_LIMIT_EXCEEDED"),
            ("stream.not_authorized", "NOT_AUTHORIZED"),
            ("stream.no_session", "INVALID_SESSION_INFORMATION"),
        ):
            if self.faults.armed and self.faults.take(
                kind, at=self.exchange.clock.now_ms, username=name, operation="authentication"
            ):
                raise StreamError(code, "The rehearsal wants it so")
        if limits.connects_per_minute is not None:
            times, now = self._connects.setdefault(name, deque()), self.now()
            while times and now - times[0] >= 60.0:
                times.popleft()
            if len(times) >= limits.connects_per_minute:
                raise StreamError("TOO_MANY_REQUESTS", "Too many connections have been made lately")
            times.append(now)
        used = sum(1 for each in self.connections.values() if each.account is not None and each.account == account)
        if used >= limits.connections:
            raise StreamError(
                "MAX_CONNECTION_LIMIT_EXCEEDED",
                f"You have exceeded your max connection limit which is: {limits.connections} connection(s).",
            )
        self._strangers.pop(connection, None)
        self._note(connection, "AUTHENTICATED", username=name)
        return limits.connections - used - 1

    def heard(self, connection: Client, operation: object, request: Mapping[str, Any]) -> None:
        """A client has asked for something."""
        told = {key: value for key, value in request.items() if key not in ("session", "appKey")}
        self.exchange.ledger.write(
            "REQUEST",
            self.exchange.clock.now_ms,
            connection=connection.connection_id,
            username=None if connection.account is None else connection.account.username,
            operation=operation[:100] if isinstance(operation, str) else None,
            request=brief(told, LONGEST_NOTED),
        )

    def refused(self, connection: Client, error: StreamError) -> None:
        """A client was told of an error."""
        username = None if connection.account is None else connection.account.username
        self._note(connection, "REFUSED", username=username, code=error.code, message=error.message)

    def subscription(self, operation: object) -> Kind | None:
        """What makes a subscription of an operation; None if there is no such operation."""
        return self.subscriptions.get(operation) if isinstance(operation, str) else None

    def subscribed(self, connection: Client, subscription: Live) -> None:
        """A subscription is in force; it has sent nothing yet."""
        if subscription.op != "ocm":
            self.exchange.begin()
        self._subscribed[subscription] = None
        self._note(connection, "SUBSCRIBED", operation=subscription.operation, id=subscription.id)

    def unsubscribed(self, subscription: Live) -> None:
        """A subscription has ended."""
        self._subscribed.pop(subscription, None)

    def lost(self, connection: Client, why: str) -> None:
        """A connection has ended."""
        self.connections.pop(connection.connection_id, None)
        self._strangers.pop(connection, None)
        self._note(connection, "ENDED", why=why, messages=connection.sent_messages, bytes=connection.sent_bytes)

    def sent(self, subscription: Live, data: bytes, change_type: str | None) -> None:
        """A message was sent. Images and messages of orders are kept; of markets there are too many."""
        ledger = self.exchange.ledger
        if subscription.op != "mcm" and change_type != "HEARTBEAT":
            write: Any = ledger.write
        elif ledger.has_file:
            write = ledger.pass_by
        else:
            return
        write(
            "MESSAGE",
            self.exchange.clock.now_ms,
            connection=subscription.connection.connection_id,
            username=subscription.account.username,
            message=data[:-2].decode(),
        )

    def _note(self, connection: Client, what: str, **values: Any) -> None:
        self.exchange.ledger.write(
            "CONNECTION", self.exchange.clock.now_ms, connection=connection.connection_id, what=what, **values
        )

    @property
    def publish_time(self) -> int:
        """What a message that is sent now has as its time: that of the moment that has just ended, or now.

        It never goes back: what was due before a heartbeat, but is played after it, has the heartbeat's time.
        """
        at = self._message_at or max(self.exchange.clock.now_ms, self.exchange.timeline.now_ms())
        self._published = max(at, self._published)
        return self._published

    # -- a listener of the exchange ------------------------------------------------------------------------------

    def market_changed(self, market: ExchangeMarket, touched: Touched) -> None:
        self.markets.changed(market, touched)
        if touched.definition:
            for subscription in self._subscribed:
                subscription.market_defined(market)

    def message_ended(self, at: int) -> None:
        self._message_at = at
        try:
            for subscription in list(self._subscribed):
                if subscription.due:
                    self._end_moment(subscription)
        finally:
            self._message_at = 0

    def _end_moment(self, subscription: Live) -> None:
        """Let a subscription send. A defect that shows there costs one client its connection, and no other."""
        try:
            subscription.message_ended()
        except Exception as error:
            name = subscription.connection.connection_id
            logger.exception("Stream connection %s: changes could not be sent", name)
            self.exchange.ledger.write("ERROR", self.exchange.clock.now_ms, connection=name, error=repr(error))
            subscription.connection.abort("an error of the exchange")

    def market_gone(self, market: ExchangeMarket) -> None:
        self.markets.gone(market)
        for subscription in list(self._subscribed):
            subscription.market_gone(market)
        self.positions.forget(market.market_id, market.bets)

    def bet_changed(self, bet: AccountBet) -> None:
        levels = self.positions.bet_changed(bet)
        for subscription in self._subscribed:
            subscription.bet_changed(bet, levels)

    def market_settled(self, market: ExchangeMarket) -> None:
        for subscription in self._subscribed:
            subscription.market_settled(market)

    def sports(self, at: int, operation: str, change: dict[str, Any]) -> None:
        self.board.take(operation, change)
        for subscription in self._subscribed:
            subscription.sports(at, operation, change)
