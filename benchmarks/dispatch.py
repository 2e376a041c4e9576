"""Dispatching alone: units that do nothing, fifty to a batch, on a local Ray.

    python -m benchmarks.dispatch [--units N] [--workers N]

Prints units per second, the driver's own processor time per batch, and its resident memory, then their ratio to the
bars; the exit status is 1 where a bar is missed. The bars are for two workers. More of them share the same processors,
so that units per second say little; the driver's processor time per batch says how many batches it could handle
elsewhere.
"""

import argparse
import resource
import time
from pathlib import Path

import ray

from headrace.cluster.batches import MAX_UNITS
from headrace.cluster.pool import RayPool
from headrace.results.parts import Batch, Part
from headrace.simulate.rows import empty_rows
from headrace.simulate.units import Unit

LEAST_RATE = 2000.0  # units per second
MOST_MEMORY = 300.0  # megabytes


class Nothing:
    """A runner that does nothing with its units."""

    def run(self, batch: Batch) -> Part:
        return Part(batch, empty_rows(), 0, 0.0)


def resident() -> float:
    """The resident memory of this process, in megabytes."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmRSS"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--units", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    count = options.units
    ray.init(address="local", num_cpus=options.workers, include_dashboard=False, log_to_driver=False)
    units = [Unit(f"1.{100_000_000 + n}", (f"archive/1.{100_000_000 + n}.bz2",), 1000) for n in range(count)]
    batches = [Batch(n, tuple(units[at : at + MAX_UNITS])) for n, at in enumerate(range(0, count, MAX_UNITS))]
    pool = RayPool(Nothing, workers=options.workers)
    parts = pool.run(batches)
    early = min(2 * options.workers, len(batches) // 2)
    for _ in range(early):  # the workers' own start is not what is measured
        next(parts)
    start, own = time.perf_counter(), time.process_time()
    done = sum(len(part.batch.units) for part in parts)
    seconds, own = time.perf_counter() - start, time.process_time() - own
    memory = resident()
    print(f"{options.workers} workers, {own / (len(batches) - early) * 1e6:.0f} microseconds of the driver's a batch")
    rate = done / seconds
    print(f"{done} units in {seconds:.2f} s: {rate:.0f} units per second  bar {LEAST_RATE:.0f}")
    print(f"driver {memory:.0f} MB  bar {MOST_MEMORY:.0f}")
    passed = rate >= LEAST_RATE and memory <= MOST_MEMORY
    print(f"{'ok' if passed else 'BELOW THE BAR'}  {rate / LEAST_RATE:.2f}")
    ray.shutdown()
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
