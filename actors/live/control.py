"""Asking a running system: a socket in its folder, which the coordinator's thread watches, and the one who asks.

A question is a line of JSON, `{"what": "STATE", "values": {}}`; so is the answer, `{"values": {...}}` or
`{"error": "...", "asked_wrongly": false}`. A connection may ask again.

| what | values | answer |
| --- | --- | --- |
| STATE | | the state, see `actors.live.state` |
| STOP | `why`: a sentence; `leave`: true or false: not as `on_stop` has it | nothing; the system then ends |
| CANCEL_ALL | `why`; `whole_account` | nothing; the state's `cancelling` tells how it goes |

No answer waits for what it has set going: `cancelling` of the state is `{"done": false, "open": n, "left": [...]}`:
`open` orders are still to be cancelled; `left` are rows of orders that cannot be, those at the starting price and those
that the exchange refuses to cancel, each with `why`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ...strategies.errors import HeadraceError, InputError, RunError
from ...values import UNREADABLE
from ..mailboxes.mail import Mail
from .instance import Instance

logger = logging.getLogger("headrace")

#: Seconds for which an answer that its reader does not take is kept.
_SENDING_S = 10.0
#: Bytes of the longest question.
_LONGEST = 100_000
#: Connections at once; beyond, the oldest is closed.
_MOST = 32

#: What answers: takes what is asked and the values of the question, and returns values, or raises.
Answer = Callable[[str, dict[str, Any]], Mapping[str, Any]]


class _Question(msgspec.Struct):
    what: str
    values: dict[str, Any] = {}


class _Answered(msgspec.Struct, omit_defaults=True):
    values: dict[str, Any] | None = None
    error: str | None = None
    asked_wrongly: bool = False


class ControlDesk:
    """Where a running system is asked. All of it is called in the thread of the mail that it is opened with.

    Args:
        path: of the socket; whoever can reach it may ask: it lies in a private folder.
        answer: called with each question. What it raises is the answer: an `InputError` says that it was asked wrongly.
    """

    def __init__(self, path: str, answer: Answer) -> None:
        self.path = path
        self._answer = answer
        self._mail: Mail | None = None
        self._door: socket.socket | None = None
        self._read: dict[socket.socket, bytearray] = {}

    def open(self, mail: Mail) -> None:
        """Listen, and have the mail watch.

        Raises:
            RunError: the socket cannot be made.
        """
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            door.bind(self.path)
            os.chmod(self.path, 0o600)
            door.listen(_MOST)
        except OSError as error:
            door.close()
            raise RunError(f"{self.path}: the control socket cannot be opened: {error.strerror or error}") from None
        door.setblocking(False)
        self._mail, self._door = mail, door
        mail.watch(door, self._accept)

    def close(self) -> None:
        """Take no more questions."""
        door, self._door = self._door, None
        if door is None:
            return
        for connection in list(self._read):
            self._end(connection)
        assert self._mail is not None
        self._mail.watch(door, None)
        door.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def _accept(self) -> None:
        assert self._door is not None
        assert self._mail is not None
        try:
            connection, _ = self._door.accept()
        except OSError:  # it has gone again
            return
        connection.setblocking(False)
        while len(self._read) >= _MOST:
            self._end(next(iter(self._read)))
        self._read[connection] = bytearray()
        self._mail.watch(connection, lambda: self._take(connection))

    def _take(self, connection: socket.socket) -> None:
        read = self._read.get(connection)
        if read is None:  # it was closed while it waited to be read
            return
        try:
            part = connection.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        read += part
        if not part or len(read) > _LONGEST:
            self._end(connection)
            return
        while connection in self._read and (end := read.find(b"\n")) >= 0:
            line = bytes(read[:end])
            del read[: end + 1]
            self._send(connection, msgspec.json.encode(self._answered(line)) + b"\n")

    def _answered(self, line: bytes) -> _Answered:
        try:
            question = msgspec.json.decode(line, type=_Question)
            return _Answered(values=dict(self._answer(question.what, question.values)))
        except UNREADABLE as error:
            return _Answered(error=f"this is not a question: {error}", asked_wrongly=True)
        except HeadraceError as error:
            return _Answered(error=str(error), asked_wrongly=isinstance(error, InputError))
        except Exception as error:
            logger.exception("a question could not be answered")
            return _Answered(error=f"the system failed to answer: {type(error).__name__}: {error}")

    def _send(self, connection: socket.socket, data: bytes) -> None:
        """Send; what does not fit at once goes from a thread, and nobody waits for who does not read."""
        try:
            sent = connection.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._end(connection)
            return
        if sent == len(data):
            return
        self._unwatch(connection)
        threading.Thread(target=_send_rest, args=(connection, data[sent:]), name="answer", daemon=True).start()

    def _unwatch(self, connection: socket.socket) -> None:
        self._read.pop(connection, None)
        assert self._mail is not None
        self._mail.watch(connection, None)

    def _end(self, connection: socket.socket) -> None:
        self._unwatch(connection)
        connection.close()


def _send_rest(connection: socket.socket, data: bytes) -> None:
    """Send the rest of a long answer, and end the connection: who asked asks again with another."""
    with connection, contextlib.suppress(OSError):
        connection.settimeout(_SENDING_S)
        connection.sendall(data)


def ask(
    instance: Instance | str, what: str, values: Mapping[str, Any] | None = None, *, timeout: float = 10.0
) -> dict[str, Any]:
    """Ask a running system.

    Args:
        instance: it, or the path of its control socket.
        what: STATE, STOP, CANCEL_ALL.
        values: what else the question takes.
        timeout: seconds to wait for the answer.

    Raises:
        InputError: the question is wrong; or no such system runs.
        RunError: it does not answer, or could not do it.
    """
    path, name = (instance, instance) if isinstance(instance, str) else _path_of(instance)
    until = time.monotonic() + timeout
    question = msgspec.json.encode(_Question(what, dict(values or {}))) + b"\n"
    answer = bytearray()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            _connect(connection, path, until)
            connection.sendall(question)
            while not answer.endswith(b"\n"):
                connection.settimeout(max(until - time.monotonic(), 0.001))
                part = connection.recv(1_000_000)
                if not part:
                    raise RunError(f"the live system {name} has ended while it was asked")
                answer += part
    except TimeoutError:
        raise RunError(f"the live system {name} has not answered within {timeout:g} seconds") from None
    except OSError as error:
        raise RunError(f"the live system {name} does not answer: {error.strerror or error}") from None
    try:
        answered = msgspec.json.decode(bytes(answer), type=_Answered)
    except UNREADABLE as error:
        raise RunError(f"the live system {name} answered something else: {error}") from None
    if answered.error is not None:
        raise (InputError if answered.asked_wrongly else RunError)(answered.error)
    return answered.values or {}


def _connect(connection: socket.socket, path: str, until: float) -> None:
    """Connect; where others wait at the door, wait with them."""
    while True:
        try:
            connection.connect(path)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise TimeoutError from None
            time.sleep(0.01)


def _path_of(instance: Instance) -> tuple[str, str]:
    running = instance.running()
    if running is None:
        raise InputError(f"no live system with the reference {instance.reference!r} runs on this machine")
    if not os.path.exists(running.control):
        raise RunError(f"the live system {instance.reference!r} does not answer: it is starting, or ending")
    return running.control, repr(instance.reference)
