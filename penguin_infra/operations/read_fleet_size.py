"""Read all that the fleet's size is decided on: demand, capacity as it ripens, regions, spend, and the last changes.

Sums over groups of nodes that are alike; whether to grow or to shrink is the policies'.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from penguin_infra.domain.capacity import LadderPlan, NodeCapacity, ThroughputLimits
from penguin_infra.domain.demand import daily_history, recent_demand
from penguin_infra.domain.fleet_size import FleetSize, GrowthLimits, NewNode, RegionSize
from penguin_infra.domain.forecast import DAYS_A_WEEK, MOST_SEASONS, Forecast, NoForecast, forecast_demand
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.resize_deep_queue import AnotherNode, ResizeLimits
from penguin_infra.domain.ripening import allowances_ahead, allowances_until_ripe
from penguin_infra.domain.warmup_curves import WarmupCurve, plan_warmup
from penguin_infra.domain.warmup_quality import WarmupLimits
from penguin_infra.operations.want_resizes import read_resize_plan
from penguin_infra.store import fleet_shape
from penguin_infra.store.demand import read_hours
from penguin_infra.store.fleet_shape import NodeGroup, SizeChanges
from penguin_infra.store.plan_prices import read_offers

_HISTORY = timedelta(days=DAYS_A_WEEK * MOST_SEASONS)

_NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """All limits that the fleet's size is reckoned with."""

    growth: GrowthLimits
    curve: WarmupCurve
    warmup: WarmupLimits
    throughput: ThroughputLimits
    resize: ResizeLimits


@dataclass(frozen=True, slots=True)
class FleetFigures:
    """The fleet's size, what one node more would be, and the provider's plans."""

    size: FleetSize
    new_node: NewNode
    ladder: tuple[LadderPlan, ...]
    changes: SizeChanges


def read_fleet_size(connection: Connection, limits: SizeLimits, now: datetime) -> FleetFigures | None:
    """None where the price list is not known yet, or has no plan for new nodes: nothing can be reckoned then."""
    ladder = limits.throughput.ladder(read_offers(connection))
    rung = next((plan for plan in ladder if plan.name == limits.growth.plan), None)
    if rung is None:
        return None
    full = plan_warmup(limits.curve, rung.messages_per_day)
    until_ripe = allowances_until_ripe(full, stage_hours=limits.warmup.minimum_stage_hours)
    new_node = NewNode(rung.name, rung.monthly_usd, until_ripe)
    days = new_node.days_to_ripen + DAYS_A_WEEK
    groups = fleet_shape.read_groups(connection)
    changes = fleet_shape.read_changes(connection, now)
    hours = read_hours(connection, now - _HISTORY)
    asking = read_resize_plan(
        connection, throughput=limits.throughput, limits=limits.resize, growth=limits.growth, now=now
    ).another_node
    size = FleetSize(
        recent_demand=recent_demand(hours, now),
        forecast=_from_tomorrow(forecast_demand(daily_history(hours, now), ahead=days + 1)),
        capacity_by_day=_capacity_by_day(groups, ladder, limits, days),
        regions=_regions(groups, asking, limits.growth),
        requested_last_day=changes.requested_last_day,
        monthly_usd=fleet_shape.monthly_usd(connection),
        grown_at=changes.grown_at,
        shrunk_at=changes.shrunk_at,
    )
    return FleetFigures(size, new_node, ladder, changes)


def _from_tomorrow(forecast: Forecast | NoForecast) -> Forecast | NoForecast:
    """History ends with yesterday: its first day ahead is today, of which the recent sums tell better."""
    return replace(forecast, values=forecast.values[1:]) if isinstance(forecast, Forecast) else forecast


def _capacity_by_day(
    groups: Iterable[NodeGroup], ladder: Sequence[LadderPlan], limits: SizeLimits, days: int
) -> tuple[int, ...]:
    per_day = {plan.name: plan.messages_per_day for plan in ladder}
    total = [0] * (days + 1)
    for group in groups:
        # A plan that nobody sells any more carries what the curve ends with: unknown is not nothing.
        able = capacity_of(group, per_day.get(group.plan, limits.curve.stages[-1]), limits, days)
        for day in range(days + 1):
            total[day] += group.nodes * able[day]
    return tuple(total)


def capacity_of(group: NodeGroup, plan_per_day: int, limits: SizeLimits, days: int) -> tuple[int, ...]:
    """What one node of the group can send on each day, today first, and so many days to come."""
    today: int | None = None
    ahead: tuple[int, ...] = ()
    if group.status in {NodeStatus.PROVISIONING, NodeStatus.WARMING}:
        plan = plan_warmup(limits.curve, plan_per_day)
        hours = limits.warmup.minimum_stage_hours
        if group.daily is None:
            # Not begun: nothing today, and the first stage from tomorrow on.
            today, ahead = 0, allowances_ahead(plan, plan.first_daily, stage_hours=hours, days=days - 1)
        else:
            today, *later = allowances_ahead(plan, group.daily, stage_hours=hours, days=days)
            ahead = tuple(later)
    node = NodeCapacity(_NOBODY, "", group.region, group.status, plan_per_day, today, ahead)
    return tuple(node.per_day_in(day) for day in range(days + 1))


def _regions(
    groups: Iterable[NodeGroup], asking: Iterable[AnotherNode], growth: GrowthLimits
) -> tuple[RegionSize, ...]:
    by_status: dict[str, Counter[NodeStatus]] = {region: Counter() for region in growth.regions}
    for group in groups:
        by_status.setdefault(group.region, Counter())[group.status] += group.nodes
    wanted = Counter(each.region for each in asking)
    return tuple(
        RegionSize(
            region,
            counts.total(),
            in_flight=counts[NodeStatus.PROVISIONING],
            warming=counts[NodeStatus.WARMING],
            wanted=wanted[region],
            may_grow=not growth.regions or region in growth.regions,
        )
        for region, counts in sorted(by_status.items())
    )
