"""A socket that gives lines and never blocks, encrypted or not; and how one is opened, beside the actor's thread."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable

from .stream_place import StreamPlace

#: Bytes that are read from a socket at once, and in one go before others have their turn.
_PIECE = 65_536
_IN_ONE_GO = 2_000_000


class ConnectionLostError(Exception):
    """A connection has ended, or cannot be made; says why in a sentence."""


class Opening:
    """A connection that is being made, in a thread of its own: looking up a name may take seconds.

    Attributes:
        file: can be read once the connection is made, or could not be.
    """

    def __init__(self, place: StreamPlace, seconds: float) -> None:
        self._place = place
        self._seconds = seconds
        self.file, self._bell = socket.socketpair()
        self._lock = threading.Lock()
        self._abandoned = False
        self._made: socket.socket | None = None
        self._why = ""
        threading.Thread(target=self._open, name=f"connecting to {place}", daemon=True).start()

    def _open(self) -> None:
        made: socket.socket | None = None
        try:
            made = socket.create_connection((self._place.host, self._place.port), timeout=self._seconds)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setblocking(False)
        except OSError as error:
            self._why = f"{self._place} cannot be reached: {error.strerror or error}"
        with self._lock:
            if self._abandoned:
                if made is not None:
                    made.close()
            else:
                self._made = made
                self._bell.send(b".")
            self._bell.close()

    def take(self) -> socket.socket:
        """The socket, once `file` can be read. It does not block.

        Raises:
            ConnectionLostError: the exchange cannot be reached.
        """
        self.file.close()
        made, self._made = self._made, None
        if made is None:
            raise ConnectionLostError(self._why)
        return made

    def abandon(self) -> None:
        """It is not wanted any more."""
        with self._lock:
            self._abandoned = True
            made, self._made = self._made, None
        self.file.close()
        if made is not None:
            made.close()


class LineSocket:
    """Lines from a connected socket that does not block, and bytes to it.

    With TLS the bytes are decrypted from memory, so nothing that has come ever waits where a watcher of the socket
    would not see it.

    Args:
        raw: the socket.
        context: what checks the certificate; None: plain.
        server_name: the name that the certificate must have.
        most_bytes: of one line.
    """

    def __init__(
        self, raw: socket.socket, context: ssl.SSLContext | None, server_name: str, most_bytes: int = 64_000_000
    ) -> None:
        self.file = raw
        self._most = most_bytes
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._out = bytearray()
        self._tls: ssl.SSLObject | None = None
        self._shaken = context is None
        self._unsent = bytearray()
        if context is not None:
            self._in_bio, self._out_bio = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._tls = context.wrap_bio(self._in_bio, self._out_bio, server_hostname=server_name)
            self._advance()

    # -- writing -------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send bytes, as soon as they can be.

        Raises:
            ConnectionLostError: the connection has ended.
        """
        self._out += data
        self._advance()

    @property
    def pending(self) -> bool:
        """Something could not be sent yet; `flush` tries again."""
        return bool(self._unsent or (self._out and self._shaken))

    def flush(self) -> None:
        """Send what could not be sent.

        Raises:
            ConnectionLostError: the connection has ended.
        """
        self._advance()

    def _advance(self) -> None:
        """Go on with the handshake of TLS, and send what can be sent."""
        if self._tls is not None:
            if not self._shaken:
                self._shake(self._tls)
            if self._shaken and self._out:
                self._tls.write(self._out)
                self._out.clear()
            self._unsent += self._out_bio.read()
        else:
            self._unsent += self._out
            self._out.clear()
        while self._unsent:
            try:
                sent = self.file.send(self._unsent)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                raise ConnectionLostError(f"the connection is lost: {error.strerror or error}") from None
            del self._unsent[:sent]

    def _shake(self, tls: ssl.SSLObject) -> None:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLCertVerificationError as error:
            raise ConnectionLostError(
                f"the exchange's certificate is not trusted: {error.verify_message}; "
                "where it is a rehearsal's, name its file: `certificate` in live.toml, ca_file in Python"
            ) from None
        except (ssl.SSLError, OSError) as error:
            raise ConnectionLostError(f"no encrypted connection can be made: {error}") from None
        self._shaken = True

    # -- reading -------------------------------------------------------------------------------------------------

    def read(self, take: Callable[[bytes], object]) -> None:
        """Hand on the lines that have come, without their ends.

        Raises:
            ConnectionLostError: the connection has ended; lines that came before have been handed on.
        """
        left = _IN_ONE_GO
        while left > 0:
            try:
                data = self.file.recv(_PIECE)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                raise ConnectionLostError(f"the connection is lost: {error.strerror or error}") from None
            if not data:
                raise ConnectionLostError("the exchange has closed the connection")
            left -= len(data)
            if self._tls is None:
                self._split(data, take)
            else:
                self._decrypt(self._tls, data, take)
            if len(data) < _PIECE:
                return  # there was no more: a watcher tells of what comes now

    def _decrypt(self, tls: ssl.SSLObject, data: bytes, take: Callable[[bytes], object]) -> None:
        self._in_bio.write(data)
        if not self._shaken:
            self._advance()
            if not self._shaken:
                return
        pieces = []
        ended: str | None = None
        try:
            while piece := tls.read(_PIECE):
                pieces.append(piece)
                if not self._in_bio.pending and not tls.pending():
                    break  # asking for more would cost an exception
            else:
                ended = "the exchange has closed the connection"
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            ended = "the exchange has closed the connection"
        except (ssl.SSLError, OSError) as error:
            ended = f"what came cannot be decrypted: {error}"
        if pieces:
            self._split(pieces[0] if len(pieces) == 1 else b"".join(pieces), take)
        if self._out_bio.pending:
            self._advance()  # a renewal of keys has something to send
        if ended is not None:
            raise ConnectionLostError(ended)

    def _split(self, data: bytes, take: Callable[[bytes], object]) -> None:
        lines = data.split(b"\n")
        if len(lines) == 1:
            self._keep(data)
            return
        if self._rest:
            lines[0] = b"".join((*self._rest, lines[0]))
            self._rest.clear()
            self._rest_bytes = 0
        last = lines.pop()
        if last:
            self._keep(last)
        for line in lines:
            line = line.removesuffix(b"\r")
            if line:
                take(line)

    def _keep(self, data: bytes) -> None:
        self._rest.append(data)
        self._rest_bytes += len(data)
        if self._rest_bytes > self._most:
            raise ConnectionLostError(f"a line of more than {self._most} bytes came: this is not the exchange")

    def close(self) -> None:
        """End the connection."""
        with contextlib.suppress(OSError):
            self.file.shutdown(socket.SHUT_RDWR)
        self.file.close()
