"""The first changes of new markets, kept until somebody was told to take them."""

from __future__ import annotations

from ..letters import MarketUpdate

#: Changes of a new market that are kept, and for how many milliseconds.
KEPT = 5_000
KEPT_MS = 60_000


class KeptChanges:
    """The first changes of new markets of a raw stream, until somebody was told to take them: none of them is lost."""

    def __init__(self) -> None:
        self._changes: dict[str, list[MarketUpdate]] = {}
        self._since: dict[str, int] = {}

    def add(self, update: MarketUpdate, at_ms: int) -> None:
        """Keep a change, if its market is new."""
        since = self._since.setdefault(update.market_id, at_ms)
        if at_ms - since > KEPT_MS:
            return
        kept = self._changes.setdefault(update.market_id, [])
        if len(kept) < KEPT:
            kept.append(update)
        else:
            self._changes.pop(update.market_id)
            self._since[update.market_id] = -KEPT_MS

    def of(self, market_id: str) -> list[MarketUpdate] | None:
        """All changes of a market so far; None where they are not kept any more."""
        return self._changes.get(market_id)

    def forget_old(self, at_ms: int) -> None:
        """Those that nobody will ask for."""
        for market_id in [each for each in self._changes if at_ms - self._since[each] > KEPT_MS]:
            del self._changes[market_id]

    def forget(self, market_id: str) -> None:
        """The market is gone."""
        self._changes.pop(market_id, None)
        self._since.pop(market_id, None)
