"""Whether a blacklist is to be believed: what its test points showed, and how a quarantine begins and ends.

The test points are asked by `dnsbl`; what an address's own answers mean is `listing.py`'s.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

# One good look may be a mirror that lags or a cache that remembers better days; two, a sweep apart, are the list.
PASSES_TO_LIFT = 2

# Zone, resolver, IP version: what one look at test points is about.
HealthKey = tuple[str, str, int]


class ListFault(StrEnum):
    """What is wrong with a list; each asks for another remedy."""

    SILENT = "silent"
    REFUSED = "refused"
    SERVER_ERROR = "server_error"
    PUBLIC_RESOLVER = "public_resolver"
    QUOTA = "quota"
    ERROR_CODE = "error_code"
    EMPTIED = "emptied"
    WILDCARDED = "wildcarded"
    REWRITTEN = "rewritten"
    MOSTLY_ERRORS = "mostly_errors"


@dataclass(frozen=True, slots=True)
class Fault:
    """What a list's test points showed to be wrong, in a word for rules and in words for people."""

    kind: ListFault
    reason: str


@dataclass(frozen=True, slots=True)
class ListHealth:
    """How one list does through one resolver, by one address family.

    `fault` None: healthy. `passes`: looks at the test points that passed since the fault, while quarantined.
    """

    zone: str
    resolver: str
    ip_version: int
    checked_at: datetime
    fault: Fault | None = None
    passes: int = 0

    @property
    def key(self) -> HealthKey:
        """What the look is about."""
        return self.zone, self.resolver, self.ip_version

    @property
    def is_healthy(self) -> bool:
        """Whether the list's answers through this resolver count."""
        return self.fault is None


def judge_health(earlier: ListHealth | None, seen: ListHealth) -> ListHealth:
    """What a new look at the test points makes of a list: one fault quarantines it, two passing looks lift that."""
    if not seen.is_healthy or earlier is None or earlier.is_healthy:
        return seen
    passes = earlier.passes + 1
    if passes >= PASSES_TO_LIFT:
        return seen
    return replace(seen, fault=earlier.fault, passes=passes)
