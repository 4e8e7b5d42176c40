"""What a list's test points show: the questions that tell whether a list works, and the fault that their answers mean.

How a fault becomes a quarantine, and how that ends, is `domain/list_health.py`'s.
"""

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

from penguin_infra.dnsbl.blacklist import Blacklist
from penguin_infra.dnsbl.questions import Address
from penguin_infra.domain.list_health import Fault, ListFault
from penguin_infra.domain.listing import LIST_ANSWERS, Observation, Verdict

# RFC 5782 s5: the negative test point, which no list may hold.
NEGATIVE_POINTS: Mapping[int, Address] = {4: IPv4Address("127.0.0.1"), 6: IPv6Address("::ffff:7f00:1")}

# RFC 3849: documentation addresses, as TEST-NET-1 is for IPv4 (`Blacklist.unlisted_point`).
UNLISTED_POINT_IPV6 = IPv6Address("2001:db8::1")

PUBLIC_RESOLVER_CODE = IPv4Address("127.255.255.254")
QUOTA_CODE = IPv4Address("127.255.255.255")

OWN_RESOLVER = "use a resolver of your own (unbound on loopback, not forwarding): set PENGUIN_RESOLVERS"

# How operators word it where they have a code of their own for it.
_QUOTA_WORDS = re.compile("quota|too many|limit", re.IGNORECASE)


def test_points(blacklist: Blacklist, ip_version: int) -> tuple[list[Address], list[Address]]:
    """The addresses that the list must hold, and those that it must not."""
    unlisted: list[Address] = [blacklist.unlisted_point if ip_version == 4 else UNLISTED_POINT_IPV6]
    if not blacklist.is_negative_test_exempt:
        unlisted.insert(0, NEGATIVE_POINTS[ip_version])
    return [point for point in blacklist.test_points if point.version == ip_version], unlisted


def find_fault(blacklist: Blacklist, ip_version: int, looks: Mapping[Address, Observation]) -> Fault | None:
    """The first thing that is wrong with a list by looks at all its test points; None where it passes."""
    listed, unlisted = test_points(blacklist, ip_version)
    for point in listed:
        seen = looks[point]
        if seen.verdict is Verdict.ERROR:
            return _error(blacklist, f"asked about its test point {point}", seen)
        # A code that the catalogue does not know still shows that the list is alive.
        if seen.verdict is Verdict.CLEAN:
            return Fault(ListFault.EMPTIED, f"does not list its test point {point}: emptied, or no blacklist any more")
    for point in unlisted:
        seen = looks[point]
        if seen.verdict is Verdict.ERROR:
            return _error(blacklist, f"asked about {point}", seen)
        if seen.verdict is not Verdict.CLEAN:
            found = ", ".join(str(address) for address in seen.answer.addresses)
            return Fault(ListFault.WILDCARDED, f"lists {point}, which no list has cause to ({found}): wildcarded")
    return None


def is_quota_error(blacklist: Blacklist, seen: Observation) -> bool:
    """Whether an answer says that the list was asked too much: by the usual code, or by one of the list's own."""
    if seen.verdict is not Verdict.ERROR:
        return False
    return any(
        _QUOTA_WORDS.search(blacklist.errors[code]) if code in blacklist.errors else code == QUOTA_CODE
        for code in seen.answer.addresses
    )


def _error(blacklist: Blacklist, asked: str, seen: Observation) -> Fault:
    kind = _kind(blacklist, seen)
    remedy = f"; {OWN_RESOLVER}" if kind is ListFault.PUBLIC_RESOLVER else ""
    return Fault(kind, f"{asked}: {seen.reason}{remedy}")


def _kind(blacklist: Blacklist, seen: Observation) -> ListFault:
    addresses = seen.answer.addresses
    if PUBLIC_RESOLVER_CODE in addresses:
        return ListFault.PUBLIC_RESOLVER
    if is_quota_error(blacklist, seen):
        return ListFault.QUOTA
    if addresses:
        is_rewritten = any(address not in LIST_ANSWERS for address in addresses)
        return ListFault.REWRITTEN if is_rewritten else ListFault.ERROR_CODE
    error = seen.answer.error
    if error is None:
        return ListFault.REWRITTEN
    if "REFUSED" in error:
        return ListFault.REFUSED
    is_silent = "in time" in error or "be reached" in error
    return ListFault.SILENT if is_silent else ListFault.SERVER_ERROR
