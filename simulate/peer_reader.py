"""One recording on its way into the market actor, as the peer reads it (docs/fidelity.md)."""

from __future__ import annotations

from ..strategies.changes import (
    ChangeMessage,
    MarketChange,
    MarketDefinition,
)
from ..strategies.hosting import window_of
from .reader import Reader, UnitReplay
from .reading.recordings import Recording


class PeerReader(Reader):
    """A recording as the peer reads it (docs/fidelity.md).

    Changes outside all windows are never shown, and each line of a file with several markets shows all of them again.
    """

    def __init__(self, recording: Recording, replay: UnitReplay) -> None:
        super().__init__(recording, replay)
        self._waiting: dict[str, list[tuple[int, MarketChange]]] = {}
        self._active: dict[str, bool] = {}
        self._definitions: dict[str, MarketDefinition] = {}
        self._inplay_since: dict[str, int] = {}
        strategies = replay.actor.prototypes
        windows = [window_of(strategy) for strategy in strategies]
        self._windows = windows if all(window.bounded for window in windows) else []

    def run(self) -> None:
        while self.peek() is not None and not self._books.stopped:
            self.step()
        self.end()

    def peek(self) -> int | None:
        """When the first book of the next showing is due."""
        if self._ahead is None:
            self._ahead = self._messages()
        while self._next is None:
            message = next(self._ahead, None)
            if message is None:
                return None
            if self._take(message):
                self._next = message
        return self._due()

    def _due(self) -> int:
        for market_id, active in self._active.items():
            if active:
                waiting = self._waiting[market_id]
                if waiting:
                    return waiting[-1][0]
                market = self._actor.market(market_id)
                if market is not None:
                    return market.market_book.publish_time_epoch
        assert self._next is not None
        return self._next.pt

    def _take(self, message: ChangeMessage) -> bool:
        """Set a line's changes aside; True where the line is to be shown."""
        shown = False
        for change in message.mc:
            market_id = change.id
            assert market_id is not None
            waiting = self._waiting.setdefault(market_id, [])
            if not self._books.hosts(message.pt, change):
                shown = False
                self._active[market_id] = False
                continue
            shown = self._active[market_id] = self._is_active(market_id, message.pt, change)
            if shown:
                waiting.append((message.pt, change))
                continue
            for publish_time, earlier in waiting:
                self._books.fold_unseen(publish_time, earlier)
            waiting.clear()
            self._books.fold_unseen(message.pt, change)
        return shown

    def _is_active(self, market_id: str, publish_time: int, change: MarketChange) -> bool:
        if not self._windows:
            return True
        definition = change.market_definition
        if definition is not None:
            self._definitions[market_id] = definition
            if definition.in_play:
                self._inplay_since.setdefault(market_id, publish_time)
        definition = self._definitions[market_id]
        start = definition.market_time
        to_start = start.timestamp() - publish_time / 1000 if start else 0.0
        since = self._inplay_since.get(market_id)
        inplay_seconds = None if since is None else (publish_time - since) / 1000
        return any(
            window.contains_state(definition.status, definition.in_play, to_start, inplay_seconds)
            for window in self._windows
        )

    def step(self) -> None:
        """Show every active market: changed ones with their changes, the others as they are."""
        self._next = None
        actor, books = self._actor, self._books
        for market_id, active in self._active.items():
            if not active:
                continue
            waiting = self._waiting[market_id]
            if waiting:
                publish_time, change = waiting.pop()
                for earlier_time, earlier in waiting:
                    books.fold_unseen(earlier_time, earlier)
                waiting.clear()
                books.process_market_change(publish_time, change)
            else:
                market = actor.market(market_id)
                if market is not None:
                    actor.show_again(market)
