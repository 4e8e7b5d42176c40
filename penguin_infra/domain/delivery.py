"""What became of a node's mail over a span of time: counts and rates, in all and at each mailbox provider.

Facts only. What is too much stands in `delivery_limits.py`, what is done about it in the policies.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from penguin_infra.domain.reputation import Rate


class Span(StrEnum):
    """Over what a node is measured.

    RECENT is the last 24 hours or the last messages of a set number, whichever holds more: Amazon SES judges by volume
    as well as by time, since a small sender's day proves nothing.
    """

    RECENT = "recent"
    HOUR = "hour"


@dataclass(frozen=True)
class DeliveryFacts:
    """How many deliveries ended how. `complaints` counts incidents about mails of the same span.

    Deferrals are no end of a delivery: they count in no rate.
    """

    sent: int = 0
    hard_bounces: int = 0
    soft_bounces: int = 0
    policy_rejections: int = 0
    expired: int = 0
    deferrals: int = 0
    complaints: int = 0

    @property
    def attempted(self) -> int:
        """Deliveries that came to an end."""
        return self.sent + self.hard_bounces + self.soft_bounces + self.policy_rejections + self.expired

    @property
    def bounce_rate(self) -> Rate:
        """Hard bounces among the attempted; soft ones are left out, as Amazon SES does."""
        return Rate(self.hard_bounces, self.attempted)

    @property
    def policy_rejection_rate(self) -> Rate:
        """Rejections for the sender's sake (5.7.x) among the attempted."""
        return Rate(self.policy_rejections, self.attempted)

    @property
    def complaint_rate(self) -> Rate:
        """Complaints among the sent. A report may tell of more incidents than were counted as sent: at most all."""
        return Rate(min(self.complaints, self.sent), self.sent)


@dataclass(frozen=True)
class NodeDelivery:
    """One node's facts over one span, from `since_at` to `measured_at`; `by_provider` holds those it sent to."""

    node_id: UUID
    label: str
    since_at: datetime
    measured_at: datetime
    total: DeliveryFacts
    by_provider: Mapping[str, DeliveryFacts] = field(default_factory=dict)


def total_of(parts: Iterable[DeliveryFacts]) -> DeliveryFacts:
    """The sum of several providers' facts."""
    known = list(parts)
    return DeliveryFacts(**{name: sum(getattr(part, name) for part in known) for name in _COUNTS})


def rate_evidence(rate: Rate, *, threshold: float) -> dict[str, object]:
    """A rate's numbers as evidence of an action or an alert, beside what they were held against.

    No times: an alert that is found again with the same numbers is the same.
    """
    return {
        "count": rate.count,
        "attempted": rate.attempted,
        "rate": round(rate.point, 6),
        "lower": round(rate.lower, 6),
        "upper": round(rate.upper, 6),
        "threshold": threshold,
    }


_COUNTS = tuple(each.name for each in fields(DeliveryFacts))
