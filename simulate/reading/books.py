"""Books for research: what a recording's markets looked like after each change, without a strategy or an exchange."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from ...strategies.book import MarketBook
from ...strategies.changes import MarketChange, OddMessage
from ...strategies.errors import RecordingError
from .locations import Source
from .recordings import Paths, Recording, find_recordings

logger = logging.getLogger("headrace")

Row = TypeVar("Row")


def books(path: Paths) -> Iterator[MarketBook]:
    """The books of recorded markets, one after each change.

    A book is alive: it is the market's one book, and later changes go into it. `book.copy()` keeps the past.

        last = {}
        for book in headrace.books("recordings/**/*.bz2"):
            last[book.market_id] = book.runners[0].last_price_traded

    Args:
        path: what `markets=` takes: a path, a folder, a glob pattern, a URI, an archive or its member, or a list of
            these.

    Returns:
        An iterator that reads as it is asked. Recording after recording, in the order of their names; markets that
        share a recording (an event's file) come mixed, as their changes do. `book.publish_time_epoch` is the time of
        the change, `book.streaming_update` the change.

    Raises:
        InputError: at once, where the path names nothing that can be read.
        RecordingError: while iterating, where a recording is broken: unlike a backtest, this stops there.
    """
    return _books(find_recordings(path))


def _books(sources: Sequence[Source]) -> Iterator[MarketBook]:
    for source in sources:
        if source.packed:
            from .archives import parts_of

            for part in parts_of(source):
                yield from _books_of(Recording(part))
        else:
            yield from _books_of(Recording(source))


def _books_of(recording: Recording) -> Iterator[MarketBook]:
    for book, publish_time, change in _changes(recording):
        book.apply(publish_time, change)
        yield book


def changes_of(recording: Recording, look: Callable[[MarketBook, int], Iterable[Row]]) -> Iterator[Row]:
    """What `look(book, publish_time)` finds in each book just before a change of that time is folded in.

    Raises:
        RecordingError: the recording is broken.
    """
    for book, publish_time, change in _changes(recording):
        yield from look(book, publish_time)
        book.apply(publish_time, change)


def _changes(recording: Recording) -> Iterator[tuple[MarketBook, int, MarketChange]]:
    known: dict[str, MarketBook] = {}
    for number, messages in recording.messages():
        for line, message in enumerate(messages, number):
            if isinstance(message, RecordingError):
                raise message
            if isinstance(message, OddMessage):
                for each in message.oddities:
                    logger.warning("%s, line %s: %s", recording.name, line, each.message)
            for change in message.mc:
                market_id = change.id
                if market_id is None:
                    continue
                book = known.get(market_id)
                if book is None:
                    _check_first(message.pt, change.market_definition is not None, recording, line, market_id)
                    book = known[market_id] = MarketBook(market_id)
                yield book, message.pt, change
    if not known:
        raise RecordingError("holds no market changes", recording.name)


def _check_first(publish_time: int, defined: bool, recording: Recording, line: int, market_id: str) -> None:
    if not publish_time:
        raise RecordingError("has no publish time (pt)", recording.name, line, market_id)
    if not defined:
        raise RecordingError("no market definition: the market cannot be built", recording.name, line, market_id)
