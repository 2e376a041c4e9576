"""The manifest of a run: what it was, when, where, and with which versions."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from .versions import versions


def run_manifest(identity: dict[str, Any], started: float, changes: int, **more: Any) -> Callable[[], dict[str, Any]]:
    """What makes the manifest of a run that has ended; versions are looked up only when somebody wants it.

    Args:
        identity: what the run was made of.
        started: seconds since the epoch.
        changes: of markets, in all.
    """
    manifest = {
        **identity,
        **more,
        "folder": os.getcwd(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 3),
        "changes": changes,
    }
    return lambda: {**manifest, "versions": versions()}
