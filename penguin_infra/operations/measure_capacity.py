"""Measure what the nodes did, can do and are asked for: windows, demand by the hour, and each node's utilisation.

Facts for whoever decides: resizing reads the windows, growth the hours, the guardrails' floor the utilisation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from penguin_infra.domain import capacity_alerts
from penguin_infra.domain.capacity import (
    HOURS_A_DAY,
    Load,
    NodeCapacity,
    Utilisation,
    days_until_share,
    measure,
    measure_regions,
)
from penguin_infra.domain.capacity_alerts import BusyNode, RotationFacts
from penguin_infra.domain.demand import DemandHour
from penguin_infra.domain.fleet_size import Outlook, look_ahead
from penguin_infra.domain.forecast import Forecast, NoForecast
from penguin_infra.domain.guardrails import GuardrailLimits
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.warmup_curves import WarmupCurve
from penguin_infra.operations.begin_warmups import read_capacities
from penguin_infra.operations.read_fleet_size import FleetFigures, SizeLimits, read_fleet_size
from penguin_infra.operations.update_alerts import RESOLVED_BY_ITSELF
from penguin_infra.store import alerts, capacity, demand, node_windows
from penguin_infra.store.capacity import CapacityFacts, UtilisationRow


@dataclass(frozen=True, slots=True)
class MeasuredNode:
    """A node's facts, and its place in the sums."""

    facts: CapacityFacts
    capacity: NodeCapacity


@dataclass(frozen=True, slots=True)
class CapacityReport:
    """One measurement. Decommissioned nodes count in the sums alone.

    `figures` and `outlook`: None without a price list. `hours`: the last day's, the present one last. `unknown_plans`:
    plans of nodes that the price list does not hold. `speaking`: nodes whose heartbeats are fresh, `windowed` of which
    have the last window.
    """

    nodes: tuple[MeasuredNode, ...]
    system: Utilisation
    regions: Mapping[str, Utilisation]
    rotation: RotationFacts
    hours: tuple[DemandHour, ...]
    figures: FleetFigures | None
    outlook: Outlook | None
    days_until_trigger: int | None
    has_prices: bool
    unknown_plans: tuple[str, ...]
    speaking: int
    windowed: int
    added_windows: int
    opened_alerts: int
    resolved_alerts: int

    @property
    def forecast(self) -> Forecast | NoForecast:
        """Demand on the days from tomorrow on."""
        return self.figures.size.forecast if self.figures else NoForecast("no price list is known yet")


def measure_capacity(
    engine: Engine, limits: SizeLimits, guardrails: GuardrailLimits, *, now: datetime, run_id: str | None = None
) -> CapacityReport:
    """Measure, write the figures down, and let the alerts' rules look at them. Safe to repeat, and after a pause."""
    with engine.begin() as connection:
        added = node_windows.add_windows(connection, now)
    with engine.begin() as connection:
        node_windows.forget_windows(connection, now)
        demand.count_hours(connection, now)
    with engine.begin() as connection:
        known = capacity.read_facts(connection, now)
        per_day = read_capacities(connection, limits.throughput)
        nodes = tuple(MeasuredNode(each, _place(each, per_day, limits.curve)) for each in known)
        capacity.replace_utilisation(
            connection, (_row(node, per_day, now) for node in nodes if node.capacity.status in _PRESENT)
        )
    with engine.begin() as connection:
        return _report(
            connection,
            nodes,
            per_day=per_day,
            added=added,
            limits=limits,
            guardrails=guardrails,
            now=now,
            run_id=run_id,
        )


_PRESENT = frozenset(NodeStatus) - {NodeStatus.DECOMMISSIONED}
_DAY = timedelta(hours=HOURS_A_DAY)


