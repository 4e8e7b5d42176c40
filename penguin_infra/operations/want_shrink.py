"""Which nodes the fleet could give up, as decommissions that always wait for a person.

Which these are is `domain/policies/shrink_fleet.py`'s; how an approved one leaves, the decommission's.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.capacity import LadderPlan
from penguin_infra.domain.fleet_size import RipeNode
from penguin_infra.domain.policies.leave_on_request import DRAIN_MINUTES
from penguin_infra.domain.policies.shrink_fleet import NAME, ShrinkLimits, ShrinkPlan, propose_shrink
from penguin_infra.operations.read_fleet_size import FleetFigures, SizeLimits, read_fleet_size
from penguin_infra.store.fleet_shape import read_active


def want_shrink(
    connection: Connection, *, limits: SizeLimits, shrink: ShrinkLimits, drain_minutes: float, now: datetime
) -> list[PlannedAction]:
    """A proposal for each node that could be given up; none beside those that wait for their answer."""
    figures = read_fleet_size(connection, limits, now)
    if figures is None or figures.changes.open_proposals:
        return []
    plan = plan_shrink(connection, figures, limits, shrink, now)
    evidence = {**plan.evidence, DRAIN_MINUTES: drain_minutes}
    return [
        PlannedAction(node_id, ActionKind.DECOMMISSION, plan.reason, NAME, evidence, needs_approval=plan.needs_approval)
        for node_id in plan.node_ids
    ]


def plan_shrink(
    connection: Connection, figures: FleetFigures, limits: SizeLimits, shrink: ShrinkLimits, now: datetime
) -> ShrinkPlan:
    """What could be given up by these figures."""
    return propose_shrink(
        figures.size,
        _candidates(connection, figures.ladder),
        new_node=figures.new_node,
        growth=limits.growth,
        limits=shrink,
        now=now,
    )


def _candidates(connection: Connection, ladder: Sequence[LadderPlan]) -> Iterator[RipeNode]:
    """Read as they are asked for: mostly there is a reason against, and then the whole fleet need not be."""
    plans = {plan.name: plan for plan in ladder}
    for node in read_active(connection):
        # What an unknown plan carries, and saves, nobody can say.
        if plan := plans.get(node.plan):
            yield RipeNode(
                node.node_id, node.label, node.region, node.reputation, plan.messages_per_day, plan.monthly_usd
            )
