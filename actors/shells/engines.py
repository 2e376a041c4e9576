"""Engines by name, for whoever starts a live system."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ..letters import Gone
from ..live.instance import Instance
from .engine import Engine
from .thread_engine import ThreadEngine

#: Below the instance's folder: what each actor on Ray has logged in the last session.
LOGS = "logs"


def engine_of(name: str, instance: Instance, gone: Callable[[Gone], object]) -> tuple[Engine, Path | None]:
    """An engine, and the folder in which its actors log; None: they log in this process.

    Args:
        name: "local" or "ray".
        gone: told, in a thread of the engine, of each actor that has ended.

    Raises:
        RunError: it cannot start.
    """
    if name == "local":
        return ThreadEngine(gone), None
    from .ray_engine import RayEngine

    logs = instance.folder / LOGS
    shutil.rmtree(logs, ignore_errors=True)  # those of the session before
    logs.mkdir(mode=0o700)
    return RayEngine(f"headrace-{instance.reference}", gone, logs=os.fspath(logs)), logs
