"""Requests for nodes as their policies see them: what is asked for, and what was given up and still costs money."""

from sqlalchemy import Connection, func, select

from penguin_infra.domain.actions import OPEN_STATUSES, ActionKind, ActionStatus
from penguin_infra.domain.inventory import DriftKind
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.provision_requested import RequestedNode
from penguin_infra.store.tables import instance_drift, node_actions, node_transitions, sending_nodes

a = node_actions.c
n = sending_nodes.c

_NOTHING_OPEN = ~(
    select(a.id)
    .where(
        a.node_id == n.id,
        a.kind.in_([ActionKind.PROVISION, ActionKind.RELEASE]),
        a.status.in_([*OPEN_STATUSES]),
    )
    .correlate(sending_nodes)
    .exists()
)


def requested_nodes(connection: Connection) -> list[RequestedNode]:
    """Nodes in `provisioning` with nothing open, and why their last provision failed for good, if it did."""
    failure = (
        select(func.coalesce(a.outcome, "unknown"))
        .where(a.node_id == n.id, a.kind == ActionKind.PROVISION, a.status == ActionStatus.FAILED)
        .order_by(a.planned_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(n.id, n.label, n.region, n.plan, n.requested_by, failure.label("failure"))
        .where(n.status == NodeStatus.PROVISIONING, _NOTHING_OPEN)
        .order_by(n.created_at)
    )
    return [RequestedNode(row.id, row.label, row.region, row.plan, row.requested_by, row.failure) for row in rows]


def late_instances(connection: Connection) -> list[RequestedNode]:
    """Requests that were given up and released, and whose instance showed up at the provider afterwards.

    A creation that was still under way when its run died, or a run that slept through its own release, makes one; the
    inventory sees it as an orphan. A node that ever was admitted is none of these.
    """
    rows = connection.execute(
        select(n.id, n.label, n.region, n.plan, n.requested_by, func.min(instance_drift.c.detail).label("detail"))
        .join(instance_drift, instance_drift.c.node_id == n.id)
        .join(node_transitions, node_transitions.c.node_id == n.id)
        .where(
            n.status == NodeStatus.DECOMMISSIONED,
            instance_drift.c.kind == DriftKind.ORPHAN,
            instance_drift.c.resolved_at.is_(None),
            node_transitions.c.event == NodeEvent.PROVISIONING_FAILED,
            _NOTHING_OPEN,
        )
        .group_by(n.id)
        .order_by(n.created_at)
    )
    return [
        RequestedNode(row.id, row.label, row.region, row.plan, row.requested_by, f"released, and then: {row.detail}")
        for row in rows
    ]
