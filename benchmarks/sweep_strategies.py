"""The strategy of examples/lowest_layer.py against flumine's classes, a class for each parameter set."""

from types import SimpleNamespace
from typing import Any


def make(api: SimpleNamespace, sets: list[dict[str, float]]) -> dict[str, type]:
    """A class a set: stake, max_price and seconds are its attributes."""

    class LowestLayer(api.Strategy):  # type: ignore[name-defined, misc]
        stake: float
        seconds: float
        max_price: float

        def check_market_book(self, market: Any, book: Any) -> bool:
            return book.status == "OPEN" and not book.inplay and market.seconds_to_start < self.seconds

        def process_market_book(self, market: Any, book: Any) -> None:
            if market.blotter.strategy_orders(self):
                return
            traded = [r for r in book.runners if r.status == "ACTIVE" and r.last_price_traded]
            if not traded:
                return
            favourite = min(traded, key=lambda runner: runner.last_price_traded)
            price = api.best(favourite.ex.available_to_lay)
            if price is None or price > self.max_price:
                return
            trade = api.Trade(market.market_id, favourite.selection_id, favourite.handicap, self)
            order = trade.create_order(side="LAY", order_type=api.LimitOrder(price, self.stake))
            market.place_order(order)

    return {f"LowestLayer-{number}": type("LowestLayer", (LowestLayer,), each) for number, each in enumerate(sets)}
