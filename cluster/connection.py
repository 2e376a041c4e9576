"""The cluster that a run uses, and how the process that hands out work may wait for it."""

from __future__ import annotations

import atexit
import contextlib
import enum
import logging
import os
import re
import shutil
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from ..strategies.errors import HeadraceError, InputError

#: Seconds that the head of a cluster may take to answer.
_KNOCK = 5.0


def connect(address: str | None = None) -> None:
    """Join a running cluster, or start one on this machine, which ends with this process and leaves nothing behind.

    Raises:
        InputError: the cluster named, by `address` or `RAY_ADDRESS`, cannot be reached, or is not for this Ray.
    """
    # Ray will otherwise warn in every process that it changes this variable of machines with accelerators.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray = loaded_ray()
    if ray.is_initialized():
        return
    named = address or os.environ.get("RAY_ADDRESS")
    _knock(named)
    try:
        # The dashboard of a Ray begun here would not be seen, because its address is not printed; and it costs seconds.
        quiet: dict[str, Any] = {} if named else {"include_dashboard": False}
        context = ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **quiet)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise InputError(f"no Ray cluster to use at {named or 'this machine'}: {' '.join(said)[:400]}") from None
    _clear_up(context)


def _knock(address: str | None) -> None:
    """Refuse an address that does not answer: Ray itself would go on trying for many minutes."""
    match = re.fullmatch(r"(?:ray://)?\[?([^/\]]+?)\]?:(\d+)", address or "")
    if match is None:
        return
    try:
        socket.create_connection((match[1], int(match[2])), timeout=_KNOCK).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"no Ray cluster at {address}: {reason}; start it, correct RAY_ADDRESS, or unset it to use this machine"
        ) from None


def _clear_up(context: Any) -> None:
    """Have Ray's files of this session removed with this process, if it began the session: Ray keeps them for ever."""
    folder = Path(getattr(context, "address_info", {}).get("session_dir") or "none")
    # A session is named by when, and by which process, it was begun: session_2026-01-31_12-00-00_000000_4711.
    if folder.name.startswith("session_") and folder.name.endswith(f"_{os.getpid()}"):
        atexit.register(_end, folder, os.getpid())


def _end(session: Path, owner: int) -> None:
    """End a Ray of this process's own, and remove what it has written."""
    ray = loaded_ray()
    if os.getpid() != owner:  # a fork of it
        return
    try:
        ray.shutdown(wait_for_processes=True)
    except TypeError:  # a Ray without this argument
        ray.shutdown()
    shutil.rmtree(session, ignore_errors=True)
    latest = session.with_name("session_latest")
    with contextlib.suppress(OSError):
        if latest.is_symlink() and not latest.exists():
            latest.unlink()
        session.parent.rmdir()  # if nothing else is in it


def loaded_ray() -> Any:
    """The module, loaded only where a run needs it.

    Raises:
        InputError: a file of the user's stands in its place.
    """
    import ray

    if not hasattr(ray, "init"):
        where = getattr(ray, "__file__", None) or "a folder named ray"
        raise InputError(f"{where} is imported in place of Ray; give it another name")
    return ray


class Caller(enum.Enum):
    """What a process that hands out work is to Ray, and so what its waiting does to the cluster's CPUs."""

    #: A program of its own: it holds none.
    DRIVER = "driver"
    #: A task: it holds what it was started with, and gives the CPUs back while it blocks in `ray.wait`.
    TASK = "task"
    #: An actor, or a further thread of a task: it keeps what it holds, however it waits.
    HOLDER = "holder"


def caller() -> Caller:
    """How this thread was started, as Ray sees it."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return Caller.DRIVER
    context = ray.get_runtime_context()
    if getattr(getattr(context, "worker", None), "mode", None) != ray.WORKER_MODE:
        return Caller.DRIVER
    if context.get_actor_id() is not None or threading.current_thread() is not threading.main_thread():
        return Caller.HOLDER
    return Caller.TASK


def why_no_worker(ray: Any) -> str:
    """A sentence on why no worker has started yet, and what to do."""
    cpus = int(ray.cluster_resources().get("CPU", 0))
    if not cpus:
        return "No worker has started yet: the cluster has no CPU; add a node, or use engine='local'"
    return (
        f"No worker has started yet: all {cpus} CPUs of the cluster are taken (`ray status` shows by whom); the run "
        "goes on once one is free, or without Ray with engine='local'"
    )


# -- what Ray says of workers ----------------------------------------------------------------------------------------


def cause_of(error: BaseException) -> BaseException:
    """An error of a worker as its own code raised it; of our own errors, which say all there is to say, no more."""
    own = getattr(error, "cause", None)
    if isinstance(own, HeadraceError):
        return own
    raised = getattr(error, "as_instanceofcause_of", None)
    return error if raised is None else raised()


def first_line(death: BaseException) -> str:
    """The first line of what Ray says of a death."""
    return str(death).strip().splitlines()[0] if str(death).strip() else type(death).__name__


def id_of(actor: Any) -> str:
    """What a worker that ends itself signs its note with."""
    number = getattr(actor, "_actor_id", None)
    return number.hex() if number is not None else ""
