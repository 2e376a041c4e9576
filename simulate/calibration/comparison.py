"""What became of orders at the exchange, beside what each queue makes of them."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .retold import Retold
from .session_orders import Outcome, SessionOrder

#: Whose figures those of the exchange are.
SESSION = "session"
#: Of the size ahead, by the order's own size: the most of each bucket, and its name.
_BUCKETS = (
    (0.0, "nothing"),
    (1.0, "up to 1x"),
    (5.0, "1x to 5x"),
    (20.0, "5x to 20x"),
    (float("inf"), "more than 20x"),
)
_AT_ONCE = "matched at once"
#: Milliseconds by which the exchange may tell of a match before its trade is published.
_TOLERANCE_MS = 1000
#: Errors that differ by less, in size, are equal.
_CENT = 0.005


@dataclasses.dataclass
class Pair:
    """An order of the session, and what each queue makes of it.

    Attributes:
        simulated: by queue.
    """

    order: SessionOrder
    simulated: Mapping[str, Retold]

    def outcome(self, whose: str) -> Outcome:
        """What became of it at the exchange, or with a queue until the session last tells of it."""
        if whose == SESSION:
            return self.order.told
        until = self.order.ended_ms
        fills = [fill for fill in self.simulated[whose].fills if until is None or fill[0] <= until + _TOLERANCE_MS]
        size = round(sum(part for _, _, part in fills), 2)
        if not size:
            return Outcome()
        # A replacement may be larger here than it was there, where more of the first order had been matched.
        matched = min(size, self.order.size)
        return Outcome(matched, sum(price * part for _, price, part in fills) / size, round(fills[0][0]))

    @property
    def first(self) -> Retold:
        """What is alike with all queues: how it met the market."""
        return next(iter(self.simulated.values()))

    @property
    def waited(self) -> bool:
        """Whether something of it came to rest."""
        return self.first.ahead is not None

    @property
    def bucket(self) -> str:
        """Its place in the queue: size ahead of it, by its own size."""
        if self.first.ahead is None:
            return _AT_ONCE
        ratio = self.first.ahead / self.order.size
        return next(name for most, name in _BUCKETS if ratio <= most)


def fill_rates(pairs: Sequence[Pair], whose: Sequence[str]) -> list[dict[str, Any]]:
    """By place in the queue: orders, their size, and the share of it that was matched, 0 to 1."""
    found = []
    for name in (_AT_ONCE, *(name for _, name in _BUCKETS)):
        mine = [pair for pair in pairs if pair.bucket == name]
        if mine:
            size = sum(pair.order.size for pair in mine)
            shares = {each: sum(pair.outcome(each).matched for pair in mine) / size for each in whose}
            found.append({"ahead": name, "orders": len(mine), "size": round(size, 2), **shares})
    return found


def times_to_fill(pairs: Sequence[Pair], whose: Sequence[str]) -> list[dict[str, Any]]:
    """Of orders that waited: how many were matched, and seconds to the first match: quartiles."""
    rows = []
    waited = [pair for pair in pairs if pair.waited and not pair.first.at_once]
    for each in whose:
        firsts = [(pair.outcome(each).first_ms, pair.order.placed_ms) for pair in waited]
        seconds = sorted(max(0, first - placed) / 1000 for first, placed in firsts if first is not None)
        low, middle, high = _quartiles(seconds)
        rows.append({"of": each, "orders": len(seconds), "quarter": low, "median": middle, "three_quarters": high})
    return rows


def _quartiles(values: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    if not values:
        return None, None, None
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def slippage(pairs: Sequence[Pair], whose: Sequence[str]) -> list[dict[str, Any]]:
    """By how much matched prices were better (above 0) than the price asked, and than the best that could be taken at
    placement: as shares of that price, weighted by size."""
    rows = []
    for each in whose:
        row: dict[str, Any] = {"of": each, "matched": 0.0}
        for name in ("asked", "best"):
            total = weight = 0.0
            for pair in pairs:
                found, against = pair.outcome(each), pair.order.price if name == "asked" else pair.first.best
                if found.matched and against:
                    better = found.average / against - 1
                    total += found.matched * (better if pair.order.back else -better)
                    weight += found.matched
            row[name] = round(total / weight, 6) + 0.0 if weight else None
        row["matched"] = round(sum(pair.outcome(each).matched for pair in pairs), 2)
        rows.append(row)
    return rows


def errors(pairs: Iterable[Pair], queues: Sequence[str]) -> dict[str, float]:
    """Of each queue the size, of orders that waited, that it matches otherwise than the exchange did."""
    waited = [pair for pair in pairs if pair.waited]
    return {
        queue: round(sum(abs(pair.outcome(queue).matched - pair.order.told.matched) for pair in waited), 2)
        for queue in queues
    }


def best_queue(found: Mapping[str, float]) -> str | None:
    """The queue with the least error; of equal ones the first, or the middle one of several shares.

    Returns:
        None: they are all alike, so that the session does not tell.
    """
    least = min(found.values(), default=0.0)
    tied = [queue for queue, error in found.items() if error <= least + _CENT]
    if len(tied) == len(found):
        return None
    plain = [queue for queue in tied if ":" not in queue]
    return plain[0] if plain else tied[len(tied) // 2]
