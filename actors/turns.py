"""What every turn of a market actor uses: its strategies, its markets, its time, and what happens to errors.

A turn is one thing that comes in: a change of a book, a message from the exchange, a timer. All that follows from it is
done before the next one begins; at its end strategies are told about the orders that it touched.
"""

from __future__ import annotations

import abc
import functools
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..config import Config
from ..strategies.changes import MarketChange
from ..strategies.errors import HeadraceError, RecordingError, SettlementError
from ..strategies.events import CustomEvent, TerminationEvent
from ..strategies.host import Host
from ..strategies.market import Market, Markets
from ..strategies.messages import AccountFact
from ..strategies.strategy import Strategy
from ..values import legible
from .books import Books
from .clients import Clients
from .controls import DEFAULT_TRADING_CONTROLS, BaseControl
from .coordinator import ClientControl, MarketsCoordinator, TradingControl
from .exchange import AccountTerms, Answer, Exchange
from .failures import Failures, place_in, users_code
from .hosted_market import HostedMarket, OrdersById
from .logs import FailureLine
from .middleware import Middleware
from .side_data import SideData
from .sieves import Sieve
from .turn import Turn

if TYPE_CHECKING:
    from ..strategies.clock import Clock
    from ..strategies.rules import Rules

logger = logging.getLogger("headrace")


