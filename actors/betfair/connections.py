"""Connections to an exchange over HTTP that are kept warm, for the threads of calls.

A connection that was idle for too long is not used again: the exchange closes it after three minutes, unheard ("Best
Practice"), and a firewall between may forget it without a word.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from .places import split

#: Seconds that connecting may take.
CONNECT_S = 3.05
#: Seconds after which an idle connection is not used again.
IDLE_S = 150.0
#: What goes wrong with connections.
FAILURES = (OSError, http.client.HTTPException, HTTPError)


@dataclasses.dataclass(frozen=True)
class Target:
    """A host that is called.

    Attributes:
        scheme: http or https.
        certificate: file of the certificates that it is known by; None: what the machine trusts.
        client_certificate: files of a certificate and its key to show there.
    """

    scheme: str
    host: str
    port: int
    certificate: str | None = None
    client_certificate: tuple[str, str | None] | None = None

    @classmethod
    def of(
        cls, address: str, certificate: str | None = None, client_certificate: tuple[str, str | None] | None = None
    ) -> Target:
        """The host of an address.

        Raises:
            ClientError: it is not an address of HTTP.
        """
        parts = split(address)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        assert parts.hostname is not None
        if not secure:
            return cls("http", parts.hostname, port)
        return cls("https", parts.hostname, port, certificate, client_certificate)


class Connections:
    """Idle connections by host, the one used last on top. All of it may be called from any thread.

    Args:
        clock: seconds of a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: dict[Target, list[tuple[float, HTTPConnection]]] = {}
        self._contexts: dict[Target, ssl.SSLContext] = {}
        self._closed = False
        #: How many were opened.
        self.opened = 0

    def take(self, target: Target) -> HTTPConnection | None:
        """A connection that is open and warm; None if there is none."""
        while True:
            with self._lock:
                stack = self._idle.get(target)
                if not stack:
                    return None
                since, connection = stack.pop()
            if self._clock() - since < IDLE_S and is_open(connection):
                return connection
            connection.close()

    def open(self, target: Target) -> HTTPConnection:
        """A new connection.

        Raises:
            OSError, HTTPException, HTTPError: the host cannot be reached, or is not the one that its certificate says.
        """
        if target.scheme == "http":
            connection = HTTPConnection(target.host, target.port, timeout=CONNECT_S)
        else:
            context = self._context(target)
            connection = HTTPSConnection(target.host, target.port, timeout=CONNECT_S, ssl_context=context)
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self.opened += 1
        return connection

    def give_back(self, target: Target, connection: HTTPConnection) -> None:
        """A call is over, and all of its reply was read."""
        if connection.sock is not None:
            with self._lock:
                if not self._closed:
                    self._idle.setdefault(target, []).append((self._clock(), connection))
                    return
        connection.close()

    def idle(self, target: Target) -> int:
        """How many connections are idle, and not for too long."""
        now = self._clock()
        with self._lock:
            return sum(now - since < IDLE_S for since, _ in self._idle.get(target, ()))

    def drop_old(self) -> None:
        """Close what was idle for too long, or was closed at the other end."""
        now, old = self._clock(), []
        with self._lock:
            for stack in self._idle.values():
                kept = [each for each in stack if now - each[0] < IDLE_S and is_open(each[1])]
                old += [connection for since, connection in stack if (since, connection) not in kept]
                stack[:] = kept
        for connection in old:
            connection.close()

    def close(self) -> None:
        """Close all that are idle, and those that are given back later."""
        with self._lock:
            self._closed = True
            found = [connection for stack in self._idle.values() for _, connection in stack]
            self._idle.clear()
        for connection in found:
            connection.close()

    def _context(self, target: Target) -> ssl.SSLContext:
        with self._lock:
            known = self._contexts.get(target)
        if known is not None:
            return known
        context = ssl.create_default_context(cafile=target.certificate)
        if target.certificate is None:
            with contextlib.suppress(ImportError, OSError):
                import certifi

                context.load_verify_locations(certifi.where())
        if target.client_certificate is not None:
            context.load_cert_chain(*target.client_certificate)
        with self._lock:
            return self._contexts.setdefault(target, context)


def is_open(connection: HTTPConnection) -> bool:
    """Whether an idle connection is open at the other end too, as far as that is known here.

    Of plain TCP whatever can be read is its end. Of TLS it may be a ticket for sessions to come, which is not looked at
    before something is read.
    """
    if connection.is_connected:
        return True
    sock = connection.sock
    if not isinstance(sock, ssl.SSLSocket):
        return False
    try:
        sock.settimeout(0)
        sock.recv(1)
    except ssl.SSLWantReadError:
        return True
    except OSError:
        return False
    return False


def cut(connection: HTTPConnection) -> None:
    """End a connection that another thread is using: that thread's call fails at once."""
    sock = connection.sock
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
