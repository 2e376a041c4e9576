"""Points betfairlightweight's client at a rehearsal exchange: this client, and no other."""

from __future__ import annotations

import os
from typing import Any

from ...actors.betfair.places import STREAM_PORT, aim_streams
from .plan import Addresses


def point(client: Any, addresses: Addresses) -> Any:
    """Let a `betfairlightweight.APIClient` speak to the exchange; it is returned.

    Its account stays as it is. Streams that it made before still go where they went. Other clients are left alone.
    """
    import requests

    base = addresses.url
    client.identity_uri = client.identity_cert_uri = f"{base}api/"
    client.api_uri = f"{base}exchange/"
    client.navigation_uri = f"{base}exchange/betting/rest/v1/en/navigation/menu.json"
    if client.session is requests:
        # A proxy of the environment does not know this machine's ports.
        client.session = requests.Session()
        client.session.trust_env = False
    if client.cert_files is None and not os.path.isdir(client.certs):
        folder = addresses.client_certificates
        client.cert_files = (f"{folder}/client.crt", f"{folder}/client.key")
    client.stream_certificate = addresses.certificate
    aim_streams(client, (addresses.host, addresses.stream_tls))
    return client


def lines_for_betfairlightweight(addresses: Addresses, username: str, password: str, app_key: str) -> str:
    """The lines of Python that do what `point` does, for a client in another process."""
    base = addresses.url
    folder = addresses.client_certificates
    return f'''\
import betfairlightweight

client = betfairlightweight.APIClient({username!r}, {password!r}, app_key={app_key!r}, certs={folder!r})
client.identity_uri = client.identity_cert_uri = "{base}api/"
client.api_uri = "{base}exchange/"
client.navigation_uri = "{base}exchange/betting/rest/v1/en/navigation/menu.json"


def create_stream(*values, create=client.streaming.create_stream, **options):
    stream = create(*values, **options)
    stream.host, stream.{STREAM_PORT} = "{addresses.host}", {addresses.stream_tls}
    return stream


client.streaming.create_stream = create_stream
'''
