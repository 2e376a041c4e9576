"""Mail between threads of one process: letters are handed over as they are."""

from __future__ import annotations

import collections
import math
import select
import threading
import time
from typing import Any

from ...strategies.errors import RunError
from ..letters import Letter
from .bounds import Bounds
from .box import Box
from .files import Files, Ready
from .mail import CrashedError, Waiting


class ThreadPost:
    """Where the mail of actors is opened that are threads of this process. Any thread may call it."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self._mails: dict[str, ThreadMail] = {}
        self._last: dict[str, int] = {}
        self._lock = threading.Lock()

    def open(self, name: str, incarnation: int = 0) -> ThreadMail:
        """Open an actor's mail.

        Raises:
            RunError: the name is taken by another that is open, or the incarnation is not later than the last.
        """
        with self._lock:
            taken = next((mail for mail in self._mails.values() if mail.name == name), None)
            if taken is not None:
                raise RunError(f"the mailbox of {name} is open already, at {taken.address}; close that one first")
            last = self._last.get(name)
            if last is not None and incarnation <= last:
                raise RunError(f"incarnation {incarnation} of {name} is not new: the last one was {last}")
            mail = ThreadMail(self, name, incarnation)
            self._last[name] = incarnation
            self._mails[mail.address] = mail
        return mail

    def at(self, address: str) -> ThreadMail | None:
        """The open mail at an address."""
        return self._mails.get(address)

    def close(self) -> None:
        """Close what is still open: nobody gets letters any more."""
        for mail in list(self._mails.values()):
            mail.close()

    def _closed(self, mail: ThreadMail) -> None:
        with self._lock:
            self._mails.pop(mail.address, None)


class ThreadMail(Box):
    """An actor's mail, see `Mail`."""

    def __init__(self, post: ThreadPost, name: str, incarnation: int) -> None:
        super().__init__(name, incarnation, f"thread:{name}/{incarnation}")
        self._post = post
        self._crashed = False
        self._known: dict[str, str] = {}
        # What other threads write: single operations of a deque and of dictionaries, which need no lock.
        self._inbox: collections.deque[tuple[str, Letter]] = collections.deque()
        self._missed: dict[str, bool] = {}
        self._full: dict[str, int] = {}
        self._senders: dict[str, int] = {}
        self._eldest = 0.0
        self._looks = 0
        self._poller = select.poll()
        self._poller.register(self._bell.file, select.POLLIN)
        self._files = Files(self._poller)

    @property
    def depth(self) -> int:
        return len(self._inbox)

    # -- sending -------------------------------------------------------------------------------------------------------

    def know(self, name: str, address: str) -> None:
        self._known[name] = address

    def forget(self, name: str) -> None:
        self._known.pop(name, None)

    def send(self, name: str, letter: Letter, droppable: bool = False) -> bool:
        other = self._post.at(self._known.get(name, ""))
        if other is None or self._bell.closed:
            if self._crashed:
                raise CrashedError
            self._undelivered += 1
            return False
        if droppable and not other._has_room(self.name):
            self._dropped += 1
            return False
        before = other._senders.get(self.name)
        if before != self.incarnation:
            other._senders[self.name] = self.incarnation
            if before is not None:
                other._missed[self.name] = True  # before the letter: who takes it has been told
        other._take(self.name, letter)
        self._sent += 1
        return True

    def put(self, letter: Letter) -> None:
        if not self._bell.closed:
            self._take(self.name, letter)

    def aside(self, name: str, letter: Letter) -> bool:
        other = self._post.at(self._known.get(name, ""))
        if other is None or self._bell.closed:
            return False
        other._take(self.name, letter)
        return True

    # -- receiving -----------------------------------------------------------------------------------------------------

    def watch(self, file: Any, ready: Ready | None) -> None:
        self._files.watch(file, ready)

    def wait(self, seconds: float) -> Waiting:
        until = time.monotonic() + seconds
        while True:
            files = self._files.pending()
            there = bool(files) or self._found()
            if not there or self._files:
                polled = self._bell.wait(self._found, self._poll, 0.0 if there else until - time.monotonic())
                if polled is None:  # closed, perhaps by another thread
                    self._hang_up()
                    return Waiting()
                files += self._files.ready(polled)
            waiting = self._taken(files)
            if waiting.letters or waiting.lost or waiting.files or self._stopped or time.monotonic() >= until:
                return waiting

    def _found(self) -> bool:
        return bool(self._inbox or self._missed or self._stopped)

    def _poll(self, seconds: float) -> list[tuple[Any, int]]:
        return self._poller.poll(math.ceil(seconds * 1000))

    def _taken(self, files: list[Ready]) -> Waiting:
        """Everything that has come by now."""
        self._looks += 1
        lost = []
        while self._missed:
            lost.append(self._missed.popitem()[0])
        inbox = self._inbox
        letters = [inbox.popleft() for _ in range(len(inbox))]
        self._received += len(letters)
        return Waiting(letters, lost, files)

    def crash(self) -> None:
        """Close, as if the actor's process had been killed: its thread goes no further than to its next letter."""
        self._crashed = True
        self.close()

    def close(self) -> None:
        self._stopped = True
        if self._bell.close():
            self._post._closed(self)
            self._inbox.clear()
        self._hang_up()

    def _hang_up(self) -> None:
        if self._bell.hang_up():
            self._files.close()

    # -- called by the threads of others -------------------------------------------------------------------------------

    def _has_room(self, sender: str) -> bool:
        """Whether a letter that may be left out is taken. If one was not, none is before the receiver has looked."""
        waiting = len(self._inbox)
        if not waiting:
            self._full.pop(sender, None)
            return True
        if self._full.get(sender) != self._looks:
            bounds = self._post.bounds
            if waiting < bounds.letters and time.monotonic() - self._eldest < bounds.seconds:
                return True
            self._full[sender] = self._looks
        self._lost += 1
        self._missed[sender] = True
        self._bell.ring()
        return False

    def _take(self, sender: str, letter: Letter) -> None:
        if not self._inbox:
            self._eldest = time.monotonic()
        self._inbox.append((sender, letter))
        self._bell.ring()
