"""Property tests with fresh seeds, round after round: `make fuzz MINUTES=10`; `make fuzz SEED=123` repeats a round.

A round runs each property test once, with the seed that is printed. A failing example is kept in `.hypothesis` and
tried first the next time, until it passes. What was found becomes an `@example` of its test, or a test.

`make fuzz TARGET=journal MINUTES=10` looks for bytes that make one of `fuzz_targets.TARGETS` fail, with atheris, which
is led by the code that they reach; `TARGET=all` takes each in turn, so long each. What was tried is kept in `.fuzz`.

Exit codes: 0 nothing was found in the time; 1 a test failed; 2 asked wrongly.
"""

from __future__ import annotations

import argparse
import importlib.util
import secrets
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parent
#: What each target was tried with, and what failed.
KEPT = TESTS.parent / ".fuzz"
#: One round takes about half a minute. One that takes this many seconds hangs.
PATIENCE = 1800


def modules() -> list[str]:
    """The test modules that have properties."""
    return [
        str(path) for path in sorted(TESTS.glob("test_*.py")) if "from hypothesis import" in path.read_text("utf-8")
    ]


def play(seed: int, words: list[str]) -> int:
    """One round. Returns what pytest ended with; 1 where it hung."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "hypothesis", "-p", "no:cacheprovider"]
    command += ["--hypothesis-profile=fuzz", f"--hypothesis-seed={seed}", *words]
    try:
        return subprocess.run([*command, *modules()], cwd=TESTS.parent, check=False, timeout=PATIENCE).returncode
    except subprocess.TimeoutExpired:
        print(f"fuzz: the round took more than {PATIENCE} s", flush=True)
        return 1


def cover(name: str, minutes: float) -> int:
    """Fuzz a target. Returns: 0 nothing was found, 1 something was, 130 Ctrl-C."""
    print(f"fuzz: {name}, {minutes:g} minutes", flush=True)
    command = [sys.executable, str(TESTS / "fuzz_coverage.py"), name, str(KEPT / name)]
    limited = [*command, f"-max_total_time={minutes * 60:.0f}"]
    try:
        code = subprocess.run(limited, cwd=TESTS.parent, check=False, timeout=minutes * 60 + PATIENCE).returncode
    except subprocess.TimeoutExpired:
        print(f"fuzz: {name} took {PATIENCE} s more than it was given", flush=True)
        return 1
    if code in (0, 130):
        return code
    print(f"fuzz: found for {name}; the bytes are in {KEPT / name}", flush=True)
    return 1


def cover_all(name: str, minutes: float) -> int:
    """Fuzz a target, or all; the first that finds something ends it."""
    if importlib.util.find_spec("atheris") is None:
        print("fuzz: TARGET needs atheris, which is not installed: it is made for Linux on x86-64", file=sys.stderr)
        return 2
    from fuzz_targets import TARGETS

    if name not in (*TARGETS, "all"):
        print(f"fuzz: there is no target {name!r}; expected all, {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    for each in TARGETS if name == "all" else [name]:
        code = cover(each, minutes)
        if code:
            return code
    print("fuzz: nothing found", flush=True)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--minutes", type=float, help="how long; a round that has begun ends. Default: 10; with --seed one round"
    )
    parser.add_argument("--seed", type=int, help="of the first round; default: a fresh one")
    parser.add_argument("--target", help="with atheris: one of fuzz_targets.TARGETS, or all, --minutes each")
    parser.add_argument("words", nargs="*", help="for pytest, after --: `-- -k ladders`")
    asked = parser.parse_args()
    seed = secrets.randbelow(2**32) if asked.seed is None else asked.seed
    minutes = asked.minutes if asked.minutes is not None else 10 if asked.seed is None else 0
    if asked.target:
        return cover_all(asked.target, minutes)
    end = time.monotonic() + minutes * 60
    rounds = 0
    while not rounds or time.monotonic() < end:
        rounds += 1
        print(f"fuzz: round {rounds}, seed {seed}", flush=True)
        code = play(seed, asked.words)
        if code == 1:
            print(f"fuzz: found in round {rounds}. Once more: make fuzz SEED={seed}", flush=True)
            return 1
        if code:
            return 130 if code == 2 else 2
        seed += 1
    print(f"fuzz: nothing found in {rounds} rounds", flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
