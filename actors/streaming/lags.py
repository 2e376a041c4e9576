"""How late messages come, and by how much the machine's clock differs from that of who publishes them.

Both are in one number, the time of reading less the time of publishing. What is the clock's is the same in each
message, and what is the way's is not: so the least of a minute is the clock's, and what is above it the way's. A way
that is always slow cannot be told from a clock that is ahead; one that is ahead of time can only be the clock's.
"""

from __future__ import annotations

import math

#: Seconds of each half of the minute over which the least is taken.
_HALF_S = 30.0


class Lags:
    """Times from publishing to reading, milliseconds; below 0 where the clock here is behind.

    Attributes:
        last: of the last message.
    """

    def __init__(self) -> None:
        self.last = 0.0
        self._least = self._before = math.inf
        self._since = -math.inf
        self._worst = -math.inf

    def add(self, lag_ms: float, now_s: float) -> None:
        """One message. `now_s`: seconds of a clock that never goes back."""
        self.last = lag_ms
        if now_s - self._since >= _HALF_S:
            self._before = self._least if now_s - self._since < 2 * _HALF_S else math.inf
            self._least, self._since = math.inf, now_s
        self._least = min(self._least, lag_ms)
        self._worst = max(self._worst, lag_ms)

    @property
    def least(self) -> float:
        """The least of the last half to whole minute in which anything came; 0.0: nothing did."""
        found = min(self._least, self._before)
        return found if math.isfinite(found) else 0.0

    def take_worst(self) -> float:
        """The greatest since it was last taken; where nothing came that of the last message."""
        found, self._worst = self._worst, -math.inf
        return found if math.isfinite(found) else self.last
