"""One timed sweep of headrace: `python -m benchmarks.run_sweep WORK` prints an Answer.

The parameter sets are those in the settings of the work; one set alone is run as a backtest.
"""

import contextlib
import logging
import sys
import time

import pyarrow  # noqa: F401  (so that the run does not time its import)

import headrace as hr
from headrace.loading import load_strategy

from .recordings import CHECKOUT
from .work import LIMITS, Answer, Work

with contextlib.suppress(ImportError):
    import pandas  # noqa: F401  (pyarrow loads it at its first array, where it is installed)


def main() -> None:
    logging.disable(logging.CRITICAL)
    work = Work.from_json(sys.argv[1])
    strategy = load_strategy(f"{CHECKOUT / 'examples' / 'lowest_layer.py'}:LowestLayer")
    keywords = {**LIMITS, "market_filter": {"listener_kwargs": work.listener}}
    sets = work.settings["sets"]
    start = time.perf_counter()
    if len(sets) == 1:
        result = hr.backtest(strategy(**keywords, **sets[0]), list(work.files), engine="local")
        orders = result.orders.num_rows
    else:
        swept = hr.sweep(strategy(**keywords), sets, list(work.files), engine="local")
        orders = sum(swept.table["orders"].to_pylist())
    print(Answer(time.perf_counter() - start, orders=orders).to_json())


if __name__ == "__main__":
    main()
