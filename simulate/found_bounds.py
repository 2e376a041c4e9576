"""What the copies of a run for its band came to."""

from __future__ import annotations

from ..actors.hosted_market import HostedMarket
from .rows import Bounds, Money, money_of


class FoundBounds:
    """What the copies of a run came to, by market, until the market's rows are written."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, dict[str, Money]]] = {}

    def add(self, queue: str, market: HostedMarket) -> None:
        """The recording of a market has ended for a copy."""
        of_market = self._found.setdefault(market.market_id, {})
        for seat in market.seats:
            of_market.setdefault(seat.strategy.name, {})[queue] = money_of(market, seat.strategy)

    def take(self, market_id: str) -> Bounds:
        """What they came to in a market; it is forgotten here."""
        return self._found.pop(market_id, {})
