"""The simulated Hostwind's way of publishing reverse names: a dynamic update (RFC 2136) a name, until it is taken.

A DNS server that is away or refuses is asked again and again; nothing is ever given up.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address

import dns.asyncquery
import dns.exception
import dns.rcode
import dns.reversename
import dns.tsig
import dns.update

from penguin_infra.lab.dns_zone import REVERSE_ZONE
from penguin_infra.lab.hostwind_reverse_names import ReverseNames, WantedName

_log = logging.getLogger(__name__)

# Names of hosts that come and go while somebody watches.
_TTL_SECONDS = 5
_LOOK_SECONDS = 0.2
_REST_SECONDS = 1.0
_TIMEOUT_SECONDS = 5


class ReverseDnsRefused(Exception):
    """The DNS server did not take a change."""


@dataclass(frozen=True, slots=True)
class ReverseDnsServer:
    """Where reverse names go. `key`: signs the changes, where the server wants that."""

    address: IPv4Address
    port: int
    zone: str = REVERSE_ZONE
    key: dns.tsig.Key | None = field(default=None, repr=False)


@asynccontextmanager
async def publishing_reverse_names(names: ReverseNames, server: ReverseDnsServer) -> AsyncIterator[None]:
    """Publish in the background what is due, for the length of a with statement."""
    task = asyncio.create_task(_publish_all(names, server))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _publish_all(names: ReverseNames, server: ReverseDnsServer) -> None:
    trouble = ""
    while True:
        failure = ""
        for wanted in names.due(datetime.now(UTC)):
            try:
                await _publish(wanted, server)
            except (dns.exception.DNSException, OSError, EOFError, ReverseDnsRefused) as error:
                failure = f"{wanted.ip} at {server.address}:{server.port}: {type(error).__name__}: {error}"
            else:
                names.mark_published(wanted)
        if failure and failure != trouble:
            _log.warning("a reverse name waits to be published: %s", failure)
        trouble = failure
        await asyncio.sleep(_REST_SECONDS if failure else _LOOK_SECONDS)


async def _publish(wanted: WantedName, server: ReverseDnsServer) -> None:
    update = dns.update.UpdateMessage(server.zone, keyring=server.key)
    name = dns.reversename.from_address(wanted.ip)
    if wanted.hostname is None:
        update.delete(name, "PTR")
    else:
        update.replace(name, _TTL_SECONDS, "PTR", f"{wanted.hostname}.")
    answer = await dns.asyncquery.tcp(update, str(server.address), timeout=_TIMEOUT_SECONDS, port=server.port)
    if answer.rcode() != dns.rcode.NOERROR:
        raise ReverseDnsRefused(f"{server.zone}: {dns.rcode.to_text(answer.rcode())}")
