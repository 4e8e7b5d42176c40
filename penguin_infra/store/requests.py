"""Requests for nodes as their policies see them: what is asked for, and what was given up and still costs money."""

from sqlalchemy import Connection, func, select

from penguin_infra.domain.actions import OPEN_STATUSES, ActionKind, ActionStatus
from penguin_infra.domain.inventory import DriftKind
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.clear_leftovers import Leftover
from penguin_infra.domain.policies.provision_requested import RequestedNode
from penguin_infra.store.tables import instance_drift, node_actions, sending_nodes

a = node_actions.c
n = sending_nodes.c

_NOTHING_OPEN = ~(
    select(a.id)
    .where(
        a.node_id == n.id,
        a.kind.in_([ActionKind.PROVISION, ActionKind.RELEASE, ActionKind.REINSTALL, ActionKind.DECOMMISSION]),
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


def leftovers(connection: Connection) -> list[Leftover]:
    """Nodes with something at the provider or in DNS that they do not hold any more, and with nothing open about them.

    A creation that was still under way when its run died, or a run that slept through its own release, leaves an
    instance; the inventory sees it as an orphan that carries the node's token. Records outlive a node in the same way.
    """
    rows = connection.execute(
        select(n.id, n.label, func.string_agg(instance_drift.c.detail, "; ").label("detail"))
        .join(instance_drift, instance_drift.c.node_id == n.id)
        .where(
            n.status != NodeStatus.PROVISIONING,
            instance_drift.c.kind.in_([DriftKind.ORPHAN, DriftKind.STRAY_RECORD]),
            instance_drift.c.resolved_at.is_(None),
            _NOTHING_OPEN,
        )
        .group_by(n.id)
        .order_by(n.created_at)
    )
    return [Leftover(row.id, row.label, row.detail) for row in rows]
