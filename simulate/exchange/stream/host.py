"""What connections, subscriptions and the server of the stream know of each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

from ..account_bet import AccountBet
from ..errors import StreamError
from ..exchange import Exchange, ExchangeMarket
from ..faults import Fault, Faults
from ..positions import Level, Positions
from ..settings import AccountSettings, ExchangeSettings
from .clocks import Clocks
from .market_stream import MarketStream
from .sports_board import SportsBoard


class StreamSessions(Protocol):
    """Who a session belongs to."""

    def account(self, app_key: str | None, token: str | None) -> AccountSettings:
        """The account of a key and a session.

        Raises:
            ApiError: NO_APP_KEY, INVALID_APP_KEY, NO_SESSION or INVALID_SESSION_INFORMATION.
        """


class Client(Protocol):
    """A connection, as its subscriptions and the server know it.

    Attributes:
        connection_id: as the client is told.
        peer: address and port of the client.
        secure: over TLS.
        account: whose it is; None before authentication.
        subscriptions: by operation, those in force.
        opened_at: seconds of real time.
        strained: it has been slow, and not all that was collected meanwhile has been sent.
        sent_messages, sent_bytes: so far.
    """

    connection_id: str
    peer: str
    secure: bool
    account: AccountSettings | None
    subscriptions: dict[str, Live]
    opened_at: float
    strained: bool
    sent_messages: int
    sent_bytes: int

    @property
    def slow(self) -> bool:
        """Nothing more is to be sent for now: the client does not read what was sent."""

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the client has not taken."""

    def send(self, data: bytes, operation: str) -> None:
        """Send a message of a subscription, at the end of this turn of the loop. `operation`: what it asked with."""

    def abort(self, why: str) -> None:
        """End the connection at once."""


class Live(Protocol):
    """A subscription, as its connection and the server know it.

    Attributes:
        operation: what the client asked with.
        op: of its messages.
        id: of the request.
        account: whose it is.
        connection: where it was asked for.
        muted: nothing is sent but heartbeats: a fault.
    """

    operation: ClassVar[str]
    op: ClassVar[str]
    id: int | None
    account: AccountSettings
    connection: Client
    muted: bool

    def start(self) -> None:
        """Send the image, or what has changed since the clocks; changes follow."""

    def close(self) -> None:
        """Send nothing more."""

    def flush(self) -> None:
        """Send what has been collected, as far as the client reads."""

    @property
    def due(self) -> bool:
        """Something has been collected."""

    def message_ended(self) -> None:
        """All changes of one moment have been told."""

    def bet_changed(self, bet: AccountBet, levels: dict[Level, float]) -> None:
        """A bet of some account is new, or another than before, and with it what is matched at `levels`."""

    def market_defined(self, market: ExchangeMarket) -> None:
        """A market's definition is new, or another than before."""

    def market_gone(self, market: ExchangeMarket) -> None:
        """A market has vanished."""

    def market_settled(self, market: ExchangeMarket) -> None:
        """The results of a market's bets are known."""

    def sports(self, at: int, operation: str, change: dict[str, Any]) -> None:
        """A race ("rcm") or a cricket match ("ccm") has changed."""


class Kind(Protocol):
    """A kind of subscriptions: it makes them. `op`: of their messages."""

    op: str

    def __call__(self, server: Host, connection: Client, request: dict[str, Any]) -> Live:
        """A subscription that a client has asked for.

        Raises:
            StreamError: it is refused.
        """


class Host(Protocol):
    """The server, as connections and subscriptions know it.

    Attributes:
        exchange, sessions, faults, settings: as the server was given them.
        loop: whose thread owns everything.
        now: seconds of real time.
        clocks: of all streams.
        markets: who wants which.
        positions: what accounts have matched.
        board: races and matches.
    """

    exchange: Exchange
    sessions: StreamSessions
    faults: Faults
    settings: ExchangeSettings
    loop: asyncio.AbstractEventLoop
    now: Callable[[], float]
    clocks: Clocks
    markets: MarketStream
    positions: Positions
    board: SportsBoard

    @property
    def publish_time(self) -> int:
        """What a message that is sent now has as its time."""

    def fault(self, kind: str, connection: Client, operation: object = None, **where: Any) -> Fault | None:
        """The fault that happens here and now, if any."""

    def opened(self, connection: Client) -> None:
        """A client has connected: name it."""

    def admit(self, connection: Client, account: AccountSettings) -> int:
        """Let a client in who has said who it is.

        Returns:
            How many more connections the account can have.

        Raises:
            StreamError: it is refused.
        """

    def heard(self, connection: Client, operation: object, request: Mapping[str, Any]) -> None:
        """A client has asked for something."""

    def subscription(self, operation: object) -> Kind | None:
        """What makes a subscription of an operation; None if there is no such operation."""

    def subscribed(self, connection: Client, subscription: Live) -> None:
        """A subscription is in force; it has sent nothing yet."""

    def unsubscribed(self, subscription: Live) -> None:
        """A subscription has ended."""

    def sent(self, subscription: Live, data: bytes, change_type: str | None) -> None:
        """A message of a subscription was sent."""

    def refused(self, connection: Client, error: StreamError) -> None:
        """A client was told of an error."""

    def lost(self, connection: Client, why: str) -> None:
        """A connection has ended."""
