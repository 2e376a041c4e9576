"""Keeps a Ray cluster's head for a system that may die before it: a program of its own, which needs nothing but Python.

Run as: ray_keeper.py FOLDER TEMPORARY COMMAND... Its standard input is a pipe from the process that started it.

- "end" comes from there: the head is ended, with all that it has started, and TEMPORARY is removed.
- The pipe breaks: the other process has died. Detached actors go on, so the keeper waits until no mailbox in FOLDER is
  claimed any more; then it ends the head and removes FOLDER.
- The head ends: what it has left behind is ended too.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

#: `PR_SET_CHILD_SUBREAPER` of Linux: what the head's processes have left behind becomes a child of this one.
_SUBREAPER = 36
#: Seconds that the head may take to end.
_GRACE = 15.0
#: The claim of the process that started this one, which says nothing about actors.
_OWNER = ".owner.lock"


def main(folder: Path, temporary: Path, command: list[str]) -> None:
    """Keep the head until it is to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    head = subprocess.Popen(command, stdin=subprocess.DEVNULL).pid
    asked = _wait(head, folder)
    _end(head)
    shutil.rmtree(temporary, ignore_errors=True)
    if not asked:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(head: int, folder: Path) -> bool:
    """Wait until the head is to end, or has ended.

    Returns:
        False: the process that started this one has died, and nobody uses the folder.
    """
    orphaned = False
    while True:
        if head in _reaped():
            return not orphaned
        if orphaned:
            time.sleep(1.0)
            if not _claimed(folder):
                return False
        elif select.select([0], [], [], 1.0)[0]:
            if os.read(0, 100).startswith(b"end"):
                return True
            orphaned = True


def _claimed(folder: Path) -> bool:
    for path in folder.glob("*.lock"):
        if path.name != _OWNER:
            with contextlib.suppress(OSError):
                file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    return True
                finally:
                    os.close(file)
    return False


def _reaped() -> set[int]:
    """Processes that have ended since the last time."""
    ended = set()
    with contextlib.suppress(ChildProcessError):
        while True:
            number, _ = os.waitpid(-1, os.WNOHANG)
            if not number:
                break
            ended.add(number)
    return ended


def _end(head: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(head, signal.SIGTERM)
    until = time.monotonic() + _GRACE
    while time.monotonic() < until and _children():
        _reaped()
        if head not in _children():
            break
        time.sleep(0.05)
    until = time.monotonic() + _GRACE
    while time.monotonic() < until:
        for number in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        _reaped()
        if not _children():
            return
        time.sleep(0.02)


def _children() -> set[int]:
    """Children of this process that are not reaped."""
    found: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.update(int(number) for number in task.read_text().split())
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
