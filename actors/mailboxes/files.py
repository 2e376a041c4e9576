"""Files that an actor waits for beside its letters: plain sockets, TLS sockets, anything with a descriptor."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Callable
from typing import Any, Protocol

Ready = Callable[[], object]


class Poller(Protocol):
    """What `select.poll()` and `zmq.Poller()` have in common."""

    def register(self, file: Any, flags: int) -> Any: ...

    def unregister(self, file: Any) -> Any: ...

    def poll(self, timeout: int) -> list[tuple[Any, int]]: ...


class Files:
    """The files that one actor watches.

    A TLS socket has read more from its connection than it was asked for: such data does not make its descriptor
    readable again, so a file with `pending()` is asked.
    """

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._watched: dict[int, tuple[Any, Ready]] = {}
        self._pending: list[tuple[Callable[[], int], Ready]] = []

    def __bool__(self) -> bool:
        return bool(self._watched)

    def watch(self, file: Any, ready: Ready | None) -> None:
        """Have `ready` called when the file can be read; None: no longer. A file that is closed already may be named.

        Raises:
            ValueError: the file to be watched is closed.
        """
        for number, (other, _) in list(self._watched.items()):
            if other is file or (isinstance(file, int) and number == file):
                self._drop(number)
        if ready is not None:
            number = file if isinstance(file, int) else file.fileno()
            if number < 0:
                raise ValueError(f"{file!r} is closed: it cannot be watched")
            if number in self._watched:  # of a file that was closed without a word
                self._drop(number)
            self._poller.register(number, select.POLLIN)
            self._watched[number] = (file, ready)
        self._list_pending()

    def pending(self) -> list[Ready]:
        """Functions of files that hold data already read from their connections."""
        found = []
        for pending, ready in self._pending:
            try:
                waits = pending() > 0
            except (OSError, ValueError):  # it was closed, or has no connection: reading it will tell
                waits = True
            if waits:
                found.append(ready)
        return found

    def ready(self, polled: list[tuple[Any, int]]) -> list[Ready]:
        """Functions of files that the poller has found; what else it has found is passed over."""
        found = []
        for number, event in polled:
            watched = self._watched.get(number) if isinstance(number, int) else None
            if watched is None:
                continue
            if not event & select.POLLIN and _is_closed(number, watched[0]):  # and still watched: told once
                self._drop(number)
                self._list_pending()
            found.append(watched[1])
        return found

    def close(self) -> None:
        """Watch nothing any more."""
        for number in list(self._watched):
            self._drop(number)
        self._pending = []

    def _list_pending(self) -> None:
        self._pending = [(file.pending, ready) for file, ready in self._watched.values() if hasattr(file, "pending")]

    def _drop(self, number: int) -> None:
        del self._watched[number]
        with contextlib.suppress(KeyError, OSError):
            self._poller.unregister(number)


def _is_closed(number: int, file: Any) -> bool:
    if not isinstance(file, int):
        return bool(file.fileno() != number)
    try:
        os.fstat(number)
    except OSError:
        return True
    return False
