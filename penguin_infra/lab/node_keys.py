"""A lab node's own keys, made once and kept in its folder: the one of its SSH host, and the one that signs its mail.

The private halves never leave the folder, as on a real node.
"""

from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from penguin_infra.lab.private_files import write_private

DKIM_SELECTOR = "penguin"
_HOST_KEY_FILE = "ssh_host_ed25519_key"
_DKIM_KEY_FILE = f"{DKIM_SELECTOR}.private"
_DKIM_BITS = 2048  # RFC 8301 s3.2


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """`host_key`: as in known_hosts, `type base64`. `dkim_public_key`: as a TXT record's `p=` takes it."""

    host_key: str
    dkim_public_key: str
    dkim_private_key: bytes = field(repr=False)


def make_missing_keys(folder: Path) -> int:
    """Make the keys that are not there yet; returns how many."""
    made = 0
    if not (folder / _HOST_KEY_FILE).exists():
        host_key = Ed25519PrivateKey.generate()
        write_private(
            folder / _HOST_KEY_FILE, host_key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        )
        made += 1
    if not (folder / _DKIM_KEY_FILE).exists():
        dkim_key = generate_private_key(public_exponent=65537, key_size=_DKIM_BITS)
        # The older format: dkimpy reads no other.
        private = dkim_key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        write_private(folder / _DKIM_KEY_FILE, private)
        made += 1
    return made


def read_keys(folder: Path) -> NodeKeys:
    """The keys in a folder, which were made before."""
    host_key = load_ssh_private_key((folder / _HOST_KEY_FILE).read_bytes(), password=None)
    dkim_private_key = (folder / _DKIM_KEY_FILE).read_bytes()
    dkim_key = load_pem_private_key(dkim_private_key, password=None)
    if not isinstance(dkim_key, RSAPrivateKey):
        raise TypeError(f"{folder / _DKIM_KEY_FILE} is no RSA key: remove it, and install the node again")
    public = dkim_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return NodeKeys(
        host_key=host_key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
        dkim_public_key=b64encode(public).decode(),
        dkim_private_key=dkim_private_key,
    )
