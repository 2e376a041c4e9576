"""The host of a strategy: the clock, the rules, and the source of order ids."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable

from ..config import Config
from .clock import Clock, WallClock
from .rules import Rules

#: Characters of an order's id; with a hash of 13 and a separator it fills the 32 of the exchange's `customerOrderRef`.
ORDER_ID_LENGTH = 18
#: Characters of an order's reference: a hash of the strategy's name, a separator, the id.
REFERENCE_LENGTH = 32
#: The characters of an id: the exchange accepts them all, and tells them apart even if it changes their case.
_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz"


def numbered_ids() -> Callable[[], str]:
    """Ids 1, 2, 3 ... as 18 digits: equal runs name their orders equally."""
    count = itertools.count(1)
    return lambda: f"{next(count):0{ORDER_ID_LENGTH}d}"


def _counted() -> Callable[[], str]:
    count = itertools.count(1)
    return lambda: str(next(count))


def unique_id() -> str:
    """An id that is unique over processes, machines and runs: 18 random digits and small letters.

    The chance is the operating system's (`os.urandom`), so there is no state that a fork, a copy of a virtual machine
    or a restart could repeat, and no clock that could be set back. There are 36^18 ids, 93 bits. Of n orders two share
    one with a chance of about n^2 / (2 * 36^18). The exchange takes at most 1 000 instructions per second: an account
    that sends as many for ten years, 3 * 10^11, has two equal ones with a chance of 1 in 200 000; one that places a
    million orders a day, with a chance of 1 in 1 500 million.
    """
    # 128 bits, of which 93 are used: no id is noticeably more likely than another.
    number = int.from_bytes(os.urandom(16), "big")  # headrace: ok random
    found = []
    for _ in range(ORDER_ID_LENGTH):
        number, place = divmod(number, len(_CHARACTERS))
        found.append(_CHARACTERS[place])
    return "".join(found)


def order_id_of(reference: str) -> str | None:
    """The id of the order that a reference names, as `Order.reference` makes it; None if it was not made so."""
    return reference[-ORDER_ID_LENGTH:] if len(reference) == REFERENCE_LENGTH else None


class Host:
    """Shared by the strategies, markets and orders that live together.

    Attributes:
        clock: the time.
        config: the settings of the run.
        rules: how orders are kept.
        next_id: makes the id of an order or a trade: `numbered_ids` in a replay, else `unique_id`.
        next_request_id: makes the id of a request, unique among those made here.
    """

    def __init__(self, clock: Clock, config: Config, next_id: Callable[[], str]) -> None:
        self.clock = clock
        self.config = config
        self.rules = Rules.named(config.compatibility)
        self.next_id = next_id
        self.next_request_id = next_id if next_id is unique_id else _counted()

    @classmethod
    def detached(cls) -> Host:
        """For strategies that are not hosted yet: the machine's time and the default settings."""
        return cls(WallClock(), Config(), unique_id)
