"""Prices of recorded markets at regular times: half of what people replay markets for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ...strategies.book import MarketBook
from ...strategies.errors import InputError
from .books import changes_of
from .locations import Source
from .recordings import Recording

#: Levels of each side in a row.
LEVELS = 3

#: Columns: name and kind, as of result tables.
PRICE_FIELDS: tuple[tuple[str, str], ...] = (
    ("market_id", "text"),
    ("event_id", "text"),
    ("market_type", "text"),
    ("time", "time"),
    ("seconds_to_start", "number"),
    ("status", "text"),
    ("inplay", "flag"),
    ("selection_id", "whole"),
    ("handicap", "number"),
    ("runner_status", "text"),
    ("last_price_traded", "number"),
    ("total_matched", "number"),
    *(
        (f"{side}_{kind}_{level}", "number")
        for side in ("back", "lay")
        for level in range(1, LEVELS + 1)
        for kind in ("price", "size")
    ),
    ("bsp", "number"),
)

_EVERY = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h)?")
_UNITS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def parse_interval(text: str) -> float:
    """Seconds of an interval such as "1s", "500ms", "5m" or "2".

    Raises:
        InputError: it is none, or not above 0.
    """
    match = _EVERY.fullmatch(text.strip())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if seconds <= 0:
        raise InputError(f"{text!r} is no interval: expected such as 1s, 500ms or 5m")
    return seconds


def price_rows(source: Source | str, every: float) -> Iterator[tuple[Any, ...]]:
    """Rows of a recording: each runner at each multiple of `every` seconds, as the book stood then.

    Times without a change since the last row are left out: the row before holds.

    Raises:
        RecordingError: the recording is broken.
    """
    step = max(1, round(every * 1000))
    slots: dict[str, int] = {}
    last: dict[str, MarketBook] = {}

    def about_to_change(book: MarketBook, publish_time: int) -> list[tuple[Any, ...]]:
        """The rows of the step that a change ends, while the book still shows it."""
        slot, known = publish_time // step, slots.get(book.market_id)
        slots[book.market_id] = slot
        last[book.market_id] = book
        if known is None or known == slot:
            return []
        return list(_rows(book, (known + 1) * step))

    yield from changes_of(Recording(source), about_to_change)
    for book in last.values():
        yield from _rows(book, (slots[book.market_id] + 1) * step)


def _rows(book: MarketBook, time_ms: int) -> Iterator[tuple[Any, ...]]:
    definition = book.market_definition
    if definition is None:
        return
    start = definition.market_time
    to_start = start.timestamp() - time_ms / 1000 if start else None
    for runner in book.runners:
        ex, sp = runner.ex, runner.sp.actual_sp
        levels: list[float | None] = []
        for side in (ex.available_to_back, ex.available_to_lay):
            for at in range(LEVELS):
                levels.extend(tuple(side[at]) if at < len(side) else (None, None))
        yield (
            book.market_id,
            definition.event_id,
            definition.market_type,
            time_ms,
            to_start,
            book.status,
            book.inplay,
            runner.selection_id,
            runner.handicap,
            runner.status,
            runner.last_price_traded,
            runner.total_matched,
            *levels,
            sp if isinstance(sp, float) and sp == sp and abs(sp) != float("inf") else None,
        )
