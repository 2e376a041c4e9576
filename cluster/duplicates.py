"""Markets that come in two parts of a sweep."""

from __future__ import annotations

from collections.abc import Iterable

from ..results.parts import Part


class Duplicates:
    """Finds markets that come in two parts of a sweep: from a market's file and its event's.

    What comes second is left out, and a row of `failures` says so. Copies in files that are named after one market
    come in one part (`batches.with_copies_together`), where the one with the lowest name comes first. What the rows of
    a market add to the digest of each set is not kept: a part cannot give up a market later, as those of a backtest can
    (`results/copies.py`).
    """

    def __init__(self, known: Iterable[tuple[str, str]] = ()) -> None:
        self._owner: dict[str, str] = dict(known)

    def __call__(self, part: Part) -> None:
        for market_id, unit in part.markets:
            if part.is_copy(self._owner, market_id, unit):
                part.left_out.add(market_id)
            else:
                self._owner[market_id] = unit
