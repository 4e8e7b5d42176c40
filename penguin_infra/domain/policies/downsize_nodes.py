"""A node whose peaks a smaller and cheaper plan carries with room to spare, and on what figures that is said.

What was not measured long enough is not judged: a plan that turns out too small is a queue that grows. The resize
itself is the ledger's action, and waits for a person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from penguin_infra.domain.capacity import LadderPlan
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.pricing import BillingCycle
from penguin_infra.domain.savings import OBSERVED, FleetNode, PlanRates


@dataclass(frozen=True, slots=True)
class Peaks:
    """A node's highest needs, as they would be on another plan too."""

    messages_per_hour: float
    cpus: float
    memory_mb: float

    def fits(self, plan: LadderPlan, share: float) -> bool:
        """Whether the plan carries them and is no fuller than that share."""
        return (
            self.messages_per_hour <= share * plan.messages_per_hour
            and self.cpus <= share * plan.cpu
            and self.memory_mb <= share * plan.memory_mb
        )

    def on(self, plan: LadderPlan) -> str:
        """How full the plan would be, in words."""
        return (
            f"{self.messages_per_hour:,.0f} messages in the busiest hour of {OBSERVED.days} days are "
            f"{self.messages_per_hour / plan.messages_per_hour:.0%} of its {plan.messages_per_hour:,}, "
            f"CPU {self.cpus / plan.cpu:.0%}, memory {self.memory_mb / plan.memory_mb:.0%}"
        )


def is_judged(node: FleetNode, *, cool_down_hours: float, now: datetime) -> bool:
    """Whether the node has been measured long enough, active and on its present plan all the while.

    A resize within the cool-down, or within the days that are looked at, tells of another plan.
    """
    observed = max(OBSERVED, timedelta(hours=cool_down_hours))
    was_resized = node.resized_at is not None and now - node.resized_at < observed
    return node.status is NodeStatus.ACTIVE and now - node.status_since >= OBSERVED and not was_resized


def peaks_of(node: FleetNode, plan: LadderPlan, *, load_factor: float) -> Peaks | None:
    """Its peaks once it carries so many times its present load; None where one of them was not measured.

    CPU is known of the last day alone: it is taken to rise as the messages did on the busiest of all days.
    """
    if not node.peak_hour or node.cpu_percent is None or node.memory_percent is None:
        return None
    # A day on which it sent next to nothing says nothing of what a message costs: then the day's CPU is the least.
    rise = max(1.0, node.peak_hour / node.peak_hour_last_day) if node.peak_hour_last_day else float("inf")
    return Peaks(
        messages_per_hour=node.peak_hour * load_factor,
        cpus=node.cpu_percent / 100 * plan.cpu * rise * load_factor,
        memory_mb=node.memory_percent / 100 * plan.memory_mb,
    )


def smaller_plans(
    present: LadderPlan, ladder: Sequence[LadderPlan], rates: Mapping[str, PlanRates], cycle: BillingCycle
) -> list[LadderPlan]:
    """The plans below on the ladder that cost less, the cheapest first."""
    below = ladder[: ladder.index(present)]
    price = rates[present.name].month_usd(cycle)
    cheaper = [plan for plan in below if plan.name in rates and rates[plan.name].month_usd(cycle) < price]
    return sorted(cheaper, key=lambda plan: (rates[plan.name].month_usd(cycle), -plan.messages_per_hour, plan.name))
