"""A strategy for both engines, and a run of flumine with it, which needs an environment of its own:

    PEER/bin/python tests/engine_runs.py RUN

`RUN` is JSON: `files`, `settings` by the name of each strategy, and whether the files are `merged` as one event. Prints
what the run came to: what strategies were told, their orders, and the name of the error that ended the run, or null.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

T0 = 1_700_000_000_000
#: Strategy, callback, market, and milliseconds after `T0`.
Told = tuple[str, str, str, int]


def make(api: Any, settings: Mapping[str, Mapping[str, Any]], told: list[Told]) -> type:
    """A strategy that notes what it is told, and backs once in each market.

    Args:
        api: Strategy, Trade and LimitOrder of an engine.
        settings: by the name of a strategy: `bets`, the arguments of its order by market; `at`, the book that it bets
            at, in milliseconds after `T0`; `fails`, whether it raises an error when a market is closed.
        told: what strategies are told is added to it.
    """

    class Notes(api.Strategy):  # type: ignore[misc]
        def note(self, callback: str, market: Any, book: Any) -> None:
            told.append((self.name, callback, market.market_id, book.publish_time_epoch - T0))

        def process_new_market(self, market: Any, market_book: Any) -> None:
            self.note("new", market, market_book)

        def check_market_book(self, market: Any, market_book: Any) -> bool:
            self.note("book", market, market_book)
            return True

        def process_market_book(self, market: Any, market_book: Any) -> None:
            own = settings[self.name]
            bet = dict(own.get("bets", {}).get(market.market_id, {}))
            if bet and market_book.publish_time_epoch - T0 == own.get("at", 100):
                trade = api.Trade(market.market_id, bet.pop("on", 1), 0, self)
                market.place_order(trade.create_order("BACK", api.LimitOrder(**bet)), force=True)

        def process_orders(self, market: Any, orders: list[Any]) -> None:
            self.note("orders", market, market.market_book)

        def process_closed_market(self, market: Any, market_book: Any) -> None:
            self.note("closed", market, market_book)
            if settings[self.name].get("fails"):
                raise ValueError("of the strategy's own")

    return Notes


def run(files: list[str], settings: dict[str, dict[str, Any]], merged: bool = False) -> dict[str, Any]:
    """What flumine makes of it. A strategy's `window` are the listener's keywords."""
    from flumine import BaseStrategy, FlumineSimulation, clients
    from flumine.order.ordertype import LimitOrder
    from flumine.order.trade import Trade
    from flumine.streams.betfairhistoricalstream import BetfairHistoricalStream

    told: list[Told] = []
    kind = make(SimpleNamespace(Strategy=BaseStrategy, Trade=Trade, LimitOrder=LimitOrder), settings, told)
    framework = FlumineSimulation(client=clients.SimulatedClient())
    for name, own in settings.items():
        group, window = "event" if merged else None, own.get("window", {})
        streams = [BetfairHistoricalStream(file_path=path, listener_kwargs=window, event_group=group) for path in files]
        for stream in streams:
            stream.market_filter = None  # 3.3.2 reads it when it merges an event
        framework.add_strategy(kind(streams=streams, name=name))
    ended = None
    try:
        framework.run()
    except Exception as error:  # what ends the run is what is to be shown
        ended = type(error).__name__
    orders = {
        f"{order.trade.strategy.name} {order.market_id}": (order.status.name, order.size_matched)
        for market in framework.markets
        for order in market.blotter
    }
    return {"ended": ended, "told": told, "orders": orders}


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    print(json.dumps(run(**json.loads(sys.argv[1]))))
