"""When things happen: quiet hours, a rush before the off. Times are milliseconds since the epoch."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime

#: Seconds before the off at which activity is half of what it is at the off itself.
RUSH = 90.0


def get_times_before(opens: int, off: int, count: int) -> list[int]:
    """`count` times from `opens` to before `off`, ever denser: their rate goes as 1 / (time left + 90 s)."""
    seconds = (off - opens) / 1000
    growth = math.log1p(seconds / RUSH)
    return [off - int(1000 * RUSH * math.expm1(growth * (1 - n / count))) for n in range(count)]


def get_times_between(start: int, end: int, count: int) -> list[int]:
    """`count` evenly spaced times from `start` to before `end`."""
    return [start + (end - start) * n // count for n in range(count)]


def shake(times: list[int], end: int, rng: random.Random) -> list[int]:
    """Move each time by chance towards the one after it, as messages never come at a steady beat."""
    nexts = [*times[1:], end]
    return [time + int((after - time) * rng.random()) for time, after in zip(times, nexts, strict=True)]


def format_time(milliseconds: int) -> str:
    """As market definitions write times: 2026-01-05T14:30:00.000Z."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
