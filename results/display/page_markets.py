"""The markets that a page names, and the orders of those for which it has room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import page
from .page import Column

if TYPE_CHECKING:
    import pyarrow as pa

#: Orders that a page holds, and those of one market.
MOST_ORDERS = 4000
MOST_OF_A_MARKET = 1000


class MarketRows:
    """Markets by their place in the data of a page.

    Args:
        markets: the result's table.
    """

    #: How orders are shown: the script has the same columns from the data.
    columns = (
        Column("placed (UTC)", "placed", page.text, text=True, main=True),
        Column("order", "order", page.text, text=True, main=True),
        Column("profit", "profit", page.money, main=True),
        Column("runner", "runner", page.text, text=True),
        Column("matched", "matched", page.text, text=True),
        Column("then", "then", page.text, text=True),
        Column("strategy", "strategy", page.text, text=True),
        Column("bet", "bet", page.text, text=True),
    )

    def __init__(self, markets: pa.Table) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        ids = markets["market_id"].to_pylist()
        self._rows = {market_id: place for place, market_id in enumerate(ids)}
        starts = markets["start"].cast(pa.int64()).to_pylist()
        about = [markets[name].to_pylist() for name in ("market_type", "venue")]
        self._about = [*about, [None if start is None else start // 1000 for start in starts]]
        nets = pc.subtract(markets["profit"], markets["commission"]).to_pylist()
        self._nets: dict[str, float] = {}
        for market_id, net in zip(ids, nets, strict=True):
            self._nets[market_id] = self._nets.get(market_id, 0.0) + abs(net or 0.0)
        self._places: dict[str, int] = {}
        self._first: list[str] = []
        self._needed: list[str] = []

    def place(self, market_id: str) -> int:
        """The place of a market in the page's data."""
        return self._places.setdefault(market_id, len(self._places))

    def need(self, market_id: str, first: bool = False) -> None:
        """The orders of this market come before those of others; with `first` before all."""
        (self._first if first else self._needed).append(market_id)

    def data(self, orders: pa.Table) -> dict[str, Any]:
        """The markets, and as many orders as the page has room for.

        Those of needed markets first, then those of the largest gains and losses.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        counts = dict(
            zip(*(column.to_pylist() for column in orders["market_id"].value_counts().flatten()), strict=True)
        )

        def largest(market_id: str) -> tuple[float, str]:
            return -self._nets.get(market_id, 0.0), market_id

        wanted = [*self._first, *sorted(self._needed, key=largest), *sorted(counts, key=largest)]
        chosen: list[str] = []
        room = MOST_ORDERS
        for market_id in dict.fromkeys(wanted):
            count = min(counts.get(market_id, 0), MOST_OF_A_MARKET)
            if count and count <= room:
                room -= count
                chosen.append(market_id)
        mine = orders.filter(pc.is_in(orders["market_id"], pa.array(chosen, pa.string())))
        words: dict[str, dict[str, int]] = {"then": {}, "strategy": {}}
        rows: dict[str, list[list[Any]]] = {market_id: [] for market_id in chosen}
        for order in mine.to_pylist():
            kept = rows[order["market_id"]]
            if len(kept) < MOST_OF_A_MARKET:
                kept.append(_short(order_row(order), words))
        mains = [column.name for column in self.columns if column.main]
        return {
            "orders": {self.place(market_id): found for market_id, found in rows.items()},
            "cut": {self.place(each): counts[each] for each in chosen if counts[each] > MOST_OF_A_MARKET},
            "markets": self.markets(),
            "columns": [[column.name, page.classes(column, mains), _list(words, column)] for column in self.columns],
        }

    def markets(self) -> list[list[Any]]:
        """The markets by their places: id, type, venue, start in seconds since the epoch."""
        return [self._told(market_id) for market_id in self._places]

    def orders_of(self, orders: pa.Table, market_id: str) -> list[dict[str, Any]]:
        """The orders of a market, as `columns` show them."""
        import pyarrow.compute as pc

        found = orders.filter(pc.equal(orders["market_id"], market_id)).slice(0, MOST_OF_A_MARKET)
        return [order_row(order) for order in found.to_pylist()]

    def _told(self, market_id: str) -> list[Any]:
        row = self._rows[market_id]
        return [market_id, *(column[row] for column in self._about)]


def _list(words: dict[str, dict[str, int]], column: Column) -> list[str] | None:
    return list(words[column.field]) if column.field in words else None


def _short(row: dict[str, Any], words: dict[str, dict[str, int]]) -> list[Any]:
    """A row as a list; texts that come again and again by their number."""
    short = []
    for column in MarketRows.columns:
        value = row[column.field]
        known = words.get(column.field)
        short.append(value if known is None else known.setdefault(value, len(known)))
    return short


def order_row(order: dict[str, Any]) -> dict[str, Any]:
    """An order in words."""
    placed = order["placed_at"]
    runner = f"{order['selection_id']}" + (f" ({order['handicap']:+g})" if order["handicap"] else "")
    what = f"{order['size']:,.2f}" if order["size"] is not None else f"liability {order['liability'] or 0:,.2f}"
    price = f" at {order['price']:g}" if order["price"] is not None else ""
    kind = "" if order["order_type"] == "LIMIT" else f" {str(order['order_type']).replace('_', ' ').lower()}"
    matched = order["size_matched"] or 0.0
    return {
        "placed": "" if placed is None else f"{placed:%H:%M:%S}.{placed.microsecond // 1000:03d}",
        "order": f"{order['side']} {what}{price}{kind}",
        "profit": order["profit"],
        "runner": runner,
        "matched": f"{matched:,.2f} at {order['average_price_matched']:.6g}" if matched else "",
        "then": became(order),
        "strategy": order["strategy"],
        "bet": order["bet_id"] or order["order_id"],
    }


def became(order: dict[str, Any]) -> str:
    """What became of what was not matched, or why an order was refused."""
    if order["error_code"]:
        return f"refused: {order['error_code']}"
    left: Sequence[str] = [name for name in ("cancelled", "lapsed", "voided") if order[f"size_{name}"]]
    if left:
        return ", ".join(left)
    if order["size_remaining"]:
        return "open at the end"
    return "" if order["size_matched"] else str(order["status"] or "").replace("_", " ").lower()
