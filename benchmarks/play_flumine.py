"""One play of flumine, in its environment: `python -m benchmarks.play_flumine PLAY OUT` writes rows to OUT."""

import logging
import sys
from types import SimpleNamespace
from typing import Any

from flumine import FlumineSimulation, clients, config
from flumine.streams.betfairhistoricalstream import BetfairHistoricalStream

from .play import Play, order_row, write
from .run_flumine import API
from .steering_strategies import LIMITS
from .work import load


def play(play: Play) -> list[list[Any]]:
    """What the strategies observed, then the orders of all markets."""
    for name, value in play.config.items():
        setattr(config, name, value)
    api = SimpleNamespace(**vars(API), seen=[], markets={}, seed=play.seed)
    api.targets = play.client.get("min_bet_validation", True)
    framework = FlumineSimulation(client=clients.SimulatedClient(**play.client))
    group = "event" if play.merged else None
    streams = [
        BetfairHistoricalStream(file_path=path, listener_kwargs=play.listener, event_group=group) for path in play.files
    ]
    for stream in streams:
        stream.market_filter = None  # 3.3.2 reads it when it merges an event
    classes = load(play.module)(api)
    for name in play.names or tuple(classes):
        framework.add_strategy(classes[name](streams=list(streams), name=name, **LIMITS[name]))
    try:
        framework.run()
    except Exception as error:  # what ends flumine's run is something to compare, too
        api.seen.insert(0, ["", "", 0, "ended", type(error).__name__])
    return [*api.seen, *(order_row(order) for _, market in sorted(api.markets.items()) for order in market.blotter)]


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    write(sys.argv[2], play(Play.from_json(sys.argv[1])))
