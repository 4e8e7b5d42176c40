"""Requests for nodes as their policies see them: what is asked for, and what was given up and still costs money."""

from sqlalchemy import Connection, func, select, true

from penguin_infra.domain.actions import OPEN_STATUSES, ActionKind, ActionStatus
from penguin_infra.domain.inventory import DriftKind
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.clear_leftovers import Leftover
from penguin_infra.domain.policies.provision_requested import RequestedNode
from penguin_infra.store.nodes import REQUESTED
from penguin_infra.store.tables import instance_drift, node_actions, node_transitions, sending_nodes

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
    """Nodes in `provisioning` with nothing open: why they were asked for, and how their last provision was given up."""
    given_up = (
        select(func.coalesce(a.outcome, "unknown").label("failure"), a.status)
        .where(
            a.node_id == n.id,
            a.kind == ActionKind.PROVISION,
            a.status.in_([ActionStatus.FAILED, ActionStatus.REJECTED]),
        )
        .order_by(a.planned_at.desc())
        .limit(1)
        .lateral()
    )
    reason = (
        select(node_transitions.c.reason)
        .where(node_transitions.c.node_id == n.id, node_transitions.c.event == REQUESTED)
        .order_by(node_transitions.c.id)
        .limit(1)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(
            n.id,
            n.label,
            n.region,
            n.plan,
            n.requested_by,
            given_up.c.failure,
            given_up.c.status.label("ended"),
            func.coalesce(reason, "").label("reason"),
        )
        .select_from(sending_nodes.outerjoin(given_up, true()))
        .where(n.status == NodeStatus.PROVISIONING, _NOTHING_OPEN)
        .order_by(n.created_at, n.label)
    )
    return [
        RequestedNode(
            row.id,
            row.label,
            row.region,
            row.plan,
            row.requested_by,
            row.failure,
            reason=row.reason,
            is_rejected=row.ended == ActionStatus.REJECTED,
        )
        for row in rows
    ]


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
