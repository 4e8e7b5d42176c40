"""What a blacklist's answer means: verdict, codes and severity of one look at one address on one list.

How the question travels is `dnsbl`'s, what follows from several looks `listing_advance.py`'s, and what is done about a
listing the policies'.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

# RFC 5782 s2.1: a list answers with addresses of 127/8. Anything else comes from a lapsed domain that was parked, or
# from a resolver that rewrites answers, and made whole fleets "listed" in 2018 (spamcannibal) and 2021 (SpamCop).
LIST_ANSWERS = IPv4Network("127.0.0.0/8")

# By convention of Spamhaus, followed by Validity and others: the question was wrong, blocked, or one too many.
QUERY_ERRORS = IPv4Network("127.255.255.0/24")

# Addresses of 127/8 that no list uses for a listing.
NEVER_A_LISTING: Mapping[IPv4Address, str] = {
    IPv4Address("127.0.0.1"): "127.0.0.1 is never a listing (RFC 5782 s5): the question was blocked or rewritten",
    IPv4Address("127.0.1.255"): "an address was asked of a list of domains",
    IPv4Address("127.0.2.255"): "an address was asked of a list of domains",
    IPv4Address("127.255.255.252"): "the list's name is misspelt",
    IPv4Address("127.255.255.254"): "asked through a public resolver or one without attributable reverse DNS",
    IPv4Address("127.255.255.255"): "too many questions: the list's quota is used up",
}


class Severity(StrEnum):
    """How much a listing matters; members stand from the gravest down."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    POLICY = "policy"
    INFORMATIONAL = "informational"

    @property
    def gravity(self) -> int:
        """0 for the least; compare these, the names have no order."""
        return len(Severity) - 1 - list(Severity).index(self)


class Verdict(StrEnum):
    """What one answer says. Only CLEAN and LISTED say something about the address."""

    CLEAN = "clean"
    LISTED = "listed"
    UNRECOGNISED = "unrecognised"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class ListedCode:
    """One return code that means a listing, as the list's operator documents it."""

    code: IPv4Address
    meaning: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class ListCodes:
    """How one list answers; its own words go before the global ones (Hostkarma answers 127.0.0.1 for "white")."""

    listed: Mapping[IPv4Address, ListedCode]
    not_listed: Mapping[IPv4Address, str] = field(default_factory=dict)
    errors: Mapping[IPv4Address, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one question. `error` says why nothing usable did; an empty NOERROR has neither mark."""

    observed_at: datetime
    resolver: str
    addresses: tuple[IPv4Address, ...] = ()
    ttl_seconds: int = 0
    is_nxdomain: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """One answer with its meaning; `reason` explains every verdict that the codes do not."""

    answer: Answer
    verdict: Verdict
    codes: tuple[ListedCode, ...] = ()
    unrecognised: tuple[IPv4Address, ...] = ()
    reason: str | None = None

    @property
    def severity(self) -> Severity | None:
        """The gravest of the codes; None unless listed."""
        return worst_severity(self.codes)


def worst_severity(codes: tuple[ListedCode, ...]) -> Severity | None:
    """The gravest severity among codes, None of none."""
    return max((code.severity for code in codes), key=lambda severity: severity.gravity, default=None)


def classify(answer: Answer, codes: ListCodes) -> Observation:
    """Say what an answer means on a list with these codes.

    One error among several addresses makes the whole answer an error: a list that is unwell is not believed by halves.
    """
    error = _error_of(answer, codes)
    if error is not None:
        return Observation(answer, Verdict.ERROR, reason=error)
    if answer.is_nxdomain:
        return Observation(answer, Verdict.CLEAN)
    listed = tuple(codes.listed[address] for address in sorted(set(answer.addresses)) if address in codes.listed)
    unrecognised = tuple(sorted(set(answer.addresses) - codes.listed.keys() - codes.not_listed.keys()))
    named = ", ".join(str(address) for address in unrecognised)
    reason = f"the catalogue does not know the code {named}" if unrecognised else None
    if listed:
        return Observation(answer, Verdict.LISTED, listed, unrecognised, reason)
    if unrecognised:
        return Observation(answer, Verdict.UNRECOGNISED, (), unrecognised, reason)
    return Observation(answer, Verdict.CLEAN, reason=", ".join(codes.not_listed[one] for one in answer.addresses))


def _error_of(answer: Answer, codes: ListCodes) -> str | None:
    if answer.error is not None:
        return answer.error
    if answer.is_nxdomain:
        return "the answer holds addresses and denies the name at once" if answer.addresses else None
    if not answer.addresses:
        return "the name exists without an address (NODATA)"
    errors = (_error_of_address(address, codes) for address in answer.addresses)
    return next((error for error in errors if error is not None), None)


def _error_of_address(address: IPv4Address, codes: ListCodes) -> str | None:
    if address in codes.errors:
        return f"{address}: {codes.errors[address]}"
    if address in codes.not_listed:
        return None
    if address in NEVER_A_LISTING:
        return f"{address}: {NEVER_A_LISTING[address]}"
    if address in QUERY_ERRORS:
        return f"{address}: an error code that no operator documents"
    if address not in LIST_ANSWERS:
        return f"{address} is outside 127/8: a parked domain or a resolver that rewrites answers"
    return None