class Turns(abc.ABC):
    """Which strategies and markets are hosted, what time it is, and which strategy is running.

    Args:
        host: clock, rules and ids.
        strategies: prototypes; each scope gets copies.
        coordinator: accounts and their controls.
        exchange: where orders go.
        middleware: called at each change, in order.
        trading_controls: further controls, class and settings, after the three that are always there.
        client_controls: client (None: all), class and settings.
        failures: where errors of strategies are counted.
        side_data: catalogues and sports data that were recorded beside markets.

    Attributes:
        turn: the market and the strategy at work.
        stopped: the run is to end.
        order_stream_connected: live: the order streams of all accounts are there.
        logs: somebody hears the events that `log_control` passes on.
        sieves: what filters let pass, by strategy; strategies without a filter are left out.
    """

    books: Books

    def __init__(
        self,
        host: Host,
        strategies: Sequence[Strategy],
        coordinator: MarketsCoordinator,
        exchange: Exchange,
        middleware: Sequence[Middleware] = (),
        trading_controls: Sequence[TradingControl] = (),
        client_controls: Sequence[ClientControl] = (),
        failures: Failures | None = None,
        side_data: SideData | None = None,
    ) -> None:
        self.host = host
        self.config: Config = host.config
        self.markets = Markets()
        self.turn = Turn()
        self.stopped = False
        self.order_stream_connected = True
        self.coordinator = coordinator
        self.middleware = list(middleware)
        self.failures = Failures() if failures is None else failures
        self.sieves: dict[str, Sieve] = {}
        self.clock: Clock = host.clock
        self.rules: Rules = host.rules
        self._prototypes = list(strategies)
        self._exchange = exchange
        self._side = side_data
        self._hosted: dict[str | None, HostedMarket] = {}  # a change may come without an id: no market has it
        self._timed = not host.rules.all_orders
        self._interval_ms = max(1, round(host.config.process_orders_interval * 1000))
        later = host.rules.account_controls_later
        coordinator.connect(
            host,
            exchange,
            [each for each in client_controls if later and each[1].scope == "account"],
            [each for each in trading_controls if later and each[0].scope == "account"],
            self.failed,
        )
        self.logs = coordinator.listens or type(self).log_control is not Turns.log_control
        self.trading_controls: list[BaseControl] = [control(self) for control in DEFAULT_TRADING_CONTROLS]
        self._client_controls: list[tuple[str, str, BaseControl]] = []
        for control, settings in trading_controls:
            if not later or control.scope == "market":
                with users_code(f"control {control.__name__} cannot be made", raise_errors=self.config.raise_errors):
                    self.trading_controls.append(control(self, **settings))
        for client, control, settings in client_controls:
            for account in self.clients if not later or control.scope == "market" else ():
                if client is None or (client.VENUE, client.username) == (account.VENUE, account.username):
                    with users_code(
                        f"control {control.__name__} cannot be made", raise_errors=self.config.raise_errors
                    ):
                        made = control(self, account, **settings)
                    self._client_controls.append((account.venue, account.username, made))

    @abc.abstractmethod
    def receive(self, message: Answer | MarketChange | CustomEvent | TerminationEvent, at: int | None = None) -> None:
        """The one door."""

    @abc.abstractmethod
    def wake(self, market: HostedMarket) -> None:
        """Attend to a market at each change from now on."""

    @abc.abstractmethod
    def touch(self, market: HostedMarket) -> None:
        """Call `process_orders` of the market's strategies before the turn ends."""

    @property
    def running(self) -> Strategy | None:
        """The strategy whose callback is running; None between callbacks."""
        return self.turn.strategy

    @property
    def clients(self) -> Clients:
        return self.coordinator.clients

    @property
    def prototypes(self) -> list[Strategy]:
        """The strategies that markets get copies of."""
        return self._prototypes

    def market(self, market_id: str) -> HostedMarket | None:
        return self._hosted.get(market_id)

    @property
    def hosted(self) -> list[HostedMarket]:
        """The markets that are hosted, in the order in which they came."""
        return list(self._hosted.values())

    def stop(self) -> None:
        """End the run: what was replayed is kept."""
        self.stopped = True

    def log_control(self, event: Any) -> None:
        self.coordinator.log(event)

    # -- for the exchange ----------------------------------------------------------------------------------------

    def account(self, venue: str, username: str) -> AccountTerms:
        """How the exchange treats an account."""
        return self.clients.named(venue, username).terms

    def take_funds(self, fact: AccountFact) -> None:
        """An account's exchange tells what it has."""
        self.clients.named(fact.venue, fact.username).take_funds(fact.funds, fact.exposure, fact.at)

    def orders(self, market_id: str) -> OrdersById:
        """The market's orders, for the peer's exchange."""
        return OrdersById(self._hosted[market_id])

    def call_at(self, at_ms: int, market_id: str, function: Callable[..., object], *arguments: Any) -> None:
        """Call a function for a market when the clock reaches `at_ms`; nothing happens if it has been freed by then."""
        self.clock.call_at(at_ms, self._act_at, market_id, function, arguments)

    def _act_at(self, market_id: str, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        market = self._hosted.get(market_id)
        if market is not None:
            self.turn.market = market
            try:
                function(*arguments)
            except Exception as error:
                self.failed_here(error, None, market)

    def call_for(
        self, at_ms: int, strategy: Strategy | None, market: HostedMarket, function: Callable[[], object]
    ) -> None:
        """Call a function for a strategy at a market when the clock reaches `at_ms`."""

        self.clock.call_at(at_ms, self._call_for, strategy, market, function)

    def _call_for(self, strategy: Strategy | None, market: HostedMarket, function: Callable[[], object]) -> None:
        self.turn.market = market
        self._guarded(strategy, market, function)

    # -- time and errors -----------------------------------------------------------------------------------------

    def run_timers(self, until_ms: int) -> None:
        """Run the timers that are due; those of one moment are one turn."""
        clock, turn = self.clock, self.turn
        while (timer := clock.pop_due(until_ms)) is not None:
            function, arguments = timer
            turn.market = turn.strategy = None
            try:
                function(*arguments)
            except Exception as error:
                self.failed_here(error, None, None)
            if self.books.touched and clock.next_ms > clock.now_ms:
                self.books.tell()

    def _guarded(
        self,
        strategy: Strategy | None,
        market: Market | None,
        function: Callable[..., object],
        *arguments: Any,
        **keywords: Any,
    ) -> object:
        """Call user code; an error becomes a row of the result."""
        self.turn.strategy = strategy
        try:
            return function(*arguments, **keywords)
        except Exception as error:
            self.failed_here(error, strategy, market)
            return None

    def failed(self, error: Exception, market_id: str, strategy: str | None = None) -> None:
        """Count an error of one strategy, or of one of its orders, as a row of the result; everything else goes on.

        Args:
            strategy: its name; None if the error belongs to no strategy.
        """
        market = self._hosted.get(market_id)
        seats = () if market is None else market.seats
        found = next((seat.strategy for seat in seats if seat.strategy.name == strategy), None)
        self.failed_here(error, found, market)

    def failed_here(self, error: Exception, strategy: Strategy | None, market: Market | None) -> None:
        if self.config.raise_errors and not isinstance(error, HeadraceError):
            raise error
        name = strategy.name if strategy else None
        market_id = market.market_id if market else None
        if isinstance(error, RecordingError):
            line: str | None = error.path if error.line is None else f"{error.path}:{error.line}"
        elif isinstance(error, SettlementError):
            line = None  # the recording lacks it: no line of code is at fault
        else:
            line = place_in(_sources_of(Strategy if strategy is None else type(strategy)), error)
        if self.failures.add(error, name, market_id, line, self.clock.now_ms):
            kind = type(error).__name__
            logger.error(
                FailureLine(f"{kind} in {line}: {legible(error)}", (name, line, kind)),
                exc_info=error,
                extra={"strategy": name, "market_id": market_id, "publish_time": self.clock.now_ms},
            )


@functools.lru_cache(maxsize=64)
def _sources_of(kind: type) -> frozenset[str]:
    """The files that the classes of a strategy are defined in; none for `Strategy` itself."""
    ours = Strategy.__module__.partition(".")[0]
    theirs = [cls for cls in kind.__mro__ if cls.__module__.partition(".")[0] not in (ours, "builtins")]
    codes = (getattr(value, "__code__", None) for cls in theirs for value in vars(cls).values())
    return frozenset(code.co_filename for code in codes if code is not None)
