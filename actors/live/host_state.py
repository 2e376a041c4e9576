"""What a host tells of its markets, every second: one row for each market and strategy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...strategies.blotter import StrategyOrders
from ...strategies.order import Order
from ..hosted_market import HostedMarket, Seat
from .crew_room import CrewRoom

#: Crew, market and strategy.
Key = tuple[str, str, str]


class Figures:
    """Sums over the orders of a strategy in a market. What has ended is summed once, for there may be thousands.

    Attributes:
        live: orders that have not ended.
        matched: sizes of all.
    """

    def __init__(self, mine: StrategyOrders) -> None:
        self.mine = mine
        self.live: list[Order] = []
        self._taken = 0
        self._ended = 0.0

    def look(self) -> None:
        """Take what has changed since the last time."""
        live = []
        for order in [*self.live, *self.mine.orders[self._taken :]]:
            if order.complete:
                self._ended += order.size_matched
            else:
                live.append(order)
        self.live, self._taken = live, len(self.mine.orders)

    @property
    def matched(self) -> float:
        return self._ended + sum(order.size_matched for order in self.live)


class MarketRows:
    """Makes the rows of a host; see `letters.HostState`."""

    def __init__(self) -> None:
        self._figures: dict[Key, Figures] = {}

    def of(self, rooms: Iterable[CrewRoom]) -> list[dict[str, Any]]:
        """The rows of all markets that are hosted."""
        known, self._figures = self._figures, {}
        return [
            self._row(room.crew.name, market, seat, known)
            for room in rooms
            for market in room.actor.hosted
            for seat in market.seats
        ]

    def _row(self, crew: str, market: HostedMarket, seat: Seat, known: dict[Key, Figures]) -> dict[str, Any]:
        book, blotter, strategy = market.market_book, market.blotter, seat.strategy
        row: dict[str, Any] = {
            "market_id": market.market_id,
            "crew": crew,
            "event": market.event_name or market.event_id,
            "name": market.market_name,
            "status": market.status,
            "inplay": book.inplay,
            "strategy": strategy.name,
            "orders": 0,
            "live": 0,
            "matched": 0.0,
            "exposure": 0.0,
            "profit": 0.0,
            "changes": market.changes,
            "pt": book.publish_time_epoch,
        }
        mine = blotter.orders_of(strategy)
        if mine is None:
            return row
        key = (crew, market.market_id, strategy.name)
        figures = known.get(key)
        if figures is None or figures.mine is not mine:
            figures = Figures(mine)
        self._figures[key] = figures
        figures.look()
        row["orders"] = len(mine.orders)
        row["live"] = len(figures.live)
        row["matched"] = round(figures.matched, 2)
        if not market.closed or market.unsettled(strategy):
            row["exposure"] = round(max(0.0, -blotter.market_exposure(strategy, book)), 2)
        if market.closed:
            row["profit"] = round(sum((order.profit for order in mine.orders if order.settled), 0.0), 2)
        return row
