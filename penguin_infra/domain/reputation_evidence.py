"""What counts for and against a node's reputation, and the points that each component takes. Pure sums.

How they become a score that falls at once and rises slowly is `reputation_score.py`'s, its words `reputation_words.py`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from penguin_infra.domain.delivery import DeliveryFacts
from penguin_infra.domain.delivery_limits import DEFAULT_LIMITS
from penguin_infra.domain.heartbeat import Health
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.policies.pause_listed import MEDIUM_OPERATORS
from penguin_infra.domain.reputation import Rate

BEST = 100


class Component(StrEnum):
    """What a score is made of. The first two are caps, the others' points are added up."""

    LISTINGS = "listings"
    AGE = "age"
    BOUNCES = "bounces"
    COMPLAINTS = "complaints"
    POLICY_REJECTIONS = "policy_rejections"
    DEFERRALS = "deferrals"
    HEALTH = "health"


CAPS = (Component.LISTINGS, Component.AGE)

# The most that an address may have which is listed so. A policy list says what the address is, not what it did.
LISTING_CAPS: Mapping[Severity, int] = {
    Severity.CRITICAL: 20,
    Severity.HIGH: 40,
    Severity.MEDIUM: 70,
    Severity.LOW: 90,
    Severity.POLICY: BEST,
    Severity.INFORMATIONAL: BEST,
}

# Most mailboxes there are ask Spamhaus before they take anything: the address is as good as burnt.
SPAMHAUS, SPAMHAUS_CAP = "spamhaus", 10

# A fresh address is nobody's enemy and nobody's friend; the rest comes with its warm-up.
UNPROVEN_CAP = 60

# The usual length of a warm-up: where nothing else is known of one, an address of that age has had it.
PROVEN_AFTER_DAYS = 30

# Points by rate, straight lines between. Amazon SES reviews at 5 % of hard bounces and pauses at 10 %.
_BOUNCE_POINTS = ((0.02, 0), (0.05, 20), (0.10, 60), (0.20, 90))
# Gmail: stay below 0.1 %, never reach 0.3 %; Amazon SES reviews at 0.1 % and pauses at 0.5 %.
_COMPLAINT_POINTS = ((0.0005, 0), (0.001, 20), (0.003, 60), (0.005, 90))
# Nobody publishes a bound for rejections (5.7.x): the bounces' one, as the alert has it.
_REJECTION_POINTS = _BOUNCE_POINTS
# A deferral is no verdict: greylisting and busy hours defer the best. Half of the mail waiting is a throttle.
_DEFERRAL_POINTS = ((0.10, 0), (0.30, 10), (0.60, 30))

# A node that is silent or cannot send has not harmed its address, but is the one to spare.
_UNHEALTHY_POINTS = 15

# The lower bound counts in full, for it is proven. Of what the point says half counts, where an alert would believe it.
POINT_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class ListingFact:
    """An open, confirmed listing of the node's address; one by a frozen list (`is_believed` not) counts nothing."""

    zone: str
    severity: Severity
    operator: str | None = None
    is_believed: bool = True

    @property
    def cap(self) -> int:
        """The most that it allows by itself."""
        if not self.is_believed:
            return BEST
        is_grave = self.severity in (Severity.CRITICAL, Severity.HIGH)
        return SPAMHAUS_CAP if is_grave and self._is_spamhaus else LISTING_CAPS[self.severity]

    @property
    def _is_spamhaus(self) -> bool:
        return SPAMHAUS in (self.operator or self.zone).lower()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a node. `delivery`: its recent mail; None where that was not measured lately.

    `former_points`: what each component took when it was last known: what is not known now stays as it was.
    `proven_share`: how much of its warm-up lies behind its address, 0 to 1.
    """

    listings: tuple[ListingFact, ...] = ()
    delivery: DeliveryFacts | None = field(default_factory=DeliveryFacts)
    former_points: Mapping[str, int] = field(default_factory=dict)
    health: Health = Health.HEALTHY
    proven_share: float = 1.0


def points_lost(evidence: Evidence) -> dict[Component, int]:
    """The points that each component takes: of a cap, those above it; of the others, what their figures cost."""
    return {
        Component.LISTINGS: BEST - listing_cap(evidence.listings),
        Component.AGE: BEST - age_cap(evidence.proven_share),
        **_delivery_points(evidence),
        Component.HEALTH: _UNHEALTHY_POINTS if evidence.health is Health.UNHEALTHY else 0,
    }


def listing_cap(listings: Iterable[ListingFact]) -> int:
    """The most that open listings allow. Medium ones of two operators weigh as a high one, as they pause like one."""
    listed = list(listings)
    medium = {each.operator for each in listed if each.is_believed and each.severity is Severity.MEDIUM}
    agreed = LISTING_CAPS[Severity.HIGH] if len(medium - {None}) >= MEDIUM_OPERATORS else BEST
    return min([agreed, *(each.cap for each in listed)])


def age_cap(proven_share: float) -> int:
    """The most that an address may have which has so much of its warm-up behind it."""
    return UNPROVEN_CAP + int((BEST - UNPROVEN_CAP) * proven_share)


def deferral_rate(delivery: DeliveryFacts) -> Rate:
    """Deferrals among attempted messages and deferrals."""
    return Rate(delivery.deferrals, delivery.attempted + delivery.deferrals)


@dataclass(frozen=True, slots=True)
class _Weighing:
    """How a rate becomes points; `point_minimum`: as much mail as the point needs to be believed."""

    rate_of: Callable[[DeliveryFacts], Rate]
    curve: tuple[tuple[float, int], ...]
    point_minimum: int = DEFAULT_LIMITS.minimum_attempted

    def points(self, delivery: DeliveryFacts) -> int:
        """What the rate takes."""
        rate = self.rate_of(delivery)
        # As with the pause: three bounces of three have a lower bound of 44 %.
        if not rate.count or delivery.attempted < DEFAULT_LIMITS.minimum_attempted:
            return 0
        proven = _on_curve(rate.lower, self.curve)
        likely = POINT_SHARE * _on_curve(rate.point, self.curve) if delivery.attempted >= self.point_minimum else 0
        return round(max(proven, likely))

    @property
    def harmless(self) -> float:
        """The rate up to which it takes nothing."""
        return self.curve[0][0]


WEIGHINGS: Mapping[Component, _Weighing] = {
    Component.BOUNCES: _Weighing(lambda mail: mail.bounce_rate, _BOUNCE_POINTS),
    Component.COMPLAINTS: _Weighing(
        lambda mail: mail.complaint_rate, _COMPLAINT_POINTS, DEFAULT_LIMITS.complaint_minimum_sent
    ),
    Component.POLICY_REJECTIONS: _Weighing(lambda mail: mail.policy_rejection_rate, _REJECTION_POINTS),
    Component.DEFERRALS: _Weighing(deferral_rate, _DEFERRAL_POINTS),
}


def _delivery_points(evidence: Evidence) -> dict[Component, int]:
    if evidence.delivery is None:
        return {name: int(evidence.former_points.get(name, 0)) for name in WEIGHINGS}
    return {name: each.points(evidence.delivery) for name, each in WEIGHINGS.items()}


def _on_curve(rate: float, curve: tuple[tuple[float, int], ...]) -> float:
    """The points at a rate, on straight lines between the curve's own; beyond its ends, the ends'."""
    below, points_below = curve[0]
    if rate <= below:
        return points_below
    for above, points_above in curve[1:]:
        if rate <= above:
            return points_below + (points_above - points_below) * (rate - below) / (above - below)
        below, points_below = above, points_above
    return points_below
