"""Lay the favourite in the last seconds before the off, once per market."""

import headrace as hr


class LowestLayer(hr.Strategy):
    """Lay the runner with the lowest last traded price."""

    stake: float = 2.0  #: pounds a bet
    seconds: float = 60.0  #: how long before the scheduled start it looks
    max_price: float = 5.0  #: favourites at longer odds are left alone

    def check_market_book(self, market, book):
        return book.status == "OPEN" and not book.inplay and market.seconds_to_start < self.seconds

    def process_market_book(self, market, book):
        if market.blotter.strategy_orders(self):
            return
        traded = [r for r in book.runners if r.status == "ACTIVE" and r.last_price_traded]
        if not traded:
            return
        favourite = min(traded, key=lambda runner: runner.last_price_traded)
        price = hr.get_price(favourite.ex.available_to_lay, 0)
        if price is None or price > self.max_price:
            return
        trade = hr.Trade(market.market_id, favourite.selection_id, favourite.handicap, self)
        order = trade.create_order(side="LAY", order_type=hr.LimitOrder(price, self.stake))
        market.place_order(order)
