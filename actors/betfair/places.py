"""Where an account's exchange is: the addresses of its services, as its client of betfairlightweight has them.

Sources: betfairlightweight (`APIClient`, `BetfairStream`); "Login & Session Management".
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ...strategies.errors import ClientError

#: Where streams of betfairlightweight keep their port.
STREAM_PORT = "_BetfairStream__port"


@dataclasses.dataclass(frozen=True)
class Places:
    """The addresses of an exchange.

    Attributes:
        identity, identity_cert, api: base addresses of login, of login by certificate, and of calls; they end with "/".
        navigation: the whole address of the navigation menu.
        stream: host and port of the stream, which is TLS.
        sports_stream: host and port of the stream of sports data.
        certificate: file with the certificates (PEM) that the exchange is known by; None: what the machine trusts.
        client_certificate: files of the account's certificate and its key, for login by certificate; the key's is None
            where both are in one.
    """

    identity: str
    identity_cert: str
    api: str
    navigation: str
    stream: tuple[str, int]
    sports_stream: tuple[str, int]
    certificate: str | None = None
    client_certificate: tuple[str, str | None] | None = None


def places_of(client: Any, by_certificate: bool = False) -> Places:
    """The addresses that a client of betfairlightweight is set to.

    Args:
        by_certificate: it logs in by certificate, so that the files must be there.

    Raises:
        ClientError: an address cannot be used, the files of the certificate are not there, or the client's session does
            not check certificates.
    """
    create = client.streaming.create_stream
    stream, sports = create(), create(host="sports_data")
    return Places(
        _base(client, "identity_uri"),
        _base(client, "identity_cert_uri"),
        _base(client, "api_uri"),
        client.navigation_uri,
        (stream.host, getattr(stream, STREAM_PORT, 443)),
        (sports.host, getattr(sports, STREAM_PORT, 443)),
        _certificate(client),
        _client_certificate(client) if by_certificate else None,
    )


def rehearses(client: Any) -> bool:
    """Whether a client of betfairlightweight, or none, is set to another exchange than Betfair's own."""
    host = urlsplit(str(getattr(client, "api_uri", ""))).hostname
    return host is not None and "betfair" not in host


def set_places(client: Any, places: Places) -> None:
    """Let a client of betfairlightweight use these addresses, its streams included."""
    client.identity_uri, client.identity_cert_uri = places.identity, places.identity_cert
    client.api_uri, client.navigation_uri = places.api, places.navigation
    client.stream_certificate = places.certificate
    aim_streams(client, places.stream, places.sports_stream)


def aim_streams(client: Any, stream: tuple[str, int], sports_stream: tuple[str, int] | None = None) -> None:
    """Let the streams that a client of betfairlightweight makes from now on go to a host and port.

    Args:
        sports_stream: those of sports data; None: to the same.
    """
    create: Callable[..., Any] = client.streaming.create_stream
    create = getattr(create, "unaimed", create)

    def create_stream(*values: Any, **options: Any) -> Any:
        made = create(*values, **options)
        aim = sports_stream if sports_stream is not None and options.get("host") == "sports_data" else stream
        made.host = aim[0]
        setattr(made, STREAM_PORT, aim[1])
        return made

    vars(create_stream)["unaimed"] = create
    client.streaming.create_stream = create_stream


def split(address: str) -> SplitResult:
    """An address in its parts: scheme, host, port, path.

    Raises:
        ClientError: it is not one of HTTP.
    """
    try:
        parts = urlsplit(address)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise ClientError(f"the address {address!r} cannot be used; expected one such as https://api.betfair.com/exchange/")


def _base(client: Any, name: str) -> str:
    address = getattr(client, name)
    split(address)
    return str(address) if address.endswith("/") else f"{address}/"


def _certificate(client: Any) -> str | None:
    """The file that the exchange is known by: `stream_certificate` of the client, or `verify` of its session."""
    found = getattr(client, "stream_certificate", None)
    if found is None:
        verify = getattr(client.session, "verify", True)
        if verify is False:
            raise ClientError(
                "the client's session has verify=False, and money is not sent to whoever answers; "
                "give it a file with the exchange's certificate: session.verify = 'exchange.crt'"
            )
        found = verify if isinstance(verify, (str, os.PathLike)) else None
    if found is not None and not os.path.exists(found):
        raise ClientError(f"the certificate {os.fspath(found)!r} is not there; expected a file of PEM")
    return None if found is None else os.fspath(found)


def _client_certificate(client: Any) -> tuple[str, str | None]:
    from betfairlightweight.exceptions import CertsError

    try:
        found = client.cert
    except CertsError as error:
        raise ClientError(
            f"login by certificate: {error}; give the client certs='folder', or log in with interactive_login=True"
        ) from None
    files: tuple[str, str | None] = (found, None) if isinstance(found, str) else tuple(found)
    for file in files:
        if file is not None and not os.path.isfile(file):
            raise ClientError(f"login by certificate: the file {file!r} is not there")
    return files
