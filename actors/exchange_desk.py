"""The desk of an exchange that stands beside the coordinator, for markets whose actors stand elsewhere.

A simulated exchange lives by books. The desk folds the same changes as the actors do into books of its own, by the same
times, and tells the exchange what becomes of them. What the exchange answers goes through the coordinator.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NoReturn

from ..config import Config
from ..strategies.book import MarketBook
from ..strategies.changes import MarketChange
from ..strategies.clock import Clock
from ..strategies.errors import HeadraceError, RunError
from ..strategies.host import Host
from ..strategies.messages import AccountFact, Request
from ..strategies.rules import Rules
from .coordinator import Coordinator
from .exchange import AccountTerms, Answer, Exchange, MarketExchange
from .failures import Failures
from .hosting import outcome_of


class DeskMarket:
    """A market at the desk.

    Attributes:
        active: there was a request: from then on the exchange is told of changes.
        outcome: what it was last settled by; None while it is open.
    """

    def __init__(self, book: MarketBook, exchange: MarketExchange) -> None:
        self.book = book
        self.exchange = exchange
        self.active = False
        self.outcome: object = None


class ExchangeDesk:
    """Whom the exchange answers, where its markets' actors stand elsewhere.

    The coordinator is connected to it here, with the controls that it asks:

        desk = ExchangeDesk(host, exchange, coordinator)
        coordinator.connect(host, desk, client_controls, trading_controls, desk.failed)

    Args:
        host: clock, settings and rules; the clock is the desk's to set.
        exchange: where requests end.
        coordinator: through which answers go.
        failures: where errors of models, and of controls, are counted.

    Raises:
        RunError: the rules are the peer's, whose exchange reads the strategies' own orders.
    """

    def __init__(
        self, host: Host, exchange: Exchange, coordinator: Coordinator, failures: Failures | None = None
    ) -> None:
        if not host.rules.account_controls_later:
            raise RunError(
                "compatibility='flumine' needs the exchange in the market actor's process: it reads the orders there"
            )
        self.host = host
        self.clock: Clock = host.clock
        self.config: Config = host.config
        self.rules: Rules = host.rules
        self.failures = Failures() if failures is None else failures
        self._exchange = exchange
        self._coordinator = coordinator
        self._markets: dict[str, DeskMarket] = {}

    # -- what comes in -------------------------------------------------------------------------------------------

    def process_market_change(self, publish_time: int, change: MarketChange) -> None:
        """One change of one market, in the order of the loop in which an actor takes it.

        Args:
            publish_time: milliseconds since the epoch.
        """
        market_id = change.id
        if market_id is None:
            return
        market = self._markets.get(market_id)
        if market is None:
            if change.market_definition is None:
                return
            self.run_timers(publish_time - 1)
            book = MarketBook(market_id)
            book.market_definition = change.market_definition
            market = self._markets[market_id] = DeskMarket(book, self._exchange.open(market_id, book, self))
        self.tick(publish_time)
        market.book.apply(publish_time, change)
        definition = change.market_definition
        if definition is not None and definition.status == "CLOSED":
            outcome = outcome_of(definition)
            if outcome != market.outcome:
                market.outcome = outcome
                self._tell(market_id, functools.partial(market.exchange.closed, None))
            return
        if definition is not None:
            market.outcome = None
        if market.active or market.exchange.watching:
            self._tell(market_id, market.exchange.changed)

    def tick(self, at: int) -> None:
        """Time has come to `at`: timers that are due run."""
        self.run_timers(at)
        self.clock.now_ms = at

    def run_timers(self, until_ms: int) -> None:
        """Timers that are due, each at its own time."""
        while (timer := self.clock.pop_due(until_ms)) is not None:
            function, arguments = timer
            function(*arguments)

    def send(self, request: Request) -> None:
        """Take a request from the coordinator.

        Raises:
            RunError: its market is not at the exchange: it has not begun, or is given up.
        """
        market = self._markets.get(request.market_id)
        if market is None:
            raise RunError(f"market {request.market_id} is not at the exchange: it has not begun, or has ended")
        market.active = True
        market.exchange.send(request)
        if market.outcome is not None:
            self._tell(request.market_id, functools.partial(market.exchange.expire, "MARKET_CLOSED"))

    def expire(self, market_id: str, why: str = "RECORDING_ENDED") -> None:
        """Nothing more comes of a market: what waits there ends. `why`: one word."""
        market = self._markets.get(market_id)
        if market is not None:
            self._tell(market_id, functools.partial(market.exchange.expire, why))

    def release_market(self, market_id: str) -> None:
        """Give up a market; requests for it are refused from now on."""
        market = self._markets.pop(market_id, None)
        if market is not None:
            market.exchange.forget()

    # -- for the exchange ----------------------------------------------------------------------------------------

    def answer(self, message: Answer) -> None:
        self._coordinator.answer(message)

    def failed(self, error: Exception, market_id: str, strategy: str | None = None) -> None:
        """Count an error of one bet, or of a control; the others go on."""
        if self.config.raise_errors and not isinstance(error, HeadraceError):
            raise error
        self.failures.add(error, strategy, market_id, None, self.clock.now_ms)

    def account(self, venue: str, username: str) -> AccountTerms:
        return self._coordinator.clients.named(venue, username).terms

    def take_funds(self, fact: AccountFact) -> None:
        self._coordinator.clients.named(fact.venue, fact.username).take_funds(fact.funds, fact.exposure, fact.at)

    def call_at(self, at_ms: int, market_id: str, function: Callable[..., object], *arguments: Any) -> None:
        self.clock.call_at(at_ms, self._act_at, market_id, functools.partial(function, *arguments))

    def _act_at(self, market_id: str, function: Callable[[], object]) -> None:
        if market_id in self._markets:
            self._tell(market_id, function)

    def _tell(self, market_id: str, function: Callable[[], object]) -> None:
        try:
            function()
        except Exception as error:
            self.failed(error, market_id)

    def orders(self, market_id: str) -> NoReturn:
        """Only the compatible exchange asks for them, and it cannot stand here.

        Raises:
            RunError: always.
        """
        raise RunError(f"market {market_id}: the strategies' orders are in another process")
