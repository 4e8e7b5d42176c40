"""Names that lists are asked by, and the one question that is no look: a list's own words about an address.

What is asked at wire speed is `sweep.py`'s. Nothing here raises for a network that fails.
"""

import re
from collections.abc import Callable
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address

import dns.exception
import dns.message
import dns.query
import dns.rdatatype

from penguin_infra.dnsbl.blacklist import Blacklist
from penguin_infra.dnsbl.resolvers import Resolver

Address = IPv4Address | IPv6Address
Clock = Callable[[], datetime]

_PATIENCE_SECONDS = 4.0
# What stands for a key wherever a list or a server repeats one.
_REDACTED = "***"


def reverse_name(address: Address, zone: str) -> str:
    """The name under which a list answers for an address: octets or nibbles reversed (RFC 5782 s2.1 and s2.4)."""
    labels, _, _ = address.reverse_pointer.rsplit(".", 2)
    return f"{labels}.{zone}"


def fetch_reason(address: Address, blacklist: Blacklist, resolver: Resolver) -> str | None:
    """The list's own words about an address (TXT at its name); None where it has none or does not say them now."""
    try:
        query = dns.message.make_query(reverse_name(address, blacklist.query_zone), dns.rdatatype.TXT)
        response, _ = dns.query.udp_with_fallback(
            query, resolver.address, timeout=_PATIENCE_SECONDS, port=resolver.port, ignore_errors=True
        )
        if not isinstance(response, dns.message.QueryMessage):
            return None
        texts = response.resolve_chaining().answer
    except (dns.exception.DNSException, OSError, EOFError):
        return None
    if not texts:
        return None
    words = " | ".join(b"".join(text.strings).decode(errors="replace") for text in texts)
    return _redact(words, blacklist)


def _redact(words: str, blacklist: Blacklist) -> str:
    """Without the list's key, in whatever letters a server repeats it."""
    if blacklist.key is None:
        return words
    return re.sub(re.escape(blacklist.key.get_secret_value()), _REDACTED, words, flags=re.IGNORECASE)
