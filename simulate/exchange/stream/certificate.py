"""The certificate of the exchange's TLS ports: made at the start, signed by itself, good for this machine's names."""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
import tempfile
from pathlib import Path

#: Names and addresses that the certificate is good for.
NAMES = ("localhost",)
ADDRESSES = ("127.0.0.1", "::1")
#: How long it is valid.
DAYS = 397


def make(folder: Path) -> tuple[Path, Path]:
    """Make a key and a certificate.

    Args:
        folder: where both are written; the key is readable by its owner only.

    Returns:
        The certificate and the key, both PEM. Clients that check certificates trust the former: with
        betfairlightweight and requests, by the variable REQUESTS_CA_BUNDLE.
    """
    # Loaded here: few processes need it, and it takes a while.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "headrace rehearsal exchange")])
    names: list[x509.GeneralName] = [x509.DNSName(each) for each in NAMES]
    names += [x509.IPAddress(ipaddress.ip_address(each)) for each in ADDRESSES]
    now = datetime.datetime.now(datetime.UTC)
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "exchange.crt", folder / "exchange.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return certificate_file, key_file


def server_context(certificate_file: Path, key_file: Path) -> ssl.SSLContext:
    """TLS as a server with that certificate; clients are asked for none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    return context


def temporary() -> tuple[tempfile.TemporaryDirectory[str], Path, Path]:
    """A certificate in a folder that goes with the returned object: the folder, the certificate, the key."""
    folder = tempfile.TemporaryDirectory(prefix="headrace-exchange-")
    certificate_file, key_file = make(Path(folder.name))
    return folder, certificate_file, key_file
