"""A Ray cluster of a live system's own: its head is kept by a small program, and has a port and a folder of its own."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ...strategies.errors import RunError
from ..live.supervision import Supervision
from ..mailboxes.folder import holder

logger = logging.getLogger("headrace")

#: Seconds that the head may take to start, and to end; that one which runs may take to answer.
_START, _END, _ANSWER = 60.0, 40.0, 10.0
#: Seconds between two looks at a head while this process connects to it; and that Ray has to see that it has ended.
_LOOK, _GIVES_UP = 0.1, 2.0
#: Shared memory for objects, in bytes: letters do not go through it. Ray takes no less.
_OBJECTS = 80_000_000
#: Ray's processes do not draw the node away over half a minute when they are to end, and kill no actor when memory is
#: short: one that trades is not to end in the middle of an order.
_SETTINGS = {"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0", "RAY_memory_monitor_refresh_ms": "0"}
#: With this Ray takes 127.0.0.1 for the machine's address and listens there only, as it does by itself on macOS and
#: Windows (`ray._private.services.get_node_ip_address`). Every process of the cluster has to have it.
_LOCAL = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_OURS = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_TOKEN", _LOCAL)
#: The claim of the program that keeps a head, in its folder.
_KEEPER = ".keeper"

#: Of each process that dies Ray prints a paragraph: the system itself has told of it, in a line.
_OF_DEATHS = re.compile("^A worker died or was killed")
#: Threads in which this process leaves heads that have died: Ray takes five seconds for it.
_leaving: list[threading.Thread] = []


class RayHead:
    """A cluster that only processes of this machine can reach, and only those with its token can use.

    This process is given the token by its environment, and connects.

    Args:
        folder: a private folder with a short name. What Ray writes goes into a folder in it.
        namespace: of this process's actors.
        metrics_port: where Ray tells its metrics to Prometheus; 0: any port.
        supervision: who looks after the system: while anybody does, the head is kept.
        runs: it runs already, and is joined.

    Raises:
        RunError: it does not start, or does not answer.
    """

    def __init__(
        self,
        folder: Path,
        namespace: str,
        metrics_port: int = 0,
        supervision: Supervision | None = None,
        runs: bool = False,
    ) -> None:
        self._folder = folder
        self._temporary = folder / "ray"
        self._log = folder / "head.log"
        self._before = {name: os.environ.get(name) for name in _OURS}
        self._was_local: bool | None = None
        self._began_itself: bool | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._held_open: int | None = None
        token = folder / "token"
        if not runs:
            file = os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(file, "w") as opened:
                opened.write(secrets.token_hex(32))
        os.environ.pop("RAY_AUTH_TOKEN", None)
        os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), _LOCAL: "0"})
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            if not runs:
                self._start(metrics_port, supervision or Supervision())
            try:
                with _unless_lost(lambda: self.running, supervision is not None and supervision.lifeline is not None):
                    self._connect(self._address(), namespace, _ANSWER if runs else _START)
            except BaseException:
                if not runs:
                    self._end_keeper()
                raise
        except BaseException:
            self._restore()
            raise

    def _start(self, metrics_port: int, supervision: Supervision) -> None:
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
        lifeline, self._held_open = supervision.opened()
        with open(self._log, "wb") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", keeper, str(self._folder), str(self._temporary), *command],
                stdin=lifeline,
                stdout=log,
                stderr=log,
                env=os.environ | _SETTINGS,
                start_new_session=True,
            )
        os.close(lifeline)

    def _address(self) -> str:
        """Where the head is, once it says so."""
        said = self._temporary / "ray_current_cluster"
        until = time.monotonic() + _START
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                address = said.read_text().strip()
                if address:
                    return address
            if not self.running:
                raise RunError(f"Ray did not start: {self._last_words()}")
            time.sleep(0.02)
        raise RunError(f"Ray did not start within {_START:g} s: {self._last_words()}")

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = [line.strip() for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
            return " / ".join(lines[-3:])
        return f"nothing is written in {self._log}"

    def _connect(self, address: str, namespace: str, seconds: float) -> None:
        import ray

        while _leaving:
            _leaving.pop().join()
        _learn_token()
        self._was_local = _stay_local()
        self._began_itself = _begin_itself(False)
        _say_nothing_of(_OF_DEATHS)
        until = time.monotonic() + seconds
        while True:
            try:
                with _own_sigterm():
                    ray.init(address=address, namespace=namespace, log_to_driver=False, logging_level=logging.ERROR)
                return
            except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
                if not self.running or time.monotonic() > until:
                    first = str(error).strip().splitlines()[:1]
                    raise RunError(f"Ray has started at {address}, but does not answer: {' '.join(first)}") from None
                time.sleep(0.1)

    @property
    def running(self) -> bool:
        """Whether the head is running, and is not about to be ended."""
        if self._keeper is not None:
            return self._keeper.poll() is None
        return head_runs(self._folder)

    def close(self) -> None:
        """Leave the cluster, and end it with all of its processes and files."""
        import ray

        if self.running:
            with contextlib.suppress(Exception):  # a cluster that has died is left all the same
                ray.shutdown()
        else:
            leaving = threading.Thread(target=_leave, name="headrace-leaves-ray", daemon=True)
            leaving.start()
            _leaving.append(leaving)
            self._began_itself = None  # threads may still call it
        self._end_keeper()
        self._restore()

    def _end_keeper(self) -> None:
        if self._keeper is None:
            end_head(self._folder)
        else:
            self._keeper.terminate()
            try:
                self._keeper.wait(_END)
            except subprocess.TimeoutExpired:
                logger.error("Ray has not ended within %g s: killing the process that keeps it", _END)
                self._keeper.kill()
                self._keeper.wait()
        if self._held_open is not None:
            os.close(self._held_open)
            self._held_open = None
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _restore(self) -> None:
        if "ray" in sys.modules:
            _say_nothing_of(None)
        if self._was_local is not None:
            _stay_local(self._was_local)
        if self._began_itself is not None:
            _begin_itself(self._began_itself)
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        with contextlib.suppress(OSError):
            (self._folder / "token").unlink()


def head_runs(folder: Path) -> bool:
    """Whether the head of a folder runs, and is not about to be ended."""
    found = holder(folder, _KEEPER)
    return found is not None and found.held


def end_head(folder: Path) -> None:
    """End the head of a folder with all of its processes, whoever has started it, and wait for that."""
    found = holder(folder, _KEEPER)
    if found is None or not found.held:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
    until = time.monotonic() + _END
    while head_runs(folder) and time.monotonic() < until:
        time.sleep(0.02)


def _leave() -> None:
    import ray

    with contextlib.suppress(Exception):
        ray.shutdown()


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def _stay_local(local: bool = True) -> bool:
    """Have Ray in this process take 127.0.0.1 for the machine's address, as its head does; whether it did before."""
    import ray._private.ray_constants as constants

    before = not constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = not local
    return before


