"""Find the savings that are worth making by the facts of now, and put them as rows for the analysts' table.

Which these are is `domain/policies/save_costs.py`'s; making one, `plan_saving.py`'s.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from penguin_infra.domain.demand import daily_history
from penguin_infra.domain.fleet_size import FleetSize, look_ahead
from penguin_infra.domain.policies.save_costs import SavingRules, recommend_savings
from penguin_infra.domain.policies.shrink_fleet import ShrinkLimits
from penguin_infra.domain.pricing import CostLimits
from penguin_infra.domain.savings import (
    OBSERVED,
    CapacityOutlook,
    FleetNode,
    SavingFacts,
    SavingLimits,
    SavingPlan,
)
from penguin_infra.operations.read_fleet_size import FleetFigures, SizeLimits, capacity_of, read_fleet_size
from penguin_infra.store.demand import read_hours
from penguin_infra.store.fleet_shape import NodeGroup
from penguin_infra.store.plan_prices import read_offers
from penguin_infra.store.saving_facts import read_nodes, read_orphans, read_rates

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class SavingSearch:
    """All limits that savings are found by."""

    size: SizeLimits
    shrink: ShrinkLimits
    cost: CostLimits
    savings: SavingLimits

    @property
    def rules(self) -> SavingRules:
        """As the policy takes them."""
        return SavingRules(self.size.growth, self.shrink, self.size.resize, self.cost, self.savings)


def find_savings(connection: Connection, search: SavingSearch, now: datetime) -> SavingPlan:
    """All savings that can be made together; facts only, nothing is written."""
    nodes = read_nodes(connection, search.savings, now)
    figures = read_fleet_size(connection, search.size, now)
    outlook = _outlook(connection, figures, search.size, now) if figures else None
    facts = SavingFacts(
        nodes=nodes,
        orphans=read_orphans(connection),
        rates=read_rates(connection),
        ladder=search.size.throughput.ladder(read_offers(connection)),
        size=figures.size if figures else None,
        outlook=outlook,
        capacity_of=_capacities(nodes, figures, search.size, len(outlook.capacity) - 1) if figures and outlook else {},
    )
    return recommend_savings(facts, search.rules, now)


def saving_rows(plan: SavingPlan, made: Mapping[UUID, UUID], now: datetime) -> list[tuple[object, ...]]:
    """The list as rows of `analytics.cost_optimisation`, in the order of its columns. `made`: actions by saving."""
    return [
        (
            each.id, now, each.kind.value, each.node_id, each.label, each.region, each.plan, each.to_plan,
            each.saving_usd, each.before.monthly_usd, each.after.monthly_usd,
            each.before.capacity_per_day, each.after.capacity_per_day,
            each.before.peak_share, each.after.peak_share,
            each.reason, each.risk, each.command, made.get(each.id),
        )
        for each in plan.recommendations
    ]  # fmt: skip


def _outlook(
    connection: Connection, figures: FleetFigures, limits: SizeLimits, now: datetime
) -> CapacityOutlook | None:
    """Until a replacement that is asked for today would be ripe, and a week more; None where nobody knows the demand.

    Today's demand is the highest of all that was seen lately: no day of the week is forgotten.
    """
    size = figures.size
    seen = [day for day in daily_history(read_hours(connection, now - OBSERVED - _DAY), now) if day is not None]
    if not seen and not size.recent_demand:
        return None
    ahead = look_ahead(size, figures.new_node, limits.growth)
    highest = max([*seen, *size.recent_demand, ahead.demand[0]])
    capacity = _as_long_as(size, len(ahead.demand))
    spares = limits.growth.warm_spares * figures.new_node.ripe_per_day
    return CapacityOutlook((highest, *ahead.demand[1:]), capacity, spares)


def _as_long_as(size: FleetSize, days: int) -> tuple[int, ...]:
    """The fleet's capacity on so many days; beyond what is known it stays."""
    known = size.capacity_by_day
    return tuple(known[min(day, len(known) - 1)] for day in range(days))


def _capacities(
    nodes: Iterable[FleetNode], figures: FleetFigures, limits: SizeLimits, days: int
) -> dict[UUID, tuple[int, ...]]:
    """What each node can send by day; nodes that are alike share it."""
    per_day = {plan.name: plan.messages_per_day for plan in figures.ladder}
    known: dict[tuple[object, ...], tuple[int, ...]] = {}
    found: dict[UUID, tuple[int, ...]] = {}
    for node in nodes:
        alike = (node.status, node.plan, node.daily)
        if alike not in known:
            group = NodeGroup(node.region, node.status, node.plan, node.daily, nodes=1)
            known[alike] = capacity_of(group, per_day.get(node.plan, limits.curve.stages[-1]), limits, days)
        found[node.node_id] = known[alike]
    return found
