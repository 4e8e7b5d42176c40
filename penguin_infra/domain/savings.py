"""Savings in figures: what they are found by, what each is worth, and what the fleet costs and carries with it.

Facts, limits and sums. Which savings are worth making is `policies/save_costs.py`'s; making them, a person's to decide.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID, uuid5

from penguin_infra.domain.capacity import LadderPlan
from penguin_infra.domain.fleet_size import FleetSize
from penguin_infra.domain.node import SENDING_STATUSES, NodeStatus
from penguin_infra.domain.pricing import BillingCycle

# A twelfth of a year's hours.
HOURS_A_MONTH = 730

# Two weeks hold every day of the week twice: one of them may have been a holiday.
OBSERVED = timedelta(days=14)

# In an action's evidence: the recommendation that it was made of.
SAVING_ID = "saving_id"

_NAMESPACE = UUID("dab5dd1f-d7c8-513a-af96-948c7b41e38e")


class SavingKind(StrEnum):
    """What can be saved by."""

    ORPHAN = "orphan"
    RETIRE = "retire"
    CONSOLIDATE = "consolidate"
    DOWNSIZE = "downsize"
    BILLING_CYCLE = "billing_cycle"


# What the ledger can carry out; the others are done by hand at the provider.
PLANNABLE_KINDS = frozenset({SavingKind.RETIRE, SavingKind.CONSOLIDATE, SavingKind.DOWNSIZE})


@dataclass(frozen=True, slots=True)
class SavingLimits:
    """What is worth a person's time, and how full the fleet may be afterwards.

    `least_monthly_usd`: the smallest saving that is told. `highest_share_after`: of the capacity, by the highest day's
    demand. `idle_days`: without a message in service. `burnt_days`: under a critical listing, or below `burnt_score`.
    """

    least_monthly_usd: Decimal = Decimal(1)
    highest_share_after: float = 0.6
    idle_days: float = 7
    burnt_days: float = 30
    burnt_score: int = 20


@dataclass(frozen=True, slots=True)
class PlanRates:
    """A plan's list prices."""

    monthly_usd: Decimal
    hourly_usd: Decimal

    def month_usd(self, cycle: BillingCycle) -> Decimal:
        """What an instance that lives all month costs."""
        return self.monthly_usd if cycle is BillingCycle.MONTHLY else self.hourly_usd * HOURS_A_MONTH


@dataclass(frozen=True, slots=True)
class FleetNode:
    """A node as far as its costs are concerned; decommissioned ones are none.

    `serving_since` and `held_since`: since when it is in service, or paused and in maintenance. `is_billed`: it has an
    instance, which the provider has too. `is_engaged`: an open action works on it, or waits, that is no saving's
    proposal; `is_leaving`: that takes it out. `is_proposed`: a saving of it waits for a person. Peaks are the busiest
    hour's messages within `OBSERVED` and within a day, and the last day's busiest five minutes. `idle_ended`: messages
    that came to an end within the limits' `idle_days`. None: not known, or not so.
    """

    node_id: UUID
    label: str
    region: str
    plan: str
    status: NodeStatus
    reputation: int
    created_at: datetime
    status_since: datetime
    serving_since: datetime | None = None
    held_since: datetime | None = None
    resized_at: datetime | None = None
    daily: int | None = None
    extra_addresses: int = 0
    is_billed: bool = True
    is_engaged: bool = False
    is_leaving: bool = False
    is_proposed: bool = False
    is_speaking: bool = False
    idle_ended: int = 0
    peak_hour: int = 0
    peak_hour_last_day: int = 0
    cpu_percent: float | None = None
    memory_percent: float | None = None
    critical_since: datetime | None = None
    low_score_since: datetime | None = None

    @property
    def is_serving(self) -> bool:
        """Whether it sends, now or as it ripens."""
        return self.status in SENDING_STATUSES


@dataclass(frozen=True, slots=True)
class Orphan:
    """An instance of ours that is billed and that no node holds."""

    provider_id: str
    label: str
    region: str
    plan: str
    extra_addresses: int
    since: datetime


@dataclass(frozen=True, slots=True)
class CapacityOutlook:
    """What is asked of the fleet and what it can send on each day, today first. Today's is the highest of late.

    `spares`: messages a day of the warm spares, which are not used up by plan.
    """

    demand: tuple[float, ...]
    capacity: tuple[int, ...]
    spares: int = 0

    @property
    def peak_share(self) -> float | None:
        """The highest day's demand over that day's capacity; None where a day has none, which no share describes."""
        if min(self.capacity) <= 0:
            return None
        return max(asked / possible for asked, possible in zip(self.demand, self.capacity, strict=True))

    def without(self, lost: Sequence[int]) -> "CapacityOutlook":
        """The same demand on less capacity."""
        left = tuple(possible - gone for possible, gone in zip(self.capacity, lost, strict=True))
        return CapacityOutlook(self.demand, left, self.spares)

    def is_carried(self, share: float) -> bool:
        """Whether on every day the demand is at most that share of what is left beside the spares."""
        return all(
            asked <= share * (possible - self.spares)
            for asked, possible in zip(self.demand, self.capacity, strict=True)
        )


@dataclass(frozen=True, slots=True)
class FleetSums:
    """What the fleet costs a month and what it carries. None: not known."""

    monthly_usd: Decimal
    capacity_per_day: int | None = None
    peak_share: float | None = None

    def __str__(self) -> str:
        carried = "" if self.capacity_per_day is None else f", {self.capacity_per_day:,} messages a day"
        filled = "" if self.peak_share is None else f", {self.peak_share:.0%} of it on the highest day"
        return f"${self.monthly_usd:,.2f} a month{carried}{filled}"


@dataclass(frozen=True, slots=True)
class SavingFacts:
    """All that savings are found by.

    `capacity_of`: what each node can send on each day of the outlook. `size` and `outlook`: None where they cannot be
    reckoned; then only what takes no capacity is found.
    """

    nodes: tuple[FleetNode, ...]
    orphans: tuple[Orphan, ...]
    rates: Mapping[str, PlanRates]
    ladder: tuple[LadderPlan, ...]
    size: FleetSize | None
    outlook: CapacityOutlook | None
    capacity_of: Mapping[UUID, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One saving; `before` and `after` are the fleet now, and with this one made alone."""

    id: UUID
    kind: SavingKind
    label: str
    saving_usd: Decimal
    before: FleetSums
    after: FleetSums
    reason: str
    risk: str
    node_id: UUID | None = None
    region: str | None = None
    plan: str | None = None
    to_plan: str | None = None
    by_hand: str = ""

    @property
    def is_plannable(self) -> bool:
        """Whether the ledger can carry it out; else `by_hand` says what to do."""
        return self.kind in PLANNABLE_KINDS

    @property
    def command(self) -> str:
        """What proposes it for approval, or what to do by hand."""
        return f"penguin-infra actions plan {str(self.id)[:8]}" if self.is_plannable else self.by_hand


@dataclass(frozen=True, slots=True)
class SavingPlan:
    """All savings that can be made together, with the fleet before and after all of them. `notes`: what was not judged.

    No node is in two of them, and each was found with those before it made already.
    """

    recommendations: tuple[Recommendation, ...]
    before: FleetSums
    together: FleetSums
    notes: tuple[str, ...] = ()

    @property
    def saving_usd(self) -> Decimal:
        """What all of them save a month."""
        return sum((each.saving_usd for each in self.recommendations), Decimal(0))


def saving_id(kind: SavingKind, subject: object) -> UUID:
    """The same from day to day, for the same kind and node, instance or fleet."""
    return uuid5(_NAMESPACE, f"{kind}:{subject}")
