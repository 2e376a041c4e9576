"""One HTTP call: what is posted, and what came of it. It knows what was sent for certain, and what was not."""

from __future__ import annotations

import dataclasses
import http.client
import threading
import zlib
from collections.abc import Callable, Mapping

from urllib3.connection import HTTPConnection

from ...strategies.errors import ClientError
from .connections import CONNECT_S, FAILURES, Connections, Target, cut

#: What came of a post: a whole reply was read; nothing of it can have been acted on; it may have been.
REPLIED, NOT_SENT, LOST = "REPLIED", "NOT_SENT", "LOST"
#: Bodies of at most so many bytes fit into the buffers of a socket: they are sent without waiting.
_AT_ONCE_BYTES = 16_384
#: gzip, or zlib: told by their first bytes.
_ANY_FORMAT = zlib.MAX_WBITS | 32


@dataclasses.dataclass(frozen=True, slots=True)
class Post:
    """What is posted.

    Attributes:
        head: see `head_of`.
    """

    target: Target
    head: bytes
    body: bytes

    def __repr__(self) -> str:
        # Headers and bodies hold credentials.
        return f"<Post {self.target.host}:{self.target.port}{self.head.split(b' ', 2)[1].decode()}>"


@dataclasses.dataclass(frozen=True, slots=True)
class Got:
    """What came of a post.

    Attributes:
        state: REPLIED, NOT_SENT or LOST.
        status: of HTTP, of a reply.
        why: what went wrong, in words.
        begun_ms, ended_ms: when it was posted and when it was over, milliseconds since the epoch.
    """

    state: str
    status: int = 0
    body: bytes = b""
    why: str = ""
    begun_ms: int = 0
    ended_ms: int = 0


def head_of(target: Target, path: str, headers: Mapping[str, str]) -> bytes:
    """How posts to a path begin: all but the length of the body, which goes in the same packet.

    Raises:
        ClientError: a header cannot be sent.
    """
    host = f"[{target.host}]" if ":" in target.host else target.host
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}:{target.port}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    for line in lines:
        if not line.isascii() or not line.isprintable():
            raise ClientError(f"{line.partition(':')[0]} has a character that no header can have, such as a line break")
    return "\r\n".join([*lines, "Content-Length: "]).encode()


class Posting:
    """A post on its way. `send_at_once` and `give_up` are for the thread that asked, `run` is for another.

    Args:
        send_by_ms: when it is too late to send it; None: never.
        answer_s: seconds that the reply may take.
    """

    def __init__(
        self,
        post: Post,
        connections: Connections,
        clock_ms: Callable[[], int],
        send_by_ms: int | None,
        answer_s: float,
    ) -> None:
        self._post = post
        self._connections = connections
        self._clock_ms = clock_ms
        self._send_by_ms = send_by_ms
        self._answer_s = answer_s
        self._lock = threading.Lock()
        self._line: HTTPConnection | None = None
        self._given_up = False
        self._sent = False
        self.begun_ms = clock_ms()

    def send_at_once(self) -> bool:
        """Send it from this thread, if there is a warm connection: that saves waking another one first."""
        if len(self._post.body) > _AT_ONCE_BYTES:
            return False
        line = self._connections.take(self._post.target)
        if line is None:
            return False
        try:
            self._write(line)
        except FAILURES:
            line.close()  # as if it had not been there
            return False
        self._line, self._sent = line, True
        return True

    def give_up(self) -> Got:
        """It has taken too long: what is known of it."""
        with self._lock:
            self._given_up = True
            line, sent = self._line, self._sent
        if line is not None:
            cut(line)
        if sent:
            return self._got(LOST, why=f"no reply within {self._answer_s:g} s")
        return self._got(NOT_SENT, why="no connection in time")

    def run(self) -> Got:
        """Send it, unless that is done, and read the reply."""
        line = self._line
        if line is None:
            line = self._connections.take(self._post.target)
            while True:
                warm = line is not None
                try:
                    line = line or self._connections.open(self._post.target)
                except FAILURES as error:
                    return self._got(NOT_SENT, why=f"cannot connect to {self._where}: {_words(error)}")
                late = self._begin(line)
                if late:
                    self._connections.give_back(self._post.target, line)
                    return self._got(NOT_SENT, why=late)
                try:
                    self._write(line)
                    break
                except FAILURES as error:
                    # What was not taken whole cannot be acted on: the reader waits for the rest of it.
                    self._end_sending()
                    line.close()
                    line = None
                    if not warm:
                        return self._got(NOT_SENT, why=f"the connection to {self._where} broke: {_words(error)}")
        return self._read(line)

    @property
    def _where(self) -> str:
        return f"{self._post.target.host}:{self._post.target.port}"

    def _begin(self, line: HTTPConnection) -> str:
        """From now on it may be sent; else why not."""
        with self._lock:
            if self._given_up:
                return "given up before it was sent"
            if self._send_by_ms is not None and self._clock_ms() > self._send_by_ms:
                return f"came to be sent {self._clock_ms() - self._send_by_ms} ms after its deadline"
            self._line, self._sent = line, True
        return ""

    def _end_sending(self) -> None:
        with self._lock:
            self._line, self._sent = None, False

    def _write(self, line: HTTPConnection) -> None:
        line.sock.settimeout(self._answer_s)
        post = self._post
        line.sock.sendall(b"%b%d\r\n\r\n%b" % (post.head, len(post.body), post.body))

    def _read(self, line: HTTPConnection) -> Got:
        try:
            response = http.client.HTTPResponse(line.sock, method="POST")
            response.begin()
            body = response.read()
            if response.getheader("Content-Encoding") in ("gzip", "deflate"):
                body = zlib.decompress(body, _ANY_FORMAT)
        except (*FAILURES, zlib.error) as error:
            line.close()
            return self._got(LOST, why=f"no reply from {self._where}: {_words(error)}")
        if response.will_close:
            line.close()
        else:
            line.sock.settimeout(CONNECT_S)
        response.close()
        self._connections.give_back(self._post.target, line)
        return self._got(REPLIED, response.status, body)

    def _got(self, state: str, status: int = 0, body: bytes = b"", why: str = "") -> Got:
        return Got(state, status, body, why, self.begun_ms, self._clock_ms())


def _words(error: Exception) -> str:
    """An error in words, without the objects that urllib3 names in its own."""
    reason = getattr(error, "strerror", None) or str(error).rpartition(">: ")[2] or type(error).__name__
    return str(reason)
