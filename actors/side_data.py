"""What comes beside a market's book: its catalogue and its sports data, wherever they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..strategies.host import Host
    from .hosted_market import HostedMarket


class Receiver(Protocol):
    """The actor that hosts a market, as a receiver of what comes beside the book."""

    @property
    def host(self) -> Host: ...

    def market(self, market_id: str) -> HostedMarket | None:
        """The market of that id, while it is hosted."""

    def process_market_catalogues(self, market: HostedMarket, market_catalogue: Any) -> None:
        """A market's catalogue, for its strategies."""

    def process_sports_data(self, market: HostedMarket, sports_data: Any) -> None:
        """An update of sports data, for the market's strategies."""

    def failed(self, error: Exception, market_id: str, strategy: str | None = None) -> None:
        """Something cannot be read: a row of the result, and nothing else stops for it."""


class SideData(Protocol):
    """Finds what belongs to a market."""

    def opened(self, actor: Receiver, market: HostedMarket) -> None:
        """A market is new: give the actor its catalogue, and see to it that its sports data comes in time."""
