"""Clients: the accounts that orders are placed with."""

from __future__ import annotations

import copy
import inspect
import random
import string
from collections.abc import Iterator
from typing import Any

import msgspec

from ..strategies.commission import commission_percent
from ..strategies.currency import CURRENCIES, RATES
from ..strategies.errors import ClientError
from ..strategies.statuses import Words
from ..strategies.transaction_charge import TRANSACTION_CHARGE
from ..values import did_you_mean, finite, text, whole, word
from .account_settings import flag, money, terms_of
from .controls import BaseControl, MaxTransactionCount
from .exchange import AccountTerms

#: The peer's rate of commission, whatever the market's own is.
FLUMINE_COMMISSION = 0.05
#: Seconds that the exchange may be asked to wait for a heartbeat ("Heartbeat API", preferredTimeoutSeconds).
_LEAST_BEAT, _MOST_BEAT = 10, 300


class VenueType(Words):
    """The exchanges."""

    BETFAIR = "Betfair"
    SIMULATED = "Simulated"


class Funds(msgspec.Struct, frozen=True):
    """What an account has, as the exchange last said. Money is in the account's currency.

    Attributes:
        available_to_bet_balance: what can be bet.
        exposure: what open bets may lose, 0 or less.
        at: when it was said, milliseconds since the epoch.
    """

    available_to_bet_balance: float | None
    exposure: float | None
    at: int

    def age(self, now_ms: int) -> float:
        """Seconds since then. `now_ms`: milliseconds since the epoch, such as `market.clock.now_ms`."""
        return max(0, now_ms - self.at) / 1000


