"""The exchange as actors see it.

An exchange takes requests and answers with messages; it knows no order, trade, strategy, blotter or client. `send` is
all that a live one implements. A simulated one also needs the books: it owns the bets that are matched against them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ..strategies.currency import Stakes, stakes_of
from ..strategies.messages import AccountFact, ClearedOrder, OrderFact, PlaceInstruction, Reply, Request

if TYPE_CHECKING:
    from ..config import Config
    from ..strategies.book import MarketBook
    from ..strategies.clock import Clock
    from ..strategies.rules import Rules

#: What an exchange answers with.
Answer = Reply | OrderFact | ClearedOrder


class AccountTerms(msgspec.Struct, frozen=True):
    """How an exchange treats an account.

    Attributes:
        best_price_execution: False: orders lapse if the exchange has a better price than asked.
        full_match: each order is matched whole, at its price.
        min_bsp_liability: least liability of a lay that is carried over to the starting price, in pounds.
        stakes: its smallest stakes.
        units: of its currency for one pound.
        commission_base: its own rate of commission, 0..1; None: the market's.
        discount_rate: percent off the market's commission.
        balance: what it has when a unit of replay begins, in its currency; None: no end of it.
        exposure_limit: the most that its bets may lose, in its currency; None: what the balance allows.
    """

    best_price_execution: bool = True
    full_match: bool = False
    min_bsp_liability: float = 10.0
    stakes: Stakes = stakes_of("GBP")
    units: float = 1.0
    commission_base: float | None = None
    discount_rate: float = 0.0
    balance: float | None = None
    exposure_limit: float | None = None

    @property
    def limited(self) -> bool:
        """Whether its funds can run out."""
        return self.balance is not None or self.exposure_limit is not None


class Desk(Protocol):
    """The actor that an exchange answers, and whose clock it acts by."""

    @property
    def clock(self) -> Clock: ...

    @property
    def config(self) -> Config: ...

    @property
    def rules(self) -> Rules: ...

    @property
    def answer(self) -> Callable[[Answer], None]:
        """Takes a message. It never raises: what a message contradicts is a discrepancy, not an error."""

    def failed(self, error: Exception, market_id: str, strategy: str | None) -> None:
        """Count an error about one bet; the other bets go on."""

    def account(self, venue: str, username: str) -> AccountTerms:
        """How an account is treated."""

    def take_funds(self, fact: AccountFact) -> None:
        """What an account has, as the exchange tells it: for accounts whose funds can run out."""

    def call_at(self, at_ms: int, market_id: str, function: Callable[..., object], *arguments: Any) -> None:
        """Call `function(*arguments)` when the clock reaches `at_ms`, before a change of that moment.

        Then strategies are told.
        """

    def orders(self, market_id: str) -> PeerOrders:
        """The market's orders as their strategies hold them; only the compatible exchange asks for them."""


class PeerOrders(Protocol):
    """What the peer's exchange reads of the strategies' own orders, by their ids.

    flumine has no boundary there: the order's status at the moment of an answer, and what its last request asked for,
    decide what happens to the bet. Under compatibility the exchange asks for both; by default it never does.
    """

    def status(self, order_id: str) -> str | None:
        """The name of the order's status; None before it is placed."""

    def instruction(self, order_id: str) -> PlaceInstruction | None:
        """What would be asked for if the order were placed now: a strategy may have changed its price or size since."""

    def asked(self, order_id: str) -> dict[str, Any]:
        """What the request under way changes: `size_reduction`, `new_persistence_type`, `new_price`; may be empty."""

    def entered(self, order_id: str) -> bool:
        """Whether it is in the blotter."""

    def live(self, order_id: str) -> bool:
        """Whether it is among the blotter's live orders."""

    def number(self, order_id: str) -> int:
        """The order's place in the blotter."""

    def replacement(self, order_id: str) -> str | None:
        """The id of the order that the market has made to take its place, after its cancel was answered."""

    def watch(self, told: Callable[[str, str | None, str | None], object]) -> None:
        """Call `told(order id, name of the status before, name of the status now)` at each change of a status."""

    def ids(self) -> Iterable[str]:
        """All orders of the blotter, in order."""


class MarketExchange(Protocol):
    """The exchange's side of one market. Only `send` must be implemented: a real exchange needs no books from here.

    Attributes:
        polls: requests are looked at when the book changes, in `changing`, and not by the clock.
        busy: there are requests to look at.
        watching: `changed` is to be called at every change of the book, even without bets.
        settles: `closed` has told every result when it returns; else results come later.
    """

    polls: bool = False
    busy: bool = False
    watching: bool = False
    settles: bool = True

    def send(self, request: Request) -> None:
        """Take a request. It is answered later, by replies and facts."""

    def changing(self) -> None:
        """The book is about to change."""
        return

    def changed(self) -> None:
        """The book has changed."""
        return

    def closed(self, line_result: float | None) -> None:
        """The market is settled by the book's definition. `line_result`: the result of its line, if it is known."""
        return

    def expire(self, why: str) -> bool:
        """End what can no longer be placed; True if there was any. `why`: one word."""
        return False

    def commission(self, profit: float, account: AccountTerms) -> float | None:
        """What an account pays on what it won in the market, in its currency; None if the exchange does not tell."""
        return None

    def queue_ahead(self, order_id: str) -> float | None:
        """Size estimated to be ahead of an order's bet; None if the exchange does not tell."""
        return None

    def adopt(self, asked: PlaceInstruction, strategy: str, account: AccountTerms, fact: OrderFact) -> None:
        """A bet of a former process, whose exchange has ended with it: it is settled with the others.

        Args:
            fact: how it stands; nothing more of it is matched.
        """
        return

    def rest(self) -> None:
        """No bet is live: traded volume does not matter until the next one comes."""
        return

    def hold(self) -> None:
        """The book is about to change unseen: requests already made are judged by the book as it is now."""
        return

    def forget(self) -> None:
        """The market is freed."""
        return


class Exchange(Protocol):
    """An exchange, as one actor sees it."""

    def open(self, market_id: str, book: MarketBook, desk: Desk) -> MarketExchange:
        """Its side of a market that is new here."""

    def send(self, request: Request) -> None:
        """Take a request for one of its markets. It is answered later, by replies and facts."""
