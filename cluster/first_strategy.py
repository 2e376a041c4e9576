"""A first strategy to begin with: the file that `headrace new` writes."""

from __future__ import annotations

import os
from pathlib import Path

from ..results.folders import not_written
from ..strategies.errors import InputError

#: The class in the file.
CLASS = "BackTheFavourite"

_TEXT = '''\
"""Back the favourite shortly before the off.

    headrace backtest {name}:{cls} --markets markets
    headrace backtest {name}:{cls} --markets markets -p stake=5 -p seconds=300
"""

import headrace as hr


class {cls}(hr.Strategy):
    """Back the runner with the shortest price, once per market."""

    # Annotated attributes are parameters: -p stake=5 on the command line, {cls}(stake=5) in Python.
    stake: float = 2.0  # pounds
    seconds: float = 60.0  # before the scheduled start
    longest: float = 6.0  # the longest price that is taken

    def check_market_book(self, market, book):
        """Asked at each change of a market; True lets process_market_book look at it."""
        return book.status == "OPEN" and not book.inplay and 0 < market.seconds_to_start < self.seconds

    def process_market_book(self, market, book):
        """Look at the prices, and bet."""
        if market.blotter.strategy_orders(self):
            return  # one bet per market

        # Ladders begin with the best price. available_to_back is what one can back at.
        offered = [r for r in book.runners if r.status == "ACTIVE" and r.ex.available_to_back]
        if not offered:
            return
        favourite = min(offered, key=lambda r: r.ex.available_to_back[0].price)
        price = favourite.ex.available_to_back[0].price
        if price > self.longest:
            return

        # A trade is one idea on one runner; it may have several orders.
        trade = hr.Trade(market.market_id, favourite.selection_id, favourite.handicap, self)
        market.place_order(trade.create_order("BACK", hr.LimitOrder(price, self.stake)))

    def process_closed_market(self, market, book):
        """Called when the market is settled. What is recorded is a row of result.records."""
        for order in market.blotter.strategy_orders(self):
            self.record(market, price=order.average_price_matched, matched=order.size_matched, profit=order.profit)
'''


def write_first_strategy(path: str | os.PathLike[str]) -> None:
    """Write the file; one that is there is never replaced.

    Raises:
        InputError: the path does not end in `.py`, there is something, or it cannot be written.
        RunError: the disk is full, or fails.
    """
    file = Path(path)
    if file.suffix != ".py":
        raise InputError(f"{file}: expected the name of a Python file, such as strategy.py")
    try:
        with open(file, "x", encoding="utf-8") as opened:
            opened.write(_TEXT.format(name=file.name, cls=CLASS))
    except FileExistsError:
        raise InputError(f"{file}: is there already; name another file") from None
    except OSError as error:
        raise not_written(f"{file}: cannot be written", error) from None