def _begin_itself(may: bool) -> bool:
    """Whether Ray may begin a cluster by itself when it is called without one; whether it might before.

    A call that comes while the cluster is lost would have a strange one begun, which nobody ends.
    """
    from ray._private import auto_init_hook as hook

    before = hook.enable_auto_connect
    hook.enable_auto_connect = may
    return before


def _say_nothing_of(lines: re.Pattern[str] | None) -> None:
    """Have Ray print some lines no more; None: it prints all."""
    from ray._private import ray_logging

    printing: Any = ray_logging.stdout_deduplicator
    printing.skip_re = lines


@contextlib.contextmanager
def _unless_lost(runs: Callable[[], bool], supervised: bool) -> Iterator[None]:
    """While this process connects: Ray tries for a quarter of an hour to reach a head that has ended meanwhile, and
    nothing stops it but the end of the process. Where that is looked after, it ends, and another is started.
    """
    over = threading.Event()

    def look() -> None:
        while not over.wait(_LOOK):
            if not runs() and not over.wait(_GIVES_UP):
                logger.error("Ray has ended while this process was about to connect to it: another is started")
                logging.shutdown()
                os.kill(os.getpid(), signal.SIGKILL)

    if supervised:
        threading.Thread(target=look, name="headrace-connects", daemon=True).start()
    try:
        yield
    finally:
        over.set()


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it connects, and would end the process: what the program does at it stays.

    It does so twice: by Python, in the main thread alone, and below it, where only the C library undoes it elsewhere.
    """
    before, library = signal.getsignal(signal.SIGTERM), ctypes.CDLL(None)
    action = ctypes.create_string_buffer(1_024)  # more than a `struct sigaction`
    library.sigaction(signal.SIGTERM, None, action)
    try:
        yield
    finally:  # it takes SIGTERM first, whether it can connect or not
        if callable(before):
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)
            else:
                library.sigaction(signal.SIGTERM, action, None)


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
