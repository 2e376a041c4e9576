"""Live trading on Ray: each role is a detached, named actor, and letters go past Ray from process to process."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from ...strategies.errors import RunError
from ..letters import Gone, Letter, Stop
from ..live.hosts import Found
from ..live.supervision import Supervision
from ..mailboxes.bounds import Bounds
from ..mailboxes.folder import make_folder
from ..mailboxes.socket_post import ZmqPost
from ..mailboxes.sockets import ZmqMail
from ..role import Role
from .engine import COORDINATOR, end_all
from .pickles import Pickles
from .ray_head import RayHead
from .ray_processes import RayProcesses, kill, kill_soon
from .watching import ENGINES, Watching

logger = logging.getLogger("headrace")

#: What Ray needs of the length of a path: for its sockets in the folder of mailboxes.
_ROOM = 47


@dataclasses.dataclass(eq=False)
class _Running:
    """A role's actor.

    Attributes:
        shell: Ray's handle; None: it is being registered, or another process has started the role.
        begun: it has been told to run the role.
        adopted: another process has started it.
        asked: it is to end: why.
        why: why it ended by itself, empty if it was asked to.
    """

    name: str
    incarnation: int
    shell: Any = None
    begun: threading.Event = dataclasses.field(default_factory=threading.Event)
    ended: threading.Event = dataclasses.field(default_factory=threading.Event)
    adopted: bool = False
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
        supervision: who looks after the system: while anybody does, a cluster of its own goes on.
        joins: the folder of the mailboxes of a system that runs, whose driver has died: it is gone on with.
        own: a cluster of its own is started, though this process is still about to leave another.

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
        supervision: Supervision | None = None,
        joins: Path | None = None,
        own: bool = False,
        _copy_of: tuple[ZmqPost, str] | None = None,
    ) -> None:
        self.namespace = namespace
        self._logs = logs
        self._gone = gone
        self._running: dict[str, _Running] = {}
        self._pickles = Pickles()
        self._lock = threading.RLock()
        self._closed = False
        self._head: RayHead | None = None
        self.coordinator = ""
        self._copy = _copy_of is not None
        if _copy_of is not None:
            self._post, self.coordinator = _copy_of
        else:
            self._post = self._begin(bounds, metrics_port, supervision, joins, own)
        self._processes = RayProcesses(namespace, self._post, logs)
        self._watching = Watching(self.folder, self._adopted_ended)
        self._todo: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._mail: ZmqMail | None = None
        self._teller = threading.Thread(target=self._tell_all, name="headrace-ends", daemon=True)
        self._teller.start()

    def __reduce__(self) -> Any:
        return _copied, (self.namespace, self._logs, self._post, self.coordinator)

    def _begin(
        self,
        bounds: Bounds | None,
        metrics_port: int,
        supervision: Supervision | None,
        joins: Path | None,
        own: bool,
    ) -> ZmqPost:
        import ray

        folder = make_folder(room=_ROOM) if joins is None else joins
        post = ZmqPost(str(folder), bounds, owned=True)
        try:
            if own or joins is not None or not ray.is_initialized():
                self._head = RayHead(folder, self.namespace, metrics_port, supervision, joins is not None)
        except BaseException:
            if joins is None:
                post.close()
            else:
                post.leave()
            raise
        return post

    @property
    def lost(self) -> bool:
        """A cluster of its own has ended, and all actors with it."""
        return self._head is not None and not self._head.running

    @property
    def folder(self) -> Path:
        """Where the mailboxes are."""
        return Path(self._post.folder)

    # -- starting ------------------------------------------------------------------------------------------------------

    def prepare(self, names: Iterable[str], make_role: Callable[..., Role] | None = None) -> None:
        if not self._closed:
            self._processes.expect(set(names) - self.alive(), self._pickles.function(make_role))

    def spare(self, count: int, make_role: Callable[..., Role] | None = None) -> None:
        if not self._closed:
            self._processes.spare(count, self._pickles.function(make_role))

    @property
    def coming(self) -> int:
        return self._processes.coming

    def start(self, name: str, make_role: Callable[[], Role], incarnation: int = 0) -> str:
        with self._lock:
            if self._closed:
                raise RunError(f"{name} cannot be started: the engine is closed")
            before = self._running.get(name)
            if before is not None and before.adopted and not before.ended.is_set():
                before.killed = True  # whoever has started it has told of its end before it was seen here
                before.ended.set()
            if before is not None and not before.ended.is_set():
                raise RunError(f"{name} is running already, as incarnation {before.incarnation}; end that one first")
            address = self._post.address(name, incarnation)
            if name == COORDINATOR:
                self.coordinator = address
            function, arguments = self._pickles.both(name, make_role)
            running = self._running[name] = _Running(name, incarnation)
            process = self._processes.take(name)
            if process.done() and process.exception() is None:
                self._run(running, process.result(), function, arguments)
            else:
                process.add_done_callback(functools.partial(self._start, running, function, arguments))
        return address

    def _start(self, running: _Running, function: bytes, arguments: bytes, process: Future[Any]) -> None:
        """In the second thread, once there is a process."""
        error = None if process.cancelled() else process.exception()
        if process.cancelled() or error is not None:
            why = "the engine is closed" if error is None else f"{type(error).__name__}: {error}"
            self._todo.put(functools.partial(self._has_ended, running, why))
            return
        with self._lock:
            if running.killed:
                kill(process.result())
            else:
                self._run(running, process.result(), function, arguments)

    def _run(self, running: _Running, shell: Any, function: bytes, arguments: bytes) -> None:
        running.shell = shell
        answer = shell.run.remote(running.name, running.incarnation, function, arguments, self.coordinator)
        answer.future().add_done_callback(
            lambda future: self._todo.put(functools.partial(self._has_ended, running, _why(future)))
        )
        if running.asked is not None:
            shell.stop.remote(running.asked)
        running.begun.set()

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
        if running.adopted:
            return
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

    # -- taking over ---------------------------------------------------------------------------------------------------

    def adopt(self, names: Iterable[str] | None = None) -> dict[str, Found]:
        found = self._watching.all() if names is None else self._watching.found(names)
        if names is None:
            found.pop(COORDINATOR, None)
            self._processes.reclaim()
        for name, holder in found.items():
            with self._lock:
                known = self._running.get(name)
                if known is not None and not known.ended.is_set():
                    continue
                running = self._running[name] = _Running(name, holder.incarnation, adopted=True)
                running.begun.set()
                if name == COORDINATOR:
                    self.coordinator = self._post.address(name, holder.incarnation)
            self._watching.watch(name, holder.incarnation)
        return {
            name: Found(self._post.address(name, holder.incarnation), holder.incarnation)
            for name, holder in found.items()
        }

    def bury(self) -> None:
        """Tell of the ends of roles that have died while nobody has watched them. Told twice, it does no harm."""
        for name, last in self._watching.died().items():
            if name != COORDINATOR:
                self._todo.put(functools.partial(self._has_ended, _Running(name, last.incarnation), last.why))

    def next(self, name: str) -> int:
        before = self._watching.last(name)
        return 0 if before is None else before.incarnation + 1

    def has_ended(self, name: str) -> bool:
        before = self._watching.last(name)
        return before is not None and not before.held and not before.why

    def _adopted_ended(self, name: str, incarnation: int, why: str) -> None:
        running = self._running.get(name)
        if running is not None and running.adopted and running.incarnation == incarnation:
            self._todo.put(functools.partial(self._has_ended, running, why))

    # -- ending --------------------------------------------------------------------------------------------------------

    def stop(self, name: str, why: str = "") -> None:
        with self._lock:
            running = self._running.get(name)
            if running is not None and not running.ended.is_set():
                running.asked = why
                if running.shell is not None:
                    running.shell.stop.remote(why)
                elif running.adopted:
                    self._todo.put(functools.partial(self._send, running, Stop(why)))

    def kill(self, name: str) -> None:
        with self._lock:
            running = self._running.get(name)
            if running is not None and not running.ended.is_set():
                running.killed = True
                if running.shell is not None:
                    kill(running.shell)
                elif running.adopted:
                    self._watching.kill(name)
                running.ended.set()

    def crash(self, name: str) -> None:
        self._watching.kill(name)

    def alive(self) -> frozenset[str]:
        return frozenset(name for name, running in list(self._running.items()) if not running.ended.is_set())

    def close(self, seconds: float = 10.0) -> tuple[str, ...]:
        if self.lost:
            self.abandon()
            return ()
        with self._lock:
            if self._closed:
                return ()
            self._closed = True
        if not self._copy:
            self.adopt()  # what copies of this engine have started
        killed = end_all(self, lambda name, left: self._running[name].ended.wait(left), seconds)
        self._processes.close()
        self._watching.close()
        self._todo.put(None)
        self._teller.join(seconds)
        if not self._copy:
            self._processes.kill_all()
            if self._head is not None:
                self._head.close()
        self._post.close()
        return killed

    def abandon(self) -> None:
        """Give up a cluster that is lost: without asking it for anything."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._gone = None
        for running in self._running.values():
            running.ended.set()
        self._processes.forget()
        self._watching.close()
        self._todo.put(None)
        self._teller.join(1.0)
        if self._head is not None:
            self._head.close()
        self._post.close()

    # -- in the thread of the engine's mail ----------------------------------------------------------------------------

    def _tell_all(self) -> None:
        try:
            while (do := self._todo.get()) is not None:
                try:
                    do()
                except Exception:
                    logger.exception("the engine failed at what an actor's end asks for")
        finally:
            if self._mail is not None:
                self._mail.close()

    def _has_ended(self, running: _Running, why: str) -> None:
        running.why = why
        running.ended.set()
        if running.shell is not None and not self.lost:
            kill_soon(running.shell)
        if running.killed:
            return
        gone = Gone(running.name, running.why, running.incarnation)
        if running.name != COORDINATOR and self.coordinator:
            try:
                self._letter(COORDINATOR, self.coordinator, gone)
            except RunError:
                logger.exception("the coordinator cannot be told that %s has ended", running.name)
        if self._gone is not None:
            self._gone(gone)

    def _send(self, running: _Running, letter: Letter) -> None:
        self._letter(running.name, self._post.address(running.name, running.incarnation), letter)

    def _letter(self, name: str, address: str, letter: Letter) -> None:
        if self._mail is None:
            self._mail = self._post.open(f"{ENGINES}{os.getpid()}-{id(self):x}")
        self._mail.know(name, address)
        self._mail.send(name, letter)


def _copied(namespace: str, logs: str, post: ZmqPost, coordinator: str) -> RayEngine:
    return RayEngine(namespace, logs=logs, _copy_of=(post, coordinator))


def _why(future: Any) -> str:
    error = future.exception()
    if error is None:
        return str(future.result())
    lines = str(error).strip().splitlines()
    return f"its process has died: {lines[0] if lines else type(error).__name__}"
