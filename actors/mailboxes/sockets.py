"""Mail between processes: letters travel over ZeroMQ's sockets in a private folder.

Sockets alone promise little: what is on its way when a process dies is gone, a successor may receive what was meant
for its former self, and a second bind takes a path over without a word. So an address holds the incarnation of its
actor, a name is claimed by a lock that dies with its process, and every letter carries its sender, the sender's
incarnation and its place in the sequence of that sender's letters to this receiver. What does not fit is counted, and
the role is told.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import math
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import zmq

from ...strategies.errors import MessageError
from ..letters import Letter
from ..wire import encode
from . import frames
from .bounds import Bounds
from .box import Box
from .files import Files
from .folder import Claim
from .mail import Waiting
from .way import Way

logger = logging.getLogger("headrace")

#: Letters that are taken in one look at most: files and timers get their turn too.
_AT_ONCE = 10_000
#: Milliseconds for which letters that were sent before the close may still travel.
LINGER = 1_000
#: Milliseconds between attempts to reach an inbox that is not there, or not there yet: the first, the longest.
_AGAIN, _AGAIN_AT_MOST = 5, 500


class _Source:
    """What is known of a sender: its incarnation and address, how far its letters have come, and the way back to it."""

    __slots__ = ("address", "asking", "back", "incarnation", "name", "place")

    def __init__(self, name: str, incarnation: int) -> None:
        self.name = name
        self.incarnation = incarnation
        self.address = ""
        self.place = 0
        self.asking = False
        self.back: Way | None = None

    def hang_up(self) -> None:
        if self.back is not None:
            self.back.socket.close(0)
            self.back = None


class ZmqMail(Box):
    """An actor's mail, see `Mail`.

    Args:
        bounds: how far a receiver may be behind before what may be left out is left out.
        hung_up: told once its sockets are closed.
        claim: its name, until it has hung up.
    """

    def __init__(
        self,
        bounds: Bounds,
        hung_up: Callable[[ZmqMail], object],
        context: zmq.Context[zmq.Socket[bytes]],
        claim: Claim,
        name: str,
        incarnation: int,
        address: str,
    ) -> None:
        super().__init__(name, incarnation, address)
        self._bounds = bounds
        self._hung_up = hung_up
        self._context = context
        self._claim = claim
        self._owner = threading.current_thread()
        self._spelt = name.encode()
        self._socket = context.socket(zmq.PULL)
        try:
            self._socket.set_hwm(0)
            with contextlib.suppress(FileNotFoundError):  # of a former process of the same incarnation: it is dead
                os.unlink(address.removeprefix("ipc://"))
            self._socket.bind(address)
        except BaseException:
            self._socket.close(0)
            raise
        # What other threads put. They ring the bell.
        self._put: collections.deque[Letter] = collections.deque()
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._bell.file, zmq.POLLIN)
        self._files = Files(self._poller)
        # Letters taken from the socket that the role has not seen yet, and what it is to be told with them.
        self._letters: list[tuple[str, Letter]] = []
        self._missed: dict[str, None] = {}
        self._sources: dict[bytes, _Source] = {}
        self._asking: list[_Source] = []
        self._ways: dict[str, Way] = {}
        self._places: dict[str, int] = {}
        # What threads of the actor send goes its own ways.
        self._aside: dict[str, zmq.Socket[bytes]] = {}
        self._aside_lock = threading.Lock()

    @property
    def depth(self) -> int:
        if not self._bell.closed:
            self._take()
        return len(self._letters) + len(self._put)

    # -- sending -------------------------------------------------------------------------------------------------------

    def know(self, name: str, address: str) -> None:
        way = self._ways.get(name)
        if way is not None and way.address == address:
            return
        self._leave(name, 0)
        if self._bell.closed:
            return
        # What was sent there before, if this address was known, forgotten, and is known again: the sequence goes on.
        self._ways[name] = way = Way(address, self._connected(address), self._bounds, self._places.get(address, 0))
        way.send(self._head(frames.GREETING, way.place) + self.address.encode())

    def forget(self, name: str) -> None:
        self._leave(name, LINGER)

    def _leave(self, name: str, linger: int) -> None:
        way = self._ways.pop(name, None)
        if way is not None:
            self._places[way.address] = way.place
            way.socket.close(linger)
            with self._aside_lock:
                socket = self._aside.pop(way.address, None)
                if socket is not None:
                    socket.close(linger)

    def send(self, name: str, letter: Letter, droppable: bool = False) -> bool:
        way = self._ways.get(name)
        if way is None or self._bell.closed:
            self._undelivered += 1
            return False
        data = encode(letter)
        if droppable and not way.has_room():
            if not way.full:
                way.fill()
                way.send(self._head(frames.POSITION | frames.ASKING, way.place))
            way.place += 1
            self._dropped += 1
            return False
        way.place += 1
        kind = frames.LETTER | frames.ASKING if way.asks(droppable) else frames.LETTER
        way.send(self._head(kind, way.place) + data)
        self._sent += 1
        return True

    def put(self, letter: Letter) -> None:
        if not self._bell.closed:
            self._put.append(letter)
            self._bell.ring()

    def aside(self, name: str, letter: Letter) -> bool:
        way = self._ways.get(name)
        if way is None:
            return False
        data = self._head(frames.ASIDE, 0) + encode(letter)
        with self._aside_lock:
            if self._bell.closed:
                return False
            socket = self._aside.get(way.address)
            if socket is None:
                socket = self._aside[way.address] = self._connected(way.address)
            socket.send(data, zmq.NOBLOCK)
        return True

    def _head(self, kind: int, place: int) -> bytes:
        return frames.HEAD.pack(kind, self.incarnation, place, len(self._spelt)) + self._spelt

    def _connected(self, address: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.PUSH)
        socket.set_hwm(0)
        socket.setsockopt(zmq.LINGER, LINGER)
        socket.setsockopt(zmq.RECONNECT_IVL, _AGAIN)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, _AGAIN_AT_MOST)
        socket.connect(address)
        return socket

    # -- receiving -----------------------------------------------------------------------------------------------------

    def watch(self, file: Any, ready: Callable[[], object] | None) -> None:
        self._files.watch(file, ready)

    def wait(self, seconds: float) -> Waiting:
        until = time.monotonic() + seconds
        self._owner = threading.current_thread()
        while True:
            self._give_credit()
            files = self._files.pending()
            there = bool(files) or self._found()
            polled = self._bell.wait(self._found, self._poll, 0.0 if there else until - time.monotonic())
            if polled is None:  # closed, perhaps by another thread
                self._hang_up()
                return Waiting()
            files += self._files.ready(polled)
            if any(each is self._socket for each, _ in polled):
                self._take()
            while self._put:
                self._letters.append((self.name, self._put.popleft()))
            letters, self._letters = self._letters, []
            lost, self._missed = list(self._missed), {}
            self._received += len(letters)
            if letters or lost or files or self._stopped or time.monotonic() >= until:
                return Waiting(letters, lost, files)

    def _found(self) -> bool:
        return bool(self._letters or self._put or self._missed or self._stopped)

    def _poll(self, seconds: float) -> list[tuple[Any, int]]:
        return self._poller.poll(math.ceil(seconds * 1000))

    def _take(self) -> None:
        """Take what has come to the socket."""
        receive = self._socket.recv
        try:
            for _ in range(_AT_ONCE):
                self._sort(receive(zmq.NOBLOCK))
        except zmq.Again:
            pass

    def _sort(self, frame: bytes) -> None:
        if len(frame) < frames.HEAD.size:
            logger.error("%s has received %d bytes that are not from a mailbox", self.name, len(frame))
            self._lost += 1
            return
        kind, incarnation, place, length = frames.HEAD.unpack_from(frame)
        start = frames.HEAD.size + length
        spelt = frame[frames.HEAD.size : start]
        asking, kind = kind & frames.ASKING, kind & ~frames.ASKING
        if kind == frames.CREDIT:
            self._credited(spelt.decode(), incarnation, place)
            return
        if kind == frames.ASIDE:
            self._read(spelt.decode(), frame, start)
            return
        source = self._sources.get(spelt)
        if source is None:
            source = self._sources[spelt] = _Source(spelt.decode(), incarnation)
        elif incarnation != source.incarnation:
            if incarnation < source.incarnation:
                self._stale += kind == frames.LETTER
                return
            # It has been started anew: what its former self had sent and was not received is lost.
            source.hang_up()
            source.incarnation, source.place = incarnation, 0
            self._missed[source.name] = None
        missing = place - source.place - (kind == frames.LETTER)
        if missing < 0:
            self._stale += 1
            return
        if missing:
            self._lost += missing
            self._missed[source.name] = None
        source.place = place
        if asking and not source.asking:
            source.asking = True
            self._asking.append(source)
        if kind == frames.LETTER:
            self._read(source.name, frame, start)
        elif kind == frames.GREETING:
            source.hang_up()
            source.address = frame[start:].decode()

    def _read(self, sender: str, frame: bytes, start: int) -> None:
        try:
            self._letters.append((sender, frames.decode(memoryview(frame)[start:])))
        except MessageError:
            logger.exception("%s cannot read a letter from %s", self.name, sender)
            self._lost += 1
            self._missed[sender] = None

    # -- credit --------------------------------------------------------------------------------------------------------

    def _give_credit(self) -> None:
        """Tell those who have asked that what they had sent by then has been dealt with."""
        while self._asking and not self._bell.closed:
            source = self._asking.pop()
            source.asking = False
            way = self._ways.get(source.name)
            if way is None or way.address != source.address:
                if source.back is None:
                    source.back = Way(source.address, self._connected(source.address), self._bounds, 0)
                way = source.back
            way.send(self._head(frames.CREDIT, source.place))

    def _credited(self, name: str, incarnation: int, place: int) -> None:
        way = self._ways.get(name)
        if way is not None and way.address.endswith(f".{incarnation}"):
            was_full = way.full
            way.credit(place)
            if was_full and not way.full:  # it learns now what was left out, though nothing may be sent for long
                way.send(self._head(frames.POSITION, way.place))

    # -- the end -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        self._stopped = True
        if self._bell.close():
            self._put.clear()
        self._hang_up()

    def _hang_up(self) -> bool:
        """Close the sockets. They are the actor's own thread's: as long as it lives, it must do this itself."""
        if self._owner is not threading.current_thread() and self._owner.is_alive():
            return False
        if not self._bell.hang_up():
            return False
        self._files.close()
        for way in self._ways.values():
            way.socket.close()
        for source in self._sources.values():
            source.hang_up()
        with self._aside_lock:
            for socket in self._aside.values():
                socket.close()
        self._socket.close(0)
        with contextlib.suppress(OSError):
            os.unlink(self.address.removeprefix("ipc://"))
        self._claim.release(self.why)
        self._hung_up(self)
        return True
