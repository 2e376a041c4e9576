"""The part of a market's life that a strategy wants to see: flumine's listener keywords."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from .book import MarketBook
from .parameters import check_names

_KEYWORDS = (
    "inplay",
    "seconds_to_start",
    "max_inplay_seconds",
    "event_type_ids",
    "calculate_market_tv",
    "cumulative_runner_tv",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """When book callbacks are wanted. Only an OPEN market can be outside.

    Attributes:
        inplay: True: only in play (and `seconds_to_start` does not count); False: only before; None: both.
        seconds_to_start: from so many seconds before the scheduled start on.
        max_inplay_seconds: until so many seconds after the turn in play.
        event_type_ids: only markets of these sports.
        calculate_market_tv: total matched is summed from the traded ladders.
        cumulative_runner_tv: runners' totals are summed from their traded ladders.
    """

    inplay: bool | None = None
    seconds_to_start: float | None = None
    max_inplay_seconds: float | None = None
    event_type_ids: tuple[str, ...] | None = None
    calculate_market_tv: bool = False
    cumulative_runner_tv: bool = False

    @classmethod
    def of_filter(cls, market_filter: Any) -> Window:
        """The window that a strategy's `market_filter` carries under `listener_kwargs`.

        Raises:
            TypeError: a keyword is unknown.
        """
        filters = market_filter if isinstance(market_filter, (list, tuple)) else [market_filter]
        for one in filters:
            if isinstance(one, Mapping) and one.get("listener_kwargs"):
                return cls.of_keywords(one["listener_kwargs"])
        return cls()

    @classmethod
    def of_keywords(cls, keywords: Mapping[str, Any]) -> Window:
        check_names(keywords, _KEYWORDS, "listener_kwargs")
        settings = dict(keywords)
        if settings.get("event_type_ids") is not None:
            settings["event_type_ids"] = tuple(str(each) for each in settings["event_type_ids"])
        for name in ("seconds_to_start", "max_inplay_seconds"):
            value = settings.get(name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
                raise TypeError(f"listener_kwargs: {name}={value!r}: expected seconds")
        return cls(**settings)

    @property
    def bounded(self) -> bool:
        """Whether anything can be outside."""
        return not (self.inplay is None and self.seconds_to_start is None and self.max_inplay_seconds is None)

    def admits_sport(self, event_type_id: str | None) -> bool:
        return self.event_type_ids is None or event_type_id in self.event_type_ids

    def contains(self, book: MarketBook, seconds_to_start: float, inplay_seconds: float | None) -> bool:
        """Whether a change is inside.

        Args:
            seconds_to_start: from the change to the scheduled start.
            inplay_seconds: from the turn in play to the change; None before it.
        """
        return self.contains_state(book.status, book.inplay, seconds_to_start, inplay_seconds)

    def contains_state(
        self, status: str | None, inplay: bool, seconds_to_start: float, inplay_seconds: float | None
    ) -> bool:
        """`contains`, where there is no book but a definition."""
        if status != "OPEN":
            return True
        if self.inplay is not None and bool(self.inplay) is not inplay:
            return False
        if not self.inplay and self.seconds_to_start is not None and seconds_to_start > self.seconds_to_start:
            return False
        return self.max_inplay_seconds is None or inplay_seconds is None or inplay_seconds <= self.max_inplay_seconds
