"""Where a live session's recording goes: a folder, or a store to which each file is brought when it is whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from .folders import Folder


def recording_place(
    record: str | None, beside: str | os.PathLike[str]
) -> tuple[str | None, Callable[[Path, str], object] | None]:
    """The folder to record into, and what brings its files to where they are wanted; None where they stay.

    Args:
        record: a folder, or one of a store, by its URI; None: nothing is recorded.
        beside: a folder of this machine that outlives the session: recordings for a store begin there.

    Raises:
        InputError: the store cannot be written to.
    """
    if record is None or "://" not in record:
        return record, None
    store = Folder(record)
    store.write_first(".recording", b"")
    return os.path.join(beside, "recording"), store.bring
