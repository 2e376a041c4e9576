"""What the turn under way is about, for whoever writes log lines, draws chance or counts errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..strategies.market import Market
    from ..strategies.strategy import Strategy


class Turn:
    """Where a turn stands. It is written for each look at a book: a small object of its own is written faster.

    Attributes:
        market: what it is about; None where it is about none.
        strategy: whose callback is running; None between callbacks.
    """

    __slots__ = ("market", "strategy")

    def __init__(self) -> None:
        self.market: Market | None = None
        self.strategy: Strategy | None = None
