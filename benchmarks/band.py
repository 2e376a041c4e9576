"""What a band costs: a run with `band=True` against the same run without, in processor time, on one core.

    python -m benchmarks.band [CASE ...] [--rounds N] [--recordings DIR] [--reference DIR]

All run in this process and take turns; each one's best counts. A line a case, whose last figure is the ratio; then the
largest of them. The exit status is 1 where one is above the bar, 2 where the recordings are absent.

Cases are those of `in_turn`. Reading and books are shared by the three copies of a run; strategies and their orders are
not, so those that work at each change cost up to three times as much, and miss the bar. "three of each" is a run that
has no band, and each strategy three times: what strategies and their orders cost, however a band is made.
"""

from .in_turn import Way, compare

#: The most that a band may cost, by the time without.
MOST = 1.5
WAYS = (Way("without", {}), Way("three of each", {}, times=3), Way("with a band", {"band": True}))


def main(arguments: list[str] | None = None) -> int:
    return compare(__doc__, WAYS, MOST, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
