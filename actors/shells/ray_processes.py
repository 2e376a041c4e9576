"""Processes for roles, as Ray actors: made before they are needed, for a role of any name."""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import secrets
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ..mailboxes.folder import lives
from ..mailboxes.socket_post import ZmqPost
from .ray_shell import RoleShell

logger = logging.getLogger("headrace")

#: Calls of a process at once: its run, and those that leave a letter.
_CALLS = 4
#: How the names of processes begin; the process that has made them follows.
_NAMED = "process-"
#: Seconds that one may take to say whether it is free.
_FREE_S = 2.0


class RayProcesses:
    """Makes processes. Ray takes tens of milliseconds to register one, which a second thread waits for.

    Args:
        namespace: Ray's, of the actors of this system.
        logs: see `RayEngine`.
    """

    def __init__(self, namespace: str, post: ZmqPost, logs: str) -> None:
        self._namespace, self._post, self._logs = namespace, post, logs
        self._hand = ThreadPoolExecutor(1, "headrace-engine")
        self._lock = threading.Lock()
        self._expected: set[str] = set()
        self._spares = 0
        self._load = b""
        self._made: collections.deque[Future[Any]] = collections.deque()
        self._loading: set[Future[Any]] = set()

    def expect(self, names: Iterable[str], load: bytes) -> None:
        """Roles of these names will be started: have a process ready for each.

        Args:
            load: what is loaded in each: a function, pickled.
        """
        with self._lock:
            self._expected.update(names)
            self._load = load or self._load
            self._fill()

    def spare(self, count: int, load: bytes) -> None:
        """Have so many more ready, for roles that nobody expects; each that is taken is made up for."""
        with self._lock:
            self._spares = count
            self._load = load or self._load
            self._fill()

    @property
    def coming(self) -> int:
        """How many of the roles that are expected would have to wait."""
        with self._lock:
            ready = sum(1 for each in self._made if each.done() and each not in self._loading)
            return max(0, len(self._expected) - ready)

    def take(self, name: str) -> Future[Any]:
        """A process for a role: one that is ready, if there is any, else the one that will be first."""
        with self._lock:
            self._expected.discard(name)
            self._made = collections.deque(each for each in self._made if not _failed(each))
            ready = next((each for each in self._made if each.done() and each not in self._loading), None)
            if ready is None and self._made:
                ready = self._made[0]
            if ready is None:
                return self._hand.submit(self._found_or_made)
            self._made.remove(ready)
            self._loading.discard(ready)
            self._fill()
            return ready

    def _found_or_made(self) -> Any:
        """In the second thread, after what a former process had ready was taken over: one of these, or a new one."""
        with self._lock:
            ready = next((each for each in self._made if each.done() and not _failed(each)), None)
            if ready is not None:
                self._made.remove(ready)
                self._loading.discard(ready)
                return ready.result()
        return self._make(b"")

    def _fill(self) -> None:
        while len(self._made) < len(self._expected) + self._spares:
            made = self._hand.submit(self._make, self._load)
            self._loading.add(made)
            self._made.append(made)
            made.add_done_callback(self._is_made)

    def reclaim(self) -> None:
        """Have what was made ready by processes that have died: in the second thread."""
        with self._lock, contextlib.suppress(RuntimeError):  # it is closed
            self._hand.submit(self._reclaim)

    def _reclaim(self) -> None:
        import ray

        try:
            for actor in ray.util.list_named_actors(all_namespaces=True):
                owner = actor["name"].removeprefix(_NAMED).partition("-")[0]
                if actor["namespace"] != self._namespace or not owner.isdecimal() or lives(int(owner)):
                    continue
                with contextlib.suppress(ValueError, ray.exceptions.RayError):  # it has ended
                    shell = ray.get_actor(actor["name"], self._namespace)
                    if ray.get(shell.claim.remote(os.getpid()), timeout=_FREE_S):
                        self._take_over(shell)
        except Exception:
            logger.exception("what a former process has made ready is not taken over")

    def _take_over(self, shell: Any) -> None:
        found: Future[Any] = Future()
        found.set_result(shell)
        with self._lock:
            self._made.appendleft(found)

    def _is_made(self, made: Future[Any]) -> None:
        """Ray has it; what it needs is being loaded."""
        if made.exception() is not None:
            self._loading.discard(made)
            return
        loaded = made.result().load.remote(self._load).future()
        loaded.add_done_callback(lambda _: self._loading.discard(made))

    def _make(self, load: bytes) -> Any:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor: Any = ray.remote(RoleShell)
        return actor.options(
            name=f"{_NAMED}{os.getpid()}-{secrets.token_hex(4)}",
            namespace=self._namespace,
            lifetime="detached",
            num_cpus=0,
            max_restarts=0,
            max_concurrency=_CALLS,
            scheduling_strategy=here,
        ).remote(self._post, os.getpid(), self._logs, logger.getEffectiveLevel(), sys.path)

    def close(self) -> None:
        """Make no more, and end those that nobody has taken."""
        with self._lock:
            self._expected.clear()
            self._spares = 0
            left, self._made = self._made, collections.deque()
        self._hand.shutdown(wait=True, cancel_futures=True)
        for each in left:
            if not each.cancelled() and each.exception() is None:
                kill(each.result())

    def forget(self) -> None:
        """Make no more; those that there were have ended with the cluster."""
        with self._lock:
            self._expected.clear()
            self._spares = 0
            self._made.clear()
        self._hand.shutdown(wait=False, cancel_futures=True)

    def kill_all(self) -> None:
        """End all processes of the namespace, whoever has made them."""
        import ray

        if not ray.is_initialized():
            return
        with contextlib.suppress(Exception):  # the cluster may be gone, and all actors with it
            for actor in ray.util.list_named_actors(all_namespaces=True):
                if actor["namespace"] == self._namespace:
                    with contextlib.suppress(ValueError):
                        kill(ray.get_actor(actor["name"], self._namespace))


def _failed(made: Future[Any]) -> bool:
    return made.cancelled() or (made.done() and made.exception() is not None)


def kill(shell: Any) -> None:
    """End a process at once."""
    import ray

    if not ray.is_initialized():  # it would begin a cluster
        return
    with contextlib.suppress(Exception):  # it is dead, or the cluster is
        ray.kill(shell, no_restart=True)


def kill_soon(shell: Any) -> None:
    """The same, without waiting: Ray waits for a control service that has died."""
    threading.Thread(target=kill, args=(shell,), name="headrace-kill", daemon=True).start()
