"""Other processes, as tests start them: none without a limit of time, none with settings of the user's Ray."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

#: Seconds that a process may take. Generous: it ends what hangs, and says nothing of how fast anything is.
LIMIT = 150
#: Two runs of the tests side by side must not choose alike.
_DICE = random.SystemRandom()
#: Beside this Python: `headrace`, `ray`.
TOOLS = Path(sys.executable).parent


def environment(**more: str) -> dict[str, str]:
    """This process's variables but for those that tell Ray what to join; the place for its files stays."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_") or name == "RAY_TMPDIR"}
    return {**kept, "RAY_USAGE_STATS_ENABLED": "0", **more}


def run(command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with what it says; in `environment()` unless told otherwise."""
    defaults = {"env": environment(), "stdin": subprocess.DEVNULL, "timeout": LIMIT}
    if "stdout" not in options:
        defaults["capture_output"] = True
    return subprocess.run([*map(str, command)], text=True, check=False, **{**defaults, **options})


def run_python(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own."""
    return run([sys.executable, "-c", code], **options)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder with a short name, as sockets need it, that is gone at the end, whoever still writes into it then."""
    folder = Path(tempfile.mkdtemp(prefix="p"))
    try:
        yield folder
    finally:
        wait_until(lambda: _removed(folder), 30)


def _removed(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def of_folder(folder: Path) -> Mapping[str, str]:
    """Variables that have a process, and a Ray that it starts, keep what is temporary in a folder."""
    return {"TMPDIR": str(folder), "RAY_TMPDIR": str(folder)}


def spaced() -> bool:
    """Whether the path of this environment has a space in it."""
    return any(map(str.isspace, sys.prefix))


def skip_where_ray_has_no_scripts() -> None:
    """Skip where Ray cannot start what has an environment of its own: jobs, trials of Tune, and `ray start` itself."""
    if spaced():
        pytest.skip(f"Ray's scripts break on the space in {sys.prefix}; runs in an environment whose path has none")


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now, and that the system gives to nobody who asks it for any."""
    found: list[int] = []
    while len(found) < count:
        port = _DICE.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            if port not in found:
                found.append(port)
    return found


def wait_until(condition: Callable[[], Any], seconds: float = LIMIT) -> bool:
    """Whether something came true within so many seconds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
