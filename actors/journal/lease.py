"""Who may write a journal, and so who may send: one process, by a lock on a file that goes with its end."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from ...strategies.errors import RunError

#: Seconds for which the end of a former holder, which is dying, is waited for.
_DYING_S = 5.0


class JournalError(RunError):
    """The journal cannot be written, or read; the message says where, why, and what to do."""


class Lease:
    """A journal's folder, held.

    Args:
        folder: of the journal.

    Raises:
        JournalError: another process holds it, and did not end within 5 seconds; or it cannot be locked.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "lock"
        try:
            lock = _opened(path)
        except OSError as error:
            raise JournalError(f"{path}: cannot be opened: {error.strerror}") from None
        until = time.monotonic() + _DYING_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                held = error.errno in (errno.EWOULDBLOCK, errno.EACCES)
                if not held or time.monotonic() > until:
                    os.close(lock)
                    why = "another process holds this journal: end it first" if held else error.strerror
                    raise JournalError(f"{path}: {why}") from None
            time.sleep(0.02)
        self._lock: int | None = lock

    def release(self) -> None:
        """Give it up."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def is_leased(folder: Path) -> bool:
    """Whether a process holds a journal."""
    try:
        lock = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _opened(path: Path) -> int:
    """The lock's file; a lock needs no right to write, and there may be none."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.ENOSPC):
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
