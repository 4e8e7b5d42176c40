"""The fleet's shape for sums of its size: nodes in groups that are alike, what a month of them costs, and when it grew.

Never a row a node, but where nodes are to be told apart. What the sums lead to is `domain/policies/`' to say.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Connection, func, select

from penguin_infra.domain.actions import ActionKind, ActionStatus
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.shrink_fleet import NAME as SHRINK_FLEET
from penguin_infra.store.capacity_tables import node_warmups
from penguin_infra.store.plan_prices import NEWEST
from penguin_infra.store.tables import node_actions, sending_nodes

a = node_actions.c
n = sending_nodes.c

# What a person's approval let happen, however it ended. One that was called off while it drained is rejected.
_APPROVED = (ActionStatus.PLANNED, ActionStatus.RUNNING, ActionStatus.SUCCEEDED, ActionStatus.FAILED)


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """Nodes that are alike in all that their capacity depends on. `daily`: what a warming one has earned."""

    region: str
    status: NodeStatus
    plan: str
    daily: int | None
    nodes: int


@dataclass(frozen=True, slots=True)
class SizeChanges:
    """What was lately done about the fleet's size. `open_proposals`: scale-ins that wait for a person."""

    requested_last_day: int
    grown_at: datetime | None
    shrunk_at: datetime | None
    open_proposals: int


@dataclass(frozen=True, slots=True)
class ServingNode:
    """A node in service for good, as far as giving it up is concerned."""

    node_id: UUID
    label: str
    region: str
    plan: str
    reputation: int


def read_groups(connection: Connection) -> list[NodeGroup]:
    """All nodes that are not decommissioned."""
    # Only warming nodes are held to what they earned: an active one keeps its finished state.
    earned = (node_warmups.c.node_id == n.id) & (n.status == NodeStatus.WARMING)
    columns = (n.region, n.status, n.plan, node_warmups.c.daily)
    rows = connection.execute(
        select(*columns, func.count().label("nodes"))
        .select_from(sending_nodes.outerjoin(node_warmups, earned))
        .where(n.status != NodeStatus.DECOMMISSIONED)
        .group_by(*columns)
        .order_by(*columns)
    )
    return [NodeGroup(row.region, NodeStatus(row.status), row.plan, row.daily, row.nodes) for row in rows]


def monthly_usd(connection: Connection) -> Decimal:
    """What a month of all nodes costs by their plans' newest prices, asked-for ones too; unknown plans cost nothing."""
    newest = NEWEST.subquery()
    return Decimal(
        connection.scalar(
            select(func.coalesce(func.sum(newest.c.monthly_usd), 0))
            .select_from(sending_nodes.join(newest, newest.c.plan == n.plan))
            .where(n.status != NodeStatus.DECOMMISSIONED)
        )
        or 0
    )


def read_changes(connection: Connection, now: datetime) -> SizeChanges:
    """Requests whoever made them, and scale-ins of the fleet's own proposing once a person approved them."""
    requests = connection.execute(
        select(
            func.count().filter(n.created_at > now - timedelta(days=1)).label("last_day"),
            func.max(n.created_at).label("newest_at"),
        )
    ).one()
    scale_ins = connection.execute(
        select(
            func.max(a.decided_at).filter(a.status.in_(_APPROVED)).label("newest_at"),
            func.count().filter(a.status == ActionStatus.PROPOSED).label("open"),
        ).where(a.kind == ActionKind.DECOMMISSION, a.requested_by == SHRINK_FLEET)
    ).one()
    return SizeChanges(requests.last_day, requests.newest_at, scale_ins.newest_at, scale_ins.open)


def read_active(connection: Connection) -> list[ServingNode]:
    """Active nodes of which nothing is being done that takes them away."""
    rows = connection.execute(
        select(n.id, n.label, n.region, n.plan, n.reputation_score)
        .where(n.status == NodeStatus.ACTIVE, n.drain_until.is_(None))
        .order_by(n.label)
    )
    return [ServingNode(row.id, row.label, row.region, row.plan, row.reputation_score) for row in rows]
