"""Fleets with something to save, as the rules of savings take them: facts only, no database."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from penguin_infra.domain.capacity import LadderPlan
from penguin_infra.domain.fleet_size import FleetSize, GrowthLimits, RegionSize
from penguin_infra.domain.forecast import Forecast, NoForecast
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.resize_deep_queue import ResizeLimits
from penguin_infra.domain.policies.save_costs import SavingRules, recommend_savings
from penguin_infra.domain.policies.shrink_fleet import ShrinkLimits
from penguin_infra.domain.pricing import CostLimits
from penguin_infra.domain.savings import (
    CapacityOutlook,
    FleetNode,
    Orphan,
    PlanRates,
    Recommendation,
    SavingFacts,
    SavingLimits,
    SavingPlan,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
LONG_AGO = NOW - 100 * DAY

LADDER = (
    LadderPlan("small", 1, 1_024, 1_000, Decimal("7.30")),
    LadderPlan("middle", 2, 2_048, 2_000, Decimal("14.60")),
    LadderPlan("large", 4, 4_096, 4_000, Decimal("29.20")),
)
PER_DAY = {plan.name: plan.messages_per_day for plan in LADDER}
# A month of 730 hours costs as much as the monthly price: no cycle is the better one.
RATES = {plan.name: PlanRates(plan.monthly_usd, plan.monthly_usd / 730) for plan in LADDER}
RULES = SavingRules(GrowthLimits(warm_spares=0), ShrinkLimits(), ResizeLimits(), CostLimits(), SavingLimits())
DAYS = 40


def node(number: int, plan: str = "large", status: NodeStatus = NodeStatus.ACTIVE, **said: object) -> FleetNode:
    """A node that has long been in service and is well used."""
    busy = {"idle_ended": 1_000, "peak_hour": 3_900, "peak_hour_last_day": 3_900, "cpu_percent": 80.0}
    facts: dict[str, object] = {
        "reputation": 90, "created_at": LONG_AGO, "status_since": LONG_AGO, "serving_since": LONG_AGO,
        "is_speaking": True, "memory_percent": 50.0,
    }  # fmt: skip
    return FleetNode(
        UUID(int=number),
        f"node-{number:03}",
        "dallas",
        plan,
        status,
        **facts | busy | said,  # type: ignore[arg-type]
    )


def idle(number: int, **said: object) -> FleetNode:
    nothing = {"idle_ended": 0, "peak_hour": 0, "peak_hour_last_day": 0, "cpu_percent": 2.0}
    return node(number, **nothing | said)  # type: ignore[arg-type]


def burnt(number: int, **said: object) -> FleetNode:
    held = {"held_since": NOW - 31 * DAY, "critical_since": NOW - 31 * DAY, "serving_since": None}
    return node(number, **{"status": NodeStatus.PAUSED, **held, **said})  # type: ignore[arg-type]


def facts_of(
    nodes: Sequence[FleetNode],
    *,
    demand: float = 0,
    ahead: float | None = None,
    forecast: Forecast | NoForecast | None = None,
    orphans: Sequence[Orphan] = (),
    **size: object,
) -> SavingFacts:
    """A fleet of whom so much is asked on its highest day, and from tomorrow on."""
    capacity_of = {each.node_id: ((PER_DAY[each.plan] if each.is_serving else 0),) * DAYS for each in nodes}
    capacity = tuple(sum(days) for days in zip(*capacity_of.values(), strict=True))
    ahead = demand if ahead is None else ahead
    known = FleetSize(
        recent_demand=(demand,),
        forecast=forecast or Forecast((ahead,) * DAYS, 0, 0, None, 4),
        capacity_by_day=capacity,
        regions=(RegionSize("dallas", len(nodes)),),
        requested_last_day=0,
        monthly_usd=Decimal(0),
        **size,  # type: ignore[arg-type]
    )
    outlook = CapacityOutlook((demand, *(ahead for _ in range(DAYS - 1))), capacity)
    return SavingFacts(tuple(nodes), tuple(orphans), RATES, LADDER, known, outlook, capacity_of)


def found(facts: SavingFacts, rules: SavingRules = RULES) -> SavingPlan:
    return recommend_savings(facts, rules, NOW)


def told(facts: SavingFacts, rules: SavingRules = RULES) -> list[tuple[str, str]]:
    return sorted((each.kind.value, each.label) for each in found(facts, rules).recommendations)


def only(facts: SavingFacts, rules: SavingRules = RULES) -> Recommendation:
    (one,) = found(facts, rules).recommendations
    return one


def full(count: int) -> list[FleetNode]:
    """Nodes that are used as much as they may be, from the tenth on."""
    return [node(number) for number in range(10, 10 + count)]


def share_of(count: int, share: float) -> float:
    """So much of what so many large nodes send in a day."""
    return count * PER_DAY["large"] * share


def small_user(number: int, **said: object) -> FleetNode:
    """On `large`, and fits `small`: 550 of 1,000 an hour, 0.48 of one CPU, 573 of 1,024 MB."""
    little = {"peak_hour": 550, "peak_hour_last_day": 550, "cpu_percent": 12.0, "memory_percent": 14.0}
    return node(number, **little | said)  # type: ignore[arg-type]
