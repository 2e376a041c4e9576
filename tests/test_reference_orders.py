"""Orders that flumine 3.3.2 gave for ten strategies on recorded markets, compared column by column.

Half of the recordings: `python -m benchmarks.parity` compares them all.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

#: Recording and variant: sports, formats, and a merged event, the quickest of each.
CASES = (
    ("BASIC-1.132153978.gz", "default"),
    ("1.197931750", "default"),
    ("1.197931751", "default"),
    ("1.197931750+1.197931751", "event"),
    ("29788106.bz2", "default"),
    ("29788105.bz2", "default"),
    ("football-basic-sample.bz2", "default"),
    ("29788457.bz2", "default"),
    ("1.205822330.bz2", "default"),
    ("1.200806927.bz2", "default"),
    ("PRO-1.170258213.bz2", "available"),
    ("PRO-1.170258213.bz2", "no-isolation"),
)

pytestmark = pytest.mark.skipif(
    not (SHARED / "reference" / "expected.parquet").is_file() or not (SHARED / "recordings").is_dir(),
    reason=f"the reference orders and their recordings are not below {SHARED}",
)


@pytest.fixture(scope="module")
def parity() -> Any:
    """The comparison of the benchmarks, which lie beside the package."""
    sys.path.insert(0, str(ROOT))
    try:
        import benchmarks.parity as module
    finally:
        sys.path.remove(str(ROOT))
    return module


@pytest.mark.slow
@pytest.mark.parametrize(("recording", "variant"), CASES)
def test_orders_are_flumines(parity: Any, recording: str, variant: str) -> None:
    assert len(parity.expected(recording, variant)) > 0
    assert [str(difference) for difference in parity.compare(recording, variant)[:5]] == []
