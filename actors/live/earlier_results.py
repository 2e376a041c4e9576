"""What was settled today while the system did not run: read from the lists before anything is placed.

A market may be settled between two sessions of one day. Its loss counts for `max_daily_loss` all the same. What an
earlier session has counted is in the instance's folder (see `day`), and is not counted again.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable

from ..betfair.bet_rows import SETTLED, cleared_row
from ..betfair.looks import Listed, rows_of
from .day import Day
from .desk import Desk, Owner

logger = logging.getLogger("headrace")

#: Milliseconds until the lists are asked again after a failure.
_AGAIN_MS = 5_000
#: Takes what an account has won or lost in a market, before commission.
Settled = Callable[[Owner, str, float], object]


class EarlierResults:
    """Reads them once for each account.

    Args:
        day: what is known of today.
        settled: takes results of markets that the day does not know.
        clock_ms: now, milliseconds since the epoch.
    """

    def __init__(self, day: Day, settled: Settled, clock_ms: Callable[[], int]) -> None:
        self._day, self._settled, self._clock_ms = day, settled, clock_ms
        self._known: set[Owner] = set()
        self._due: dict[Owner, float] = {}

    def known(self, desk: Desk, reference: str) -> bool:
        """Whether they are known; if not, they are asked for. `reference`: that of the system's bets."""
        if desk.owner in self._known or desk.live is None or desk.orders is None:
            return True
        now = self._clock_ms()
        if self._due.get(desk.owner, 0.0) <= now:
            self._due[desk.owner] = float("inf")
            desk.live.lists.cleared_orders(
                SETTLED,
                functools.partial(self._read, desk),
                strategy_refs=[reference],
                settled_from=self._day.begins_at(now),
            )
        return desk.owner in self._known

    def _read(self, desk: Desk, listed: Listed) -> None:
        rows = rows_of(listed, cleared_row, "Orders that were settled today")
        if rows is None:
            self._due[desk.owner] = self._clock_ms() + _AGAIN_MS
            return
        self._known.add(desk.owner)
        profits: dict[str, float] = {}
        for row in rows:
            # What is open here is asked for once its market has closed.
            if row.market_id is not None and row.market_id not in desk.bets.markets:
                profits[row.market_id] = profits.get(row.market_id, 0.0) + (row.profit or 0.0)
        for market_id, profit in profits.items():
            if not self._day.has(market_id, " ".join(desk.owner)):
                logger.info("Market %s was settled today: %.2f", market_id, profit)
                self._settled(desk.owner, market_id, round(profit, 2))
