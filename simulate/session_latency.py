"""The latencies that were measured in a recorded session."""

from __future__ import annotations

import os
from pathlib import Path

from ..strategies.errors import InputError, RecordingError
from .reading.locations import Source
from .reading.recordings import Paths, Recording, find_recordings
from .session_script import SessionScript


def session_files(markets: Paths) -> list[Source]:
    """The files of a session.

    Args:
        markets: the folder that `hr.Live(record=...)` was given; or files and folders below it.

    Raises:
        InputError: there are no files.
    """
    if isinstance(markets, str | os.PathLike):
        below = sorted(Path(markets).glob("hosts/*/session"))
        markets = [os.fspath(folder) for folder in below] or markets
    return find_recordings(markets)


def measured_in(folder: str) -> dict[str, list[float]]:
    """How long the requests of a recorded session took to the exchange, in seconds, by operation.

    Those of paper accounts, and those that never reached the exchange, are left out.

    Raises:
        InputError: there is no session, or no request of it reached an exchange; or a file of it is damaged.
    """
    found: dict[str, list[float]] = {}
    try:
        scripts = [SessionScript(Recording(path)) for path in session_files(folder)]
    except (InputError, RecordingError) as error:
        raise InputError(f"latency='session:{folder}': {error}") from None
    for script in scripts:
        for kind, seconds in script.latencies():
            found.setdefault(kind, []).append(seconds)
    if not found:
        raise InputError(
            f"latency='session:{folder}': no request of this session reached an exchange; name the folder of a live "
            "session, or of a rehearsal, that was recorded while its strategies traded"
        )
    return found
