"""What time it is at the rehearsal exchange, and what a recorded time becomes there."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Any

from ...strategies.clock import Clock, from_ms
from .settings import Speed

#: The last moment that a date can be of.
_LAST_MS = 253_402_300_799_999


def wall_ms() -> int:
    """Milliseconds since the epoch, by the machine."""
    return time.time_ns() // 1_000_000


class ExchangeClock(Clock):
    """The exchange's clock: its owner is told where something has become due sooner than all that was.

    Attributes:
        sooner: called then; None: nobody waits.
    """

    __slots__ = ("sooner",)

    def __init__(self, now_ms: int = 0) -> None:
        super().__init__(now_ms)
        self.sooner: Callable[[], object] | None = None

    def call_at(self, at_ms: int, function: Callable[..., object], *arguments: Any) -> None:
        before = self.next_ms
        super().call_at(at_ms, function, *arguments)
        if self.next_ms < before and self.sooner is not None:
            self.sooner()


class Timeline:
    """Exchange time runs with the machine's; recorded times are moved to its start, and divided by the speed.

    By steps, and at "max", exchange time is that of what was played last: recorded seconds pass as one second each.

    Args:
        speed: recorded seconds per second, "max" or "step".
        wall: the machine's clock, milliseconds since the epoch.

    Attributes:
        start_ms: exchange time of the start.
        factor: recorded milliseconds per millisecond of exchange time.
        stepped: exchange time stands still between messages.
    """

    def __init__(self, speed: Speed = 1.0, wall: Callable[[], int] = wall_ms) -> None:
        self.speed = speed
        self.stepped = isinstance(speed, str)
        self.factor = 1.0 if isinstance(speed, str) else float(speed)
        self._wall = wall
        self.start_ms = wall()
        self._played_ms = self.start_ms
        self._ahead_ms = 0

    def now_ms(self) -> int:
        """Exchange time, milliseconds since the epoch."""
        return self._played_ms if self.stepped else self._wall() + self._ahead_ms

    def played(self, at_ms: int) -> None:
        """What happens at `at_ms` has been played."""
        self._played_ms = max(self._played_ms, at_ms)

    def restart(self) -> None:
        """The start is now."""
        self.start_ms = self._played_ms = self._wall()

    def run(self) -> None:
        """From now on exchange time runs with the machine's, from where it stands."""
        if self.stepped:
            self._ahead_ms = self._played_ms - self._wall()
            self.stepped = False

    def duration_ms(self, recorded_ms: float) -> float:
        """How long a recorded duration lasts here."""
        return recorded_ms / self.factor


class Rebasing:
    """Moves the times of one recording, or of several that are kept in step.

    Args:
        origin_ms: recorded time that becomes `start_ms`.
        start_ms: exchange time.
    """

    def __init__(self, timeline: Timeline, origin_ms: int, start_ms: int) -> None:
        self._factor = timeline.factor
        self._origin_ms = origin_ms
        self._start_ms = start_ms

    def ms(self, recorded_ms: float) -> int:
        """A recorded time, milliseconds since the epoch, in exchange time; within the years 1970 to 9999."""
        moved = self._start_ms + round((recorded_ms - self._origin_ms) / self._factor)
        return min(max(moved, 0), _LAST_MS)

    def moment(self, recorded: datetime.datetime) -> datetime.datetime:
        """A recorded moment in exchange time."""
        return from_ms(self.ms(recorded.timestamp() * 1000))

    def text(self, recorded: str) -> str:
        """A recorded moment as the exchange writes it, in exchange time; what is not a moment stays."""
        try:
            moment = datetime.datetime.fromisoformat(recorded)
        except ValueError:
            return recorded
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return written(self.ms(moment.timestamp() * 1000))


def written(ms: float) -> str:
    """A time as the exchange writes it: 2026-11-28T15:00:00.000Z."""
    return from_ms(round(ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_second(ms: float) -> int:
    """A time in milliseconds, to the second: most times that clients are told are."""
    return int(ms) // 1000 * 1000


def written_to_second(ms: float) -> str:
    """A time of a report: to the second, written with .000Z."""
    return written(to_second(ms))
