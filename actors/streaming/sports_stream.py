"""The streams of races and of cricket matches.

The last state of each is kept, so that a host that comes late, or has lost changes, gets all that is known first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..recorder import SPORTS
from .data_stream import DataStreamRole, Told
from .subscription import Subscription

#: Lists of a race whose elements, by id, take the place of earlier ones.
_BY_ID = ("rrc",)


class SportsStreamRole(DataStreamRole):
    """A stream of races or of cricket; see `StreamRole`. It is asked for without a filter, and all of it comes.

    Args:
        plan: its `operation` is raceSubscription or cricketSubscription.
    """

    folder = SPORTS
    droppable = True

    def subscriptions(self) -> Iterator[Subscription]:
        yield Subscription(self.plan.operation, {})

    def fold(self, told: Told, change: dict[str, Any]) -> None:
        """Fields replace what they were, runners each their own."""
        for name, value in change.items():
            if name in _BY_ID and isinstance(value, list):
                runners = {_id_of(each): each for each in (*told.state.get(name, ()), *value)}
                told.state[name] = list(runners.values())
            else:
                told.state[name] = value


def _id_of(value: Any) -> object:
    return value.get("id") if isinstance(value, dict) else str(value)
