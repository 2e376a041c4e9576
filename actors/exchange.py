"""What the actors need of an exchange. Live passes the real one, replay and paper trading the simulated one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..strategies.order import Order
from ..strategies.order_package import OrderPackage

if TYPE_CHECKING:
    from ..strategies.framework import Framework
    from ..strategies.market import Market


class MarketExchange(Protocol):
    """The exchange's side of one market.

    Attributes:
        pending: packages that have not been answered.
        watching: `match` wants every change, orders or not.
    """

    pending: list[OrderPackage]
    watching: bool

    def submit(self, package: OrderPackage) -> None:
        """Take requests."""

    def release(self) -> None:
        """Act on the requests whose time has come, against the book before the change under way."""

    def match(self) -> None:
        """Bring orders up to date with the book as it has become."""

    def is_done(self, order: Order) -> bool:
        """Whether nothing of a live order is left to happen."""

    def close(self) -> None:
        """Settle orders on the closing book."""

    def expire(self, why: str) -> bool:
        """End the orders whose placing can no longer be answered; whether there were any. `why`: one word."""

    def forget(self) -> None:
        """The market's recording has ended: nothing of it is asked for again."""

    def rest(self) -> None:
        """No order is live: what is traded is of no interest until the next one comes."""

    def hold(self) -> None:
        """The book moves on unseen: requests already made are judged by the book as it stands."""


class Exchange(Protocol):
    """An exchange, as one actor sees it."""

    def open(self, market: Market, framework: Framework) -> MarketExchange:
        """Its side of a market that is new here."""
