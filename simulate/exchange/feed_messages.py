"""What is played at the exchange: messages of markets, each with the moment at which it is due."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Protocol

from ...strategies.changes import MarketChange


@dataclasses.dataclass(frozen=True, slots=True)
class FeedChange:
    """A change of one market, in exchange time.

    Attributes:
        change: as decoded.
        definition: the market definition as it is to be sent, all its fields; None if it does not change.
        conflated: the recording says that this change holds several.
    """

    change: MarketChange
    definition: dict[str, Any] | None = None
    conflated: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class FeedMessage:
    """What happens at one moment.

    Attributes:
        at: when, in exchange time.
        changes: of markets, in order.
        gone: markets of which nothing more comes, though they may not be settled.
        sports: messages of races and cricket: the operation, "rcm" or "ccm", and the change as it is to be sent.
    """

    at: int
    changes: tuple[FeedChange, ...] = ()
    gone: tuple[str, ...] = ()
    sports: tuple[tuple[str, dict[str, Any]], ...] = ()


class Feed(Protocol):
    """Messages in order of time. An endless one is allowed."""

    def __iter__(self) -> Iterator[FeedMessage]: ...
