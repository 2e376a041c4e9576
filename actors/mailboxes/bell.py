"""A bell that wakes a thread which waits in a poller."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


class Bell:
    """Wakes the thread that waits for it, and none else: whoever rings while nobody sleeps has rung for nothing.

    So the order matters: first leave what is to be found, then ring; first say that one is about to sleep, then look
    whether there is something.

    Attributes:
        file: a descriptor that can be read once the bell has rung.
        closed: it has been closed, by any thread.
    """

    def __init__(self) -> None:
        self.file, self._button = os.pipe()
        os.set_blocking(self.file, False)
        os.set_blocking(self._button, False)
        self.closed = False
        self._lock = threading.Lock()
        self._polling = self._asleep = self._hung_up = False

    def wait(self, found: Callable[[], object], poll: Callable[[float], Found], seconds: float) -> Found | None:
        """Sleep in `poll`, which watches `file` beside others.

        Args:
            found: whether there is something already; asked after others know that this thread sleeps.
            poll: takes seconds, and ends when a file can be read.

        Returns:
            What `poll` has returned; None: the bell is closed.
        """
        with self._lock:
            if self.closed:
                return None
            self._polling = self._asleep = True
        try:
            polled = poll(0.0 if found() else max(0.0, seconds))
        finally:
            with self._lock:
                self._polling = False
                if not self._asleep or self.closed:  # somebody has rung
                    with contextlib.suppress(BlockingIOError):
                        os.read(self.file, 4096)
                self._asleep = False
        return None if self.closed else polled

    def ring(self) -> None:
        """Wake the thread, if it sleeps. Any thread may ring."""
        if self._asleep:
            with self._lock:
                if self._asleep:
                    self._asleep = False
                    self._write()

    def close(self) -> bool:
        """Wake the thread for the last time. Any thread may do so.

        Returns:
            False: it was closed already.
        """
        with self._lock:
            if self.closed:
                return False
            self.closed = True
            if self._asleep:
                self._asleep = False
                self._write()
        return True

    def hang_up(self) -> bool:
        """Give the descriptors back, unless a thread is still waiting for them.

        Returns:
            False: one is, or it was done already. One that is sees `wait` return None, and is to do it.
        """
        with self._lock:
            if self._polling or self._hung_up:
                return False
            self._hung_up = True
            os.close(self.file)
            os.close(self._button)
        return True

    def _write(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it has been rung often enough
            os.write(self._button, b"\0")
