"""Ports to listen on: the same one for IPv4 and IPv6."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable

#: What systems without IPv6 answer.
_NO_IPV6 = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})
_TRIES = 50
#: Seconds that a client has for TLS's handshake.
HANDSHAKE_S = 10.0


async def listen(
    protocol: Callable[[], asyncio.BaseProtocol],
    host: str,
    port: int,
    context: ssl.SSLContext | None = None,
    backlog: int = 1024,
) -> tuple[list[asyncio.Server], int]:
    """Listen on a port; the servers and the port.

    Args:
        protocol: makes one for each connection.
        host: "localhost" is 127.0.0.1, and ::1 where there is IPv6; anything else is taken as it is.
        port: 0 for any that is free on all of them.
        context: of TLS; without one it is plain TCP.

    Raises:
        OSError: the port is in use, or the host is not of this machine.
    """
    loop = asyncio.get_running_loop()
    hosts = ["127.0.0.1", "::1"] if host == "localhost" else [host]
    for left in reversed(range(_TRIES)):
        servers: list[asyncio.Server] = []
        found = port
        try:
            for each in hosts:
                server = await _one(loop, protocol, each, found, context, backlog, optional=bool(servers))
                if server is not None:
                    servers.append(server)
                    found = server.sockets[0].getsockname()[1]
            return servers, found
        except OSError as error:
            for server in servers:
                server.close()
            # A port that was free for one family may be taken for the other: another one.
            if port or error.errno != errno.EADDRINUSE or not left:
                raise
    raise AssertionError("not reached")


async def _one(
    loop: asyncio.AbstractEventLoop,
    protocol: Callable[[], asyncio.BaseProtocol],
    host: str,
    port: int,
    context: ssl.SSLContext | None,
    backlog: int,
    *,
    optional: bool,
) -> asyncio.Server | None:
    waiting = None if context is None else HANDSHAKE_S
    try:
        return await loop.create_server(
            protocol, host, port, ssl=context, backlog=backlog, reuse_address=True, ssl_handshake_timeout=waiting
        )
    except OSError as error:
        if optional and error.errno in _NO_IPV6:
            return None
        raise
