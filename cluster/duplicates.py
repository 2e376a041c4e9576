"""Markets that come in two parts of a run."""

from __future__ import annotations

from collections.abc import Iterable

from ..results.parts import Part


class Duplicates:
    """Finds markets that come in two parts: from a market's file and its event's, or from two copies.

    What comes second is left out, and a row of `failures` says so. (Within a part the worker does it.)
    """

    def __init__(self, known: Iterable[tuple[str, str]] = ()) -> None:
        self._owner: dict[str, str] = dict(known)

    def __call__(self, part: Part) -> None:
        for market_id, unit in part.markets:
            if part.is_copy(self._owner, market_id, unit):
                part.left_out.add(market_id)
            else:
                self._owner[market_id] = unit
