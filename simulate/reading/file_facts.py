"""What can be said of a recording without replaying it."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Literal

from ...strategies.changes import MarketDefinition
from .recordings import Recording

_MARKET = re.compile(r"1\.\d{9}")
_EVENT = re.compile(r"\d{8}")


def file_line_count(file_path: str) -> int:
    """The lines of a recording, plain or packed.

    Raises:
        RecordingError: it cannot be read, or is empty.
    """
    count = 0
    for _, lines in Recording(file_path).pieces():
        count += lines.count(b"\n") + (not lines.endswith(b"\n"))
    return count


def get_file_md(file_path: str) -> MarketDefinition | None:
    """The first market definition of a recording; None where its beginning has none.

    Raises:
        RecordingError: it cannot be read.
    """
    found = Recording(file_path).first_definition()
    return found[2] if found else None


def detect_file_type(file_path: str) -> Literal["MARKET", "EVENT", "UNKNOWN"]:
    """What a file's name says that it holds: a market ("1.170258213.bz2"), an event ("29865434.bz2"), or neither."""
    name = PurePath(file_path).name
    if _MARKET.match(name):
        return "MARKET"
    return "EVENT" if _EVENT.match(name) else "UNKNOWN"
