"""The guard of an instance: a process that starts another one anew holds the folder for that, between its lives."""

from __future__ import annotations

import contextlib
import os

from ...strategies.errors import InputError
from .instance import GUARD, Instance, exclusive


class Guard:
    """Holds the folder of an instance for a process that may die, and be started anew: nobody else can take it between.

    Raises:
        InputError: a system with this reference runs on this machine.
        RunError: the folder is not private, or cannot be made.
    """

    def __init__(self, instance: Instance) -> None:
        self._folder = instance.folder
        lock = instance.lock()
        try:
            self._guard = exclusive(self._folder / GUARD)
        finally:
            os.close(lock)
        if self._guard is None:
            raise InputError(f"customer_strategy_ref={instance.reference!r}: another system is being started with it")

    def release(self) -> None:
        """Guard it no longer."""
        guard, self._guard = self._guard, None
        if guard is not None:
            for name in (GUARD, "lock"):
                (self._folder / name).unlink(missing_ok=True)
            os.close(guard)
            with contextlib.suppress(OSError):  # there is something in it that is kept
                self._folder.rmdir()
