"""A script for a cluster, and for one machine: `python on_a_cluster.py RECORDINGS [ENGINE]`."""

import sys

import headrace as hr


class FirstPrice(hr.Strategy):
    """Back each runner once, at the first price there is."""

    stake: float = 2.0  #: pounds a bet

    def check_market_book(self, market, book):
        return book.status == "OPEN" and not book.inplay

    def process_market_book(self, market, book):
        for runner in book.runners:
            context = self.get_runner_context(market.market_id, runner.selection_id, runner.handicap)
            price = hr.get_price(runner.ex.available_to_back, 0)
            if runner.status == "ACTIVE" and price and not context.invested:
                trade = hr.Trade(market.market_id, runner.selection_id, runner.handicap, self)
                market.place_order(trade.create_order("BACK", hr.LimitOrder(price, self.stake)))


if __name__ == "__main__":
    recordings, *rest = sys.argv[1:]
    result = hr.backtest(FirstPrice(), recordings, engine=rest[0] if rest else "ray")
    print(f"{result.markets.num_rows} markets, {result.orders.num_rows} orders, digest {result.digest}")
    sys.exit(1 if result.failures.num_rows else 0)
