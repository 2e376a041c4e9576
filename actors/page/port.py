"""The port of the page, on this machine alone."""

from __future__ import annotations

import socket

from ...strategies.errors import InputError

HOST = "127.0.0.1"


def bound(port: int) -> socket.socket:
    """A socket at a port; 0: any that is free.

    Raises:
        InputError: the port is in use, or not for this user.
    """
    made = socket.socket()
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((HOST, port))
    except OSError as error:
        made.close()
        raise InputError(
            f"page_port={port}: the page cannot be there: {error.strerror or error}; name another port, or 0 for any "
            "that is free"
        ) from None
    return made


def require_free(port: int) -> None:
    """Refuse a port where the page cannot be, before anything is started.

    Raises:
        InputError: it is in use, or not for this user.
    """
    bound(port).close()
