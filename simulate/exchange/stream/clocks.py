"""Clocks of streams: tokens that say up to where a client has been told, so that it can go on from there.

An `initialClk` stands for an image: whose, of what criteria, and what it held. A `clk` stands for a number of a
change. Both are the exchange's own affair; clients hand them back unread (Betfair Exchange Stream API,
"Re-connection / Re-subscription").
"""

from __future__ import annotations

import bisect
import itertools
from collections import deque
from collections.abc import Callable

from ..errors import StreamError

#: Images that are remembered beside those of subscriptions in force; beyond, the oldest are forgotten.
IMAGES = 2_000


class Image:
    """What is known of an image that was sent.

    Attributes:
        token: its `initialClk`.
        criteria: who asked for what.
        sequence: number of the last change that it held.
        known: by market, the number of the change with which the client learned of it.
        live: its subscription is in force.
    """

    __slots__ = ("criteria", "known", "live", "sequence", "token")

    def __init__(self, token: str, criteria: tuple[object, ...], sequence: int) -> None:
        self.token = token
        self.criteria = criteria
        self.sequence = sequence
        self.known: dict[str, int] = {}
        self.live = True


class Clocks:
    """The clocks of one exchange.

    Args:
        now: seconds of real time.
        age: seconds after which a clock is too old.
    """

    def __init__(self, now: Callable[[], float], age: float) -> None:
        self._now = now
        self._age = age
        self._mark = f"{int(now() * 1000) & 0xFFFFFF:06x}"
        self._numbers = itertools.count(1)
        self._images: dict[str, Image] = {}
        self._left = 0
        # When which number of a change was the last: one entry per second at most, for the age of clocks.
        self._times: dict[str, deque[tuple[float, int]]] = {}

    def image(self, criteria: tuple[object, ...], sequence: int) -> Image:
        """An image is about to be sent that holds all up to change number `sequence`."""
        found = Image(f"{self._mark}i{next(self._numbers):x}", criteria, sequence)
        self._images[found.token] = found
        self._left += 1
        if self._left > IMAGES:
            self._forget()
        return found

    def _forget(self) -> None:
        """Forget the older half of the images whose subscriptions have ended."""
        ended = [token for token, each in self._images.items() if not each.live]
        for token in ended[: max(len(ended) - IMAGES // 2, 0)]:
            del self._images[token]
        self._left = min(len(ended), IMAGES // 2)

    def clk(self, operation: str, sequence: int) -> str:
        """The token for: told up to change number `sequence`."""
        times = self._times.get(operation)
        now = self._now()
        if times is None:
            times = self._times[operation] = deque([(now, sequence)])
        elif now - times[-1][0] >= 1.0:
            times.append((now, sequence))
            while now - times[0][0] > self._age + 1.0 and len(times) > 1 and now - times[1][0] > self._age:
                times.popleft()
        return f"{self._mark}c{sequence:x}"

    def resumed(
        self, operation: str, criteria: tuple[object, ...], initial_clk: str, clk: str, latest: int
    ) -> tuple[Image, int]:
        """The image that a client had, and the number of the change up to which it was told.

        Raises:
            StreamError: INVALID_CLOCK, for a clock that is not known, too old, or of other criteria.
        """
        found = self._images.get(initial_clk)
        head = f"{self._mark}c"
        if found is None or not clk.startswith(head):
            raise refused("it is not known")
        if found.criteria != criteria:
            raise refused("it is of a subscription with other criteria")
        try:
            sequence = int(clk[len(head) :], 16)
        except ValueError:
            raise refused("it is not known") from None
        if not found.sequence <= sequence <= latest:
            raise refused("it is not of this subscription")
        if self._too_old(operation, sequence):
            raise refused(f"it is more than {self._age:g} s old")
        return found, sequence

    def _too_old(self, operation: str, sequence: int) -> bool:
        """Whether another change than that one was the last already when clocks began to count."""
        times = self._times.get(operation)
        if not times:
            return False
        since = self._now() - self._age
        # The last moment before clocks began to count: what was told less than that is too old.
        place = bisect.bisect_right(times, since, key=lambda each: each[0]) - 1
        return place >= 0 and sequence < times[place][1]


def refused(why: str) -> StreamError:
    """A clock is not good for going on from it."""
    return StreamError("INVALID_CLOCK", f"The clock cannot be resumed from: {why}; subscribe again without clocks")
