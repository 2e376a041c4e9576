"""headrace and flumine play the same markets, and all that their strategies saw is compared, row by row.

    python -m benchmarks.side_by_side [--all] [--recordings DIR]

The strategies are those of steering_strategies.py: what they do next depends on what was refused and on exposures. What
is compared is each answer to a request, each state of an order, each runner's exposures whenever they change, and the
orders at the end, exactly. Markets are made up on the spot, and small recordings, where there are any; with --all
larger ones too, and all settings. A line per play; the last one counts. Exits 1 on any difference, 2 where flumine's
environment cannot be made.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.simulate.generator.writer import write_markets

from .peer import python
from .play import Play
from .recordings import CHECKOUT, SHARED, leave

#: Settings under which a recording is played, by name.
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "no-isolation": {"config": {"simulated_strategy_isolation": False}},
    "available": {"config": {"simulation_available_prices": True}},
    "no-best-price": {"client": {"best_price_execution": False}},
    "full-match": {"client": {"simulated_full_match": True}},
    "no-least-bet": {"client": {"min_bet_validation": False}},
    "few-transactions": {"client": {"transaction_limit": 25}},
    "slow": {
        "config": {"place_latency": 0.5, "cancel_latency": 1.3, "update_latency": 0.9, "replace_latency": 2.0},
    },
    "at-once": {
        "config": {"place_latency": 0.0, "cancel_latency": 0.0, "update_latency": 0.0, "replace_latency": 0.0},
    },
    "before-the-off": {"listener": {"inplay": False, "seconds_to_start": 300}},
    "in-play": {"listener": {"inplay": True}},
}
#: Recordings that flumine plays within a minute or so; the first few under all settings.
SMALL = ("1.197931750", "1.197931751", "BASIC-1.132153978.gz", "1.185781277.bz2")
LARGE = (
    "1.205822330.bz2",
    "1.127236622.bz2",
    "29788106.bz2",
    "29788105.bz2",
    "29788457.bz2",
    "1.200806927.bz2",
    "PRO-1.170258213.bz2",
    "football-basic-sample.bz2",
)
EVENT = ("1.197931750", "1.197931751")
SPORTS = ("horse_racing", "greyhounds", "football", "tennis")

Row = list[Any]


@dataclass(frozen=True)
class Comparison:
    """What one play gave: counts, and the first row that differs, of flumine and of headrace."""

    orders: int
    observations: int
    differing: int
    first: tuple[Row | None, Row | None] | None
    ended: str | None  # the error that ended flumine's run: nothing is compared after it


def plays(recorded: Path | None, folder: Path, everything: bool) -> Iterator[tuple[str, Play]]:
    """Names and plays: made-up markets in `folder`, then recordings."""
    for name, path in made(folder).items():
        for setting in ("default", "no-isolation", "full-match", "slow") if everything else ("default",):
            yield f"{name} {setting}", Play((path,), **SETTINGS[setting])
    if recorded is None:
        return
    for name in SMALL:
        settings = tuple(SETTINGS) if everything else ("default",)
        for setting in settings:
            yield f"{name} {setting}", Play((str(recorded / name),), **SETTINGS[setting])
    pair = tuple(str(recorded / name) for name in EVENT)
    yield "+".join(EVENT) + " event", Play(pair, merged=True)
    if everything:
        for name in LARGE:
            yield f"{name} default", Play((str(recorded / name),))


def recordings(given: str | None = None) -> Path | None:
    """The folder of recordings, as in `recordings_folder`; None where there is none."""
    folder = Path(given or os.environ.get("HEADRACE_RECORDINGS") or SHARED / "recordings")
    return folder.resolve() if folder.is_dir() else None


def made(folder: Path) -> dict[str, str]:
    """Markets made up in `folder`, by name: a sport each, one that closes twice, one closed from its first line on."""
    paths = {
        sport: write_markets(folder / sport, 1, seed=8, sports=[sport], changes=600, compression="none")
        for sport in SPORTS
    }
    files = {f"made {sport}": str(path) for sport, (path,) in paths.items()}
    lines = Path(files["made horse_racing"]).read_text().splitlines()
    files["made closed-at-once"] = str(_written(folder / "1.900000001", lines[-1:]))
    # Opened again by its first image, an hour after its close, and closed anew.
    hour = _published(lines[-1]) - _published(lines[0]) + 3_600_000
    again = [_moved(line, hour) for line in (*lines[:300], lines[-1])]
    files["made closed-twice"] = str(_written(folder / "1.900000002", [*lines, lines[-1], *again]))
    return files


def _written(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def _published(line: str) -> int:
    """When a line of a stream was published, in milliseconds since the epoch."""
    return int(json.loads(line)["pt"])


def _moved(line: str, by_ms: int) -> str:
    """A line of a stream, published later."""
    message = json.loads(line)
    message["pt"] += by_ms
    return json.dumps(message)


def compare(play: Play) -> Comparison:
    """Let both play, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        theirs = _rows(python("flumine"), "play_flumine", play, Path(folder) / "flumine.jsonl")
        ours = _rows(Path(sys.executable), "play_headrace", play, Path(folder) / "headrace.jsonl")
    ended = None
    if theirs and theirs[0][3] == "ended":
        ended = theirs.pop(0)[4]
        theirs = [row for row in theirs if row[3] != "end"]
        ours = [row for row in ours if row[3] != "end"][: len(theirs)]
    pairs = [
        (theirs[at] if at < len(theirs) else None, ours[at] if at < len(ours) else None)
        for at in range(max(len(theirs), len(ours)))
    ]
    differing = [(one, other) for one, other in pairs if one != other]
    orders = sum(row[3] == "end" for row in theirs)
    return Comparison(orders, len(pairs) - orders, len(differing), differing[0] if differing else None, ended)


def _rows(interpreter: Path, runner: str, play: Play, out: Path) -> list[Row]:
    command = [str(interpreter), "-m", f"benchmarks.{runner}", play.to_json(), str(out)]
    subprocess.run(command, cwd=CHECKOUT, check=True)
    with out.open() as file:
        return [json.loads(line) for line in file]


def run(recorded: Path | None, everything: bool) -> bool:
    """Plays all, prints a line each and a count; whether nothing differs.

    Raises:
        subprocess.CalledProcessError: a play failed on one side.
    """
    orders = observations = differing = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, play in plays(recorded, Path(folder), everything):
            found = compare(play)
            ended = f", up to where {found.ended} ended flumine's run" if found.ended else ""
            counts = f"{found.orders} orders and {found.observations} observations"
            print(f"{name}: {counts}, {found.differing} differ{ended}", flush=True)
            if found.first is not None:
                print(f"  flumine  {found.first[0]}\n  headrace {found.first[1]}", flush=True)
            orders, observations = orders + found.orders, observations + found.observations
            differing += found.differing
    print(f"side by side: {orders} orders and {observations} observations, {differing} differ")
    return not differing


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--all", action="store_true", help="large recordings and all settings too: some 15 minutes")
    parser.add_argument("--recordings", help="default: HEADRACE_RECORDINGS, else ../shared/recordings, else none")
    options = parser.parse_args(arguments)
    try:
        python("flumine")
    except subprocess.CalledProcessError as error:
        leave(f"Flumine's environment cannot be made: {error}")
    return 0 if run(recordings(options.recordings), options.all) else 1


if __name__ == "__main__":
    raise SystemExit(main())
