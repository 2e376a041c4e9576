"""What the default models cost: a run with them against the same run under `compatibility="flumine"`, on one core.

    python -m benchmarks.models [CASE ...] [--rounds N] [--recordings DIR] [--reference DIR]

Processor time. Both sides run in this process and take turns; each side's best counts. A line a case, whose last figure
is the ratio, the default's time by the compatible one's; then the largest of them. The exit status is 1 where one is
above the bar, 2 where the recordings are absent.

Cases are those of `in_turn`. The two do not place the same orders, for strategies act on what they are told: the counts
are beside the seconds.
"""

import headrace as hr

from .in_turn import Way, compare
from .replay import FLUMINE_RULES

#: The most that the default models may cost, by the time of the compatible ones.
MOST = 1.15
WAYS = (
    Way("as flumine", {"config": hr.Config(**FLUMINE_RULES)}),
    Way("default", {}),
)


def main(arguments: list[str] | None = None) -> int:
    return compare(__doc__, WAYS, MOST, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
