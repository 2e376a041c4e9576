"""Time ranges of calls: from one moment to another, both included."""

from __future__ import annotations

import datetime
from typing import Any

from ..errors import ParameterError


class TimeRange:
    """A `TimeRange` of the API; open where it has no limit, or is absent.

    Args:
        params: of a call; times are ISO 8601, UTC unless they say otherwise.
        name: of the parameter.

    Raises:
        ParameterError: a limit is not a time.
    """

    def __init__(self, params: dict[str, Any], name: str) -> None:
        limits = params.get(name) or {}
        if not isinstance(limits, dict):
            raise ParameterError(f"{name}: expected an object with the times from and to")
        self._from, self._to = _moment(name, limits.get("from")), _moment(name, limits.get("to"))

    def __bool__(self) -> bool:
        return self._from is not None or self._to is not None

    def __contains__(self, at_ms: int) -> bool:
        return (self._from is None or at_ms >= self._from) and (self._to is None or at_ms <= self._to)


def _moment(name: str, value: object) -> int | None:
    if value is None:
        return None
    try:
        found = datetime.datetime.fromisoformat(value) if isinstance(value, str) else None
        if found is not None:
            return round(found.replace(tzinfo=found.tzinfo or datetime.UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        pass
    raise ParameterError(f"{name} has {str(value)[:60]!r}, expected a time such as 2026-11-28T15:00:00Z")
