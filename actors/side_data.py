"""What comes beside a market's book: its catalogue and its sports data, from wherever the actor's owner has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .hosted_market import HostedMarket
    from .market import MarketActor


class SideData(Protocol):
    """Finds what belongs to a market."""

    def opened(self, actor: MarketActor, market: HostedMarket) -> None:
        """A market is new: give the actor its catalogue, and see to it that its sports data comes in time."""
