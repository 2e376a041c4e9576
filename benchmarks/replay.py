"""Replay timed against flumine and betfair_data, on one core, side by side.

    python -m benchmarks.replay [CASE ...] [--rounds N] [--recordings DIR] [--reference DIR]

Each run is a process of its own that reports the seconds of the run alone; the sides take turns, and each
side's best counts. After the runs a line per bar ends with the ratio, the peer's seconds by headrace's:
more is better. The exit status is 1 when any ratio is below its bar, 2 when the recordings are absent or a
side fails.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from .peer import python
from .recordings import CHECKOUT, leave, recordings_folder, reference_folder, unpacked
from .work import Answer, Work

PLACE, CRICKET, WIN = "SELF-1.181223995", "1.200806927", "PRO-1.170258213"
FLUMINE_RULES = {"compatibility": "flumine"}


@dataclass(frozen=True)
class Side:
    """A program that is timed: which runner, in whose environment, on which work."""

    name: str
    runner: str
    work: Work
    rounds: int | None = None  # fewer than the case's, for a slow one


@dataclass(frozen=True)
class Bar:
    """`ours` must be at least `least` times as fast as `theirs`; both name sides of the case."""

    ours: str
    theirs: str
    least: float


@dataclass(frozen=True)
class Case:
    """Sides that are timed in turns on one recording, and the bars they must reach."""

    name: str
    recording: str
    sides: tuple[Side, ...]
    bars: tuple[Bar, ...]
    note: str = ""


@dataclass
class Timing:
    """The best of a side's runs."""

    best: Answer
    runs: list[float] = field(default_factory=list)


class Workshop:
    """Makes the work of a case from the folders of recordings and reference strategies."""

    def __init__(self, recordings: Path, reference: str | None) -> None:
        self.recordings = recordings
        self.reference = reference

    def bench(self, market: str, name: str) -> Work:
        """The strategy `name` of bench_strategies.py over one market."""
        return Work(self.files(market), str(Path(__file__).with_name("bench_strategies.py")), (name,))

    def references(self, market: str, copies: int = 1) -> Work:
        """The ten reference strategies over one market."""
        module = reference_folder(self.reference) / "reference_strategies.py"
        return Work(self.files(market), str(module), copies=copies)

    def files(self, market: str) -> tuple[str, ...]:
        return (str(unpacked(self.recordings, market)),)


def flumine(work: Work, rounds: int | None = None) -> Side:
    return Side("flumine", "run_flumine", work, rounds)


def betfair_data(work: Work, mutable: bool = False) -> Side:
    name = "betfair_data mutable" if mutable else "betfair_data"
    return Side(name, "run_betfair_data", replace(work, config={"mutable": mutable}))


def headrace(work: Work) -> Side:
    return Side("headrace", "run_headrace", work)


def headrace_as_flumine(work: Work) -> Side:
    return Side("headrace as flumine", "run_headrace", replace(work, config=FLUMINE_RULES))


def noop(shop: Workshop) -> list[Case]:
    """A strategy that sees every change and does nothing."""
    cases = []
    for market in (PLACE, CRICKET):
        work = shop.bench(market, "NoOp")
        bars = (Bar("headrace", "flumine", 9.0), Bar("headrace", "betfair_data", 0.75))
        fastest = (betfair_data(work, mutable=True),) if market == CRICKET else ()  # refuses the other
        sides = (flumine(work), betfair_data(work), *fastest, headrace(work))
        cases.append(Case("noop", market, sides, bars))
    return cases


def reader(shop: Workshop) -> list[Case]:
    """A strategy that reads prices, sizes and traded volume of every runner at every change."""
    cases = []
    for market in (PLACE, CRICKET):
        work = shop.bench(market, "Reader")
        bars = (Bar("headrace", "flumine", 4.0),)
        cases.append(Case("reader", market, (flumine(work), headrace(work)), bars))
    return cases


def ten(shop: Workshop) -> list[Case]:
    """The ten reference strategies together."""
    return [references("ten", shop, WIN, 1, as_flumine=3.5, by_default=7.0)]


def hundred(shop: Workshop) -> list[Case]:
    """Ten copies of each reference strategy."""
    return [references("hundred", shop, PLACE, 10, as_flumine=3.5, by_default=8.0)]


def references(name: str, shop: Workshop, market: str, copies: int, as_flumine: float, by_default: float) -> Case:
    work = shop.references(market, copies)
    sides = (flumine(work), headrace_as_flumine(work), headrace(work))
    bars = (Bar("headrace as flumine", "flumine", as_flumine), Bar("headrace", "flumine", by_default))
    return Case(name, market, sides, bars)


