"""A zone on Knot with names of each test's own, and keys that mails are signed with."""

import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from functools import cache
from itertools import count

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from penguin_infra.dns_records.lookup import NameLookup
from penguin_infra_tests.name_servers import FORWARD_ZONE, KnotServer

SELECTOR = "penguin"

_numbers = count(1)


@dataclass(frozen=True)
class SigningKey:
    """A private key as dkimpy takes it, and its public half as a record holds it."""

    private_pem: bytes
    record: str


@dataclass(frozen=True)
class World:
    """A name of the test's own in a real zone, and the resolver that asks about it."""

    server: KnotServer
    lookup: NameLookup
    host: str

    def hold(self, name: str, rdtype: str, *values: str) -> None:
        """Let a name hold these, besides what is there; long texts in pieces."""
        if rdtype == "TXT":
            values = tuple(" ".join(f'"{value[i : i + 250]}"' for i in range(0, len(value), 250)) for value in values)
        self.server.add(FORWARD_ZONE, name, rdtype, *values)


@pytest.fixture(scope="session")
def knot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnotServer]:
    KnotServer.require()
    with KnotServer(tmp_path_factory.mktemp("zone") / "knot") as server:
        yield server


@pytest.fixture
def world(knot: KnotServer) -> World:
    lookup = NameLookup([(knot.address, knot.port)], timeout_seconds=5)
    return World(knot, lookup, f"node-{next(_numbers)}.{FORWARD_ZONE}")


@cache
def make_key(bits: int) -> SigningKey:
    if bits >= 1024:
        private = rsa.generate_private_key(65537, bits)
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        # The library makes none so short.
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed, and nothing else here makes so short a key")
        made = subprocess.run(["openssl", "genrsa", "-traditional", str(bits)], capture_output=True, check=True)
        pem = made.stdout
        public = ["openssl", "rsa", "-pubout", "-outform", "DER"]
        der = subprocess.run(public, input=pem, capture_output=True, check=True).stdout
    return SigningKey(pem, f"v=DKIM1; k=rsa; p={b64encode(der).decode()}")


def mail_from(host: str, *, author: str | None = None) -> bytes:
    """A verification mail, not signed."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = author or f"verify@{host}", "sink@sink.test", "verification"
    mail["X-Penguin-Correlation"] = "correlation-1"
    mail.set_content("A line.\nAnother.\n")
    return mail.as_bytes().replace(b"\n", b"\r\n")


def sign(
    content: bytes, key: SigningKey, domain: str, *, selector: str = SELECTOR, headers: list[bytes] | None = None
) -> bytes:
    """The mail with a signature on top, as OpenDKIM puts it there."""
    signature: bytes = dkim.sign(
        content, selector.encode(), domain.encode(), key.private_pem,
        canonicalize=(b"relaxed", b"simple"), include_headers=headers,
    )  # fmt: skip
    return signature + content
