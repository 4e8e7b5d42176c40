"""Whether a resolver is there, and whether it finds answers itself; what lists tell it is `sweep.py`'s to see."""

import socket
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from penguin_infra.dnsbl.resolvers import Resolver

# A resolver with a cold cache asks a root server first.
TRY_TIMEOUTS_SECONDS = (2.0, 4.0)


@dataclass(frozen=True, slots=True)
class ResolverLook:
    """What one question to a resolver showed; `problem` says why none was answered."""

    is_recursive: bool
    problem: str | None = None


def look_at_resolver(resolver: Resolver) -> ResolverLook:
    """Ask a resolver for the root's name servers, which each knows. Never raises for what the network does."""
    query = dns.message.make_query(".", dns.rdatatype.NS)
    problem = ""
    for timeout_seconds in TRY_TIMEOUTS_SECONDS:
        try:
            response = _ask(query, resolver, timeout_seconds)
        except dns.exception.Timeout:
            problem = "no answer in time"
        except (dns.exception.DNSException, OSError) as error:
            problem = f"cannot be asked: {error}"
        else:
            return ResolverLook(bool(response.flags & dns.flags.RA))
    return ResolverLook(is_recursive=False, problem=problem)


def _ask(query: dns.message.Message, resolver: Resolver, timeout_seconds: float) -> dns.message.Message:
    with socket.socket(dns.inet.af_for_address(resolver.address), socket.SOCK_DGRAM) as connected:
        connected.setblocking(False)
        # Connected, so that a closed port is refused at once instead of costing the whole time-out.
        connected.connect((resolver.address, resolver.port))
        return dns.query.udp(
            query, resolver.address, timeout=timeout_seconds, port=resolver.port, sock=connected, ignore_errors=True
        )
