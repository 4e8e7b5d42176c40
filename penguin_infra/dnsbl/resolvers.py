"""Which resolvers are asked: `address:port` texts, or the system's own.

Only names and numbers: asking is `questions.py`'s. Errors: `ResolverError`, which names the setting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import dns.resolver

DNS_PORT = 53


class ResolverError(Exception):
    """No resolver can be used as configured; the message names PENGUIN_RESOLVERS."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """A recursive resolver, or in the lab the authoritative server itself."""

    address: str
    port: int = DNS_PORT

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def choose_resolvers(texts: Sequence[str] = ()) -> tuple[Resolver, ...]:
    """The resolvers of these texts, in this order; without any, the system's."""
    if texts:
        return tuple(dict.fromkeys(map(_parse, texts)))
    try:
        system = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration as error:
        raise ResolverError(f"this system names no resolver ({error}): set PENGUIN_RESOLVERS to address:port") from None
    return tuple(Resolver(str(nameserver), system.port) for nameserver in system.nameservers)


def _parse(text: str) -> Resolver:
    wrong = ResolverError(f"PENGUIN_RESOLVERS: {text!r} is not address:port (127.0.0.1:53, or [::1]:53 for IPv6)")
    try:
        parts = urlsplit(f"//{text.strip()}")
        # A name would need a resolver to find the resolver: only an address will do.
        address, port = ip_address(parts.hostname or ""), DNS_PORT if parts.port is None else parts.port
    except ValueError:
        raise wrong from None
    if parts.path or parts.query or parts.fragment or parts.username is not None or port == 0:
        raise wrong
    return Resolver(str(address), port)
