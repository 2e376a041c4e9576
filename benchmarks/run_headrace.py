"""One timed run of headrace: `python -m benchmarks.run_headrace WORK` prints an Answer."""

import logging
import sys
import time
from types import SimpleNamespace
from typing import Any

import pyarrow  # noqa: F401  (so that the run does not time its import)

import headrace as hr

from .work import LIMITS, Answer, Work


def read(runner: Any) -> None:
    """Reads price and size of the best three levels a side, and the traded volume."""
    ex = runner.ex
    for level in ex.available_to_back[:3]:
        _price = level.price
        _size = level.size
    for level in ex.available_to_lay[:3]:
        _price = level.price
        _size = level.size
    _traded = ex.traded_volume
    _total = runner.total_matched


API = SimpleNamespace(
    Strategy=hr.Strategy,
    Trade=hr.Trade,
    LimitOrder=hr.LimitOrder,
    LimitOnCloseOrder=hr.LimitOnCloseOrder,
    MarketOnCloseOrder=hr.MarketOnCloseOrder,
    OrderStatus=hr.OrderStatus,
    best=lambda levels: levels[0].price if levels else None,
    price=lambda level: level.price,
    read=read,
    tally=SimpleNamespace(reads=0),
)


def framework(work: Work, **settings: Any) -> hr.Simulation:
    """A simulation with the strategies of `work`, ready to run. `settings`: further ones of the Simulation."""
    given = {"config": hr.Config(**work.config), **settings}
    simulation = hr.Simulation(markets=list(work.files), engine="local", progress=False, **given)
    limit = {"transaction_limit": None} if work.unlimited else {}
    simulation.add_client(hr.SimulatedClient(**limit))
    filters = {"market_filter": {"listener_kwargs": work.listener}} if work.listener else {}
    for name, strategy in work.strategies(API):
        simulation.add_strategy(strategy(name=name, **LIMITS, **filters))
    return simulation


def main() -> None:
    logging.disable(logging.CRITICAL)
    work = Work.from_json(sys.argv[1])
    simulation = framework(work)
    start, work_start = time.perf_counter(), time.process_time()
    result = simulation.run()
    seconds, processor = time.perf_counter() - start, time.process_time() - work_start
    if result.failures.num_rows:
        raise SystemExit(f"The run failed: {result.failures.to_pylist()[0]}")
    answer = Answer(seconds, orders=result.orders.num_rows, reads=API.tally.reads, processor=processor)
    print(answer.to_json())


if __name__ == "__main__":
    main()
