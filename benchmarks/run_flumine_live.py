"""flumine trading live, in its environment, at the exchange whose addresses are given.

    python -m benchmarks.run_flumine_live WORK OUT

WORK is JSON: identity, api (base addresses), host, port (of the stream, TLS), username, password, app_key, market_ids,
seconds. Nothing of flumine or betfairlightweight is changed but addresses. Writes its blotter to OUT as JSON.
"""

import collections
import json
import logging
import sys
import threading
import time
from pathlib import Path
from typing import Any

import betfairlightweight
from betfairlightweight.filters import streaming_market_data_filter, streaming_market_filter
from betfairlightweight.streaming import betfairstream
from flumine import BaseStrategy, Flumine, clients
from flumine.events.events import TerminationEvent
from flumine.order.order import OrderStatus
from flumine.order.ordertype import LimitOrder
from flumine.order.trade import Trade
from flumine.streams.betfairmarketstream import BetfairMarketStream

#: Seconds before the end from which nothing more is placed; then what rests is cancelled.
QUIET, CLEANING = 8, 6


class Busy(BaseStrategy):  # type: ignore[misc]
    """Places, takes, cancels and replaces all the time, on every runner in turn."""

    def __init__(self, ends_at: float, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.ends_at = ends_at
        self.turn = 0
        self.last = 0.0
        self.replaced: set[str] = set()

    def check_market_book(self, market: Any, market_book: Any) -> bool:
        return bool(market_book.status == "OPEN")

    def process_market_book(self, market: Any, market_book: Any) -> None:
        now = time.time()
        if now - self.last < 0.5 or now > self.ends_at - QUIET:
            return
        active = [
            runner
            for runner in market_book.runners
            if runner.status == "ACTIVE" and runner.ex.available_to_back and runner.ex.available_to_lay
        ]
        if not active:
            return
        self.last = now
        self.turn += 1
        runner = active[self.turn % len(active)]
        back, lay = runner.ex.available_to_back[0]["price"], runner.ex.available_to_lay[0]["price"]
        if lay > 30:
            return
        # By turns: rests as a back, rests as a lay, takes what is there.
        side, price = (("BACK", lay), ("LAY", back), ("BACK", back))[self.turn % 3]
        trade = Trade(market.market_id, runner.selection_id, runner.handicap, self)
        market.place_order(trade.create_order(side=side, order_type=LimitOrder(price=price, size=2.0)))

    def process_orders(self, market: Any, orders: Any) -> None:
        left = self.ends_at - time.time()
        for order in orders:
            if order.status != OrderStatus.EXECUTABLE or order.size_remaining <= 0:
                continue
            if left < CLEANING:
                market.cancel_order(order)
            elif order.elapsed_seconds and order.elapsed_seconds > 3:
                price = order.order_type.price
                if order.id not in self.replaced and len(self.replaced) % 2 == 0 and 1.5 < price < 20:
                    self.replaced.add(order.id)
                    away = (
                        0.5
                        if price >= 10
                        else 0.2
                        if price >= 6
                        else 0.1
                        if price >= 4
                        else 0.05
                        if price >= 3
                        else 0.02
                    )
                    market.replace_order(order, round(price + (away if order.side == "BACK" else -away), 2))
                else:
                    self.replaced.add(order.id)
                    market.cancel_order(order)


def point(work: dict[str, Any], trading: Any) -> None:
    """Move the addresses, and nothing else."""
    trading.identity_uri, trading.api_uri = work["identity"], work["api"]
    trading.navigation_uri = work["api"] + "betting/rest/v1/en/navigation/menu.json"
    betfairstream.BetfairStream.HOSTS = collections.defaultdict(lambda: work["host"])
    betfairstream.BetfairStream._BetfairStream__port = work["port"]


def row(order: Any) -> dict[str, Any]:
    return {
        "bet_id": order.bet_id,
        "status": order.status.name,
        "complete": order.complete,
        "side": order.side,
        "matched": order.size_matched,
        "average": order.average_price_matched,
        "remaining": order.size_remaining,
        "cancelled": order.size_cancelled,
        "lapsed": order.size_lapsed,
        "voided": order.size_voided,
        "log": [status.name for status in order.status_log],
    }


def main() -> None:
    work, out = json.loads(sys.argv[1]), Path(sys.argv[2])
    logging.basicConfig(filename=str(out) + ".log", level=logging.WARNING)
    trading = betfairlightweight.APIClient(work["username"], work["password"], app_key=work["app_key"])
    point(work, trading)
    framework = Flumine(client=clients.BetfairClient(trading, interactive_login=True, min_bet_validation=False))
    ends_at = time.time() + work["seconds"]
    framework.add_strategy(
        Busy(
            ends_at,
            stream=BetfairMarketStream(
                market_filter=streaming_market_filter(market_ids=work["market_ids"]),
                market_data_filter=streaming_market_data_filter(
                    fields=["EX_ALL_OFFERS", "EX_TRADED", "EX_TRADED_VOL", "EX_LTP", "EX_MARKET_DEF", "SP_TRADED"]
                ),
            ),
            max_order_exposure=1_000,
            max_selection_exposure=10_000,
            max_live_trade_count=1_000,
            name="busy",
        )
    )
    rows: list[dict[str, Any]] = []

    def end() -> None:
        time.sleep(work["seconds"])
        rows.extend(row(order) for market in framework.markets for order in list(market.blotter))
        framework.handler_queue.put(TerminationEvent(None))

    threading.Thread(target=end, daemon=True).start()
    framework.run()
    out.write_text(json.dumps({"orders": rows, "markets": len(list(framework.markets))}))


if __name__ == "__main__":
    main()
