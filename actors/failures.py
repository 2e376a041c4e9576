"""What went wrong, gathered as rows: where, how often, and the traceback of the first time."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Collection
from typing import Any

from ..values import legible


@dataclasses.dataclass
class Failure:
    """Errors of one kind at one place.

    Attributes:
        unit: the input it happened in: a file, or an event.
        line: file and line of the code that raised, or of the recording that is broken.
        publish_time: milliseconds since the epoch of the first time, in market time; None where there was none.
        count: how often.
    """

    unit: str
    strategy: str | None
    market_id: str | None
    line: str | None
    error_type: str
    message: str
    traceback: str
    publish_time: int | None = None
    count: int = 1


def raised_at(error: BaseException, within: Collection[str] = ()) -> str | None:
    """File and line of the innermost frame of `error`, of the files `within` where it passed there."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if frame.filename in within]
    frames = traceback.StackSummary.from_list(inside or frames)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None


class Failures:
    """The failures of one unit."""

    def __init__(self, unit: str = "") -> None:
        self.unit = unit
        self._found: dict[tuple[Any, ...], Failure] = {}

    def add(
        self,
        error: BaseException,
        strategy: str | None = None,
        market_id: str | None = None,
        line: str | None = None,
        publish_time: int | None = None,
    ) -> bool:
        """Count an error; True where it is the first of its kind and place."""
        kind = type(error).__name__
        key = (strategy, market_id, line, kind)
        known = self._found.get(key)
        if known is not None:
            known.count += 1
            return False
        text = legible("".join(traceback.format_exception(error)))
        self._found[key] = Failure(self.unit, strategy, market_id, line, kind, legible(error), text, publish_time)
        return True

    def __iter__(self) -> Any:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)
