"""One question to one resolver: the reverse name, the tries, and the raw answer or its failure in words.

What an answer means is `domain/listing.py`'s; which questions are asked is `sweep.py`'s. Nothing here raises for a
network that fails: a resolver that cannot be reached is an answer with an error.
"""

import asyncio
import socket
from collections.abc import Callable
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from secrets import SystemRandom
from typing import Any

import dns.asyncbackend
import dns.asyncquery
import dns.exception
import dns.inet
import dns.message
import dns.rcode
import dns.rdatatype

from penguin_infra.dnsbl.resolvers import Resolver
from penguin_infra.domain.listing import Answer

Address = IPv4Address | IPv6Address
Clock = Callable[[], datetime]

# A recursive resolver needs a second or two for a slow list; whoever is silent for twice as long will stay so.
TRY_TIMEOUTS_SECONDS = (2.0, 4.0)
# A tenth either way, so that tries that failed together are not repeated together.
JITTER = 0.1

_random = SystemRandom()


class _WorthAnotherTry(Exception):
    """A failure that may pass: silence, a network error, a server that failed."""


def reverse_name(address: Address, zone: str) -> str:
    """The name under which a list answers for an address: octets or nibbles reversed (RFC 5782 s2.1 and s2.4)."""
    labels, _, _ = address.reverse_pointer.rsplit(".", 2)
    return f"{labels}.{zone}"


async def ask(address: Address, zone: str, resolver: Resolver, *, clock: Clock) -> Answer:
    """Ask one list about one address; a failure that may pass is tried once more."""
    error = ""
    for timeout_seconds in TRY_TIMEOUTS_SECONDS:
        try:
            return await _try(reverse_name(address, zone), resolver, timeout_seconds, clock)
        except _WorthAnotherTry as failure:
            error = str(failure)
    return Answer(clock(), str(resolver), error=error)


def fetch_reason(address: Address, zone: str, resolver: Resolver) -> str | None:
    """The list's own words about an address (TXT at its name); None where it has none or does not say them now."""
    return asyncio.run(fetch_reason_async(address, zone, resolver))


async def fetch_reason_async(address: Address, zone: str, resolver: Resolver) -> str | None:
    """The same inside a running event loop."""
    query = dns.message.make_query(reverse_name(address, zone), dns.rdatatype.TXT)
    try:
        texts = _follow(await _exchange(query, resolver, TRY_TIMEOUTS_SECONDS[-1])).answer
    except (dns.exception.DNSException, OSError, EOFError):
        return None
    if not texts:
        return None
    return " | ".join(b"".join(text.strings).decode(errors="replace") for text in texts)


async def _try(name: str, resolver: Resolver, timeout_seconds: float, clock: Clock) -> Answer:
    query = dns.message.make_query(name, dns.rdatatype.A)
    try:
        response = await _exchange(query, resolver, timeout_seconds * _random.uniform(1 - JITTER, 1 + JITTER))
    except dns.exception.Timeout:
        raise _WorthAnotherTry(f"no answer from {resolver} in time") from None
    except (OSError, EOFError) as error:
        raise _WorthAnotherTry(f"{resolver} cannot be reached: {error}") from None
    except dns.exception.DNSException as error:
        raise _WorthAnotherTry(f"malformed answer from {resolver}: {error}") from None
    return _read(response, resolver, clock())


async def _exchange(query: dns.message.Message, resolver: Resolver, timeout_seconds: float) -> dns.message.Message:
    backend: Any = dns.asyncbackend.get_default_backend()  # its sockets are untyped
    family = dns.inet.af_for_address(resolver.address)
    # Connected, so that a closed port is refused at once instead of costing the whole time-out.
    there = (resolver.address, resolver.port)
    async with await backend.make_socket(family, socket.SOCK_DGRAM, 0, None, there) as connected:
        response, _ = await dns.asyncquery.udp_with_fallback(
            query,
            resolver.address,
            timeout=timeout_seconds,
            port=resolver.port,
            udp_sock=connected,
            # Datagrams that do not answer this very question are not its answer: wait on.
            ignore_errors=True,
        )
    return response


def _read(response: dns.message.Message, resolver: Resolver, observed_at: datetime) -> Answer:
    rcode = response.rcode()
    if rcode == dns.rcode.SERVFAIL:
        raise _WorthAnotherTry(f"{resolver} answered SERVFAIL")
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        # A refusal is meant: asking again would only spend the list's patience.
        return Answer(observed_at, str(resolver), error=f"{resolver} answered {dns.rcode.to_text(rcode)}")
    is_nxdomain = rcode == dns.rcode.NXDOMAIN
    try:
        chain = _follow(response)
    except dns.exception.DNSException as error:
        return Answer(observed_at, str(resolver), error=f"contradictory answer from {resolver}: {error}")
    if chain.answer is None:
        return Answer(observed_at, str(resolver), is_nxdomain=is_nxdomain)
    addresses = tuple(sorted(IPv4Address(record.address) for record in chain.answer))
    return Answer(observed_at, str(resolver), addresses, chain.minimum_ttl, is_nxdomain=is_nxdomain)


def _follow(response: dns.message.Message) -> dns.message.ChainingResult:
    """Along CNAMEs to the records that were asked for; raises `DNSException` where the answer contradicts itself."""
    if not isinstance(response, dns.message.QueryMessage):
        raise dns.exception.FormError
    return response.resolve_chaining()
