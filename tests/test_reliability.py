"""docs/reliability.md promises nothing without a test."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
#: Sections whose rows are promises.
PROMISES = (
    "What ends, and what comes back", "Orders", "Strategies and their orders", "Money and limits",
    "What is written down", "What others have written", "Watchdogs", "Security",
)  # fmt: skip


def existing() -> set[str]:
    """The names of all tests."""
    texts = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    return {name for text in texts for name in re.findall(r"^ *def (test_\w+)\(", text, re.MULTILINE)}


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 40
    assert named - existing() == set()
    files = set(re.findall(r"`(tests/\w+\.py)`", PAGE))
    assert [name for name in sorted(files) if not (ROOT / name).is_file()] == []


def test_every_promise_names_a_test() -> None:
    for title in PROMISES:
        rows = [line for line in section(title).splitlines() if line.startswith("| ")][1:]
        rows = [row for row in rows if not row.startswith("| ---")]
        assert rows, title
        assert [row for row in rows if "`test_" not in row.rpartition(" | ")[2]] == []
