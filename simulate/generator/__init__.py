"""Markets that never were: seeded simulations of an exchange, in Betfair's historical file format.

A market is a crowd of bettors around fair chances that wander as news comes; their orders queue first in
first out, and what the stream would have published is written down. For tests, benchmarks, examples and
rehearsals: such a market has the mechanics of a real one (queues, bet delays, suspensions, non-runners,
starting prices, settlement) and prices that tell the truth on average. It has nothing to say of whether a
strategy makes money.
"""

from __future__ import annotations

from .crowd import Visitor
from .event import GeneratedMarket, generate_event
from .recipe import SPORTS, Patience, Recipe, Sport
from .writer import Compression, write_markets

__all__ = [
    "SPORTS",
    "Compression",
    "GeneratedMarket",
    "Patience",
    "Recipe",
    "Sport",
    "Visitor",
    "generate_event",
    "write_markets",
]