def _report(
    connection: Connection,
    nodes: Sequence[MeasuredNode],
    *,
    per_day: Mapping[str, int],
    added: int,
    limits: SizeLimits,
    guardrails: GuardrailLimits,
    now: datetime,
    run_id: str | None,
) -> CapacityReport:
    present = tuple(node for node in nodes if node.capacity.status in _PRESENT)
    refused = demand.refused_by_region(connection, demand.hour_of(now - _DAY) + timedelta(hours=1))
    figures = read_fleet_size(connection, limits, now)
    outlook = look_ahead(figures.size, figures.new_node, limits.growth) if figures else None
    rotating = [node for node in present if node.facts.is_in_rotation]
    rotation = RotationFacts(
        len(rotating),
        # Without a price list every plan's figure is a guess.
        sum(node.capacity.per_day for node in rotating) if per_day else None,
        demand.present_demand(connection, now),
    )
    changes = _update_alerts(connection, present, rotation, guardrails, now=now, run_id=run_id)
    return CapacityReport(
        nodes=present,
        system=_with_refused(measure(node.capacity for node in nodes), sum(refused.values())),
        regions={
            region: _with_refused(each, refused.get(region, 0))
            for region, each in measure_regions(node.capacity for node in nodes).items()
        },
        rotation=rotation,
        hours=tuple(demand.read_hours(connection, demand.hour_of(now) - _DAY)),
        figures=figures,
        outlook=outlook,
        days_until_trigger=days_until_share(
            limits.growth.trigger_share, demand=outlook.demand, capacity=figures.size.capacity_by_day
        )
        if outlook and figures
        else None,
        has_prices=bool(per_day),
        unknown_plans=tuple(sorted({node.facts.plan for node in present} - per_day.keys())),
        speaking=sum(node.facts.queue_depth is not None for node in present),
        windowed=node_windows.nodes_with_window(connection, node_windows.window_of(now) - node_windows.WINDOW),
        added_windows=added,
        opened_alerts=sum(len(change.opened) for change in changes),
        resolved_alerts=sum(len(change.resolved) for change in changes),
    )


def _place(facts: CapacityFacts, per_day: Mapping[str, int], curve: WarmupCurve) -> NodeCapacity:
    # A plan that nobody sells any more carries what the curve ends with, as in the sums of the fleet's size.
    return NodeCapacity(
        facts.node_id,
        facts.label,
        facts.region,
        facts.status,
        per_day.get(facts.plan, curve.stages[-1]),
        # A node whose warm-up nobody has begun yet may send nothing.
        (facts.daily or 0) if facts.status is NodeStatus.WARMING else None,
        load=Load(facts.ended_last_day, facts.queue_growth),
    )


def _row(node: MeasuredNode, per_day: Mapping[str, int], now: datetime) -> UtilisationRow:
    facts, place = node.facts, node.capacity
    return UtilisationRow(
        node_id=facts.node_id,
        measured_at=now,
        region=facts.region,
        status=facts.status.value,
        plan=facts.plan,
        is_in_rotation=facts.is_in_rotation,
        plan_per_day=per_day.get(facts.plan),
        allowance_per_day=place.allowance_per_day,
        capacity_per_day=place.per_day,
        ended_last_day=facts.ended_last_day,
        ended_last_hour=facts.ended_last_hour,
        queue_depth=facts.queue_depth,
        queue_growth=facts.queue_growth,
        oldest_age_seconds=facts.oldest_age_seconds,
        cpu_percent=facts.cpu_percent,
        memory_percent=facts.memory_percent,
        demand_share=place.utilisation.demand_share,
    )


def _with_refused(measured: Utilisation, messages: int) -> Utilisation:
    """Whom the dispatcher turned away came to no node: it counts with its region."""
    return Utilisation(measured.load + Load(refused=messages), measured.capacity)


def _update_alerts(
    connection: Connection,
    present: Sequence[MeasuredNode],
    rotation: RotationFacts,
    guardrails: GuardrailLimits,
    *,
    now: datetime,
    run_id: str | None,
) -> list[alerts.AlertChanges]:
    """What is open already is read under the rules' locks: it stays where nothing is known."""
    rules = (capacity_alerts.CAPACITY_FLOOR, capacity_alerts.CPU_HIGH)
    for rule in rules:
        alerts.lock_rule(connection, rule)
    floor, cpu = (alerts.open_alerts(connection, rule) for rule in rules)
    end_at = node_windows.window_of(now)
    windows = [end_at - back * node_windows.WINDOW for back in range(capacity_alerts.DEFAULT_CPU_LIMITS.windows, 0, -1)]
    percents = node_windows.cpu_percents(connection, windows)
    busy = [
        BusyNode(node.facts.node_id, node.facts.label, tuple(map(percents.get(node.facts.node_id, {}).get, windows)))
        for node in present
    ]
    found = (
        capacity_alerts.capacity_floor(rotation, floor, guardrails),
        capacity_alerts.cpu_high(busy, cpu),
    )
    return [
        alerts.save_alerts(connection, rule, each, now=now, run_id=run_id, resolution=RESOLVED_BY_ITSELF)
        for rule, each in zip(rules, found, strict=True)
    ]
