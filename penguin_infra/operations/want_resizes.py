"""Which nodes want another plan, by their queues, the provider's price list and what a month may cost."""

from datetime import datetime

from sqlalchemy import Connection

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.capacity import ThroughputLimits
from penguin_infra.domain.fleet_size import GrowthLimits
from penguin_infra.domain.policies.leave_on_request import DRAIN_MINUTES
from penguin_infra.domain.policies.resize_deep_queue import (
    NAME,
    ResizeLimits,
    ResizePlan,
    ResizeProposal,
    plan_resizes,
)
from penguin_infra.domain.policies.resize_on_request import FROM_PLAN, TO_PLAN
from penguin_infra.store.fleet_shape import monthly_usd
from penguin_infra.store.plan_prices import read_offers
from penguin_infra.store.resizes import queueing_nodes


def read_resize_plan(
    connection: Connection,
    *,
    throughput: ThroughputLimits,
    limits: ResizeLimits,
    growth: GrowthLimits,
    now: datetime,
) -> ResizePlan:
    """What is to be said of every node whose queue stayed deep; facts only, nothing is written."""
    nodes = queueing_nodes(connection, limits.queue, now=now)
    if not nodes:
        return ResizePlan()
    cap = growth.most_monthly_usd
    return plan_resizes(
        nodes,
        ladder=throughput.ladder(read_offers(connection)),
        spend_room_usd=None if cap is None else cap - monthly_usd(connection),
        limits=limits,
        now=now,
    )


def want_resizes(
    connection: Connection,
    *,
    throughput: ThroughputLimits,
    limits: ResizeLimits,
    growth: GrowthLimits,
    now: datetime,
) -> list[PlannedAction]:
    """The resizes that the fleet's own policy asks for now."""
    plan = read_resize_plan(connection, throughput=throughput, limits=limits, growth=growth, now=now)
    return [_action(each, limits) for each in plan.resizes]


def _action(proposal: ResizeProposal, limits: ResizeLimits) -> PlannedAction:
    evidence = {
        **proposal.evidence,
        FROM_PLAN: proposal.from_plan,
        TO_PLAN: proposal.to_plan,
        DRAIN_MINUTES: limits.drain_minutes,
    }
    return PlannedAction(proposal.node_id, ActionKind.RESIZE, proposal.reason, NAME, evidence)
