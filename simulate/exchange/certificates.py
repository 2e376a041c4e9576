"""Certificates of the exchange's own making: its servers', and one for clients that log in with one."""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509

_DAYS = 397
_NAMES = ("localhost",)
_ADDRESSES = ("127.0.0.1", "::1")


class Certificates:
    """Certificates in a folder; those that are there and have not expired are used again.

    Clients verify the server with `server` (`REQUESTS_CA_BUNDLE`), and log in with what is in `client_folder`
    (`certs` of betfairlightweight). Certificates of their own are taken too, if they are put into that folder before
    the start, or are among `trusted`: there as here, the exchange must have been given a certificate before one logs in
    with it.

    Args:
        folder: is made if it is not there.
        trusted: files of client certificates, PEM.
        host: a name or an address by which clients know the server, beside localhost.

    Attributes:
        server, server_key: files of the server's certificate and key, PEM.
        client_folder: folder of client.crt and client.key.

    Raises:
        OSError: the folder cannot be written, or a file of `trusted` not read.
        ssl.SSLError: a file of `trusted` is not a certificate.
    """

    def __init__(self, folder: Path, trusted: Sequence[Path] = (), host: str = "localhost") -> None:
        self.server = folder / "exchange.crt"
        self.server_key = folder / "exchange.key"
        self.client_folder = folder / "client"
        self.client_folder.mkdir(parents=True, exist_ok=True)
        _make(self.server, self.server_key, "rehearsal exchange", host)
        _make(self.client_folder / "client.crt", self.client_folder / "client.key", "rehearsal client")
        self._trusted = (*_certificates_in(self.client_folder), *trusted)
        self.certlogin_context()

    def server_context(self) -> ssl.SSLContext:
        """TLS for clients that are not asked for a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server, self.server_key)
        return context

    def certlogin_context(self) -> ssl.SSLContext:
        """TLS for clients that are asked for one: without one they are heard, with an unknown one they are not."""
        context = self.server_context()
        context.verify_mode = ssl.CERT_OPTIONAL
        # A client's own certificate is trusted as it is, whoever signed it.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        for path in self._trusted:
            context.load_verify_locations(path)
        return context


def _certificates_in(folder: Path) -> list[Path]:
    """Files with certificates, whatever else is there."""
    named = (path for path in sorted(folder.iterdir()) if path.suffix in (".crt", ".cert", ".pem"))
    return [path for path in named if b"BEGIN CERTIFICATE" in path.read_bytes()]


def _make(path: Path, key_path: Path, name: str, host: str | None = None) -> None:
    """Make a certificate that signs itself, and its key, unless they are there. `host`: it is a server's."""
    # Loaded here: few processes need it, and it takes a while.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.datetime.now(datetime.UTC)
    if path.exists() and key_path.exists() and _lasts(path, now):
        return
    usage = ExtendedKeyUsageOID.CLIENT_AUTH if host is None else ExtendedKeyUsageOID.SERVER_AUTH
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        # It is its own authority, so that clients can be told to trust it.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(key_id, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False)
    )
    if host is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(_alternatives(host)), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key_path.unlink(missing_ok=True)
    with os.fdopen(os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _alternatives(host: str) -> list[x509.GeneralName]:
    from cryptography import x509

    names: list[x509.GeneralName] = [x509.DNSName(each) for each in _NAMES]
    names += [x509.IPAddress(ipaddress.ip_address(each)) for each in _ADDRESSES]
    try:
        own: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        own = x509.DNSName(host)
    return names if own in names else [*names, own]


def _lasts(path: Path, now: datetime.datetime) -> bool:
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError:
        return False
    return certificate.not_valid_after_utc > now + datetime.timedelta(days=1)
