"""How long something takes, as a few figures: counted in buckets, so that nothing grows."""

from __future__ import annotations

import math

#: Buckets for each factor of e: neighbours differ by 5 %.
_PER_E = 20
#: The least time that is told from 0, milliseconds.
_LEAST = 0.001
_BUCKETS = 400


class Latencies:
    """Times in milliseconds. A quantile is right within 5 %."""

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.count = 0
        self.worst = self._recent = 0.0

    def add(self, milliseconds: float) -> None:
        """Count one."""
        self.count += 1
        if milliseconds > self._recent:
            self._recent = milliseconds
            self.worst = max(self.worst, milliseconds)
        at = int(math.log(milliseconds / _LEAST) * _PER_E) if milliseconds > _LEAST else 0
        self._counts[min(at, _BUCKETS - 1)] += 1

    def quantile(self, share: float) -> float:
        """The time that `share` (0..1) of them do not exceed; 0.0 where there are none."""
        wanted = share * self.count
        seen = 0
        for at, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(_LEAST * math.exp((at + 1) / _PER_E), self.worst)
        return 0.0

    def figures(self) -> dict[str, float]:
        """count, median, p99 and worst, and `recent`: the worst since this was last asked.

        Milliseconds, rounded to microseconds.
        """
        recent, self._recent = self._recent, 0.0
        return {
            "count": self.count,
            "median": round(self.quantile(0.5), 3),
            "p99": round(self.quantile(0.99), 3),
            "worst": round(self.worst, 3),
            "recent": round(recent, 3),
        }
