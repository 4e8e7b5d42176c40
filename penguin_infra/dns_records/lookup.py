"""What names and addresses resolve to for everybody else: questions to resolvers, each time afresh.

What the zone's primary holds is `dynamic_update.py`'s to read; what an answer means for a node, `domain/`'s.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import dns.exception
import dns.nameserver
import dns.resolver

from penguin_infra.dns_records.publisher import DnsUnavailable
from penguin_infra.dns_records.record_data import value_of


class NameLookup:
    """Asks resolvers (address and port, the first that answers has the word), for at most `timeout_seconds` each time.

    Errors: `DnsUnavailable`, where none gives an answer; that a name does not exist is an answer.
    """

    def __init__(self, resolvers: Sequence[tuple[str, int]], *, timeout_seconds: float = 5.0) -> None:
        self._named = ", ".join(f"{address}:{port}" for address, port in resolvers)
        self._resolver = dns.resolver.Resolver(configure=False)
        self._resolver.nameservers = [dns.nameserver.Do53Nameserver(address, port) for address, port in resolvers]
        self._resolver.lifetime = timeout_seconds
        self._resolver.timeout = min(2.0, timeout_seconds)

    def __repr__(self) -> str:
        return f"NameLookup({self._named})"

    def reverse_names(self, ip_address: IPv4Address | IPv6Address) -> frozenset[str]:
        """The names that an address claims: its PTR records, in lower case."""
        return frozenset(name.lower() for name in self.values(ip_address.reverse_pointer, "PTR"))

    def addresses(self, name: str) -> frozenset[str]:
        """A name's IPv4 addresses."""
        return frozenset(self.values(name, "A"))

    def values(self, name: str, rdtype: str) -> tuple[str, ...]:
        """The records of one type: texts whole, names without the last dot, an MX as `10 mail.example.com`."""
        try:
            answer = self._resolver.resolve(name, rdtype, search=False, raise_on_no_answer=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.YXDOMAIN, dns.exception.SyntaxError, dns.exception.FormError):
            return ()  # a malformed name has no records either
        except dns.exception.DNSException as error:
            raise DnsUnavailable(
                f"looking up {name} {rdtype}: {error} Is {self._named or 'a resolver'} up, and reachable from here?"
            ) from None
        return tuple(map(value_of, answer.rrset or ()))
