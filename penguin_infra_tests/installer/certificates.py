"""An authority of the tests' own and a server's certificate by it, for addresses of this machine."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificates:
    """Files: the authority's certificate, and the server's with its key."""

    authority: Path
    server: Path


def make_certificates(folder: Path, address: IPv4Address) -> Certificates:
    """Both for two days, the server's for this address and no name."""
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name, server_name = _name("penguin test authority"), _name("penguin test server")
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    authority = (
        _builder(authority_name, authority_name, authority_key)
        .add_extension(constraints, critical=True)
        .sign(authority_key, SHA256())
    )
    alternative = x509.SubjectAlternativeName([x509.IPAddress(address)])
    server = (
        _builder(server_name, authority_name, server_key)
        .add_extension(alternative, critical=False)
        .sign(authority_key, SHA256())
    )
    made = Certificates(folder / "authority.pem", folder / "server.pem")
    made.authority.write_bytes(authority.public_bytes(Encoding.PEM))
    key = server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    made.server.write_bytes(server.public_bytes(Encoding.PEM) + key)
    return made


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
