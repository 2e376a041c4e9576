"""Packing: how large packed archives are beside Betfair's bz2 files, and how fast they are made.

    python -m benchmarks.pack [--recordings DIR | --generated MARKETS] [--changes N] [--rounds N]

Packs the single-market bz2 recordings of DIR, or so many generated markets, in this process, on one core. Prints
bytes, megabytes of unpacked JSON a second of processor time (unpacking bz2 included, and what that alone takes), and,
last, the size ratio and the speed. Each time is the best of the rounds, in which unpacking and packing take turns. The
exit status is 1 when the ratio is above 1.7 or the speed below 20 MB/s, 2 where there is nothing to pack.
"""

import argparse
import bz2
import sys
import tempfile
import time
from pathlib import Path

from headrace.archive.pack import write_pack
from headrace.simulate.generator import write_markets

from .recordings import leave, recordings_folder

MOST_BYTES = 1.7
LEAST_SPEED = 20.0
PIECE = 16 * 1024


def files_of(arguments: argparse.Namespace, folder: Path) -> list[Path]:
    if arguments.generated:
        return write_markets(folder / "markets", arguments.generated, seed=7, changes=arguments.changes)
    # Files of several markets have event ids for names.
    found = [path for path in sorted(recordings_folder(arguments.recordings).glob("*.bz2")) if "1." in path.name]
    return found or leave("No market's bz2 recording there.")


def unpacked_size(files: list[Path]) -> int:
    size = 0
    for path in files:
        with bz2.open(path) as file:  # as it is read: in pieces
            while piece := file.read(PIECE):
                size += len(piece)
    return size


def measure(files: list[Path], folder: Path, rounds: int) -> tuple[float, float]:
    """The size ratio, and megabytes of JSON packed a second."""
    write_pack(files[:1], folder / "warm", engine="local")  # imports are not what is measured
    unpacking, packing = [], []
    for turn in range(rounds):
        started = time.process_time()
        unpacked = unpacked_size(files) / 1e6
        unpacking.append(time.process_time() - started)
        started = time.process_time()
        failures = write_pack(files, folder / f"packed-{turn}", engine="local")
        packing.append(time.process_time() - started)
        if failures:
            leave(f"{len(failures)} recordings are broken: {failures[0][5]}")
    before = sum(path.stat().st_size for path in files)
    after = sum(path.stat().st_size for path in (folder / "packed-0").rglob("*.parquet"))
    print(f"{len(files)} files, {unpacked:.1f} MB of JSON, {before:,} bytes as bz2, {after:,} bytes packed")
    print("rounds:", " ".join(f"{unpacked / seconds:.1f}" for seconds in packing), "MB/s")
    print(f"unpacking bz2 alone: {unpacked / min(unpacking):.1f} MB/s")
    print(f"packing without it:  {unpacked / max(min(packing) - min(unpacking), 1e-9):.1f} MB/s")
    return after / before, unpacked / min(packing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings")
    parser.add_argument("--generated", type=int, default=0, metavar="MARKETS")
    parser.add_argument("--changes", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ratio, speed = measure(files_of(arguments, Path(folder)), Path(folder), arguments.rounds)
    print(f"size {ratio:.2f} x bz2 (bar {MOST_BYTES}), {speed:.1f} MB/s a core (bar {LEAST_SPEED:g})")
    sys.exit(ratio > MOST_BYTES or speed < LEAST_SPEED)


if __name__ == "__main__":
    main()