def many(shop: Workshop) -> list[Case]:
    """About nine thousand small orders, most of them cancelled: the peer visits them all at every change."""
    work = replace(shop.bench(PLACE, "JoinQueues"), unlimited=True)
    sides = (flumine(work, rounds=1), headrace(work))
    note = "flumine's time is of one run, for it takes a minute"
    return [Case("many", PLACE, sides, (Bar("headrace", "flumine", 30.0),), note)]


CASES: dict[str, Callable[[Workshop], list[Case]]] = {
    "noop": noop,
    "reader": reader,
    "ten": ten,
    "hundred": hundred,
    "many": many,
}


def run_once(side: Side) -> Answer:
    """One run in a process of its own; leaves with its error where it fails."""
    interpreter = sys.executable if side.runner in ("run_headrace", "run_sweep") else python(side.name.split()[0])
    command = [str(interpreter), "-m", f"benchmarks.{side.runner}", side.work.to_json()]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode:
        leave(f"{side.name} failed on {', '.join(side.work.files)}:\n{done.stderr}")
    return Answer.from_json(done.stdout.splitlines()[-1])


def time_sides(sides: tuple[Side, ...], rounds: int) -> dict[str, Timing]:
    """The best of each side's runs; the sides take turns."""
    timings: dict[str, Timing] = {}
    for turn in range(rounds):
        for side in sides:
            if side.rounds is not None and turn >= side.rounds:
                continue
            answer = run_once(side)
            timing = timings.setdefault(side.name, Timing(answer))
            timing.runs.append(answer.seconds)
            if answer.seconds < timing.best.seconds:
                timing.best = answer
    return timings


def report(case: Case, timings: dict[str, Timing]) -> bool:
    """Prints each side's runs and counts, then a line per bar; returns whether all bars are reached."""
    title = f"{case.name:8}{case.recording:17}"
    for name, timing in timings.items():
        counts = {"books": timing.best.books, "orders": timing.best.orders, "reads": timing.best.reads}
        shown = "  ".join(f"{count} {what}" for what, count in counts.items() if count)
        runs = " ".join(f"{seconds:.3f}" for seconds in timing.runs)
        print(f"{title}  {name}: {runs} s  {shown}".rstrip())
    passed = True
    for bar in case.bars:
        ours, theirs = timings[bar.ours].best.seconds, timings[bar.theirs].best.seconds
        ratio = theirs / ours
        verdict = "ok" if ratio >= bar.least else "BELOW THE BAR"
        passed = passed and ratio >= bar.least
        note = f"  ({case.note})" if case.note else ""
        sides = f"{bar.ours} {ours:.3f} s  {bar.theirs} {theirs:.3f} s"
        print(f"{title}  {sides}{note}  bar {bar.least:g}  {verdict}  {ratio:.2f}", flush=True)
    return passed


def report_growth(case: Case, full: Answer, rounds: int) -> None:
    """Prints headrace's time per order at a quarter, a half and all orders, less the time with none."""
    side = next(side for side in case.sides if side.name == "headrace")
    wanted = [0, (full.orders or 0) // 4, (full.orders or 0) // 2]
    sides = tuple(replace(side, name=str(count), work=limited(side.work, count)) for count in wanted)
    answers = [timing.best for timing in time_sides(sides, rounds).values()] + [full]
    base = answers[0].seconds
    print(f"{case.name:8}{case.recording:17}  headrace with no orders {base:.3f} s")
    for answer in answers[1:]:
        each = (answer.seconds - base) / (answer.orders or 1) * 1e6
        seconds = f"{answer.orders} orders {answer.seconds:.3f} s"
        print(f"{case.name:8}{case.recording:17}  headrace {seconds}  {each:.1f} microseconds an order")


def limited(work: Work, max_orders: int) -> Work:
    """The same work with at most so many orders."""
    return replace(work, settings={**work.settings, "max_orders": max_orders})


def pin() -> None:
    """Keeps this process, and so every run, on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def parse(parser: argparse.ArgumentParser, arguments: list[str] | None, known: Collection[str]) -> argparse.Namespace:
    """The arguments of a benchmark with cases; leaves with 2 where one is not known."""
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(known)}; all where none is named")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each side, of which the best counts")
    parser.add_argument("--recordings", help="default: HEADRACE_RECORDINGS, else ../shared/recordings")
    parser.add_argument("--reference", help="default: HEADRACE_REFERENCE, else ../shared/reference")
    options = parser.parse_args(arguments)
    for name in options.cases:
        if name not in known:
            parser.error(f"no case {name!r}: one of {', '.join(known)}")
    return options


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options = parse(parser, arguments, CASES)
    shop = Workshop(recordings_folder(options.recordings), options.reference)
    pin()
    passed = True
    for name in options.cases or CASES:
        for case in CASES[name](shop):
            timings = time_sides(case.sides, options.rounds)
            passed = report(case, timings) and passed
            if name == "many":
                report_growth(case, timings["headrace"].best, options.rounds)
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
