"""What the turn under way is about: read by log lines, random draws and the counting of errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..strategies.market import Market
    from ..strategies.strategy import Strategy


class Turn:
    """The market and the strategy at work. Set before each look at a book: a small object with slots is set faster.

    Attributes:
        market: the market at work; None if there is none.
        strategy: whose callback is running; None between callbacks.
    """

    __slots__ = ("market", "strategy")

    def __init__(self) -> None:
        self.market: Market | None = None
        self.strategy: Strategy | None = None
