"""The markets of a stream by connection, and how ids that were looked up are spread over connections."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Any, TypeVar

from ..live.crews import StreamPlan
from ..live.market_filters import market_request
from .streamed_market import StreamedMarket

#: Milliseconds for which a closed market is kept: as long as the exchange keeps it.
CLOSED_MS = 3_600_000
#: Closed markets that are kept of those that no crew is interested in any more: they may open again.
LEFT = 300

_Key = TypeVar("_Key", bound=Hashable)


class Shard:
    """The markets of one connection.

    Attributes:
        market_filter: the exchange's.
        ids: the ids that it subscribes to; None: whatever its filter lets pass.
        markets: by id.
        images: so many have come.
        renewed_at: when an image was last asked for, in seconds, because something could not be read.
    """

    def __init__(self, market_filter: dict[str, Any], ids: set[str] | None = None) -> None:
        self.market_filter = market_filter
        self.ids = ids
        self.markets: dict[str, StreamedMarket] = {}
        self.images = 0
        self.renewed_at = -math.inf

    def request(self, plan: StreamPlan, heartbeat_ms: int) -> dict[str, Any]:
        """What it asks the exchange for."""
        asked = self.market_filter if self.ids is None else {"marketIds": sorted(self.ids)}
        return market_request(plan, asked, json.loads(plan.market_data_filter), heartbeat_ms)

    @property
    def open_ids(self) -> int:
        """Ids that count against the exchange's limit, for their markets are not closed."""
        return sum(1 for each in self.ids or () if not self.is_closed(each))

    def old(self, at_ms: int) -> list[StreamedMarket]:
        """Markets that have been closed for long; and of those that nobody wants any more all but the last ones."""
        closed = [each for each in self.markets.values() if each.closed_at is not None]
        left = sorted((each for each in closed if each.left is not None), key=lambda each: each.closed_at or 0)
        return [each for each in closed if at_ms - (each.closed_at or 0) >= CLOSED_MS or each in left[:-LEFT]]

    def is_closed(self, market_id: str) -> bool:
        """Whether a market is known to be closed."""
        market = self.markets.get(market_id)
        return market is not None and market.closed_at is not None


def spread(
    wanted: Iterable[str], shards: Mapping[_Key, Shard], ready: Collection[_Key], limit: int
) -> tuple[dict[_Key, set[str]], list[str]]:
    """Where ids go that no connection has: to the connections that have the fewest, up to the exchange's limit.

    A connection that gets more is sent an image of all of its markets anew. So ids whose markets have closed leave it
    then, and not before.

    Args:
        wanted: all ids, those that are subscribed to among them.
        shards: of all connections.
        ready: connections that can be asked for something else now.
        limit: markets that are not closed, in one subscription.

    Returns:
        All ids of each connection that gets more; and those that found no room.
    """
    every = set(wanted)
    have = {each for shard in shards.values() for each in (shard.markets if shard.ids is None else shard.ids)}
    fresh = [each for each in dict.fromkeys(wanted) if each not in have]
    found: dict[_Key, set[str]] = {}
    for key, shard in sorted(shards.items(), key=lambda each: each[1].open_ids):
        room = limit - shard.open_ids
        if not fresh or shard.ids is None or key not in ready or room <= 0:
            continue
        kept = {each for each in shard.ids if each in every or not shard.is_closed(each)}
        found[key] = kept | set(fresh[:room])
        del fresh[:room]
    return found, fresh
