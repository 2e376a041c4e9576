"""Where a live session's recording goes: a folder, or a store to which each file is brought when it is whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from ..strategies.errors import InputError
from .folders import Folder


def recording_place(
    record: str | None, beside: str | os.PathLike[str]
) -> tuple[str | None, Callable[[Path, str], object] | None]:
    """The folder to record into, and what brings its files to where they are wanted; None where they stay.

    Args:
        record: a folder, or one of a store, by its URI; None: nothing is recorded.
        beside: a folder of this machine that outlives the session: recordings for a store begin there.

    Raises:
        InputError: the folder or the store cannot be written to.
    """
    if record is None:
        return None, None
    if "://" not in record:
        try:
            with contextlib.suppress(FileExistsError):  # what is no folder, the next step tells of
                os.makedirs(os.path.dirname(os.path.abspath(record)), exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.mkdir(record, 0o700)  # it tells what somebody bets
        except OSError as error:
            raise InputError(f"record={record!r}: the folder cannot be made: {error.strerror}") from None
        if not os.access(record, os.W_OK | os.X_OK):
            raise InputError(f"record={record!r}: the folder cannot be written to")
        return record, None
    store = Folder(record)
    store.write_first(".recording", b"")
    return os.path.join(beside, "recording"), store.bring
