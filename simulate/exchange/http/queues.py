"""Calls of an account that wait for each other: a few at a time, over all of its programs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..errors import ApiError

#: Calls that share a queue, or have their own ("Betting Exceptions", TOO_MANY_REQUESTS; "listClearedOrders").
_QUEUES = {
    "listCurrentOrders": "orders",
    "listMarketProfitAndLoss": "orders",
    "listMarketBook": "orders",
    "listRunnerBook": "orders",
    "listClearedOrders": "cleared",
}
#: Calls that are in the queue only where they ask for orders.
_WITH_ORDERS = frozenset({"listMarketBook", "listRunnerBook"})


class CallQueues:
    """Counts the calls under way.

    Args:
        limit: of each queue of an account.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._places: dict[int, tuple[str, str]] = {}
        self._lengths: Counter[tuple[str, str]] = Counter()

    def enter(self, number: int, username: str, operation: str, arguments: dict[str, Any]) -> None:
        """A call begins, if it may. `number`: tells it from all others.

        Raises:
            ApiError: TOO_MANY_REQUESTS.
        """
        queue = _QUEUES.get(operation)
        if operation in _WITH_ORDERS and not ("orderProjection" in arguments or "matchProjection" in arguments):
            queue = None
        if queue is None:
            return
        place = (username, queue)
        if self._lengths[place] >= self._limit:
            raise ApiError("TOO_MANY_REQUESTS", f"{self._limit} calls are under way")
        self._places[number] = place
        self._lengths[place] += 1

    def leave(self, number: int) -> None:
        """A call has been answered."""
        place = self._places.pop(number, None)
        if place is not None:
            self._lengths[place] -= 1
            if not self._lengths[place]:
                del self._lengths[place]
