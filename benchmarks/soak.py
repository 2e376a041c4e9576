"""A live system that trades for long while markets open and close: nothing of it may grow.

    python -m benchmarks.soak [--minutes N] [--engine ray|local] [--changes N] [--markets N] [--keep FOLDER]

Every ten seconds: memory (proportional set size of all processes of the system), open files, threads, processes, and
the size of the journal. The second third of the time is the measure for the last: none of them may be more than a tenth
higher then. No letter may be lost, and at the end the exchange's ledger and the system must agree, as in
`benchmarks.chaos`.

The worst ratio to a bar comes last; exits 1 if it is above 1.
"""

import argparse
import contextlib
import dataclasses
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import headrace as hr
from headrace.simulate.exchange.settings import ExchangeSettings, Timers

from .chaos import LIMITS as CHAOS_LIMITS
from .chaos import Chaos
from .chaos_markets import write_markets

#: Seconds between two looks; how long markets last; the pace of strategies, actions a second in each market.
EVERY_S, LASTING, PACE = 10.0, (60.0, 240.0), 0.1
#: What all markets may lose: more than they ever could, so that orders go on being placed.
LIMITS = dataclasses.replace(CHAOS_LIMITS, exposure=1e5)
#: How much higher the last third may be than the second.
GROWTH = 1.1
MEASURED = ("memory, MB", "files", "threads", "processes", "journal, MB")


def measured(chaos: Chaos) -> dict[str, float]:
    """The system as it is now."""
    found = dict.fromkeys(MEASURED, 0.0)
    for pid in chaos.system.processes():
        with contextlib.suppress(OSError):
            place = Path(f"/proc/{pid}")
            for line in (place / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    found["memory, MB"] += int(line.split()[1]) / 1024
            found["files"] += len(list((place / "fd").iterdir()))
            found["threads"] += len(list((place / "task").iterdir()))
            found["processes"] += 1
    for path in (chaos.system.folder / "home").rglob("*"):
        with contextlib.suppress(OSError):
            if "journal" in path.parts[-2:][0] and path.is_file():
                found["journal, MB"] += path.stat().st_size / 1e6
    return found


def growth(values: list[float]) -> float:
    """How much higher the last third is than the second, as a ratio of medians."""
    third = len(values) // 3
    before, after = statistics.median(values[third : 2 * third]), statistics.median(values[2 * third :])
    return after / before if before else 1.0


def soak(chaos: Chaos, minutes: float) -> tuple[list[dict[str, float]], dict[str, Any]]:
    """Trade for so long; what was measured, and the last state.

    Raises:
        RuntimeError: the system does not trade, or has ended.
    """
    chaos.begin()
    rows: list[dict[str, float]] = []
    state: dict[str, Any] = {}
    end = time.monotonic() + minutes * 60
    while time.monotonic() < end:
        until = time.monotonic() + EVERY_S
        while time.monotonic() < until:
            chaos.look(faults=False)
            time.sleep(1.0)
        if chaos.system.ended is not None:
            raise RuntimeError(f"the system has ended: {chaos.system.said()[-2000:]}")
        rows.append(measured(chaos))
        state = chaos.system.state() or state
        told = ", ".join(f"{name} {value:.1f}" for name, value in rows[-1].items())
        chaos.say(f"{told}, markets {len({row['market_id'] for row in state.get('markets', ())})}")
        chaos.notes.forget()
    return rows, state


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--engine", choices=["ray", "local"], default="ray")
    parser.add_argument("--changes", type=float, default=2_000.0, help="a second, in all")
    parser.add_argument("--markets", type=int, default=40, help="open at once")
    parser.add_argument("--keep", type=Path, help="a folder in which the system's files are kept")
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args(arguments)
    options.seed, options.faults, options.kinds = 1, 0.0, []
    with contextlib.ExitStack() as stack:
        if options.keep is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hs", ignore_cleanup_errors=True)))
        else:
            folder = options.keep.resolve()
            folder.mkdir(parents=True)
        return _run(folder, options)


def _run(folder: Path, options: argparse.Namespace) -> int:
    recording = folder / "markets.ndjson"
    write_markets(
        recording,
        markets=options.markets,
        seconds=options.minutes * 60 + 20,
        lasting=LASTING,
        per_second=options.changes,
        seed=1,
        quiet=200.0,
        together_s=0.005,
    )
    account = {"username": "rehearsal", "balance": 1e6}
    # Closed markets go after a while, and with them what is kept of them: of a day, half an hour shows that.
    settings = ExchangeSettings(timers=Timers(vanish=60))
    with hr.RehearsalExchange(
        str(recording), accounts=[account], wait=True, in_step=True, settings=settings
    ) as exchange:
        chaos = Chaos(exchange, folder, options, pace=PACE, limits=LIMITS)
        try:
            rows, state = soak(chaos, options.minutes)
            chaos.rest()
            chaos.stop()
        finally:
            chaos.system.kill_all()
    wrong = [*chaos.wrong, *chaos.history.wrong]
    lost = sum(host["lost"] for host in state["hosts"])
    third = len(rows) // 3
    ratios: dict[str, float] = {"lost": 9.0 if lost else 0.0, "ledger": 9.0 if wrong else 0.0}
    print("| measured | after a third | in the second third | in the last | at most |")
    print("| --- | --- | --- | --- | --- |")
    for name in MEASURED:
        values = [row[name] for row in rows]
        second, last = statistics.median(values[third : 2 * third]), statistics.median(values[2 * third :])
        print(f"| {name} | {values[third]:.1f} | {second:.1f} | {last:.1f} | {max(values):.1f} |")
        ratios[name.partition(",")[0]] = growth(values) / GROWTH
    counts = ", ".join(f"{count} {what}" for what, count in chaos.history.counts.items())
    closed = len(chaos.history.closed)
    what = f"{options.minutes:g} minutes, {options.changes:g} changes a second, {closed} markets closed"
    print(f"{options.engine}: {what}; {counts}")
    for line in wrong[:20]:
        print("WRONG", line)
    print(", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))
    print(f"{max(ratios.values()):.3f}")
    return 1 if max(ratios.values()) > 1 else 0


if __name__ == "__main__":
    sys.exit(main())
