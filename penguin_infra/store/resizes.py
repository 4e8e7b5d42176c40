"""What resizes need of the memory: nodes whose queues may be deep, with their last windows, and who is being resized.

Whether a queue is deep, and what is done about it, is `domain/policies/resize_deep_queue.py`'s.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from itertools import groupby
from uuid import UUID

from sqlalchemy import Connection, exists, func, or_, select

from penguin_infra.domain.actions import OPEN_STATUSES, UNDER_WAY, ActionKind, ActionStatus
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.resize_deep_queue import NAME as RESIZE_DEEP_QUEUE
from penguin_infra.domain.queue_pressure import QueueingNode, QueueLimits, QueueWindow
from penguin_infra.store.capacity_tables import node_windows
from penguin_infra.store.decisions import IS_CHANGING_PLAN
from penguin_infra.store.tables import AnyRow, node_actions, sending_nodes

n = sending_nodes.c
a = node_actions.c
w = node_windows.c

# A proposal of the fleet's own holds its region until it is answered; one of a person's does not.
_HOLDS_ITS_REGION = (a.kind == ActionKind.RESIZE) & or_(
    a.status.in_(UNDER_WAY), a.status.in_(OPEN_STATUSES) & (a.requested_by == RESIZE_DEEP_QUEUE)
)


def queueing_nodes(connection: Connection, limits: QueueLimits, *, now: datetime) -> list[QueueingNode]:
    """Nodes of which enough of the last windows hold more than a calm queue does, and those that are being resized.

    The others are sieved out where they lie: a fleet of 10,000 has seldom more than a few of them.
    """
    since = now - timedelta(minutes=limits.window_minutes * (limits.windows + 1))
    deep = (
        select(w.node_id)
        .where(w.window_at >= since, w.window_at <= now, w.depth >= limits.deep_messages * limits.calm_share)
        .group_by(w.node_id)
        .having(func.count() >= limits.windows)
    )
    is_resizing = exists().where(a.node_id == n.id, _HOLDS_ITS_REGION)
    nodes = connection.execute(
        select(n.id, n.label, n.region, n.plan, n.status, is_resizing.label("is_resizing"))
        .where(n.status != NodeStatus.DECOMMISSIONED, n.id.in_(deep) | is_resizing)
        .order_by(n.label)
    ).all()
    ids = [row.id for row in nodes]
    windows = _windows(connection, ids, since, now)
    resized_at = _resized_at(connection, ids)
    return [
        QueueingNode(
            node_id=row.id,
            label=row.label,
            region=row.region,
            plan=row.plan,
            status=NodeStatus(row.status),
            windows=windows.get(row.id, ()),
            is_resizing=row.is_resizing,
            resized_at=resized_at.get(row.id),
        )
        for row in nodes
    ]


def resized_in_region(
    connection: Connection, region: str, *, but: UUID, statuses: Collection[ActionStatus] = UNDER_WAY
) -> str | None:
    """The label of another node of the region whose resize is in one of these statuses."""
    query = (
        select(n.label)
        .join_from(node_actions, sending_nodes)
        .where(a.kind == ActionKind.RESIZE, a.status.in_(statuses), n.region == region, n.id != but)
    )
    label: str | None = connection.scalar(query.order_by(n.label).limit(1))
    return label


def working_on(connection: Connection) -> frozenset[UUID]:
    """Nodes that are silent with reason: their resize or new installation runs, or rests between two attempts."""
    query = select(a.node_id).where(
        a.kind.in_([ActionKind.RESIZE, ActionKind.REINSTALL]),
        (a.status == ActionStatus.RUNNING) | ((a.status == ActionStatus.PLANNED) & (a.attempt > 1)),
    )
    return frozenset(connection.scalars(query))


def _windows(
    connection: Connection, node_ids: Iterable[UUID], since: datetime, now: datetime
) -> dict[UUID, tuple[QueueWindow, ...]]:
    rows = connection.execute(
        select(node_windows)
        .where(w.node_id.in_(node_ids), w.window_at >= since, w.window_at <= now)
        .order_by(w.node_id, w.window_at)
    )
    return {node_id: tuple(map(_window, each)) for node_id, each in groupby(rows, key=lambda row: row.node_id)}


def _window(row: AnyRow) -> QueueWindow:
    return QueueWindow(
        measured_at=row.window_at,
        depth=row.depth,
        deferred=row.deferred,
        oldest_age_seconds=row.oldest_age_seconds,
        ended=row.ended,
        deferrals=row.deferrals,
        cpu_percent=row.cpu_percent,
        memory_percent=row.memory_percent,
        is_held=row.is_held,
    )


def _resized_at(connection: Connection, node_ids: Iterable[UUID]) -> dict[UUID, datetime]:
    """When each node's newest resize ended, of those that came as far as to ask the provider."""
    rows = connection.execute(
        select(a.node_id, func.max(a.finished_at).label("at"))
        .where(a.node_id.in_(node_ids), a.kind == ActionKind.RESIZE, a.evidence.has_key(IS_CHANGING_PLAN))
        .group_by(a.node_id)
    )
    return {row.node_id: row.at for row in rows if row.at is not None}
