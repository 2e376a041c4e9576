"""The part of a market's life that a strategy wants to see: flumine's listener keywords."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from ..values import number_of, shown, unboxed
from .changes import MarketDefinition
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
        settings = {name: unboxed(value) for name, value in keywords.items()}
        sports = settings.get("event_type_ids")
        if sports is not None:
            settings["event_type_ids"] = tuple(
                str(unboxed(each)) for each in ([sports] if isinstance(sports, (str, int)) else sports)
            )
        for name in ("seconds_to_start", "max_inplay_seconds"):
            value = settings.get(name)
            if value is not None:
                settings[name] = seconds = number_of(value)
                if seconds is None:
                    raise TypeError(f"listener_kwargs: {name}={shown(value)}: expected seconds")
        for name in ("inplay", "calculate_market_tv", "cumulative_runner_tv"):
            value = settings.get(name)
            if value is not None and not isinstance(value, bool):
                raise TypeError(f"listener_kwargs: {name}={shown(value)}: expected True or False")
        return cls(**settings)

    @property
    def bounded(self) -> bool:
        """Whether anything can be outside."""
        return not (self.inplay is None and self.seconds_to_start is None and self.max_inplay_seconds is None)

    def admits_sport(self, event_type_id: str | None) -> bool:
        return self.event_type_ids is None or event_type_id in self.event_type_ids

    def contains_state(
        self, status: str | None, inplay: bool, seconds_to_start: float, inplay_seconds: float | None
    ) -> bool:
        """Whether a change is inside.

        Args:
            seconds_to_start: from the change to the scheduled start.
            inplay_seconds: from the turn in play to the change; None before it.
        """
        if status != "OPEN":
            return True
        if self.inplay is not None and bool(self.inplay) is not inplay:
            return False
        if not self.inplay and self.seconds_to_start is not None and seconds_to_start > self.seconds_to_start:
            return False
        return self.max_inplay_seconds is None or inplay_seconds is None or inplay_seconds <= self.max_inplay_seconds


#: Seconds beyond which the edge of a window is never reached.
_LONG = 1e11


class Gate:
    """A window at one market: it opens and closes at times that only a new definition changes.

    Attributes:
        definition: that by which the times were worked out.
        from_ms, until_ms: a change between these times, both included, is inside.
    """

    __slots__ = ("definition", "from_ms", "until_ms", "window")

    def __init__(self, window: Window) -> None:
        self.window = window
        self.definition: MarketDefinition | None = None
        self.from_ms: float = math.inf
        self.until_ms: float = -math.inf

    def renew(self, definition: MarketDefinition | None, start_ms: float, inplay_since_ms: int | None) -> None:
        """Work the times out anew.

        Args:
            start_ms: the scheduled start; infinite where it is not known.
            inplay_since_ms: when the market turned in play; None before.
        """
        window = self.window
        self.definition = definition
        self.from_ms, self.until_ms = -math.inf, math.inf
        if definition is None or definition.status != "OPEN":
            return
        if window.inplay is not None and bool(window.inplay) is not definition.in_play:
            self.from_ms, self.until_ms = math.inf, -math.inf
            return
        before, after = window.seconds_to_start, window.max_inplay_seconds
        if not window.inplay and before is not None:
            self.from_ms = _last_within(before, -start_ms) * -1
        if after is not None and inplay_since_ms is not None:
            self.until_ms = _last_within(after, inplay_since_ms)


def _last_within(seconds: float, since_ms: float) -> float:
    """The last whole millisecond that is at most so many seconds after `since_ms`."""
    if math.isnan(seconds):
        return math.inf
    if math.isinf(since_ms) or abs(seconds) > _LONG:
        return since_ms + seconds * 1000
    last = since_ms + math.floor(seconds * 1000)
    # The product may be off by a digit that the division is not.
    while (last + 1 - since_ms) / 1000 <= seconds:
        last += 1
    while (last - since_ms) / 1000 > seconds:
        last -= 1
    return last
