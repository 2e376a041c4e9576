"""What a rehearsal exchange is to play, and where it then is."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from ...strategies.errors import InputError
from ...values import shown
from ..reading.recordings import Paths
from .settings import ExchangeSettings

#: The header of control calls that carries the token.
TOKEN_HEADER = "X-Rehearsal-Token"
#: The slowest and the fastest that recordings are played, besides "max" and "step".
SLOWEST, FASTEST = 0.01, 10_000.0
#: The settings that are ports.
PORTS = ("port", "https_port", "certlogin_port", "stream_port", "plain_stream_port")


@dataclasses.dataclass(frozen=True)
class Played:
    """What an exchange plays.

    Attributes:
        markets: recordings, as `find_recordings` takes them; None: none.
        generate: how many made-up markets are open at once.
        in_step: recordings keep their distance in time; else each begins at the start.
        before_start: seconds of recorded time before the scheduled start at which a recording begins to run.
        sports_data, catalogues: folders with files named by market id.
        sports, changes, minutes_before: of made-up markets, see `GeneratedFeed`.
        wait: begin only when a client asks for markets: subscribes to them, or lists some by a filter.
    """

    markets: Paths | None = None
    generate: int = 0
    in_step: bool = False
    before_start: float | None = None
    sports_data: str | os.PathLike[str] | None = None
    catalogues: str | os.PathLike[str] | None = None
    sports: Sequence[str] | None = None
    changes: int = 1_200
    minutes_before: float | None = None
    wait: bool = False

    def check(self) -> None:
        """Refuse what says nothing: nothing to play, or what has no effect on what is played.

        Raises:
            InputError: says which, and what to add.
        """
        if not isinstance(self.generate, int):
            raise InputError(f"generate={shown(self.generate)}: expected how many markets to make up at once")
        if self.markets is None and not self.generate:
            raise InputError("there is nothing to play: name recordings, or how many markets to make up (generate=5)")
        recorded = {"in_step": self.in_step, "before_start": self.before_start, "sports_data": self.sports_data}
        made_up = {"sports": self.sports, "minutes_before": self.minutes_before}
        for needed, has_it, fields in (
            ("only recordings have it; name some with markets=[...]", self.markets is not None, recorded),
            ("only made-up markets have it; say how many with generate=5", self.generate, made_up),
        ):
            useless = next((name for name, value in fields.items() if value not in (None, False)), None)
            if useless is not None and not has_it:
                value = fields[useless]
                asked = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
                raise InputError(f"{useless}={shown(asked)}: {needed}")


@dataclasses.dataclass(frozen=True)
class Addresses:
    """Where an exchange listens, and what clients need to trust it.

    Attributes:
        host: a name or an address.
        http, https, certlogin, stream, stream_tls: ports. `certlogin` is the TLS that asks for a client certificate.
        certificate: file of the server's certificate (PEM), for clients that verify it.
        client_certificates: folder of client.crt and client.key, for certlogin.
        token: for the control calls below /rehearsal/.
    """

    host: str
    http: int
    https: int
    certlogin: int
    stream: int
    stream_tls: int
    certificate: str
    client_certificates: str
    token: str

    @property
    def url(self) -> str:
        """The page of the exchange, and the base of its plain HTTP."""
        return f"http://{self.place(self.http)}/"

    def place(self, port: int) -> str:
        """The host with a port, as addresses are written."""
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"


def check_settings(settings: ExchangeSettings) -> None:
    """Refuse settings of an exchange that cannot be.

    Raises:
        InputError: says which, and what was expected.
    """
    speed = settings.speed
    known = speed in ("max", "step") if not isinstance(speed, int | float) else SLOWEST <= speed <= FASTEST
    if not known:
        raise InputError(f"speed is {speed!r}; expected {SLOWEST:g} to {FASTEST:g}, max or step")
    if not settings.accounts:
        raise InputError("there are no accounts; expected one at least")
    for name in ("username", "app_key"):
        values = [getattr(each, name) for each in settings.accounts]
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None or "" in values:
            raise InputError(f"accounts: the {name} {twice or ''!r} is not one account's own")
    taken: dict[int, str] = {}
    for name in PORTS:
        port = getattr(settings, name)
        if not isinstance(port, int) or not 0 <= port <= 65_535:
            raise InputError(f"{name} is {shown(port)}; expected 0 to 65535")
        if port and (other := taken.setdefault(port, name)) != name:
            raise InputError(f"{other}={port} and {name}={port}: expected a port for each, or 0 for any that is free")
    if not isinstance(settings.seed, int):
        raise InputError(f"seed is {shown(settings.seed)}; expected a whole number")
