"""A running system as those who ask it see it: a folder that is held, and a socket at which somebody answers."""

from __future__ import annotations

import contextlib
import selectors
import threading
from collections.abc import Callable, Iterator
from typing import Any

from headrace.actors.live.control import ControlDesk
from headrace.actors.live.instance import Instance, control_path


class Watcher:
    """As much of a mail as the desk needs: files are watched, in a thread of its own."""

    def __init__(self) -> None:
        self._files = selectors.DefaultSelector()
        self.ended = False

    def watch(self, file: Any, ready: Callable[[], object] | None) -> None:
        with contextlib.suppress(KeyError):
            self._files.unregister(file)
        if ready is not None:
            self._files.register(file, selectors.EVENT_READ, ready)

    def run(self) -> None:
        while not self.ended:
            for key, _ in self._files.select(0.02):
                key.data()
        self._files.close()


@contextlib.contextmanager
def desk(instance: Instance, answer: Callable[[str, dict[str, Any]], Any]) -> Iterator[ControlDesk]:
    """A desk that answers for an instance."""
    mail = Watcher()
    opened = ControlDesk(control_path(instance.folder), answer)
    opened.open(mail)  # type: ignore[arg-type]
    thread = threading.Thread(target=mail.run, daemon=True)
    thread.start()
    try:
        yield opened
    finally:
        mail.ended = True
        thread.join(10)
        opened._mail = Watcher()  # type: ignore[assignment]
        opened.close()
