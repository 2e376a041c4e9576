"""The reference strategies under flumine's rules, compared with the orders flumine gave, column by column.

    python -m benchmarks.parity [--quick | --all | --known] [--recordings DIR] [--reference DIR]

Money (sizes, liability, profit) must agree to the penny, prices exactly, the time of placement to the
millisecond, and everything else, the order's place in its market's blotter included, exactly. Prints the
first rows that differ and a count per recording and variant, then a line that counts the orders that match.
After them strategies whose decisions follow refusals and exposures are played by both engines, side by side (see
side_by_side.py), unless flumine's environment cannot be made. Exits 1 on any difference, 2 where recordings or
reference are absent.
"""

import argparse
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet

import headrace as hr

from . import side_by_side
from .peer import python
from .recordings import recordings_folder, reference_folder
from .run_headrace import API
from .work import LIMITS, load

MONEY = {
    "size",
    "liability",
    "size_matched",
    "size_remaining",
    "size_cancelled",
    "size_lapsed",
    "size_voided",
    "profit",
}
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "no-isolation": {"simulated_strategy_isolation": False},
    "available": {"simulation_available_prices": True},
    "event": {},
}
NOT_COMPARED = {"recording", "variant", "number"}  # which case it is, and the key itself
BRIEF = ("strategy", "selection_id", "side", "order_type", "price", "size", "placed_at")
SHOWN = 20

Row = Mapping[str, Any]
Key = tuple[str, int]  # market id, place in the market's blotter


@dataclass(frozen=True)
class Difference:
    """One column of one order; column "order" where one side lacks the order altogether (None)."""

    recording: str
    variant: str
    market_id: str
    number: int
    column: str
    expected: Any
    actual: Any

    def __str__(self) -> str:
        place = f"{self.recording} {self.variant} {self.market_id} #{self.number}"
        if self.column == "order":
            return f"{place}: expected {_brief(self.expected)}, got {_brief(self.actual)}"
        return f"{place} {self.column}: expected {self.expected!r}, got {self.actual!r}"


def cases(quick: bool = False, recordings: str | None = None, reference: str | None = None) -> list[tuple[str, str]]:
    """The (recording, variant) pairs with known orders, the smallest files first; half of them if quick."""
    folder = recordings_folder(recordings)
    pairs = sorted(_all_expected(reference), key=lambda pair: (_size(folder, pair[0]), pair))
    return pairs[: (len(pairs) + 1) // 2] if quick else pairs


def expected(recording: str, variant: str, reference: str | None = None) -> dict[Key, Row]:
    """The orders flumine gave, by market and place in its blotter."""
    return _all_expected(reference)[recording, variant]


def actual(recording: str, variant: str, recordings: str | None = None, reference: str | None = None) -> dict[Key, Row]:
    """The orders headrace gives under flumine's rules, likewise."""
    folder = recordings_folder(recordings)
    config = hr.Config(compatibility="flumine", raise_errors=True, **VARIANTS[variant])
    files = [str(folder / name) for name in recording.split("+")]
    simulation = hr.Simulation(markets=files, config=config, engine="local")
    simulation.add_client(hr.SimulatedClient())
    for name, strategy in _strategies(variant, reference).items():
        simulation.add_strategy(strategy(name=name, **LIMITS))
    return by_place(simulation.run().orders.to_pylist())


def compare(
    recording: str, variant: str, recordings: str | None = None, reference: str | None = None
) -> list[Difference]:
    """All differences between headrace's orders and flumine's on one recording, in blotter order."""
    wanted = expected(recording, variant, reference)
    got = actual(recording, variant, recordings, reference)
    differences = []
    for key in sorted(wanted.keys() | got.keys()):
        for column, one, other in _compare_rows(wanted.get(key), got.get(key)):
            differences.append(Difference(recording, variant, *key, column, one, other))
    return differences


def by_place(rows: Iterable[Row]) -> dict[Key, Row]:
    """Rows keyed by market and place in it; they come in the order of each market's blotter."""
    counts: dict[str, int] = defaultdict(int)
    placed = {}
    for row in rows:
        market_id = row["market_id"]
        placed[market_id, counts[market_id]] = row
        counts[market_id] += 1
    return placed


def same(column: str, one: Any, other: Any) -> bool:
    """Whether two values of a column agree."""
    if one is None or other is None:
        return one is other
    if column in MONEY:
        return abs(one - other) < 0.005
    if column == "placed_at":
        return _milliseconds(one) == _milliseconds(other)
    return bool(one == other)


def _compare_rows(wanted: Row | None, got: Row | None) -> list[tuple[str, Any, Any]]:
    if wanted is None or got is None:
        return [("order", wanted, got)]
    columns = (column for column in wanted if column not in NOT_COMPARED)
    return [(c, wanted[c], got[c]) for c in columns if not same(c, wanted[c], got[c])]


def _brief(row: Row | None) -> str:
    return "no order" if row is None else " ".join(str(row[column]) for column in BRIEF)


def _milliseconds(moment: datetime | float) -> int:
    """Milliseconds since the epoch of a time, or of seconds since the epoch."""
    if isinstance(moment, datetime):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    return round(moment * 1000)


def _strategies(variant: str, reference: str | None) -> dict[str, type]:
    api = SimpleNamespace(**vars(API), event_processing=variant == "event")
    classes = load(str(reference_folder(reference) / "reference_strategies.py"))(api)
    if variant == "event":
        return {name: type(name, (strategy,), {"scope": "event"}) for name, strategy in classes.items()}
    return classes


@cache
def _all_expected(reference: str | None) -> dict[tuple[str, str], dict[Key, Row]]:
    table = pyarrow.parquet.read_table(reference_folder(reference) / "expected.parquet")
    cases: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in table.to_pylist():
        cases[row["recording"], row["variant"]].append(row)
    return {pair: by_place(sorted(rows, key=lambda row: row["number"])) for pair, rows in cases.items()}


def _size(folder: Path, recording: str) -> int:
    return sum((folder / name).stat().st_size for name in recording.split("+"))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="the half with the smaller recordings")
    parser.add_argument("--recordings", help="default: HEADRACE_RECORDINGS, else ../shared/recordings")
    parser.add_argument("--reference", help="default: HEADRACE_REFERENCE, else ../shared/reference")
    parser.add_argument("--known", action="store_true", help="the known orders only, nothing side by side")
    parser.add_argument("--all", action="store_true", help="side by side on everything: some 15 minutes more")
    options = parser.parse_args(arguments)
    matched = total = shown = 0
    clean = True
    for recording, variant in cases(options.quick, options.recordings, options.reference):
        differences = compare(recording, variant, options.recordings, options.reference)
        keys = {(difference.market_id, difference.number) for difference in differences}
        orders = expected(recording, variant, options.reference)
        wrong = len(keys & orders.keys())
        extra = len(keys) - wrong
        for difference in differences[: SHOWN - shown]:
            print(difference)
        shown += min(len(differences), SHOWN - shown)
        print(f"{recording} {variant}: {len(orders) - wrong}/{len(orders)} match, {extra} more", flush=True)
        matched, total, clean = matched + len(orders) - wrong, total + len(orders), clean and not differences
    print(f"matched {matched}/{total}", flush=True)
    if not options.known:
        try:
            python("flumine")
        except subprocess.CalledProcessError as error:
            print(f"Nothing is played side by side, flumine's environment cannot be made: {error}", file=sys.stderr)
        else:
            clean = side_by_side.run(recordings_folder(options.recordings), options.all) and clean
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
