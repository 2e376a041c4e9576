"""What several test modules share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from headrace.simulate.generator import write_markets

#: Clocks decide nothing: a busy machine may be slow.
_SLOW = (HealthCheck.too_slow,)
# The same examples at each run, whatever was found before: what passes today passes tomorrow. `make fuzz` looks on.
settings.register_profile("test", derandomize=True, database=None, deadline=None, suppress_health_check=_SLOW)
settings.register_profile("fuzz", derandomize=False, deadline=None, print_blob=True, suppress_health_check=_SLOW)
settings.load_profile("test")


@pytest.fixture(scope="session")
def ray_local() -> Iterator[None]:
    """A Ray cluster of this machine, started once; skips where Ray cannot start."""
    ray = pytest.importorskip("ray")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight small markets, of all sports, laid out as Betfair's archive."""
    folder = tmp_path_factory.mktemp("generated")
    write_markets(folder / "markets", 8, seed=5, changes=80)
    return folder / "markets"
