"""A `headrace` for shells in tests that starts at once: one process loads the package, and forks for each command.

A command of its own would load the package, Arrow and Rich each time, which takes longer than most of what pages do.
Run as a program, this file is that process; `HeadraceShell` starts and ends it.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

#: The `headrace` on the PATH: hands its words, folder, environment and output to the process, and ends as it says.
_CLIENT = """\
#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    asked = {{"words": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
    text = json.dumps(asked).encode()
    socket.send_fds(server, [len(text).to_bytes(4, "big")], [1, 2])
    server.sendall(text)
    answer = server.recv(1)
sys.exit(answer[0] if answer else 70)
"""


#: What commands load, before any of them is asked for.
_LOADED = (
    "headrace.cli", "headrace.search", "pyarrow.compute", "pyarrow.fs", "pyarrow.parquet", "ray.cloudpickle",
    "rich.console", "rich.table",
)  # fmt: skip


class HeadraceShell:
    """Runs scripts in bash, with such a `headrace` on the PATH."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="hr-")
        address = f"{self._folder.name}/socket"
        client = Path(self._folder.name, "headrace")
        # A path with a space, or a long one, cannot stand behind #!.
        python = Path(self._folder.name, "python")
        python.symlink_to(sys.executable)
        client.write_text(_CLIENT.format(python=python, address=address))
        client.chmod(0o755)
        self._server = subprocess.Popen(
            [sys.executable, __file__, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == "ready\n"

    def run(self, script: str, limit: float) -> subprocess.CompletedProcess[str]:
        """Run a script in this process's folder, for at most so many seconds."""
        path = os.pathsep.join([self._folder.name, str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], env={**os.environ, "PATH": path}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=limit, check=False,
        )  # fmt: skip

    def close(self) -> None:
        self._server.communicate(timeout=30)
        self._folder.cleanup()


def serve(address: str) -> None:
    """Answer until standard input ends."""
    for name in _LOADED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listening, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _answer(connection)
            connection.close()


def _answer(connection: socket.socket) -> None:
    """Run a command, and end this process."""
    code = 1
    try:
        size, files, _, _ = socket.recv_fds(connection, 4, 2)
        text = b""
        while len(text) < int.from_bytes(size, "big"):
            text += connection.recv(1 << 16)
        asked = json.loads(text)
        for target, file in enumerate(files, 1):
            os.dup2(file, target)
        # Anew: what these were made for may have been of another kind, a file where this is a pipe.
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", 1, closefd=False)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.chdir(asked["folder"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        sys.argv = ["headrace", *asked["words"]]
        from headrace.cli import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(bytes([code]))
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