class BaseClient:
    """An account at an exchange.

    Args:
        betting_client: the library's client that talks to the exchange; None where nothing is sent.
        transaction_limit: counted transactions per hour (placed and failed); None: no limit.
        capital_base: the account's capital, for the user's own calculations.
        commission_base: rate of commission on a market's profit, 0..1; None: the market's own base rate (5 % under
            compatibility, as the peer has it).
        username: default: the betting client's.
        best_price_execution: False: orders lapse if the exchange has a better price than asked.
        min_bet_validation: check orders against the currency's minimum stakes.
        paper_trade: simulate against live prices.
        simulated_full_match: simulation: match every placed limit order whole, at its price.
        currency_code: the account's currency.
        currency_rate: simulation: units of that currency for one pound, which books are in; above 0. None: its rate of
            2025 (1.16 for EUR); 1 under compatibility.
        discount_rate: percent off the market's commission, 0 to 100, as `getAccountDetails` tells it; markets that
            allow no discount, and accounts with a `commission_base`, have none.
        balance: simulation: what the account has when a unit of replay begins, in its currency, 0 or more. What its
            bets may lose is never more; what would be, is refused (INSUFFICIENT_FUNDS). None: no end of it.
        exposure_limit: simulation: the most that its bets may lose together, in its currency, 0 or more; None: none.
        heartbeat_seconds: live, the exchange cancels the account's limit bets, wherever they were placed, if it hears
            nothing of this system for so long: 10 to 300 seconds; None: it does not.
        execution_cls: what sends its requests live, instead of the venue's own (see `actors.betfair.execution`).
        order_stream_cls: what reads its orders live, instead of the venue's own: a subclass of
            `actors.streaming.order_stream.OrderStreamRole`.
        market_recording_mode: live, the account is for reading prices: its balance and details are not asked for, and
            where all accounts are so, no catalogues are, unless the session is recorded.
    """

    VENUE = VenueType.BETFAIR

    def __init__(
        self,
        betting_client: Any = None,
        transaction_limit: int | None = 5000,
        capital_base: float = 0,
        commission_base: float | None = None,
        interactive_login: bool = False,
        username: str | None = None,
        order_stream: bool = True,
        order_stream_conflate_ms: int | None = None,
        order_streaming_timeout: float = 0.25,
        best_price_execution: bool = True,
        min_bet_validation: bool = True,
        paper_trade: bool = False,
        market_recording_mode: bool = False,
        simulated_full_match: bool = False,
        currency_code: str = "GBP",
        currency_rate: float | None = None,
        discount_rate: float = 0.0,
        balance: float | None = None,
        exposure_limit: float | None = None,
        heartbeat_seconds: int | None = None,
        execution_cls: type[Any] | None = None,
        order_stream_cls: type[Any] | None = None,
    ) -> None:
        if commission_base is not None:
            commission_base = finite(commission_base, "commission_base", ClientError)
            if not 0 <= commission_base <= 1:
                raise ClientError(f"commission_base={commission_base}: expected a rate from 0 to 1, such as 0.05")
        if transaction_limit is not None:
            transaction_limit = whole(transaction_limit, "transaction_limit", ClientError)
            if transaction_limit < 0:
                raise ClientError(f"transaction_limit={transaction_limit}: expected 0 or more, or None")
        if heartbeat_seconds is not None:
            heartbeat_seconds = whole(heartbeat_seconds, "heartbeat_seconds", ClientError)
            if not _LEAST_BEAT <= heartbeat_seconds <= _MOST_BEAT:
                expected = f"expected {_LEAST_BEAT} to {_MOST_BEAT}, or None"
                raise ClientError(f"heartbeat_seconds={heartbeat_seconds}: {expected}")
        capital_base = finite(capital_base, "capital_base", ClientError)
        currency_code = word(currency_code, "currency_code", tuple(CURRENCIES), ClientError)
        if currency_rate is not None:
            currency_rate = finite(currency_rate, "currency_rate", ClientError)
        if currency_rate is not None and currency_rate <= 0:
            expected = f"expected units of {currency_code} for one pound, above 0, such as 1.16, or None"
            raise ClientError(f"currency_rate={currency_rate}: {expected}")
        discount_rate = finite(discount_rate, "discount_rate", ClientError)
        if not 0 <= discount_rate <= 100 or 0 < discount_rate < 1:
            raise ClientError(f"discount_rate={discount_rate}: expected percent off commission, 0 or 1 to 100")
        balance, exposure_limit = money(balance, "balance"), money(exposure_limit, "exposure_limit")
        if username is not None:
            username = text(username, "username", ClientError)
        best_price_execution = flag(best_price_execution, "best_price_execution")
        min_bet_validation = flag(min_bet_validation, "min_bet_validation")
        paper_trade = flag(paper_trade, "paper_trade")
        simulated_full_match = flag(simulated_full_match, "simulated_full_match")
        self.venue: str = self.VENUE.value
        self.betting_client = betting_client
        self.transaction_limit = transaction_limit
        self.capital_base = capital_base
        self.commission_base = commission_base
        self.interactive_login = interactive_login
        self.username: str = (
            getattr(betting_client, "username", None)
            or username
            or "".join(random.choices(string.ascii_lowercase, k=8))
        )
        self.order_stream = order_stream
        self.order_stream_conflate_ms = order_stream_conflate_ms
        self.order_streaming_timeout = order_streaming_timeout
        self.best_price_execution = best_price_execution
        self.min_bet_validation = min_bet_validation
        self.paper_trade = paper_trade
        self.market_recording_mode = market_recording_mode
        self.simulated_full_match = simulated_full_match
        self.currency_code = currency_code
        self.currency_rate = currency_rate
        self.discount_rate = discount_rate
        self.balance = balance
        self.exposure_limit = exposure_limit
        self.heartbeat_seconds = heartbeat_seconds
        self.execution_cls = execution_cls
        self.order_stream_cls = order_stream_cls
        self.trading_controls: list[BaseControl] = []
        self.transactions: dict[tuple[int, str], list[int]] = {}
        self._charged = True
        self.account_details: Any = None
        self.account_funds: Any = None

    @property
    def simulated(self) -> bool:
        """Whether orders are matched by the simulated exchange."""
        return self.VENUE is VenueType.SIMULATED or self.paper_trade

    @property
    def units(self) -> float:
        """Units of the account's currency for one pound."""
        return RATES[self.currency_code] if self.currency_rate is None else self.currency_rate

    @property
    def transaction_charge(self) -> float:
        """What a transaction beyond the free ones of a clock hour costs, in the account's currency."""
        return TRANSACTION_CHARGE * self.units if self._charged else 0.0

    @property
    def terms(self) -> AccountTerms:
        """How the exchange treats the account."""
        return terms_of(
            self.best_price_execution,
            self.simulated_full_match,
            self.currency_code,
            self.min_bet_validation,
            self.units,
            self.commission_base,
            self.discount_rate,
            self.balance,
            self.exposure_limit,
        )

    def commission_rate(self, market_base_rate: float, discount_allowed: bool = True) -> float:
        """The rate of commission, 0..1. `market_base_rate`: that of the market, in percent."""
        if self.commission_base is not None:
            return self.commission_base
        return commission_percent(market_base_rate, discount_allowed, self.discount_rate) / 100

    def open_account(self, framework: Any) -> BaseClient:
        """A copy with counts and controls of its own, for one coordinator."""
        account = copy.copy(self)
        account.transactions = {}
        account.trading_controls = [MaxTransactionCount(framework, account)]
        config = framework.config
        if config.compatibility == "flumine":
            account.currency_rate, account.balance, account.exposure_limit = 1.0, None, None
            account._charged = False
        if (
            (config.commission or config.compatibility) == "flumine"
            and self.simulated
            and account.commission_base is None
        ):
            account.commission_base = FLUMINE_COMMISSION
        if account.simulated and account.balance is not None:
            account.take_funds(account.balance, 0.0, framework.host.clock.now_ms)
        return account

    def add_transaction(self, count: int, failed: bool = False, *, at_ms: int, strategy: str = "") -> None:
        """Count transactions of the clock hour of `at_ms`. `failed`: those that the exchange refused.

        A count below 0 gives back what was counted.
        """
        hour = at_ms // 3_600_000
        counts = self.transactions.get((hour, strategy))
        if counts is None:
            counts = self.transactions[hour, strategy] = [0, 0]
        counts[failed] += count
        for control in self.trading_controls:
            if isinstance(control, MaxTransactionCount):
                control.add_transaction(count, failed, hour)

    @property
    def current_transaction_count_total(self) -> int:
        """Transactions of this clock hour, placed and failed."""
        return sum(
            c.current_transaction_count_total for c in self.trading_controls if isinstance(c, MaxTransactionCount)
        )

    @property
    def transaction_count_total(self) -> int:
        """All transactions so far, placed and failed."""
        return sum(sum(counts) for counts in self.transactions.values())

    @property
    def transactions_by_hour(self) -> dict[int, list[int]]:
        """Transactions, placed and failed, by clock hours since the epoch."""
        found: dict[int, list[int]] = {}
        for (hour, _), (placed, failed) in self.transactions.items():
            counts = found.setdefault(hour, [0, 0])
            counts[0] += placed
            counts[1] += failed
        return found

    @property
    def min_bet_size(self) -> float:
        """Least stake of a limit order, and of a back at the starting price."""
        return CURRENCIES[self.currency_code].min_bet_size

    @property
    def min_bet_payout(self) -> float:
        """Least payout that makes up for a smaller stake."""
        return CURRENCIES[self.currency_code].min_bet_payout

    @property
    def min_bsp_liability(self) -> float:
        """Least liability of a lay at the starting price."""
        return CURRENCIES[self.currency_code].min_bsp_liability

    @property
    def info(self) -> dict[str, Any]:
        return {"username": self.username, "venue": self.VENUE.value, "transaction_limit": self.transaction_limit}

    def take_funds(self, funds: float | None, exposure: float | None, at: int) -> None:
        """The exchange has said what the account has: it stands in `account_funds`, unless something later does."""
        known = self.account_funds
        if not isinstance(known, Funds) or known.at <= at:
            self.account_funds = Funds(funds, exposure, at)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.username!r}>"


