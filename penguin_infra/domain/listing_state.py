"""Where one address stands on one list: the facts that looks leave behind, code by code.

Facts only: how a look changes them is `listing_advance.py`'s.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from penguin_infra.domain.listing import ListedCode, Severity, worst_severity


class ListingStatus(StrEnum):
    """Where an address stands on one list."""

    CLEAN = "clean"
    SUSPECT = "suspect"
    LISTED = "listed"


@dataclass(frozen=True, slots=True)
class FirstHit:
    """Codes seen once, waiting for a second look past `ttl_seconds` or through another resolver."""

    codes: tuple[ListedCode, ...]
    observed_at: datetime
    ttl_seconds: int
    resolver: str


@dataclass(frozen=True, slots=True)
class CleanStreak:
    """Confirmed codes that each of the last `answers` answers lacked, since the first of them."""

    codes: tuple[ListedCode, ...]
    answers: int
    since: datetime


@dataclass(frozen=True, slots=True)
class ListingState:
    """An address on a list: `codes` are confirmed, `since` is when the status or they last changed.

    `answered_at` is the last answer that counted (None: never, so "clean" is only a default), `last_error` why a later
    one did not. `suspected_at` stays through the listing that it led to.
    """

    since: datetime
    codes: tuple[ListedCode, ...] = ()
    first_hit: FirstHit | None = None
    suspected_at: datetime | None = None
    clean_streak: CleanStreak | None = None
    answered_at: datetime | None = None
    last_error: str | None = None
    last_error_at: datetime | None = None

    @property
    def status(self) -> ListingStatus:
        """Listed with a confirmed code, suspect with a first hit only."""
        if self.codes:
            return ListingStatus.LISTED
        return ListingStatus.SUSPECT if self.first_hit else ListingStatus.CLEAN

    @property
    def severity(self) -> Severity | None:
        """The gravest confirmed code's; None unless listed."""
        return worst_severity(self.codes)
