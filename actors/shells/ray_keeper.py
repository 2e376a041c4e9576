"""Keeps a Ray cluster's head for a system that may die before it: a program of its own, which needs nothing but Python.

Run as: ray_keeper.py FOLDER TEMPORARY COMMAND... Its standard input is a pipe whose other end those keep open who look
after the system: its supervisor and its driver.

- SIGTERM: the head is ended, with all that it has started, and TEMPORARY is removed.
- The pipe breaks: nobody looks after the system. Detached actors go on, and the coordinator ends them; so the keeper
  waits until the mailbox of the coordinator in FOLDER is claimed no more; then it ends the head and removes FOLDER.
- The head ends, or one of the two processes on which all others depend: what is left of it is killed at once.

If it is killed itself, the head ends.
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

#: `PR_SET_PDEATHSIG` and `PR_SET_CHILD_SUBREAPER` of Linux: the head gets a signal when this process dies; what the
#: head's processes have left behind becomes a child of this one.
_DEATH_SIGNAL, _SUBREAPER = 1, 36
#: Seconds that the head may take to end.
_GRACE = 15.0
#: Seconds between two looks; and how many times the coordinator has to be away.
_LOOK, _AWAY = 0.1, 20
#: The processes of a head without which it is of no use, as the system names them.
_VITAL = ("gcs_server", "raylet")
#: Who claims the mailbox of the coordinator, and who keeps the head.
_COORDINATOR, _KEEPER = "c.lock", ".keeper.lock"


class Keeper:
    """Keeps the head until it is to end."""

    def __init__(self, folder: Path, temporary: Path, command: list[str]) -> None:
        self._folder, self._temporary = folder, temporary
        self._asked = False
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
        self._claim = os.open(folder / _KEEPER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._claim, fcntl.LOCK_EX)
        os.ftruncate(self._claim, os.pwrite(self._claim, b"0 %d\n" % os.getpid(), 0))
        _control(_SUBREAPER, 1)
        self._head = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent).pid

    def _ask(self, number: int, frame: object) -> None:
        self._asked = True

    def run(self) -> None:
        """Keep it, and end it."""
        alone = False
        gently = True
        away = 0
        while not self._asked and away < _AWAY:
            if self._head in _reaped() or self._broken():
                gently = False
                break
            if alone:
                time.sleep(_LOOK)
                away = 0 if _claimed(self._folder / _COORDINATOR) else away + 1
            else:
                alone = _is_alone(_LOOK)
        self._end(gently)
        shutil.rmtree(self._temporary, ignore_errors=True)
        if not self._asked and _is_alone(0.0):
            shutil.rmtree(self._folder, ignore_errors=True)

    def _broken(self) -> bool:
        """Whether a process of the head has ended without which it is of no use."""
        for number in _children(self._head):
            with contextlib.suppress(OSError):
                name, _, rest = Path(f"/proc/{number}/stat").read_text().partition(" (")[2].rpartition(") ")
                if rest.startswith("Z") and name in _VITAL:
                    return True
        return False

    def _end(self, gently: bool) -> None:
        until = time.monotonic() + _GRACE
        if gently:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._head, signal.SIGTERM)
            while time.monotonic() < until and self._head in _children(os.getpid()):
                _reaped()
                time.sleep(0.02)
        until = time.monotonic() + _GRACE
        while time.monotonic() < until:
            for number in _children(os.getpid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            _reaped()
            if not _children(os.getpid()):
                return
            time.sleep(0.01)


def _is_alone(seconds: float) -> bool:
    """Whether nobody has the other end of the pipe open; it is waited so long for."""
    if not select.select([0], [], [], seconds)[0]:
        return False
    return not os.read(0, 100)


def _claimed(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def _control(what: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(what, value, 0, 0, 0)


def _die_with_parent() -> None:
    _control(_DEATH_SIGNAL, signal.SIGTERM)


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


def _children(parent: int) -> set[int]:
    """Children of a process that are not reaped."""
    found: set[int] = set()
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.update(int(number) for number in task.read_text().split())
    return found


if __name__ == "__main__":
    Keeper(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]).run()
