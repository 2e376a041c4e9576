"""One timed run of flumine, in its environment: `python -m benchmarks.run_flumine WORK` prints an Answer."""

import logging
import sys
import time
from types import SimpleNamespace
from typing import Any

from flumine import BaseStrategy, FlumineSimulation, clients
from flumine.order.order import OrderStatus
from flumine.order.ordertype import LimitOnCloseOrder, LimitOrder, MarketOnCloseOrder
from flumine.order.trade import Trade
from flumine.streams.betfairhistoricalstream import BetfairHistoricalStream

from .work import LIMITS, Answer, Work


def read(runner: Any) -> None:
    """Reads price and size of the best three levels a side, and the traded volume."""
    ex = runner.ex
    for level in ex.available_to_back[:3]:
        _price = level["price"]
        _size = level["size"]
    for level in ex.available_to_lay[:3]:
        _price = level["price"]
        _size = level["size"]
    _traded = ex.traded_volume
    _total = runner.total_matched


API = SimpleNamespace(
    Strategy=BaseStrategy,
    Trade=Trade,
    LimitOrder=LimitOrder,
    LimitOnCloseOrder=LimitOnCloseOrder,
    MarketOnCloseOrder=MarketOnCloseOrder,
    OrderStatus=OrderStatus,
    best=lambda levels: levels[0]["price"] if levels else None,
    price=lambda level: level["price"],
    read=read,
    tally=SimpleNamespace(reads=0),
)


def framework(work: Work) -> Any:
    """A simulation with the strategies of `work`, ready to run."""
    limit = {"transaction_limit": None} if work.unlimited else {}
    simulation = FlumineSimulation(client=clients.SimulatedClient(**limit))
    streams = [BetfairHistoricalStream(file_path=path, listener_kwargs=work.listener) for path in work.files]
    for name, strategy in work.strategies(API):
        simulation.add_strategy(strategy(streams=list(streams), name=name, **LIMITS))
    return simulation


def main() -> None:
    logging.disable(logging.CRITICAL)
    work = Work.from_json(sys.argv[1])
    simulation = framework(work)
    start = time.perf_counter()
    simulation.run()
    seconds = time.perf_counter() - start
    orders = sum(len(market.blotter) for market in simulation.markets)
    print(Answer(seconds, orders=orders, reads=API.tally.reads).to_json())


if __name__ == "__main__":
    main()
