"""Messages as lines, in bytes that come in pieces; and ends of connections that are not clean."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import msgspec


def line(message: dict[str, Any]) -> bytes:
    """A message as it is sent."""
    return msgspec.json.encode(message) + b"\r\n"


class LineTooLongError(ValueError):
    """A line is longer than it may be. Nothing of what came is kept."""


class Lines:
    """Bytes that have come, as lines with a bounded length.

    Args:
        limit: bytes of the longest line.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = bytearray()
        self._searched = 0

    def add(self, data: bytes) -> None:
        """More has come."""
        self._bytes += data

    def take(self) -> bytes | None:
        """The next line, without its end; None until it is whole.

        Raises:
            LineTooLongError: it is longer than the limit.
        """
        end = self._bytes.find(b"\n", self._searched)
        if end > self._limit or (end < 0 and self.crowded):
            self.clear()
            raise LineTooLongError(f"A line is longer than {self._limit} bytes")
        if end < 0:
            self._searched = len(self._bytes)
            return None
        line = bytes(self._bytes[:end]).rstrip(b"\r")
        del self._bytes[: end + 1]
        self._searched = 0
        return line

    @property
    def crowded(self) -> bool:
        """More than one line may hold is waiting."""
        return len(self._bytes) > self._limit

    def clear(self) -> None:
        """Forget what has come."""
        self._bytes.clear()
        self._searched = 0


def shut(transport: asyncio.BaseTransport) -> None:
    """Tell the client that nothing more comes; it is still read.

    Raises:
        OSError: it has gone.
    """
    transport.get_extra_info("socket").shutdown(socket.SHUT_WR)


def reset_at_close(transport: asyncio.BaseTransport) -> None:
    """Let the client see a reset, and not an end, when the connection is closed."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
