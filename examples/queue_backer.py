"""Join the queue: offer to back every runner one tick above the best price, and cancel what does not match."""

import headrace as hr


class QueueBacker(hr.Strategy):
    """Offer to back the favourites at their best lay price; cancel what does not match in time."""

    stake: float = 2.0  #: pounds a bet
    seconds: float = 300.0  #: how long before the scheduled start it begins
    patience: float = 30.0  #: seconds an order may wait
    runners: int = 3  #: how many runners, from the favourite down

    def check_market_book(self, market, book):
        return book.status == "OPEN" and not book.inplay and 0 < market.seconds_to_start < self.seconds

    def process_market_book(self, market, book):
        traded = [r for r in book.runners if r.status == "ACTIVE" and r.last_price_traded]
        for runner in sorted(traded, key=lambda runner: runner.last_price_traded)[: self.runners]:
            context = self.get_runner_context(market.market_id, runner.selection_id, runner.handicap)
            price = hr.get_price(runner.ex.available_to_lay, 0)
            if price is None or context.executable_orders or context.trade_count >= 5:
                continue
            trade = hr.Trade(market.market_id, runner.selection_id, runner.handicap, self)
            order = trade.create_order(side="BACK", order_type=hr.LimitOrder(price, self.stake))
            market.place_order(order)

    def process_orders(self, market, orders):
        for order in orders:
            if order.status is hr.OrderStatus.EXECUTABLE and order.elapsed_seconds > self.patience:
                market.cancel_order(order)
