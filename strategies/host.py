"""What hosts a strategy: the clock, the rules and the names that its orders take."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable

from ..config import Config
from .clock import Clock, WallClock
from .rules import Rules

#: Digits of an order's id; with a hash of 13 and a separator it fills the exchange's 32 characters.
ORDER_ID_DIGITS = 18


def numbered_ids() -> Callable[[], str]:
    """Ids 1, 2, 3 ... as 18 digits: equal runs name their orders equally."""
    count = itertools.count(1)
    return lambda: f"{next(count):0{ORDER_ID_DIGITS}d}"


def clock_ids(clock: Clock) -> Callable[[], str]:
    """Ids unique over restarts: the time in milliseconds, then a counter that starts at the process id."""
    count = itertools.count(os.getpid() % 100_000)
    return lambda: f"{clock.now_ms % 10**13:013d}{next(count) % 10**5:05d}"


class Host:
    """Shared by the strategies, markets and orders that live together.

    Attributes:
        clock: the time.
        config: the settings of the run.
        rules: how orders are kept.
        next_id: makes the id of an order or a trade.
        next_request_id: makes the id of a request, unique among those made here.
    """

    def __init__(self, clock: Clock, config: Config, next_id: Callable[[], str]) -> None:
        requests = itertools.count(1)
        self.clock = clock
        self.config = config
        self.rules = Rules.named(config.compatibility)
        self.next_id = next_id
        self.next_request_id: Callable[[], str] = lambda: str(next(requests))

    @classmethod
    def detached(cls) -> Host:
        """For strategies that nobody hosts yet: the machine's time and the default settings."""
        clock = WallClock()
        return cls(clock, Config(), clock_ids(clock))
