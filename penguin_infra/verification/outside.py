"""A node as a stranger sees it: which ports it opens, and whether it relays for anybody (`relay_attempts.py`).

Plain connections that need no privilege. What of it is well is `domain/verification.py`'s.
"""

import asyncio
import errno
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address

from penguin_infra.domain.verification import OutsideView
from penguin_infra.verification.relay_attempts import RelayView, try_to_relay

# The privileged ones, and those that services of a node or its neighbours are known to leave open.
SCANNED_PORTS = (
    *range(1, 1025), 2375, 2376, 3000, 3306, 4270, 5432, 5672, 6379, 6380, 8000, 8080, 8443, 8888, 9090, 9100, 9200,
    11211, 11332, 11334, 27017,
)  # fmt: skip

SMTP_PORT = 25
# Reserved (RFC 2606 s3), and existing: some servers refuse a domain that does not exist before they think of relaying.
PROBE_DOMAIN = "example.com"

_AT_ONCE = 256
# All of a session; Postfix makes strangers wait a second for each refusal after the first few.
_RELAY_SECONDS = 30.0

# Failures of this machine, not of the port: nothing is known then.
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.ENETUNREACH})


class _CannotLook(Exception):
    """This machine cannot open the connections that a look takes."""


def look_from_outside(
    ip: IPv4Address,
    *,
    ports: Iterable[int] = SCANNED_PORTS,
    scan: bool = True,
    timeout_seconds: float = 1.5,
    probe_domain: str = PROBE_DOMAIN,
    smtp_port: int = SMTP_PORT,
) -> OutsideView:
    """Look at one address. A port that does not answer in `timeout_seconds` is closed.

    The default outlasts the second after which a lost packet is sent again. `scan` False: ports are not looked at.
    """
    return asyncio.run(_look(ip, tuple(dict.fromkeys(ports)) if scan else (), timeout_seconds, probe_domain, smtp_port))


async def _look(
    ip: IPv4Address, ports: tuple[int, ...], timeout_seconds: float, probe_domain: str, smtp_port: int
) -> OutsideView:
    # One after the other: a scan at the same time could cost the session its connection.
    relay = await try_to_relay(ip, port=smtp_port, probe_domain=probe_domain, timeout_seconds=_RELAY_SECONDS)
    if not ports:
        return _view(relay, None, "the policy says not to (scan_ports)")
    try:
        return _view(relay, await _scan(ip, ports, timeout_seconds))
    except* _CannotLook as failures:
        why_not = str(failures.exceptions[0])
    return _view(relay, None, why_not)


def _view(relay: RelayView, open_ports: frozenset[int] | None, why_not: str = "") -> OutsideView:
    return OutsideView(relays=relay.is_open, relay_detail=relay.detail, open_ports=open_ports, why_not=why_not)


async def _scan(ip: IPv4Address, ports: tuple[int, ...], timeout_seconds: float) -> frozenset[int]:
    queue = iter(ports)
    found: set[int] = set()

    async def work() -> None:
        for port in queue:
            if await _is_open(ip, port, timeout_seconds):
                found.add(port)

    async with asyncio.TaskGroup() as crew:
        for _ in range(min(_AT_ONCE, len(ports))):
            crew.create_task(work())
    return frozenset(found)


async def _is_open(ip: IPv4Address, port: int, timeout_seconds: float) -> bool:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
            connection.setblocking(False)
            async with asyncio.timeout(timeout_seconds):
                await asyncio.get_running_loop().sock_connect(connection, (str(ip), port))
    except TimeoutError:
        return False
    except OSError as error:
        if error.errno in _OURS:
            raise _CannotLook(f"this machine cannot look: {error.strerror}") from None
        return False
    return True
