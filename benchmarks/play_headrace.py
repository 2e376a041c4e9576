"""One play of headrace under flumine's rules: `python -m benchmarks.play_headrace PLAY OUT` writes rows to OUT."""

import logging
import sys
from types import SimpleNamespace
from typing import Any

import headrace as hr

from .play import Play, order_row, write
from .run_headrace import API
from .steering_strategies import LIMITS
from .work import load


def play(play: Play) -> list[list[Any]]:
    """What the strategies observed, then the orders of all markets."""
    api = SimpleNamespace(**vars(API), seen=[], markets={}, seed=play.seed)
    api.targets = play.client.get("min_bet_validation", True)
    config = hr.Config(compatibility="flumine", **play.config)
    simulation = hr.Simulation(markets=list(play.files), config=config, engine="local")
    simulation.add_client(hr.SimulatedClient(**play.client))
    classes = load(play.module)(api)
    for name in play.names or tuple(classes):
        strategy = classes[name](name=name, market_filter={"listener_kwargs": play.listener}, **LIMITS[name])
        strategy.scope = "event" if play.merged else "market"
        simulation.add_strategy(strategy)
    result = simulation.run()
    for row in result.failures.to_pylist():
        print(row["strategy"], row["market_id"], row["error_type"], row["message"], row["count"], file=sys.stderr)
        print(row["traceback"], file=sys.stderr)
    return [*api.seen, *(order_row(order) for _, market in sorted(api.markets.items()) for order in market.blotter)]


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    write(sys.argv[2], play(Play.from_json(sys.argv[1])))
