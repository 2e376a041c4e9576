"""What a host tells of its markets, every second: one row for each market and strategy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..hosted_market import HostedMarket, Seat
from .crew_room import CrewRoom


def market_rows(rooms: Iterable[CrewRoom]) -> list[dict[str, Any]]:
    """The rows of all markets that are hosted: see `letters.HostState`."""
    return [
        _row(room.crew.name, market, seat) for room in rooms for market in room.actor.hosted for seat in market.seats
    ]


def _row(crew: str, market: HostedMarket, seat: Seat) -> dict[str, Any]:
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
    if mine is not None:
        orders = mine.orders
        row["orders"] = len(orders)
        row["live"] = sum(not order.complete for order in orders)
        row["matched"] = round(sum(order.size_matched for order in orders), 2)
        row["exposure"] = round(max(0.0, -blotter.market_exposure(strategy, book)), 2)
        row["profit"] = round(sum(order.profit for order in orders if order.settled), 2)
    return row
