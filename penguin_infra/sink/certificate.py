"""The sink's TLS: the operator's certificate, or one that it signs itself. Senders that take TLS where they can look
at neither; that they took it is what the verification wants to see.
"""

import os
import ssl
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import mkstemp

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# Nobody checks it, and it is made anew at each start.
_VALID_FOR = timedelta(days=3650)


class CertificateError(Exception):
    """The configured certificate cannot be used; the message names the setting."""


def make_context(
    *, certificate_file: Path | None, private_key_file: Path | None, hostname: str, directory: Path, now: datetime
) -> ssl.SSLContext:
    """A server's context, with the configured certificate or one for `hostname`.

    Errors: `CertificateError`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate_file is None:
        if private_key_file is not None:
            raise CertificateError("PENGUIN_SINK_PRIVATE_KEY_FILE is set, but PENGUIN_SINK_CERTIFICATE_FILE is not")
        _load_own(context, hostname, directory, now)
        return context
    try:
        # A password is asked for at no terminal.
        context.load_cert_chain(certificate_file, private_key_file, password=lambda: "")
    except (OSError, ValueError) as error:
        raise CertificateError(
            f"PENGUIN_SINK_CERTIFICATE_FILE ({certificate_file}) with PENGUIN_SINK_PRIVATE_KEY_FILE "
            f"({private_key_file or 'the same file'}) is no usable pair: {error}"
        ) from None
    return context


def _load_own(context: ssl.SSLContext, hostname: str, directory: Path, now: datetime) -> None:
    """The library loads from files only: the key is in one, which nobody else may read, for that moment."""
    directory.mkdir(parents=True, exist_ok=True)
    descriptor, name = mkstemp(dir=directory, suffix=".pem")  # of mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_sign(hostname, now))
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()


def _sign(hostname: str, now: datetime) -> bytes:
    """A key and its certificate, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _VALID_FOR)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(hostname)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem + certificate.public_bytes(serialization.Encoding.PEM)
