"""Sports data of a market: changes of a race or of a cricket match, folded into betfairlightweight's resources."""

from __future__ import annotations

from typing import Any

#: The list that a message has its changes in, and how a change of it names the market.
MARKET_NAMES = {"cc": "marketId", "rc": "mid"}
#: The list of each of the exchange's subscriptions.
LISTS = {"cricketSubscription": "cc", "raceSubscription": "rc"}


class SportsUpdates:
    """The sports data of one market.

    Race updates count from the start time that the race's id carries, or once the race shows that it runs; cricket
    updates always (docs/fidelity.md).

    Attributes:
        any: there was something of the market, whether it counted or not.
    """

    def __init__(self, market_id: str) -> None:
        self._market_id = market_id
        self._caches: dict[str, Any] = {}
        self.any = False

    def take(self, kind: str, change: dict[str, Any], published: int) -> Any:
        """Fold one change in.

        Args:
            kind: "cc" for cricket, "rc" for races.
            change: as the exchange sends it.
            published: milliseconds since the epoch.

        Returns:
            betfairlightweight's `CricketMatch` or `Race`; None for a race that has not begun.
        """
        from betfairlightweight.streaming.cache import CricketMatchCache, RaceCache

        self.any = True
        if kind == "rc" and not _runs(change, published):
            return None
        cache = self._caches.get(kind)
        if cache is None and kind == "cc":
            cache = CricketMatchCache(self._market_id, change.get("eventId"), published, False)
        elif cache is None:
            cache = RaceCache(self._market_id, published, change.get("id"), False)
        self._caches[kind] = cache
        cache.update_cache(change, published)
        return cache.create_resource(0)


def _runs(change: dict[str, Any], published: int) -> bool:
    """Whether a race has begun: by the clock of its id ("event.HHMM", UTC), or by what it shows."""
    progress = change.get("rpc") or {}
    if progress.get("rt") or progress.get("spd") or progress.get("ord"):
        return True
    clock = str(change.get("id") or "").rpartition(".")[2]
    if len(clock) != 4 or not clock.isdigit():
        return False
    start_ms = (int(clock[:2]) * 60 + int(clock[2:])) * 60_000
    return published % 86_400_000 >= start_ms
