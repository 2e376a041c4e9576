"""Ports to listen on, the same one for IPv4 and IPv6; who connects is let in one by one.

asyncio's own servers let a whole crowd in at once, each client of TLS with a quarter of a megabyte, and keep what
failed handshakes held until garbage is collected: opening and closing connections would fill the memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
import traceback
from collections.abc import Callable

logger = logging.getLogger("headrace")

#: What systems without IPv6 answer.
_NO_IPV6 = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})
#: Ports that are tried where any will do.
_TRIES = 50
#: Seconds that a client has for TLS's handshake.
HANDSHAKE_S = 10.0
#: Seconds for which a client's goodbye is waited for, with TLS.
GOODBYE_S = 2.0
#: Handshakes of TLS at once; beyond, the oldest is cut.
HANDSHAKES = 128
#: Connections that wait to be let in.
QUEUE = 1_024
#: Seconds for which nobody is let in when the process has no descriptor left.
EXHAUSTED_S = 0.05


class Listening:
    """One port.

    Args:
        protocol: makes one for each connection.
        context: of TLS; without one it is plain TCP.
        handshake_s: seconds that a client has for TLS's handshake.
        prepare: told of each socket before anything else.
        crowded: told before each is let in, and, with True, when the process has no descriptor left.

    Attributes:
        arriving: those whose connection is not made yet, in order.
    """

    def __init__(
        self,
        protocol: Callable[[], asyncio.BaseProtocol],
        context: ssl.SSLContext | None = None,
        handshake_s: float = HANDSHAKE_S,
        *,
        prepare: Callable[[socket.socket], object] | None = None,
        crowded: Callable[[bool], object] | None = None,
    ) -> None:
        self._protocol = protocol
        self._context = context
        self._handshake_s = handshake_s
        self._prepare = prepare
        self._crowded = crowded
        self._sockets: list[socket.socket] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.arriving: dict[asyncio.Task[None], socket.socket] = {}

    def open(self, host: str, port: int) -> int:
        """Listen; the port.

        Args:
            host: "localhost" is 127.0.0.1, and ::1 where there is IPv6; anything else is taken as it is.
            port: 0 for any that is free on all of them.

        Raises:
            OSError: the port is in use, or the host is not of this machine.
        """
        self._sockets = bound(host, port)
        for each in self._sockets:
            each.setblocking(False)
            self._tasks.append(asyncio.get_running_loop().create_task(self._accept(each)))
        return int(self._sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Let nobody in any more; connections that are made go on."""
        tasks = [*self._tasks, *self.arriving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        for each in self._sockets:
            each.close()
        self._sockets.clear()

    def cut(self, surplus: int) -> int:
        """Close so many of those whose connection is not made yet, the oldest first; how many were closed."""
        cut = list(self.arriving)[: max(surplus, 0)]
        for task in cut:
            with contextlib.suppress(OSError):  # it is closed already
                self.arriving.pop(task).shutdown(socket.SHUT_RDWR)
        return len(cut)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError:
                if self._crowded is not None:
                    self._crowded(True)
                await asyncio.sleep(EXHAUSTED_S)
                continue
            if self._crowded is not None:
                self._crowded(False)
            if self._context is not None:
                self.cut(len(self.arriving) - HANDSHAKES)
            task = loop.create_task(self._welcome(client))
            self.arriving[task] = client
            task.add_done_callback(self._arrived)
            # Others have their turn, and those who have left leave at once.
            await asyncio.sleep(0)

    async def _welcome(self, client: socket.socket) -> None:
        context = self._context
        try:
            if self._prepare is not None:
                self._prepare(client)
            await asyncio.get_running_loop().connect_accepted_socket(
                self._protocol,
                client,
                ssl=context,
                ssl_handshake_timeout=None if context is None else self._handshake_s,
                ssl_shutdown_timeout=None if context is None else GOODBYE_S,
            )
        except (OSError, ssl.SSLError, TimeoutError) as error:
            client.close()  # it went away, or spoke no TLS
            # The frames hold TLS's memory, and each other: let go of them now, not when garbage is collected.
            traceback.clear_frames(error.__traceback__)

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self.arriving.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("A connection could not be taken: %s", error, exc_info=error)


def bound(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on one port of a host; localhost is both 127.0.0.1 and ::1, where there is IPv6.

    Args:
        port: 0 for any that is free on all of them.

    Raises:
        OSError: the port is in use, or the host is not of this machine.
    """
    for left in reversed(range(_TRIES)):
        found: list[socket.socket] = []
        chosen = port
        try:
            for family, address in _addresses(host):
                try:
                    found.append(_bound(family, address, chosen))
                except OSError as error:
                    if found and error.errno in _NO_IPV6:
                        continue
                    raise
                chosen = found[0].getsockname()[1]
            return found
        except OSError as error:
            for each in found:
                each.close()
            # A port that was free for one family may be taken for the other: another one.
            if port or error.errno != errno.EADDRINUSE or not left:
                raise
    raise AssertionError("not reached")


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(QUEUE)
    except OSError:
        listener.close()
        raise
    return listener


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    if host == "localhost":
        return [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))
