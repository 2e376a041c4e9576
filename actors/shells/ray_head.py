"""A Ray cluster of a live system's own: its head is a child of this process, with a port and a folder of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...strategies.errors import RunError

logger = logging.getLogger("headrace")

#: Seconds that the head may take to start, and to end.
_START, _END = 60.0, 40.0
#: Shared memory for objects, in bytes: letters do not go through it. Ray takes no less.
_OBJECTS = 80_000_000
#: Ray's processes do not draw the node away over half a minute when they are to end, and kill no actor when memory is
#: short: one that trades is not to end in the middle of an order.
_SETTINGS = {"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0", "RAY_memory_monitor_refresh_ms": "0"}
_AUTH = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_TOKEN")


class RayHead:
    """A cluster that only processes with its token can use: Ray listens on all addresses of the machine.

    This process is given the token by its environment, and connects.

    Args:
        folder: a private folder with a short name. What Ray writes goes into a folder in it.
        namespace: of this process's actors.
        metrics_port: where Ray tells its metrics to Prometheus; 0: any port.

    Raises:
        RunError: it does not start.
    """

    def __init__(self, folder: Path, namespace: str, metrics_port: int = 0) -> None:
        self._folder = folder
        self._temporary = folder / "ray"
        self._log = folder / "head.log"
        self._before = {name: os.environ.get(name) for name in _AUTH}
        token = folder / "token"
        file = os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(file, "w") as opened:
            opened.write(secrets.token_hex(32))
        os.environ.pop("RAY_AUTH_TOKEN", None)
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(token))
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            self._keeper = self._start(metrics_port)
            try:
                self._connect(self._address(), namespace)
            except BaseException:
                self._end_keeper()
                raise
        except BaseException:
            self._restore()
            raise

    def _start(self, metrics_port: int) -> subprocess.Popen[bytes]:
        options = {
            "port": 0,
            "temp-dir": self._temporary,
            "include-dashboard": "false",
            "include-log-monitor": "false",
            "object-store-memory": _OBJECTS,
            "ray-client-server-port": _free_port(),
            "dashboard-agent-listen-port": 0,
            "metrics-export-port": metrics_port or _free_port(),
        }
        command = [sys.executable, "-P", "-m", "ray.scripts.scripts", "start", "--head", "--block", "--no-monitor"]
        command += ["--disable-usage-stats", *(f"--{name}={value}" for name, value in options.items())]
        keeper = str(Path(__file__).with_name("ray_keeper.py"))
        with open(self._log, "wb") as log:
            return subprocess.Popen(
                [sys.executable, "-I", keeper, str(self._folder), str(self._temporary), *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=os.environ | _SETTINGS,
                start_new_session=True,
            )

    def _address(self) -> str:
        """Where the head is, once it says so."""
        said = self._temporary / "ray_current_cluster"
        until = time.monotonic() + _START
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                address = said.read_text().strip()
                if address:
                    return address
            if self._keeper.poll() is not None:
                raise RunError(f"Ray did not start: {self._last_words()}")
            time.sleep(0.02)
        raise RunError(f"Ray did not start within {_START:g} s: {self._last_words()}")

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = [line.strip() for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
            return " / ".join(lines[-3:])
        return f"nothing is written in {self._log}"

    def _connect(self, address: str, namespace: str) -> None:
        import ray

        _learn_token()
        until = time.monotonic() + _START
        while True:
            try:
                with _handlers_kept():
                    ray.init(address=address, namespace=namespace, log_to_driver=False, logging_level=logging.ERROR)
                return
            except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
                if self._keeper.poll() is not None or time.monotonic() > until:
                    first = str(error).strip().splitlines()[:1]
                    raise RunError(f"Ray has started at {address}, but does not answer: {' '.join(first)}") from None
                time.sleep(0.1)

    @property
    def running(self) -> bool:
        """Whether the head is running."""
        return self._keeper.poll() is None

    def close(self) -> None:
        """Leave the cluster, and end it with all of its processes and files."""
        import ray

        with contextlib.suppress(Exception):  # a cluster that has died is left all the same
            ray.shutdown()
        self._end_keeper()
        self._restore()

    def _end_keeper(self) -> None:
        if self._keeper.stdin is not None:
            with contextlib.suppress(OSError):
                self._keeper.stdin.write(b"end\n")
                self._keeper.stdin.close()
        try:
            self._keeper.wait(_END)
        except subprocess.TimeoutExpired:
            logger.error("Ray has not ended within %g s: killing the process that keeps it", _END)
            self._keeper.kill()
            self._keeper.wait()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _restore(self) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        with contextlib.suppress(OSError):
            (self._folder / "token").unlink()


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself, and exits on it: what the program does then stays, if it does anything."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if callable(before) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def _learn_token() -> None:
    """A Ray that this process has used before remembers whether there was a token, and which."""
    import ray

    for learn in _memories(ray._raylet):
        with contextlib.suppress(Exception):
            learn()


def _memories(raylet: Any) -> Iterator[Any]:
    with contextlib.suppress(AttributeError):
        yield lambda: raylet.Config.initialize("")
        yield raylet.AuthenticationTokenLoader.instance().reset_cache
