"""flumine live at the exchange whose addresses are given, in its environment, doing what changes ask for.

    python -m benchmarks.run_flumine_latency WORK OUT

WORK is JSON: as for `run_flumine_live`, and kind, work (seconds of the processor at each change).
"""

import json
import logging
import sys
import threading
import time
from pathlib import Path
from typing import Any

import betfairlightweight
from betfairlightweight.filters import streaming_market_data_filter, streaming_market_filter
from flumine import BaseStrategy, Flumine, clients
from flumine.events.events import TerminationEvent
from flumine.order.ordertype import LimitOrder
from flumine.order.trade import Trade
from flumine.streams.betfairmarketstream import BetfairMarketStream

from .latency_strategy import Asked
from .run_flumine_live import point


class Asking(BaseStrategy):  # type: ignore[misc]
    """Does what changes ask for."""

    def __init__(self, kind: str, work: float, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.asked = Asked(kind, work, self.place)

    def place(self, market: Any, runner: Any, side: str, price: float, size: float) -> None:
        trade = Trade(market.market_id, runner.selection_id, runner.handicap, self)
        market.place_order(trade.create_order(side=side, order_type=LimitOrder(price=price, size=size)))

    def check_market_book(self, market: Any, market_book: Any) -> bool:
        return bool(market_book.status == "OPEN")

    def process_market_book(self, market: Any, market_book: Any) -> None:
        self.asked.book(market, market_book)

    def process_orders(self, market: Any, orders: Any) -> None:
        self.asked.orders(market, orders)


def main() -> None:
    work, out = json.loads(sys.argv[1]), Path(sys.argv[2])
    logging.basicConfig(filename=str(out) + ".log", level=logging.WARNING)
    trading = betfairlightweight.APIClient(work["username"], work["password"], app_key=work["app_key"])
    point(work, trading)
    client = clients.BetfairClient(trading, interactive_login=True, min_bet_validation=False, transaction_limit=None)
    framework = Flumine(client=client)
    framework.add_strategy(
        Asking(
            work["kind"],
            work["work"],
            stream=BetfairMarketStream(
                market_filter=streaming_market_filter(event_type_ids=["7"]),
                market_data_filter=streaming_market_data_filter(
                    fields=["EX_ALL_OFFERS", "EX_TRADED", "EX_TRADED_VOL", "EX_LTP", "EX_MARKET_DEF"]
                ),
            ),
            max_order_exposure=1e6,
            max_selection_exposure=1e9,
            max_live_trade_count=1_000_000,
            name="asking",
        )
    )

    def end() -> None:
        time.sleep(work["seconds"])
        framework.handler_queue.put(TerminationEvent(None))

    threading.Thread(target=end, daemon=True).start()
    framework.run()
    out.write_text("{}")


if __name__ == "__main__":
    main()
