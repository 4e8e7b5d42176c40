"""Health's memory: what each node's newest heartbeat says, and every change of its health, a statement a fleet.

What makes a node ill is `domain/heartbeat.py`'s.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, func, literal, select, text, true

from penguin_infra.domain.heartbeat import Health, HealthVerdict, Pulse
from penguin_infra.domain.node import NodeStatus
from penguin_infra.store.tables import AnyRow, provisioning_steps, sending_nodes
from penguin_infra.store.telemetry_tables import gateway_clock, node_health_events, node_pulses

n = sending_nodes.c
p = node_pulses.c
c = gateway_clock.c


@dataclass(frozen=True, slots=True)
class ObserverClock:
    """How long gateways have served in all, and when one last said so."""

    served_seconds: float
    ticked_at: datetime


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """A node with its health as recorded and its newest heartbeat."""

    node_id: UUID
    label: str
    status: NodeStatus
    health: Health
    health_since: datetime | None
    health_reason: str | None
    received_at: datetime | None
    pulse: Pulse | None


def health_lock(connection: Connection) -> None:
    """Hold the judging of health to this transaction: two judges would record one change twice."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('fleet.node_health'))"))


def observer_clock(connection: Connection) -> ObserverClock:
    """The gateways' clock."""
    row = connection.execute(select(c.served_seconds, c.ticked_at)).one()
    return ObserverClock(row.served_seconds, row.ticked_at)


def node_health(connection: Connection, node_id: UUID | None = None) -> list[NodeHealth]:
    """Every node that is not decommissioned (or the one), with what its heartbeats say now."""
    query = (
        select(
            n.id,
            n.label,
            n.status,
            n.health,
            n.health_since,
            n.health_reason,
            p.received_at,
            p.mta_state,
            (c.served_seconds - p.served_seconds).label("silent_seconds"),
        )
        .select_from(sending_nodes)
        .join(gateway_clock, true())
        .join(node_pulses, p.node_id == n.id, isouter=True)
        .where(n.status != NodeStatus.DECOMMISSIONED)
        .order_by(n.label)
    )
    if node_id is not None:
        query = query.where(n.id == node_id)
    return [_node_health(row) for row in connection.execute(query)]


def heard_since_installation(connection: Connection, node_id: UUID, install_step: str) -> datetime | None:
    """When the node was last heard, if that was after its present installation began."""
    step = provisioning_steps.c
    return connection.scalar(
        select(p.received_at)
        .join(provisioning_steps, (step.node_id == p.node_id) & (step.step == install_step))
        .where(p.node_id == node_id, p.received_at >= step.started_at)
    )


_SAVE = text(
    """
    WITH judged AS (
        SELECT * FROM jsonb_to_recordset(CAST(:judged AS jsonb)) AS one (node_id uuid, health text, reason text)
    ), locked AS (
        SELECT node.id, node.health AS former, judged.health, judged.reason
        FROM fleet.sending_nodes AS node JOIN judged ON judged.node_id = node.id
        WHERE (node.health, node.health_reason) IS DISTINCT FROM (judged.health, judged.reason)
        ORDER BY node.id FOR NO KEY UPDATE OF node
    ), told AS (
        INSERT INTO fleet.node_health_events (node_id, health, reason, happened_at)
        SELECT id, health, reason, :now FROM locked WHERE health <> former
    )
    UPDATE fleet.sending_nodes AS node
    SET health = locked.health, health_reason = locked.reason,
        health_since = CASE WHEN locked.health = locked.former THEN coalesce(node.health_since, :now) ELSE :now END
    FROM locked WHERE node.id = locked.id
    """
)

_SAVE_HEARTBEATS = text(
    """
    WITH locked AS (
        SELECT node.id, pulse.received_at FROM fleet.sending_nodes AS node
        JOIN fleet.node_pulses AS pulse ON pulse.node_id = node.id
        WHERE node.last_heartbeat IS DISTINCT FROM pulse.received_at
        ORDER BY node.id FOR NO KEY UPDATE OF node
    )
    UPDATE fleet.sending_nodes AS node SET last_heartbeat = locked.received_at FROM locked WHERE node.id = locked.id
    """
)


def save_health(connection: Connection, verdicts: Iterable[tuple[UUID, HealthVerdict]], now: datetime) -> int:
    """Write down what differs from the record; returns how many nodes did.

    An event is a change of health itself: a fault that turns into another is no new fall.
    """
    judged = [
        {"node_id": str(node_id), "health": verdict.health, "reason": verdict.reason} for node_id, verdict in verdicts
    ]
    return connection.execute(_SAVE, {"judged": json.dumps(judged), "now": now}).rowcount if judged else 0


def save_heartbeats(connection: Connection) -> int:
    """Bring the registry's `last_heartbeat` up to the pulses; returns how many nodes spoke since."""
    return connection.execute(_SAVE_HEARTBEATS).rowcount


def falls_since(connection: Connection, since: datetime) -> dict[UUID, int]:
    """How often each node became unhealthy since then, and since it last changed its status.

    A node that a person brought back starts afresh.
    """
    e = node_health_events.c
    rows = connection.execute(
        select(e.node_id, func.count().label("falls"))
        .join(sending_nodes, n.id == e.node_id)
        .where(e.health == literal(Health.UNHEALTHY.value), e.happened_at > func.greatest(since, _LAST_TRANSITION))
        .group_by(e.node_id)
    )
    return {row.node_id: row.falls for row in rows}


def health_events(connection: Connection, node_id: UUID, *, limit: int = 20) -> list[AnyRow]:
    """A node's newest changes of health."""
    e = node_health_events.c
    query = select(e.happened_at, e.health, e.reason).where(e.node_id == node_id).order_by(e.id.desc()).limit(limit)
    return list(connection.execute(query))


_LAST_TRANSITION = text(
    "(SELECT max(happened_at) FROM fleet.node_transitions WHERE node_transitions.node_id = node_health_events.node_id)"
)


def _node_health(row: AnyRow) -> NodeHealth:
    return NodeHealth(
        node_id=row.id,
        label=row.label,
        status=NodeStatus(row.status),
        health=Health(row.health),
        health_since=row.health_since,
        health_reason=row.health_reason,
        received_at=row.received_at,
        pulse=Pulse(row.silent_seconds, row.mta_state) if row.mta_state is not None else None,
    )
