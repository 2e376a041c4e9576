"""Market middleware: code that sees each market between its book and its strategies."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..strategies.market import Market


class Middleware:
    """Subclass it and override `__call__`. It lives with the markets: one instance in each process."""

    def __call__(self, market: Market) -> None:
        """Called at each change of the book, after matching and before the strategies."""

    def add_market(self, market: Market) -> None:
        """Called when a market is new."""

    def remove_market(self, market: Market) -> None:
        """Called when a market's recording has ended; under compatibility at each close of the market as well."""
