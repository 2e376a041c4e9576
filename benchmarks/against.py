"""Replay timed against another checkout of headrace, such as a worktree of the commit before.

    python -m benchmarks.against CHECKOUT [CASE ...] [--rounds N] [--recordings DIR] [--reference DIR]

Each run is a process of its own on one core; the two take turns, in either order, and the best processor time of each
counts. A line per case ends with the ratio, the other's time by this checkout's: more is better. The last line is the
least of them. The exit status is 1 where it is below 0.97, 2 where the recordings are absent or a side fails.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from . import in_turn
from .recordings import CHECKOUT, leave, recordings_folder
from .replay import FLUMINE_RULES, PLACE, WIN, Workshop, parse, pin
from .work import Answer, Work

BAR = 0.97
CASES: dict[str, Callable[[Workshop], Work]] = {
    **in_turn.CASES,
    "ten-flumine": lambda shop: replace(shop.references(WIN), config=FLUMINE_RULES),
    "hundred-flumine": lambda shop: replace(shop.references(PLACE, 10), config=FLUMINE_RULES),
}


def run_once(folder: Path, work: Work) -> Answer:
    """One run with the package `headrace` in `folder`; leaves with its error where it fails."""
    command = [sys.executable, "-m", "benchmarks.run_headrace", work.to_json()]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        leave(f"{folder} failed on {', '.join(work.files)}:\n{done.stderr}")
    return Answer.from_json(done.stdout.splitlines()[-1])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkout", type=Path, help="the folder of the other one")
    options = parse(parser, arguments, CASES)
    if not (options.checkout / "pyproject.toml").is_file():
        parser.error(f"{options.checkout} is not a checkout")
    shop = Workshop(recordings_folder(options.recordings), options.reference)
    pin()
    least = float("inf")
    with tempfile.TemporaryDirectory() as folder:
        sides = {}
        for name, checkout in (("this", CHECKOUT), ("other", options.checkout.resolve())):
            sides[name] = Path(folder, name)
            sides[name].mkdir()
            (sides[name] / "headrace").symlink_to(checkout)
        for case in options.cases or CASES:
            work = CASES[case](shop)
            runs: dict[str, list[Answer]] = {name: [] for name in sides}
            for turn in range(options.rounds):
                for name in sorted(sides, reverse=bool(turn % 2)):
                    runs[name].append(run_once(sides[name], work))
            counts = {name: found[0].orders for name, found in runs.items()}
            best = {name: min(answer.processor for answer in found) for name, found in runs.items()}
            ratio = best["other"] / best["this"]
            least = min(least, ratio)
            orders = f"{counts['this']} orders" + (
                f", {counts['other']} there" if len(set(counts.values())) > 1 else ""
            )
            print(
                f"{case:16} this {best['this']:.3f} s  other {best['other']:.3f} s  {orders}  {ratio:.3f}", flush=True
            )
    print(f"least ratio, bar {BAR:g}: {least:.3f}")
    return 0 if least >= BAR else 1


if __name__ == "__main__":
    raise SystemExit(main())
