"""nautilus_trader's Betfair adapter at the exchange whose addresses are given, in an environment of its own.

    python -m benchmarks.run_nautilus WORK OUT

WORK is JSON: identity, api (base addresses), host, port (of the stream, plain TCP), username, password, app_key,
market_ids, seconds. Only addresses are changed, and that the stream is not encrypted. Connects, takes the books of the
markets, places, cancels; writes what it saw to OUT as JSON.
"""

import dataclasses
import json
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import betfair_parser.endpoints as endpoints
from nautilus_trader.adapters.betfair import client as http_client
from nautilus_trader.adapters.betfair import sockets
from nautilus_trader.adapters.betfair.config import BetfairDataClientConfig, BetfairExecClientConfig
from nautilus_trader.adapters.betfair.factories import BetfairLiveDataClientFactory, BetfairLiveExecClientFactory
from nautilus_trader.adapters.betfair.providers import BetfairInstrumentProviderConfig
from nautilus_trader.config import LoggingConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.enums import BookType, OrderSide, TimeInForce
from nautilus_trader.trading.strategy import Strategy


def point(work: dict[str, Any]) -> None:
    """Move the addresses."""
    moved = dataclasses.replace(
        endpoints.ENDPOINTS,
        identity=work["identity"],
        identity_cert=work["identity"],
        navigation=work["api"] + "betting/rest/v1/en/navigation/menu.json",
        heartbeat=work["api"] + "heartbeat/json-rpc/v1/",
    )
    for name in ("accounts", "betting", "scores"):
        kind = {"accounts": "account"}.get(name, name)
        object.__setattr__(moved, name, f"{work['api']}{kind}/json-rpc/v1/")
    http_client.ENDPOINTS = moved
    sockets.HOST, sockets.PORT = work["host"], work["port"]
    made = sockets.BetfairStreamClient.__init__

    def plain(self: Any, *arguments: Any, **keywords: Any) -> None:
        made(self, *arguments, **keywords)
        self.use_ssl, self.host, self.port = False, work["host"], work["port"]

    sockets.BetfairStreamClient.__init__ = plain


class Touch(Strategy):  # type: ignore[misc]
    """Places a bet that rests on each instrument in turn, and cancels it."""

    def __init__(self, seen: dict[str, Any], ends_at: float) -> None:
        super().__init__()
        self.seen = seen
        self.ends_at = ends_at
        self.last = 0.0
        self.turn = 0
        self.cancelled: set[str] = set()

    def on_start(self) -> None:
        self.instruments = self.cache.instruments()
        self.seen["instruments"] = len(self.instruments)
        for instrument in self.instruments:
            self.subscribe_order_book_deltas(instrument.id, book_type=BookType.L2_MBP)

    def on_order_book_deltas(self, deltas: Any) -> None:
        self.seen["deltas"] += 1
        now = time.time()
        if now - self.last < 1 or now > self.ends_at - 5:
            return
        book = self.cache.order_book(deltas.instrument_id)
        if book is None or book.best_ask_price() is None or book.best_bid_price() is None:
            return
        instrument = self.cache.instrument(deltas.instrument_id)
        self.last = now
        self.turn += 1
        # A nautilus BUY backs, in prices of decimal odds; the far side of the book rests.
        order = self.order_factory.limit(
            instrument_id=instrument.id,
            order_side=OrderSide.SELL if self.turn % 2 else OrderSide.BUY,
            quantity=instrument.make_qty(Decimal(2)),
            price=instrument.make_price(Decimal(1000) if self.turn % 2 else Decimal("1.01")),
            time_in_force=TimeInForce.GTC,
        )
        self.submit_order(order)
        self.seen["submitted"] += 1

    def on_order_accepted(self, event: Any) -> None:
        self.seen["accepted"] += 1
        order = self.cache.order(event.client_order_id)
        if order is not None and not order.is_closed:
            self.cancel_order(order)

    def on_order_canceled(self, event: Any) -> None:
        # The adapter tells of some cancels twice: by the reply and by the stream.
        self.cancelled.add(str(event.client_order_id))
        self.seen["canceled"] = len(self.cancelled)

    def on_order_filled(self, event: Any) -> None:
        self.seen["filled"] += 1

    def on_order_rejected(self, event: Any) -> None:
        self.seen["rejected"].append(str(event.reason))

    def on_order_cancel_rejected(self, event: Any) -> None:
        self.seen["rejected"].append(f"cancel: {event.reason}")


def main() -> None:
    work, out = json.loads(sys.argv[1]), Path(sys.argv[2])
    point(work)
    provider = BetfairInstrumentProviderConfig(account_currency="GBP", market_ids=work["market_ids"])
    credentials = {"username": work["username"], "password": work["password"], "app_key": work["app_key"]}
    node = TradingNode(
        config=TradingNodeConfig(
            trader_id="REHEARSAL-001",
            logging=LoggingConfig(log_level="WARNING"),
            data_clients={
                "BETFAIR": BetfairDataClientConfig(
                    account_currency="GBP", instrument_config=provider, stream_conflate_ms=0, **credentials
                )
            },
            exec_clients={
                "BETFAIR": BetfairExecClientConfig(account_currency="GBP", instrument_config=provider, **credentials)
            },
        )
    )
    seen: dict[str, Any] = {
        "instruments": 0,
        "deltas": 0,
        "submitted": 0,
        "accepted": 0,
        "canceled": 0,
        "filled": 0,
        "rejected": [],
    }
    node.trader.add_strategy(Touch(seen, time.time() + work["seconds"]))
    node.add_data_client_factory("BETFAIR", BetfairLiveDataClientFactory)
    node.add_exec_client_factory("BETFAIR", BetfairLiveExecClientFactory)
    node.build()

    def end() -> None:
        time.sleep(work["seconds"])
        out.write_text(json.dumps(seen))
        node.stop()

    threading.Thread(target=end, daemon=True).start()
    try:
        node.run()
    finally:
        node.dispose()


if __name__ == "__main__":
    main()
