"""The exchange's answers to what was asked about an order."""

from __future__ import annotations

import datetime
from typing import Any

from .clock import from_ms
from .messages import Report


class Responses:
    """All answers to an order's requests, in order of arrival."""

    __slots__ = (
        "_heard",
        "cancel_responses",
        "created_ms",
        "current_order",
        "place_response",
        "placed_ms",
        "replace_responses",
        "update_responses",
    )

    def __init__(self, created_ms: int) -> None:
        self.created_ms = created_ms
        self.placed_ms: int | None = None
        self.current_order: Any = None
        self.place_response: Report | None = None
        self.cancel_responses: list[Report] = []
        self.update_responses: list[Report] = []
        self.replace_responses: list[Report] = []
        self._heard: tuple[str, ...] = ()

    def first(self, request_id: str, operation: str) -> bool:
        """Whether this answer has not been heard before."""
        heard = f"{request_id} {operation}"
        if heard in self._heard:
            return False
        self._heard += (heard,)
        return True

    @property
    def date_time_created(self) -> datetime.datetime:
        return from_ms(self.created_ms)

    @property
    def date_time_placed(self) -> datetime.datetime | None:
        return None if self.placed_ms is None else from_ms(self.placed_ms)
