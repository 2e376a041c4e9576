"""The ends of markets: when one has closed, its results are asked for; when they are there it is freed, a while later.

A market may be opened again, and settled anew: it is kept for some minutes after its results have come, and as long as
they have not. Source: "listClearedOrders"; spec of markets that close twice, docs/live.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .accounts import Accounts

#: Milliseconds for which a market is kept once it has closed and its results are there.
KEPT_MS = 300_000
#: Milliseconds after which a market of which no stream tells any more is taken to have closed unseen.
_UNSEEN_MS = 30_000


@dataclasses.dataclass(slots=True)
class Ending:
    """A closed market. `cleared_at`: when all results were there; None: they are not yet."""

    closed_at: int
    cleared_at: int | None = None


class MarketEnds:
    """Watches which markets are closed, as hosts tell.

    Args:
        accounts: asked for results.
        free: frees a market.
        kept_ms: see `KEPT_MS`.
    """

    def __init__(self, accounts: Accounts, free: Callable[[str], object], kept_ms: int = KEPT_MS) -> None:
        self._accounts, self._free, self._kept_ms = accounts, free, kept_ms
        self.closed: dict[str, Ending] = {}
        self.gone: dict[str, int] = {}

    def take(self, rows: Iterable[Mapping[str, Any]], at_ms: int) -> None:
        """What a host tells of its markets: `market_id` and `status` of each."""
        for row in rows:
            market_id = row["market_id"]
            if row.get("status") == "CLOSED":
                self._close(market_id, at_ms)
            elif market_id in self.closed and row.get("status") is not None:
                self._open(market_id)

    def _close(self, market_id: str, at_ms: int) -> None:
        if market_id in self.closed:
            return
        self.closed[market_id] = Ending(at_ms)
        for desk in self._accounts:
            if desk.orders is not None:
                desk.orders.market_closed(market_id, at_ms)

    def _open(self, market_id: str) -> None:
        del self.closed[market_id]
        self._accounts.reopened(market_id)

    def leave(self, market_id: str, at_ms: int) -> None:
        """No stream tells of a market any more: it may have closed unseen, and its results are asked for soon."""
        self.gone.setdefault(market_id, at_ms)

    def shown(self, market_id: str) -> None:
        """A stream tells of a market."""
        if market_id in self.gone and market_id not in self.closed:
            for desk in self._accounts:
                if desk.orders is not None:
                    desk.orders.market_reopened(market_id)
        self.gone.pop(market_id, None)

    def look(self, at_ms: int) -> None:
        """Free what is over."""
        for market_id, ending in list(self.closed.items()):
            if ending.cleared_at is None:
                if all(desk.cleared(market_id) for desk in self._accounts):
                    ending.cleared_at = at_ms
            elif at_ms - ending.cleared_at >= self._kept_ms:
                self._over(market_id)
        for market_id, since in [each for each in self.gone.items() if each[0] not in self.closed]:
            # It was never seen to close: it is given up once nothing of ours is at stake in it.
            if not any(desk.at_stake(market_id) for desk in self._accounts):
                self._over(market_id)
            elif at_ms - since >= _UNSEEN_MS:
                for desk in self._accounts:
                    if desk.orders is not None:
                        desk.orders.market_closed(market_id, at_ms)  # told again, it is the same

    def _over(self, market_id: str) -> None:
        self.closed.pop(market_id, None)
        self.gone.pop(market_id, None)
        for desk in self._accounts:
            desk.forget(market_id)
        self._free(market_id)

    def settled(self, market_id: str) -> bool:
        """Whether a market has closed, and all results are there."""
        ending = self.closed.get(market_id)
        return ending is not None and ending.cleared_at is not None
