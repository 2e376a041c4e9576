"""Profit after commission, added up market by market, and how far it is below its highest."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Step:
    """What a market added to a curve.

    Attributes:
        number: place of the market among those that are counted, from 1; 0 is the start of the curve.
        time: its scheduled start, milliseconds since the epoch; None where no market of the result has one.
        market: its place in the list of markets; None at the start of the curve.
        gain: profit after commission in this market.
        total: the same in all markets so far.
        fall: how far `total` is below its highest so far; 0 or less.
    """

    number: int
    time: int | None
    market: int | None
    gain: float
    total: float
    fall: float


@dataclass(frozen=True)
class Curves:
    """Curves over the same markets.

    Attributes:
        steps: of each name, in order of the markets' starts; a curve ends with the last market of its own.
        markets: those that are counted, in that order: id, type, venue, start.
        seen: how many markets the result has in all.
    """

    steps: dict[str, list[Step]]
    markets: list[dict[str, Any]]
    seen: int

    @property
    def timed(self) -> bool:
        """Whether any market has a start."""
        return any(market["start"] is not None for market in self.markets)


def curves(table: pa.Table, key: str) -> Curves:
    """The curves of a table of markets, one for each value of a column.

    Markets are numbered by their scheduled starts, those without one last; those in which nothing was matched and
    nothing was won or lost, by anybody, are not counted.

    Args:
        table: columns `market_id`, `start`, `matched`, `profit`, `commission`, `key`, and, where there are such,
            `market_type` and `venue`.
    """
    import pyarrow as pa

    starts = table["start"].cast(pa.int64()).to_pylist()
    ids, names = table["market_id"].to_pylist(), table[key].to_pylist()
    money = [table[name].to_pylist() for name in ("matched", "profit", "commission")]
    more = [table[name].to_pylist() for name in ("market_type", "venue") if name in table.column_names]
    last = max((start for start in starts if start is not None), default=None)
    places: dict[str, int] = {}
    for place, (market_id, matched, profit, commission) in enumerate(zip(ids, *money, strict=True)):
        if matched or profit or commission:
            places.setdefault(market_id, place)
    order = sorted(places, key=lambda each: (_or_last(starts[places[each]]), each))
    numbers = {market_id: number for number, market_id in enumerate(order, 1)}
    found: dict[str, dict[int, list[float]]] = {}
    for market_id, name, profit, commission in zip(ids, names, *money[1:], strict=True):
        gains = found.setdefault("(none)" if name is None else str(name), {})
        number = numbers.get(market_id)
        if number is not None:
            gains.setdefault(number, []).append((profit or 0.0) - (commission or 0.0))
    times = [starts[places[market_id]] for market_id in order]
    known = [last if time is None else time for time in times]
    markets = [
        {"market_id": market_id, "start": times[at], **_more(more, places[market_id])}
        for at, market_id in enumerate(order)
    ]
    steps = {name: _added(gains, known) for name, gains in sorted(found.items())}
    return Curves(steps, markets, len(set(ids)))


def _or_last(start: int | None) -> float:
    return float("inf") if start is None else start


def _more(columns: Sequence[Sequence[Any]], place: int) -> dict[str, Any]:
    return dict(zip(("market_type", "venue"), (column[place] for column in columns), strict=False))


def _added(gains: dict[int, list[float]], times: Sequence[int | None]) -> list[Step]:
    numbers = sorted(gains)
    if not numbers:
        return []
    sums = [sum(gains[number]) for number in numbers]
    totals = [round(total, 2) for total in itertools.accumulate(sums)]
    peaks = itertools.accumulate(itertools.chain((0.0,), totals), max)
    next(peaks)
    # A curve begins at 0 before its first market.
    begin = Step(numbers[0] - 1, times[numbers[0] - 1], None, 0.0, 0.0, 0.0)
    return [
        begin,
        *(
            Step(number, times[number - 1], number - 1, round(gain, 2), total, round(total - peak, 2))
            for number, gain, total, peak in zip(numbers, sums, totals, peaks, strict=True)
        ),
    ]


def thinned(steps: Sequence[Step], most: int) -> list[Step]:
    """At most about `most` steps: the ends, and of each stretch between the extremes of the total and of the fall."""
    if len(steps) <= most:
        return list(steps)
    inner = range(1, len(steps) - 1)
    stretches = max(1, (most - 2) // 3)
    kept = {0, len(steps) - 1}
    for number in range(stretches):
        part = inner[number * len(inner) // stretches : (number + 1) * len(inner) // stretches]
        if part:
            kept.add(min(part, key=lambda at: steps[at].total))
            kept.add(max(part, key=lambda at: steps[at].total))
            kept.add(min(part, key=lambda at: steps[at].fall))
    return [steps[at] for at in sorted(kept)]


def farthest(steps: dict[str, list[Step]], most: int) -> list[str]:
    """Names of the curves that end farthest from 0, at most so many, in order of their names."""
    drawn: Iterable[str] = (name for name, some in steps.items() if some)
    return sorted(sorted(drawn, key=lambda name: (-abs(steps[name][-1].total), name))[:most])
