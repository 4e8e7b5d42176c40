"""Who is paused, who asked for it last, and since when: what a resumption by the fleet itself is decided from."""

from uuid import UUID

from sqlalchemy import Connection, exists, func, select, true

from penguin_infra.domain.actions import OPEN_STATUSES, ActionKind, ActionStatus
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.pause_listed import PAUSING_SEVERITIES
from penguin_infra.domain.policies.resume_recovered import PausedNode
from penguin_infra.store.blacklist_tables import ip_blacklist_events
from penguin_infra.store.tables import node_actions, sending_nodes

n = sending_nodes.c
a = node_actions.c
e = ip_blacklist_events.c


def paused_nodes(connection: Connection, node_id: UUID | None = None) -> list[PausedNode]:
    """Paused nodes with the newest pause of the ledger.

    The newest that was asked for, not the one that changed the status: a person who pauses a node that the fleet had
    paused already means it to stay so.
    """
    pause = (
        select(a.requested_by, func.coalesce(a.finished_at, a.planned_at).label("at"))
        .where(
            a.node_id == n.id,
            a.kind == ActionKind.PAUSE,
            a.status.in_({ActionStatus.SUCCEEDED, *OPEN_STATUSES}),
        )
        .order_by(a.planned_at.desc(), a.id)
        .limit(1)
        .lateral("pause")
    )
    is_listed = exists().where(
        e.ip_address == n.ip_address, e.delisted_at.is_(None), e.severity.in_(PAUSING_SEVERITIES)
    )
    query = (
        select(n.id, n.label, pause.c.requested_by, pause.c.at, is_listed.label("is_listed"))
        .join_from(sending_nodes, pause, true())
        .where(n.status == NodeStatus.PAUSED)
        .order_by(pause.c.at, n.id)
    )
    if node_id is not None:
        query = query.where(n.id == node_id)
    return [PausedNode(row.id, row.label, row.requested_by, row.at, row.is_listed) for row in connection.execute(query)]
