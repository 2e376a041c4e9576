"""What streams send to a host: which changes wait, and which are of no use before an image."""

from __future__ import annotations

from ..letters import MarketUpdate

#: Stream, crew and market.
Feed = tuple[str, str, str]


class Feeds:
    """The markets that streams send here. After a loss nothing of a market's books is used before its image."""

    def __init__(self) -> None:
        self._waiting: dict[Feed, int] = {}
        self._broken: set[Feed] = set()
        self._routed: dict[Feed, None] = {}

    def came(self, stream: str, update: MarketUpdate) -> None:
        """A change waits."""
        key = (stream, update.crew, update.market_id)
        self._waiting[key] = self._waiting.get(key, 0) + 1

    def take(self, stream: str, update: MarketUpdate) -> bool:
        """A change is about to be dealt with; False: it is of no use."""
        key = (stream, update.crew, update.market_id)
        self._waiting[key] -= 1
        if key in self._broken and not update.image:
            return False
        self._broken.discard(key)
        self._routed[key] = None
        return True

    def more(self, stream: str, update: MarketUpdate) -> bool:
        """Whether further changes of its market wait."""
        return self._waiting[stream, update.crew, update.market_id] > 0

    def caught_up(self) -> None:
        """Nothing waits."""
        self._waiting.clear()

    def lost(self, stream: str) -> None:
        """Changes of a stream were lost."""
        self._broken.update(key for key in self._routed if key[0] == stream)

    def breaks(self, stream: str, update: MarketUpdate) -> None:
        """A change could not be used."""
        self._broken.add((stream, update.crew, update.market_id))

    def unwanted(self, stream: str, update: MarketUpdate) -> None:
        """A market is not wanted here."""
        self._routed.pop((stream, update.crew, update.market_id), None)

    def over(self, crew: str, market_id: str) -> None:
        """A market is freed."""
        for key in [key for key in self._routed if key[1:] == (crew, market_id)]:
            del self._routed[key]
            self._broken.discard(key)
