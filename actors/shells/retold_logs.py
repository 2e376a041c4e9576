"""What actors log in processes of their own is logged once more where the system was started: there people look."""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
from pathlib import Path
from typing import Any

logger = logging.getLogger("headrace")

#: Bytes of one file that are looked at in one go.
_MOST = 1_000_000


class RetoldLogs:
    """Reads the files of a folder, each with a JSON object a line, as far as they have grown.

    Args:
        folder: of the files, whose names end in .log.
        since: seconds since the epoch: lines from before were told by another.
    """

    def __init__(self, folder: Path, since: float = 0.0) -> None:
        self._folder = folder
        self._since = since
        self._read: dict[Path, int] = {}

    def take(self) -> None:
        """Log what has come since the last time, in the order of its times, where this process logs such lines."""
        found: list[logging.LogRecord] = []
        for path in self._folder.glob("*.log"):
            found += self._records(path)
        for record in sorted(found, key=lambda record: record.created):
            if record.created >= self._since and logger.isEnabledFor(record.levelno):
                logger.handle(record)

    def _records(self, path: Path) -> list[logging.LogRecord]:
        begin = self._read.get(path, 0)
        try:
            if path.stat().st_size <= begin:
                return []
            with path.open("rb") as file:
                file.seek(begin)
                data = file.read(_MOST)
        except OSError:  # it has been removed
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._read[path] = begin + (len(whole) if whole or len(data) < _MOST else len(data))
        found = []
        for line in whole.splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # it is not a line of ours
                found.append(_record(json.loads(line), path.stem))
        return found


def _record(said: dict[str, Any], actor: str) -> logging.LogRecord:
    text = str(said["message"])
    if said.get("exc_info"):
        text = f"{text}\n{said['exc_info']}"
    level = logging.getLevelNamesMapping()[said["levelname"]]
    at = datetime.datetime.strptime(said["asctime"], "%Y-%m-%d %H:%M:%S,%f").timestamp()
    told = {"name": said["name"], "levelno": level, "levelname": said["levelname"], "msg": text, "created": at}
    return logging.makeLogRecord({**told, "processName": actor})
