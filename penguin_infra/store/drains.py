"""Drains in the registry: until when a node may deliver what it has, out of the rotation, and what waits on it still.

When a drain is over is `domain/drain.py`'s; how one is carried out, `operations/drain_node.py`'s.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, exists, select, true, update

from penguin_infra.domain.actions import DRAINING_KINDS, UNDER_WAY
from penguin_infra.domain.drain import DrainView, Queue
from penguin_infra.domain.heartbeat import SILENT_AFTER_SECONDS, is_observer_alive
from penguin_infra.domain.node import SENDING_STATUSES, NodeStatus
from penguin_infra.domain.policies.pause_listed import PAUSING_SEVERITIES
from penguin_infra.store.blacklist_tables import ip_blacklist_events
from penguin_infra.store.tables import AnyRow, node_actions, sending_nodes
from penguin_infra.store.telemetry_tables import gateway_clock, node_pulses

n = sending_nodes.c
p = node_pulses.c
c = gateway_clock.c
a = node_actions.c
e = ip_blacklist_events.c


def lock_node(connection: Connection, node_id: UUID) -> NodeStatus:
    """A node's status, held until the transaction ends: calling off and going on exclude each other."""
    return NodeStatus(connection.execute(select(n.status).where(n.id == node_id).with_for_update()).scalar_one())


def begin_drain(connection: Connection, node_id: UUID, until: datetime) -> None:
    """Take a node out of the rotation, with the transaction; its agent goes on delivering. A repeat changes nothing."""
    connection.execute(
        update(sending_nodes)
        .where(n.id == node_id, n.drain_until.is_distinct_from(until))
        .values(drain_until=until, version=n.version + 1)
    )


def end_drain(connection: Connection, node_id: UUID) -> None:
    """Nothing is drained any more: the node's status alone says whether it may send."""
    connection.execute(
        update(sending_nodes)
        .where(n.id == node_id, n.drain_until.is_not(None))
        .values(drain_until=None, version=n.version + 1)
    )


def drain_until(connection: Connection, node_id: UUID) -> datetime | None:
    """Until when a node drains; None where it does not."""
    found: datetime | None = connection.scalar(select(n.drain_until).where(n.id == node_id))
    return found


def end_abandoned_drains(connection: Connection) -> list[str]:
    """Let nodes send again whose drain nobody carries on: the action that began it is closed. Returns their labels.

    An action that failed for good closes itself in one transaction wherever its run died, and knows of no drain.
    """
    is_leaving = exists().where(a.node_id == n.id, a.kind.in_(DRAINING_KINDS), a.status.in_(UNDER_WAY))
    ended = connection.scalars(
        update(sending_nodes)
        .where(n.drain_until.is_not(None), ~is_leaving)
        .values(drain_until=None, version=n.version + 1)
        .returning(n.label)
    )
    return sorted(ended)


def view_drain(connection: Connection, node_id: UUID, now: datetime) -> DrainView:
    """A node as its drain is judged by."""
    is_listed = exists().where(
        e.ip_address == n.ip_address, e.delisted_at.is_(None), e.severity.in_(PAUSING_SEVERITIES)
    )
    row = connection.execute(
        select(n.status, is_listed.label("is_listed"), c.ticked_at)
        .select_from(sending_nodes)
        .join(gateway_clock, true())
        .where(n.id == node_id)
    ).one()
    return DrainView(
        # As the agent is told: it holds its mail while either is so.
        held_because=_held_because(row),
        is_observer_alive=is_observer_alive(row.ticked_at, now),
        queue=read_queue(connection, node_id),
    )


def read_queue(connection: Connection, node_id: UUID) -> Queue | None:
    """What a node last told of its queue; None where it never spoke."""
    row = connection.execute(
        select(
            p.received_at,
            (c.served_seconds - p.served_seconds).label("silent_seconds"),
            p.mta_state,
            p.queue_active,
            p.queue_deferred,
            p.queue_held,
            p.queue_oldest_seconds,
            p.details,
        )
        .select_from(node_pulses)
        .join(gateway_clock, true())
        .where(p.node_id == node_id)
    ).one_or_none()
    if row is None:
        return None
    return Queue(
        heard_at=row.received_at,
        is_silent=row.silent_seconds > SILENT_AFTER_SECONDS,
        mta_state=row.mta_state,
        active=row.queue_active,
        deferred=row.queue_deferred,
        held=row.queue_held,
        oldest_seconds=row.queue_oldest_seconds,
        is_truncated=bool(row.details.get("is_truncated")),
        delay_reasons=tuple((each["reason"], each["count"]) for each in row.details.get("delay_reasons", ())),
    )


def _held_because(row: AnyRow) -> str | None:
    if row.status not in SENDING_STATUSES:
        return f"it is {row.status}"
    return "its address is listed" if row.is_listed else None
