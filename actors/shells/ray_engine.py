"""Live trading on Ray: each role is a detached, named actor, and letters go past Ray from process to process."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ...strategies.errors import RunError
from ..letters import Gone
from ..mailboxes.bounds import Bounds
from ..mailboxes.folder import make_folder
from ..mailboxes.socket_post import ZmqPost
from ..role import Role
from .engine import COORDINATOR, end_all
from .ray_head import RayHead
from .ray_shell import RoleShell

logger = logging.getLogger("headrace")

#: What Ray needs of the length of a path: for its sockets in the folder of mailboxes.
_ROOM = 47
#: Calls of a shell at once: its run, and those that leave a letter.
_CALLS = 4


@dataclasses.dataclass(eq=False)
class _Running:
    """A role's actor.

    Attributes:
        shell: Ray's handle; None: it is being registered.
        begun: it has been told to run the role.
        asked: it is to end: why.
        why: why it ended by itself, empty if it was asked to.
    """

    name: str
    incarnation: int
    shell: Any = None
    begun: threading.Event = dataclasses.field(default_factory=threading.Event)
    ended: threading.Event = dataclasses.field(default_factory=threading.Event)
    asked: str | None = None
    killed: bool = False
    why: str = ""


class RayEngine:
    """See `Engine`. Any thread may call it. Roles get copies of it, which start roles for them.

    Uses the cluster that this process is connected to, on this machine; if there is none, it starts one of its own.

    Args:
        namespace: Ray's, of the actors of this system: nobody else may use it.
        gone: called for each role that has ended, in a thread of the engine.
        bounds: how far a role may be behind before market data is left out.
        logs: a folder for what roles log, one file for each; empty: Ray's files, which go with a cluster of its own.
        metrics_port: where a cluster of its own tells its metrics to Prometheus; 0: any port.

    Raises:
        RunError: Ray does not start, or there is no place for mailboxes.
    """

    def __init__(
        self,
        namespace: str,
        gone: Callable[[Gone], object] | None = None,
        bounds: Bounds | None = None,
        logs: str = "",
        metrics_port: int = 0,
        _copy_of: tuple[ZmqPost, str] | None = None,
    ) -> None:
        self.namespace = namespace
        self._logs = logs
        self._gone = gone
        self._running: dict[str, _Running] = {}
        self._prepared: dict[str, Future[Any]] = {}
        self._coming: set[str] = set()
        self._pickles: dict[int, tuple[Any, bytes]] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._head: RayHead | None = None
        self.coordinator = ""
        self._copy = _copy_of is not None
        if _copy_of is not None:
            self._post, self.coordinator = _copy_of
        else:
            self._post = self._begin(bounds, metrics_port)
        self._hand = ThreadPoolExecutor(1, "headrace-engine")
        self._ended: queue.SimpleQueue[tuple[_Running, str] | None] = queue.SimpleQueue()
        self._teller = threading.Thread(target=self._tell_all, name="headrace-ends", daemon=True)
        self._teller.start()

    def __reduce__(self) -> Any:
        return _copied, (self.namespace, self._logs, self._post, self.coordinator)

    def _begin(self, bounds: Bounds | None, metrics_port: int) -> ZmqPost:
        import ray

        folder = make_folder(room=_ROOM)
        post = ZmqPost(str(folder), bounds, owned=True)
        try:
            if not ray.is_initialized():
                self._head = RayHead(folder, self.namespace, metrics_port)
        except BaseException:
            post.close()
            raise
        return post

    @property
    def folder(self) -> Path:
        """Where the mailboxes are."""
        return Path(self._post.folder)

    # -- starting ------------------------------------------------------------------------------------------------------

    def prepare(self, names: Iterable[str], make_role: Callable[..., Role] | None = None) -> None:
        with self._lock:
            for name in names:
                if not self._closed and name not in self._prepared and name not in self._running:
                    function = b"" if make_role is None else self._pickled(name, make_role)[0]
                    self._coming.add(name)
                    self._prepared[name] = self._hand.submit(self._prepare, name, function)

    def _prepare(self, name: str, function: bytes) -> Any:
        try:
            shell = self._shell(name, 0)
        except BaseException:
            self._coming.discard(name)
            raise
        shell.load.remote(function).future().add_done_callback(lambda _: self._coming.discard(name))
        return shell

    @property
    def coming(self) -> int:
        return len(self._coming)

    def start(self, name: str, make_role: Callable[[], Role], incarnation: int = 0) -> str:
        with self._lock:
            if self._closed:
                raise RunError(f"{name} cannot be started: the engine is closed")
            before = self._running.get(name)
            if before is not None and not before.ended.is_set():
                raise RunError(f"{name} is running already, as incarnation {before.incarnation}; end that one first")
            address = self._post.address(name, incarnation)
            if name == COORDINATOR:
                self.coordinator = address
            function, arguments = self._pickled(name, make_role)
            running = self._running[name] = _Running(name, incarnation)
            self._coming.discard(name)
            prepared = self._prepared.pop(name, None) if incarnation == 0 else None
            if prepared is not None and prepared.done() and prepared.exception() is None:
                self._run(running, prepared.result(), function, arguments)
            else:
                self._hand.submit(self._start, running, prepared, function, arguments)
        return address

    def _start(self, running: _Running, prepared: Any, function: bytes, arguments: bytes) -> None:
        """In the engine's second thread: Ray takes tens of milliseconds to register an actor."""
        try:
            shell = self._shell(running.name, running.incarnation) if prepared is None else prepared.result()
        except Exception as error:
            self._ended.put((running, f"{type(error).__name__}: {error}"))
            return
        with self._lock:
            if running.killed:
                _kill(shell)
            else:
                self._run(running, shell, function, arguments)

    def _run(self, running: _Running, shell: Any, function: bytes, arguments: bytes) -> None:
        running.shell = shell
        answer = shell.run.remote(function, arguments, self.coordinator)
        answer.future().add_done_callback(lambda future: self._ended.put((running, _why(future))))
        if running.asked is not None:
            shell.stop.remote(running.asked)
        running.begun.set()

    def _shell(self, name: str, incarnation: int) -> Any:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor: Any = ray.remote(RoleShell)
        try:
            return actor.options(
                name=f"{name}.{incarnation}",
                namespace=self.namespace,
                lifetime="detached",
                num_cpus=0,
                max_restarts=0,
                max_concurrency=_CALLS,
                scheduling_strategy=here,
            ).remote(self._post, name, incarnation, self._logs, logger.getEffectiveLevel(), sys.path)
        except ValueError as error:
            raise RunError(
                f"{name}.{incarnation} is an actor of Ray's namespace {self.namespace} already, which this system did "
                f"not start: {error}"
            ) from None

    def _pickled(self, name: str, make_role: Callable[..., Role]) -> tuple[bytes, bytes]:
        """A function and its arguments as bytes. Of functions that many roles are made with, the bytes are kept."""
        import ray

        pickled: Callable[[object], bytes] = ray.cloudpickle.dumps

        function: Any = make_role
        arguments: tuple[Any, ...] = ()
        if isinstance(make_role, functools.partial) and not make_role.keywords:
            function, arguments = make_role.func, make_role.args
        try:
            key = id(function)
            if key not in self._pickles:
                self._pickles[key] = (function, pickled(function))
            return self._pickles[key][1], pickled(arguments)
        except Exception as error:  # whatever the user's own objects raise
            raise RunError(f"{name} cannot be sent to a process of its own: {type(error).__name__}: {error}") from error

    def ready(self, name: str, seconds: float) -> None:
        import ray

        running = self._running.get(name)
        if running is None:
            raise RunError(f"{name} was not started")
        until = time.monotonic() + seconds
        while not running.begun.wait(0.05):
            if running.ended.is_set():
                raise RunError(f"{name} has ended: {running.why}")
            if time.monotonic() > until:
                raise RunError(f"{name} has not started within {seconds:g} s")
        try:
            why = ray.get(running.shell.ready.remote(seconds), timeout=max(0.01, until - time.monotonic()))
        except ray.exceptions.GetTimeoutError:
            why = None
        except ray.exceptions.RayError:  # its process has died: the reason is on its way
            running.ended.wait(seconds)
            why = running.why or "its process has died"
        if why is None:
            raise RunError(f"{name} has not started within {seconds:g} s")
        if why:
            raise RunError(f"{name} has ended: {why}")

    # -- ending --------------------------------------------------------------------------------------------------------

    def stop(self, name: str, why: str = "") -> None:
        with self._lock:
            running = self._running.get(name)
            if running is not None and not running.ended.is_set():
                running.asked = why
                if running.shell is not None:
                    running.shell.stop.remote(why)

    def kill(self, name: str) -> None:
        with self._lock:
            running = self._running.get(name)
            if running is not None and not running.ended.is_set():
                running.killed = True
                if running.shell is not None:
                    _kill(running.shell)
                running.ended.set()

    def alive(self) -> frozenset[str]:
        return frozenset(name for name, running in list(self._running.items()) if not running.ended.is_set())

    def close(self, seconds: float = 10.0) -> tuple[str, ...]:
        with self._lock:
            if self._closed:
                return ()
            self._closed = True
        killed = end_all(self, lambda name, left: self._running[name].ended.wait(left), seconds)
        self._hand.shutdown(wait=True)
        for prepared in self._prepared.values():
            if prepared.exception() is None:
                _kill(prepared.result())
        self._ended.put(None)
        self._teller.join(seconds)
        if not self._copy:
            self._kill_others()
            if self._head is not None:
                self._head.close()
        self._post.close()
        return killed

    def _kill_others(self) -> None:
        """End what is left in the namespace: actors that copies of this engine have started."""
        import ray

        with contextlib.suppress(Exception):  # the cluster may be gone, and all actors with it
            for actor in ray.util.list_named_actors(all_namespaces=True):
                if actor["namespace"] == self.namespace:
                    with contextlib.suppress(ValueError):
                        _kill(ray.get_actor(actor["name"], self.namespace))

    # -- telling of ends -----------------------------------------------------------------------------------------------

    def _tell_all(self) -> None:
        mail = None
        known = ""
        try:
            while (item := self._ended.get()) is not None:
                running, why = item
                running.why = why
                running.ended.set()
                if running.shell is not None:
                    _kill(running.shell)
                if running.killed:
                    continue
                gone = Gone(running.name, running.why, running.incarnation)
                if running.name != COORDINATOR and self.coordinator:
                    try:
                        if mail is None:
                            mail = self._post.open(f"engine-{os.getpid()}-{id(self):x}")
                        if known != self.coordinator:
                            known = self.coordinator
                            mail.know(COORDINATOR, known)
                        mail.send(COORDINATOR, gone)
                    except RunError:
                        logger.exception("the coordinator cannot be told that %s has ended", running.name)
                if self._gone is not None:
                    self._gone(gone)
        finally:
            if mail is not None:
                mail.close()


def _copied(namespace: str, logs: str, post: ZmqPost, coordinator: str) -> RayEngine:
    return RayEngine(namespace, logs=logs, _copy_of=(post, coordinator))


def _why(future: Any) -> str:
    error = future.exception()
    if error is None:
        return str(future.result())
    lines = str(error).strip().splitlines()
    return f"its process has died: {lines[0] if lines else type(error).__name__}"


def _kill(shell: Any) -> None:
    import ray

    with contextlib.suppress(Exception):  # it is dead, or the cluster is
        ray.kill(shell, no_restart=True)