class SimulatedClient(BaseClient):
    """An account at the simulated exchange.

    Args:
        settings: as for `BaseClient`.

    Raises:
        ClientError: a setting is unknown (the message names the nearest), or has a value that cannot be used.
    """

    VENUE = VenueType.SIMULATED

    def __init__(self, *, username: str | None = "simulated", **settings: Any) -> None:
        known = [name for name in inspect.signature(BaseClient).parameters if name != "username"]
        for name in settings:
            if name not in known:
                raise ClientError(f"{type(self).__name__} has no setting {name!r}{did_you_mean(name, known)}")
        super().__init__(username=username, **settings)


class Clients:
    """The clients of a run, in order of adding."""

    def __init__(self, clients: list[BaseClient] | None = None) -> None:
        self._clients: list[BaseClient] = []
        self._named: dict[tuple[str, str], BaseClient] = {}
        for client in clients or []:
            self.add_client(client)

    def add_client(self, client: BaseClient) -> BaseClient:
        """Add a client.

        Raises:
            ClientError: it is not a client, or its venue has a client of that name.
        """
        if not isinstance(client, BaseClient):
            raise ClientError(f"{client!r} is not a client; make one with SimulatedClient(...)")
        for known in self._clients:
            if known is client or (known.VENUE is client.VENUE and known.username == client.username):
                raise ClientError(
                    f"client {client.username!r} of {client.VENUE.value} was added before; give each its own username"
                )
        self._clients.append(client)
        self._named[client.venue, client.username] = client
        return client

    def get_default(self, venue: VenueType | None = None) -> BaseClient | None:
        """The first client (of a venue); None where there is none."""
        for client in self._clients:
            if venue is None or client.VENUE is venue:
                return client
        return None

    def get_client(self, venue: VenueType, username: str) -> BaseClient | None:
        for client in self._clients:
            if client.VENUE is venue and client.username == username:
                return client
        return None

    def named(self, venue: str, username: str) -> BaseClient:
        """The client of a venue, by its value, and a username.

        Raises:
            ClientError: there is none.
        """
        found = self._named.get((venue, username))
        if found is not None:
            return found
        raise ClientError(f"no client {username!r} of {venue}: {len(self._clients)} are here")

    def account_of(self, client: BaseClient) -> BaseClient:
        """The account here of a client that was added to the run: that client, or this process's copy of it.

        Raises:
            ClientError: it was not added.
        """
        for known in self._clients:
            if known is client:
                return known
        found = self.get_client(client.VENUE, client.username) if isinstance(client, BaseClient) else None
        if found is None:
            names = ", ".join(known.username for known in self._clients)
            raise ClientError(f"client={client!r} was not added to the run; it has {names or 'none'}")
        return found

    @property
    def simulated(self) -> bool:
        """Whether any client is simulated."""
        return any(client.simulated for client in self._clients)

    def __iter__(self) -> Iterator[BaseClient]:
        return iter(self._clients)

    def __len__(self) -> int:
        return len(self._clients)
