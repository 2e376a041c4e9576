"""Settings of the rehearsal exchange: accounts, limits, timers."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from ...strategies.currency import CURRENCIES, Stakes, stakes_of
from ...strategies.errors import InputError

#: How fast recordings run: recorded seconds per second; as fast as clients read; or a message at each `step`.
Speed = float | Literal["max", "step"]

_LEAST_HEARTBEAT_MS = 10


@dataclasses.dataclass(frozen=True)
class AccountSettings:
    """An account at the exchange.

    Attributes:
        username, password: as `login` wants them.
        app_key: the one application key of the account.
        currency: GBP, EUR, USD, AUD ...: what its money is in.
        balance: money at the start, in its currency.
        exposure_limit: the most that its bets may lose, in its currency; 0 or more. None: what the balance allows.
        discount_rate: percent off commission.
        best_execution: False: a bet lapses where a better price than asked is there, and placings are not atomic.
        jurisdiction: "com", "it", "es", "dk" ...: some rules of stakes differ.
        delayed: its key is a delayed one: 180 s of conflation are allowed, and no orders are shown on streams.
    """

    username: str = "rehearsal"
    password: str = "rehearsal"
    app_key: str = "rehearsal-key"
    currency: str = "GBP"
    balance: float = 10_000.0
    exposure_limit: float | None = None
    discount_rate: float = 0.0
    best_execution: bool = True
    jurisdiction: str = "com"
    delayed: bool = False

    def __post_init__(self) -> None:
        """Raises:
        InputError: the exchange has no such currency, or a number is outside its range.
        """
        what = f"account {self.username!r}"
        if self.currency not in CURRENCIES:
            raise InputError(f"{what}: the currency is {self.currency!r}; expected one of {', '.join(CURRENCIES)}")
        if not 0 <= self.balance < math.inf:
            raise InputError(f"{what}: the balance is {self.balance}; expected 0 or more")
        if self.exposure_limit is not None and not self.exposure_limit >= 0:
            raise InputError(f"{what}: the exposure_limit is {self.exposure_limit}; expected 0 or more")
        if not 0 <= self.discount_rate <= 100:
            raise InputError(f"{what}: the discount_rate is {self.discount_rate}; expected percent, 0 to 100")

    @property
    def stakes(self) -> Stakes:
        """The smallest stakes that it may place."""
        return stakes_of(self.currency, self.jurisdiction)


def _check(numbers: Limits | Timers) -> None:
    for name, number in dataclasses.asdict(numbers).items():
        if number is not None and not 0 <= number < math.inf:
            raise InputError(f"{name} is {number}; expected 0 or more")


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the exchange refuses beyond. Sources: docs/exchange.md.

    Attributes:
        markets: per market subscription, without closed ones.
        connections: stream connections per account.
        connects_per_minute: of an account; beyond, authentication is answered TOO_MANY_REQUESTS. None: no limit.
        place_instructions, change_instructions: in one call.
        instructions_per_second: of an account.
        logins_per_minute: of an account; beyond, its logins are banned for a while.
        login_ban_s: for how many seconds.
        wrong_passwords: that lock an account.
        queued_calls: of an account, waiting or under way, of the three that share a queue; beyond, TOO_MANY_REQUESTS.
        body_bytes: longest body of an HTTP request.
        calls: in one array of JSON-RPC.
        http_connections: open at once; beyond, the one that is idle longest is closed.
        http_bytes: of all bodies of requests and unsent replies together; beyond, the oldest are cut.
        data_weight: of a call of listMarketBook or listMarketCatalogue.
        line_bytes: longest line that a stream client may send.
        backlog_bytes: unsent bytes at which a stream client counts as slow: its changes are conflated until it reads.
        sockets: open sockets that are not authenticated; beyond, the oldest are closed.
    """

    markets: int = 200
    connections: int = 10
    connects_per_minute: int | None = None
    place_instructions: int = 200
    change_instructions: int = 60
    instructions_per_second: int = 1_000
    logins_per_minute: int = 100
    login_ban_s: float = 1_200.0
    wrong_passwords: int = 5
    queued_calls: int = 3
    body_bytes: int = 2_000_000
    calls: int = 100
    http_connections: int = 1_000
    http_bytes: int = 100_000_000
    data_weight: int = 200
    line_bytes: int = 1_000_000
    backlog_bytes: int = 1_000_000
    sockets: int = 2_000

    def __post_init__(self) -> None:
        """Raises:
        InputError: a limit is below 0, or is not a number.
        """
        _check(self)


@dataclasses.dataclass(frozen=True)
class Timers:
    """Times of the protocol, in seconds of real time: a recording's speed does not change them.

    Attributes:
        subscribe: from connecting to the first subscription.
        heartbeat_ms: heartbeats of a subscription that asks for no pace of its own, in milliseconds.
        session: life of a session that is not kept alive.
        idle_http: after which an idle HTTP connection is closed.
        http_transfer: for which an HTTP client may take to send a request's body, or to read a reply.
        customer_ref: for which a `customerRef` is remembered.
        catalogue_age: how stale catalogues are.
        settle: from a market's close to its cleared orders.
        vanish: from a market's close to its disappearance, in recorded seconds.
        vanish_least: as `vanish`, but of real time: how long it is at least, whatever the speed.
        clocks: age beyond which a stream's `clk` is refused.
    """

    subscribe: float = 15.0
    heartbeat_ms: int = 5_000
    session: float = 43_200.0
    idle_http: float = 180.0
    http_transfer: float = 30.0
    customer_ref: float = 60.0
    catalogue_age: float = 0.0
    settle: float = 0.0
    vanish: float = 3_600.0
    vanish_least: float = 300.0
    clocks: float = 3_600.0

    def __post_init__(self) -> None:
        """Raises:
        InputError: a time is below 0 or endless, or heartbeats would come without a pause.
        """
        _check(self)
        if self.heartbeat_ms < _LEAST_HEARTBEAT_MS:
            raise InputError(f"heartbeat_ms is {self.heartbeat_ms}; expected {_LEAST_HEARTBEAT_MS} or more")

    def vanish_ms(self, speed: float) -> float:
        """Milliseconds from a market's close to its disappearance."""
        return max(self.vanish / speed, min(self.vanish, self.vanish_least)) * 1000


@dataclasses.dataclass(frozen=True)
class ExchangeSettings:
    """How a rehearsal exchange is set up.

    Attributes:
        speed: see `Speed`.
        host: address that it listens on; "localhost" is both 127.0.0.1 and ::1.
        port: of plain HTTP; 0: any that is free, as for the others.
        https_port: of HTTPS.
        stream_port: of the stream over TLS, as it is there.
        plain_stream_port: of the stream over plain TCP.
        certlogin_port: of the TLS that asks for a client certificate, which certlogin alone does.
        seed: of what is drawn: certificates excepted, equal seeds give equal runs.
        settle_twice: a market is settled a second time after as long again, with other winners where it can be.
        token_changes: keepAlive answers with another token.
    """

    speed: Speed = 1.0
    host: str = "localhost"
    port: int = 0
    stream_port: int = 0
    plain_stream_port: int = 0
    https_port: int = 0
    certlogin_port: int = 0
    seed: int = 0
    accounts: tuple[AccountSettings, ...] = (AccountSettings(),)
    limits: Limits = Limits()
    timers: Timers = Timers()
    settle_twice: bool = False
    token_changes: bool = False
