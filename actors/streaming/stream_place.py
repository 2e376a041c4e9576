"""Where a stream of the exchange is, and how it is spoken to."""

from __future__ import annotations

import dataclasses
import os
import ssl

from ...strategies.errors import InputError


@dataclasses.dataclass(frozen=True)
class StreamPlace:
    """Where a stream of the exchange is.

    Attributes:
        host, port: its address.
        tls: the connection is encrypted, and the exchange's certificate is checked; False: plain TCP, for rehearsals.
        ca_file: certificates of authorities (PEM) that are trusted instead of the system's; None: the system's.
        server_name: the name that the certificate must have; None: `host`.
    """

    host: str
    port: int = 443
    tls: bool = True
    ca_file: str | None = None
    server_name: str | None = None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def context(self) -> ssl.SSLContext | None:
        """What checks the exchange's certificate; None where the connection is plain.

        Raises:
            InputError: the file of authorities cannot be read.
        """
        if not self.tls:
            return None
        if self.ca_file is not None and not os.path.isfile(self.ca_file):
            raise InputError(f"ca_file={self.ca_file}: no such file; expected certificates of authorities (PEM)")
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise InputError(f"ca_file={self.ca_file}: cannot be used: {error}; expected certificates (PEM)") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


@dataclasses.dataclass(frozen=True)
class StreamSettings:
    """How a stream is watched. Times are seconds.

    Attributes:
        heartbeat_ms: how often the exchange is asked to send something, 500 to 5000 milliseconds.
        connect: for the connection to be made.
        handshake: for each answer until the subscription is taken. The exchange closes after 15 s.
        image: for the image to come after that.
        first_wait, longest_wait: before connecting again: doubled each time, and half of it left to chance.
        most_line_bytes: a longer line is taken for something that is not the exchange.
    """

    heartbeat_ms: int = 2_000
    connect: float = 10.0
    handshake: float = 16.0
    image: float = 30.0
    first_wait: float = 0.5
    longest_wait: float = 60.0
    most_line_bytes: int = 64_000_000
