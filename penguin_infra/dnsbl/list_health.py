"""Whether a list works at all, as one resolver sees it: its test points, and an address that it surely does not list.

One look at one list; what an unhealthy list's answers are worth is decided by who asks (`sweep.py`).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address

from penguin_infra.dnsbl.catalogue import Blacklist
from penguin_infra.dnsbl.questions import Address
from penguin_infra.domain.listing import Observation, Verdict

# RFC 5782 s5: the negative test point, which no list may hold.
NEGATIVE_POINTS: Mapping[int, Address] = {4: IPv4Address("127.0.0.1"), 6: IPv6Address("::ffff:7f00:1")}

# RFC 3849: documentation addresses, as TEST-NET-1 is for IPv4 (`Blacklist.unlisted_point`).
UNLISTED_POINT_IPV6 = IPv6Address("2001:db8::1")

Look = Callable[[Address], Awaitable[Observation]]


@dataclass(frozen=True, slots=True)
class ListHealth:
    """How one list does through one resolver; `reason` says why it is quarantined, None where it is well."""

    zone: str
    resolver: str
    ip_version: int
    checked_at: datetime
    reason: str | None

    @property
    def is_healthy(self) -> bool:
        """Whether the list's answers through this resolver count."""
        return self.reason is None


async def find_fault(blacklist: Blacklist, ip_version: int, look: Look) -> str | None:
    """Why a list is not to be believed; None where it passes. Stops at the first fault."""
    for point in blacklist.test_points:
        if point.version != ip_version:
            continue
        seen = await look(point)
        if seen.verdict is Verdict.ERROR:
            return f"asked about its test point {point}: {seen.reason}"
        # A code that the catalogue does not know still shows that the list is alive.
        if seen.verdict is Verdict.CLEAN:
            return f"does not list its test point {point}: emptied, or no blacklist any more"
    unlisted: list[Address] = [blacklist.unlisted_point if ip_version == 4 else UNLISTED_POINT_IPV6]
    if not blacklist.is_negative_test_exempt:
        unlisted.insert(0, NEGATIVE_POINTS[ip_version])
    for point in unlisted:
        seen = await look(point)
        if seen.verdict is Verdict.ERROR:
            return f"asked about {point}: {seen.reason}"
        if seen.verdict is not Verdict.CLEAN:
            found = ", ".join(str(address) for address in seen.answer.addresses)
            return f"lists {point}, which no list has cause to ({found}): wildcarded"
    return None
