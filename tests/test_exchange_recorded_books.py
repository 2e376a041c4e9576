"""Books of recordings through the stream: betfairlightweight's, live and historical, are equal after each message.

A part of some recordings: `python -m benchmarks.exchange_books` compares them all.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
RECORDINGS = ROOT.parent / "shared" / "recordings"

pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"there are no recordings in {RECORDINGS}")


@pytest.fixture(scope="module")
def exchange_books() -> Any:
    """The comparison of the benchmarks, which lie beside the package."""
    sys.path.insert(0, str(ROOT))
    try:
        import benchmarks.exchange_books as module
    finally:
        sys.path.remove(str(ROOT))
    return module


@pytest.mark.parametrize(
    ("recording", "lines"),
    [
        ("1.197931750", 166),  # with displayed offers, closed
        ("BASIC-1.132153978.gz", 480),  # prices traded only, closed
        ("1.185781277.bz2", 200),  # ladders by price and by rank
        ("1.242971311.bz2", 100),  # 200 markets in one, handicaps
        ("SELF-1.181223995.gz", 200),  # written by somebody else than the exchange
    ],
)
def test_books_equal_those_of_the_recording(exchange_books: Any, recording: str, lines: int):
    found = exchange_books.compare(RECORDINGS / recording, lines)
    assert found.differences == []
    assert found.lines == lines
    assert found.messages > lines
    assert found.books >= lines


def test_a_book_that_is_cut_short_is_noticed(exchange_books: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exchange_books, "LEVELS", 1)
    found = exchange_books.compare(RECORDINGS / "1.197931750", 30)
    assert found.different > 0
    assert "best_display_available" in found.differences[0]
