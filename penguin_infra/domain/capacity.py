"""What nodes can send in a day, now and as they ripen, and what is asked of them: sums and shares, no judgement.

A node sends what its plan delivers or what its warm-up allows, whichever is less. The curves stand in the warm-up's
rules; what is done about a share that is too high, in the policies.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from penguin_infra.domain.node import SENDING_STATUSES, NodeStatus

HOURS_A_DAY = 24


@dataclass(frozen=True, slots=True)
class LadderPlan:
    """A provider's plan as a rung: what it holds, what it delivers, and its price. Ladders go from small to large."""

    name: str
    cpu: int
    memory_mb: int
    messages_per_hour: int
    monthly_usd: Decimal

    @property
    def messages_per_day(self) -> int:
        """What it delivers when it never rests."""
        return self.messages_per_hour * HOURS_A_DAY


@dataclass(frozen=True, slots=True)
class PlanOffer:
    """A plan as the provider sells it."""

    name: str
    cpu: int
    memory_mb: int
    monthly_usd: Decimal


@dataclass(frozen=True, slots=True)
class ThroughputLimits:
    """What a plan delivers in an hour: by its CPUs, unless `messages_per_hour` names the plan.

    No provider publishes such a number, and mails differ: 2,500 an hour and CPU are a day of 60,000, which is where the
    cautious curve of warm-up ends. Measure your own nodes, and set it.
    """

    messages_per_hour_per_cpu: int = 2_500
    messages_per_hour: Mapping[str, int] = field(default_factory=dict)

    def ladder(self, offers: Iterable[PlanOffer]) -> tuple[LadderPlan, ...]:
        """The plans on offer from small to large: by what they deliver, then by memory and price."""
        plans = [
            LadderPlan(
                offer.name,
                offer.cpu,
                offer.memory_mb,
                self.messages_per_hour.get(offer.name, offer.cpu * self.messages_per_hour_per_cpu),
                offer.monthly_usd,
            )
            for offer in offers
        ]
        return tuple(
            sorted(plans, key=lambda plan: (plan.messages_per_hour, plan.memory_mb, plan.monthly_usd, plan.name))
        )


@dataclass(frozen=True, slots=True)
class Load:
    """What was asked of a node, a region or the fleet within a day, in messages.

    `ended`: deliveries that came to an end, accepted or not: both took capacity. `queue_growth` may be below zero: then
    the day delivered mail of days before. `refused`: turned away for want of allowance.
    """

    ended: int = 0
    queue_growth: int = 0
    refused: int = 0

    @property
    def demand(self) -> int:
        """What came in within the day, whether it could be sent or not."""
        return max(0, self.ended + self.queue_growth + self.refused)

    def __add__(self, other: "Load") -> "Load":
        return Load(self.ended + other.ended, self.queue_growth + other.queue_growth, self.refused + other.refused)


@dataclass(frozen=True, slots=True)
class NodeCapacity:
    """One node's place in the fleet's sums.

    `allowance_per_day` None: no limit but the plan's. `allowances_ahead` are those of the days to come, tomorrow's
    first; the last one stays. A node in provisioning is allowed nothing today, and has its curve ahead of it.
    """

    node_id: UUID
    label: str
    region: str
    status: NodeStatus
    plan_per_day: int
    allowance_per_day: int | None = None
    allowances_ahead: tuple[int | None, ...] = ()
    load: Load = Load()

    @property
    def per_day(self) -> int:
        """What it can send today; nothing while it is not in service."""
        return self.per_day_in(0)

    def per_day_in(self, days: int) -> int:
        """What it can send on a day to come (0: today).

        Nobody knows when a node that is paused or in maintenance comes back: it is not counted on.
        """
        if self.status not in SENDING_STATUSES and not (self.status is NodeStatus.PROVISIONING and days > 0):
            return 0
        if days == 0 or not self.allowances_ahead:
            allowance = self.allowance_per_day
        else:
            allowance = self.allowances_ahead[min(days, len(self.allowances_ahead)) - 1]
        return self.plan_per_day if allowance is None else max(0, min(self.plan_per_day, allowance))

    @property
    def utilisation(self) -> "Utilisation":
        """Its own load over its own capacity."""
        return Utilisation(self.load, self.per_day)


@dataclass(frozen=True, slots=True)
class Utilisation:
    """A day's load over the warmed capacity of the same nodes."""

    load: Load
    capacity: int

    @property
    def throughput_share(self) -> float | None:
        """What was sent over what could be sent; None without capacity, which no share describes."""
        return self.load.ended / self.capacity if self.capacity else None

    @property
    def demand_share(self) -> float | None:
        """What was asked for over what could be sent: above 1 where mail waits or is turned away."""
        return self.load.demand / self.capacity if self.capacity else None

    def __str__(self) -> str:
        share = "no capacity" if self.demand_share is None else f"{self.demand_share:.1%}"
        return (
            f"{share} (demand {self.load.demand:,} = {self.load.ended:,} ended + {self.load.queue_growth:,} queued "
            f"+ {self.load.refused:,} refused; warmed capacity {self.capacity:,} a day)"
        )


def measure(nodes: Iterable[NodeCapacity]) -> Utilisation:
    """The utilisation of several nodes together."""
    load, capacity = Load(), 0
    for node in nodes:
        load, capacity = load + node.load, capacity + node.per_day
    return Utilisation(load, capacity)


def measure_regions(nodes: Iterable[NodeCapacity]) -> dict[str, Utilisation]:
    """The utilisation of each region, by name."""
    known = sorted(nodes, key=lambda node: node.region)
    return {
        region: measure(n for n in known if n.region == region) for region in dict.fromkeys(n.region for n in known)
    }


def capacity_ahead(nodes: Iterable[NodeCapacity], *, days: int) -> tuple[int, ...]:
    """What the nodes can send together on each day: today first, then so many days to come."""
    known = list(nodes)
    return tuple(sum(node.per_day_in(day) for node in known) for day in range(days + 1))


def days_until_share(share: float, *, demand: Sequence[float], capacity: Sequence[float]) -> int | None:
    """The first day on which demand reaches that share of capacity (0: today); None where it does not, as far as seen.

    Both sequences begin today; the shorter one says how far can be seen. No capacity is reached by any demand at all.
    """
    for day, (asked, possible) in enumerate(zip(demand, capacity, strict=False)):
        if asked > 0 and asked >= share * possible:
            return day
    return None
