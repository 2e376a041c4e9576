"""The exchange of a market actor that trades live: simulated for paper accounts, elsewhere for all others.

Requests of either kind go to the coordinator first, for its controls and counts. What is for a paper account comes
back, and is matched here against the market's own book. What the simulated exchange answers is taken at once, as in a
simulation, and told to the coordinator as well.
"""

from __future__ import annotations

from ...strategies.book import MarketBook
from ...strategies.errors import OrderError, RunError
from ...strategies.messages import OrderFact, PlaceInstruction, Request
from ..exchange import AccountTerms, Desk, Exchange, MarketExchange
from ..hosted_market import HostedMarket


class HostMarket(MarketExchange):
    """The exchange's side of one market. Results of live bets come later, so `settles` is False.

    Args:
        paper: the simulated exchange's side of it; None where no account is a paper account.
    """

    settles = False

    def __init__(self, paper: MarketExchange | None) -> None:
        self._paper = paper
        self._traded = False
        self._taken: set[str] = set()

    def send(self, request: Request) -> None:
        raise RunError(f"request {request.request_id}: it goes to the coordinator first")

    def take(self, request: Request, closed: bool) -> None:
        """Take a request of a paper account, which the coordinator has let pass. One that comes twice is taken once.

        Args:
            closed: the market is closed.

        Raises:
            RunError: there is no paper account here.
        """
        if self._paper is None:
            raise RunError(
                f"request {request.request_id}: account {request.username} trades at the exchange itself, and not here"
            )
        if request.request_id in self._taken:
            return
        self._taken.add(request.request_id)
        self._traded = True
        self._paper.send(request)
        if closed:
            self._paper.expire("MARKET_CLOSED")

    @property
    def watching(self) -> bool:  # type: ignore[override]
        return self._paper is not None and self._paper.watching

    def changed(self) -> None:
        if self._traded and self._paper is not None:
            self._paper.changed()

    def closed(self, line_result: float | None) -> None:
        if self._traded and self._paper is not None:
            self._paper.closed(line_result)

    def expire(self, why: str) -> bool:
        return self._paper is not None and self._paper.expire(why)

    def queue_ahead(self, order_id: str) -> float | None:
        return None if self._paper is None else self._paper.queue_ahead(order_id)

    def adopt(self, asked: PlaceInstruction, strategy: str, account: AccountTerms, fact: OrderFact) -> None:
        self._traded = True
        if self._paper is not None:
            self._paper.adopt(asked, strategy, account, fact)

    def rest(self) -> None:
        if self._paper is not None:
            self._paper.rest()

    def forget(self) -> None:
        if self._paper is not None:
            self._paper.forget()


class HostExchange:
    """The exchange of one market actor.

    Args:
        simulated: where paper accounts trade; None where there are none.
    """

    def __init__(self, simulated: Exchange | None) -> None:
        self._simulated = simulated

    def open(self, market_id: str, book: MarketBook, desk: Desk) -> HostMarket:
        """Its side of a market that is new here."""
        return HostMarket(None if self._simulated is None else self._simulated.open(market_id, book, desk))

    def send(self, request: Request) -> None:
        raise RunError(f"request {request.request_id}: it goes to the coordinator first")

    def take(self, request: Request, market: HostedMarket | None) -> None:
        """Take a request of a paper account, which the coordinator has let pass.

        Raises:
            OrderError: its market is not hosted here any more.
            RunError: the account is not a paper account.
        """
        if market is None:
            raise OrderError(f"market {request.market_id} is not hosted any more")
        assert isinstance(market.exchange, HostMarket)
        market.exchange.take(request, market.closed)
