"""Who a host is: its SSH key, seen at first contact and pinned, and compared ever after.

Not here: logging in (`ssh.py`). A first contact is trusted as it comes: a new machine has no other way to be known.
"""

import hashlib
import subprocess
from base64 import b64decode, b64encode
from ipaddress import IPv4Address

import stamina

from penguin_infra.installer.installer import Host, HostKeyChanged, HostUnreachable, Say

FIRST_CONTACT_TYPE = "ed25519"
# A host that is known may have lost the pinned type: its other keys tell a changed host from one that is away.
KNOWN_HOST_TYPES = "ed25519,ecdsa,rsa"

_SCAN_SECONDS = 5
_LONGEST_WAIT_SECONDS = 10.0


def pin_host_key(host: Host, *, port: int, patience_seconds: float, say: Say) -> str:
    """The host's key as `type base64`: the pinned one if the host still shows it, or the one it shows at first contact.

    Errors: `HostUnreachable` when sshd did not answer within the patience (a fresh host's comes up late),
    `HostKeyChanged`.
    """
    types = KNOWN_HOST_TYPES if host.host_key else FIRST_CONTACT_TYPE
    shown = _scan_patiently(host, port, types, patience_seconds, say)
    if host.host_key is None:
        say(f"first contact: the host's key is {fingerprint(shown[0])}, pinned from now on")
        return shown[0]
    if host.host_key not in shown:
        raise host_key_changed(host, shown[0])
    return host.host_key


def host_key_changed(host: Host, shown: str | None) -> HostKeyChanged:
    """The error that says what was expected, what was seen, and what a person should do."""
    seen = fingerprint(shown) if shown else "another key"
    expected = fingerprint(host.host_key) if host.host_key else "the key of the first contact"
    return HostKeyChanged(
        f"{host.label} at {host.ip_address} shows {seen}, but was pinned with {expected}: somebody may be in between, "
        "or the machine was made anew. Nothing was sent to it. Compare the fingerprint on the provider's console; "
        "if the machine is a new one, release the node and provision another"
    )


def fingerprint(host_key: str) -> str:
    """As `ssh-keygen -l` shows it: `ssh-ed25519 SHA256:...`."""
    kind, _, blob = host_key.partition(" ")
    digest = hashlib.sha256(b64decode(blob)).digest()
    return f"{kind} SHA256:{b64encode(digest).decode().rstrip('=')}"


def known_hosts_line(ip_address: IPv4Address, port: int, host_key: str) -> str:
    """The one line that a known_hosts file needs."""
    name = str(ip_address) if port == 22 else f"[{ip_address}]:{port}"
    return f"{name} {host_key}\n"


def _scan_patiently(host: Host, port: int, types: str, patience_seconds: float, say: Say) -> list[str]:
    for attempt in stamina.retry_context(
        on=HostUnreachable,
        attempts=None,
        timeout=patience_seconds,
        wait_initial=1.0,
        wait_max=_LONGEST_WAIT_SECONDS,
        wait_jitter=0.5,
    ):
        with attempt:
            if attempt.num > 1:
                say(f"waiting for sshd at {host.ip_address} port {port}, attempt {attempt.num}")
            return _scan(host, port, types)
    raise AssertionError("retry_context ends by returning or raising")


def _scan(host: Host, port: int, types: str) -> list[str]:
    command = ["ssh-keyscan", "-T", str(_SCAN_SECONDS), "-p", str(port), "-t", types, str(host.ip_address)]
    try:
        # Each type is a connection of its own.
        limit = (_SCAN_SECONDS + 1) * len(types.split(",")) + 5
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit, check=False, stdin=subprocess.DEVNULL
        )
        told, why = done.stdout, done.stderr
    except subprocess.TimeoutExpired:
        told, why = "", "no answer in time"
    except FileNotFoundError:
        raise HostUnreachable("no ssh-keyscan on this machine: install openssh-client") from None
    keys = [line.split(" ", 1)[1].strip() for line in told.splitlines() if line and not line.startswith("#")]
    if not keys:
        reasons = [line for line in why.splitlines() if line and not line.startswith("#")]
        raise HostUnreachable(
            f"no sshd answered at {host.ip_address} port {port} for {host.label}"
            f"{': ' + reasons[-1][:200] if reasons else ''}. See whether the machine runs and lets port {port} in"
        )
    return keys
