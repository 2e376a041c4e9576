"""Where mail between processes is opened: a private folder, and the sockets in it."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from pathlib import Path

import zmq

from ...strategies.errors import RunError
from .bounds import Bounds
from .folder import LONGEST, Claim, check_folder, make_folder, own, remove_folder
from .sockets import LINGER, ZmqMail

logger = logging.getLogger("headrace")


class ZmqPost:
    """Where the mail of actors is opened that are processes of one machine. It can be pickled.

    Args:
        folder: where the inboxes lie; None: one is made, and removed with `close`.
        bounds: how far a receiver may be behind before what may be left out is left out.
        owned: the folder is removed with `close`.

    Raises:
        RunError: the folder is not private, or there is no place for one.
    """

    def __init__(self, folder: str | None = None, bounds: Bounds | None = None, owned: bool = False) -> None:
        self.bounds = bounds or Bounds()
        self.folder = folder or str(make_folder())
        check_folder(Path(self.folder))
        self._owned = own(Path(self.folder)) if owned or folder is None else None
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._mails: list[ZmqMail] = []
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[ZmqPost], tuple[str, Bounds]]:
        return type(self), (self.folder, self.bounds)

    def address(self, name: str, incarnation: int = 0) -> str:
        """Where an actor is, or will be.

        Raises:
            RunError: the name cannot be that of a socket in this folder.
        """
        path = f"{self.folder}/{name}.{incarnation}"
        if not name or name.startswith(".") or any(each in name for each in "/\0"):
            raise RunError(
                f"{name!r} cannot be an actor's name: it is to be that of a file, and may not begin with a dot"
            )
        if len(os.fsencode(path)) >= LONGEST:
            raise RunError(
                f"the mailbox {path} has a name of {len(os.fsencode(path))} bytes, and sockets may have fewer than "
                f"{LONGEST}; use a folder with a shorter name"
            )
        return f"ipc://{path}"

    def open(self, name: str, incarnation: int = 0) -> ZmqMail:
        """Open an actor's mail: the thread that does so, or the one that waits first, is the actor's.

        Raises:
            RunError: the name is open, here or in another process; the incarnation is not later than the last of that
                name; or the folder has no place for it.
        """
        address = self.address(name, incarnation)
        with self._lock:
            if self._context is None:
                self._context = zmq.Context()
            claim = Claim(Path(self.folder), name, incarnation)
            try:
                mail = ZmqMail(self.bounds, self._closed, self._context, claim, name, incarnation, address)
            except zmq.ZMQError as error:
                claim.release()
                raise RunError(f"the mailbox of {name} cannot be made in {self.folder}: {error.strerror}") from None
            self._mails.append(mail)
        return mail

    def close(self) -> None:
        """Close the mail that was opened here. Where the folder was made here, it goes with all that is in it."""
        until = time.monotonic() + LINGER / 1000
        for mail in list(self._mails):
            mail.close()
        while self._mails and time.monotonic() < until:  # actors whose threads are in their turns
            time.sleep(0.005)
        with self._lock:
            if self._context is not None:
                if self._mails:
                    logger.warning("still busy at the end: %s", ", ".join(mail.name for mail in self._mails))
                else:
                    self._context.term()
                self._context = None
        if self._owned is not None:
            remove_folder(Path(self.folder))
            self._owned.release()
            self._owned = None

    def leave(self) -> None:
        """Close it, and leave the folder to others, though it was owned here."""
        owned, self._owned = self._owned, None
        if owned is not None:
            owned.release()
        self.close()

    def _closed(self, mail: ZmqMail) -> None:
        with self._lock, contextlib.suppress(ValueError):
            self._mails.remove(mail)
