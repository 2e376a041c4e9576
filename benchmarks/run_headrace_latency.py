"""headrace live at the exchange whose addresses are given, doing what changes ask for.

    python -m benchmarks.run_headrace_latency WORK OUT

WORK is JSON: as for `run_flumine_latency`, and engine.
"""

import json
import sys
import threading
from pathlib import Path
from typing import Any

import headrace as hr

from .latency_strategy import Asked


class Asking(hr.Strategy):
    """Does what changes ask for."""

    kind: str = "place"
    work: float = 0.0

    def process_new_market(self, market: Any, market_book: Any) -> None:
        self.asked = Asked(self.kind, self.work, self.place)

    def place(self, market: Any, runner: Any, side: str, price: float, size: float) -> None:
        trade = hr.Trade(market.market_id, runner.selection_id, runner.handicap, self)
        market.place_order(trade.create_order(side=side, order_type=hr.LimitOrder(price=price, size=size)))

    def check_market_book(self, market: Any, market_book: Any) -> bool:
        return bool(market_book.status == "OPEN")

    def process_market_book(self, market: Any, market_book: Any) -> None:
        self.asked.book(market, market_book)

    def process_orders(self, market: Any, orders: Any) -> None:
        self.asked.orders(market, orders)


def main() -> None:
    work, out = json.loads(sys.argv[1]), Path(sys.argv[2])
    import betfairlightweight
    from betfairlightweight.filters import streaming_market_data_filter

    from headrace.simulate.exchange.plan import Addresses
    from headrace.simulate.exchange.pointing import point

    trading = betfairlightweight.APIClient(work["username"], work["password"], app_key=work["app_key"])
    point(trading, Addresses(**work["addresses"]))
    framework = hr.Live(engine=work["engine"], page=False, on_stop="leave")
    framework.add_client(
        hr.BetfairClient(trading, interactive_login=True, min_bet_validation=False, transaction_limit=None)
    )
    framework.add_strategy(
        Asking(
            kind=work["kind"],
            work=work["work"],
            market_filter={"event_type_ids": ["7"]},
            market_data_filter=streaming_market_data_filter(
                fields=["EX_ALL_OFFERS", "EX_TRADED", "EX_TRADED_VOL", "EX_LTP", "EX_MARKET_DEF"]
            ),
            max_order_exposure=1e6,
            max_selection_exposure=1e9,
            max_live_trade_count=1_000_000,
        )
    )
    threading.Timer(work["seconds"], framework.stop).start()
    framework.run()
    out.write_text("{}")


if __name__ == "__main__":
    main()
