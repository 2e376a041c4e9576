"""Several sources of messages as one, in order of time; each is opened when its time comes."""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Iterator

from ..feed_messages import FeedMessage

logger = logging.getLogger("headrace")


class Merged:
    """Messages of several sources; of equal times, whatever was waiting longer comes first.

    More sources may be added while it is read. One that fails, for a defect, ends; the others go on.
    """

    def __init__(self) -> None:
        self._count = itertools.count()
        self._waiting: list[tuple[int, int, Iterator[FeedMessage], FeedMessage | None]] = []

    def add(self, due_ms: int, messages: Iterator[FeedMessage]) -> None:
        """Add a source whose messages are in order, the first not before `due_ms`, exchange time."""
        heapq.heappush(self._waiting, (due_ms, next(self._count), messages, None))

    def __iter__(self) -> Iterator[FeedMessage]:
        while self._waiting:
            _, _, messages, message = heapq.heappop(self._waiting)
            if message is None:  # its first is not known yet
                self._advance(messages)
            else:
                yield message
                self._advance(messages)

    def _advance(self, messages: Iterator[FeedMessage]) -> None:
        try:
            message = next(messages, None)
        except Exception as error:
            logger.error("Of what is played, a part has ended: %s", error, exc_info=error)
            return
        if message is not None:
            heapq.heappush(self._waiting, (message.at, next(self._count), messages, message))
