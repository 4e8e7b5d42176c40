"""Recoveries' memory: what was asked for on a node's behalf, whether it helped, and who is being recovered.

Who is to be recovered is `domain/policies/recover_unhealthy.py`'s.
"""

from datetime import datetime
from uuid import UUID, uuid5

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from penguin_infra.domain.actions import UNDER_WAY, ActionKind, ActionStatus
from penguin_infra.store.tables import AnyRow, node_actions
from penguin_infra.store.telemetry_tables import node_directives, recovery_steps

a = node_actions.c
d = node_directives.c
s = recovery_steps.c

WAITING = "waiting"
SUCCEEDED = "succeeded"
FAILED = "failed"

# A recovery gives one directive: its id follows from the action's, so that an agent obeys a repeat once.
_RESTART_NAMESPACE = UUID("b0a6a1de-3a55-4a0b-8f0e-6a8d2f3c5e10")


def recovering_nodes(connection: Connection) -> frozenset[UUID]:
    """Nodes with a recovery planned or running."""
    query = select(a.node_id).where(a.kind == ActionKind.RECOVER, a.status.in_(UNDER_WAY))
    return frozenset(connection.scalars(query))


def oldest_open_recovery(connection: Connection) -> UUID | None:
    """The recovery that goes on as the probe while many nodes are silent."""
    found: UUID | None = connection.scalar(
        select(a.id).where(a.kind == ActionKind.RECOVER, a.status.in_(UNDER_WAY)).order_by(a.planned_at, a.id).limit(1)
    )
    return found


def recovered_at(connection: Connection, since: datetime) -> dict[UUID, datetime]:
    """When each node was last recovered with success, since then."""
    rows = connection.execute(
        select(a.node_id, func.max(a.finished_at).label("at"))
        .where(a.kind == ActionKind.RECOVER, a.status == ActionStatus.SUCCEEDED, a.finished_at > since)
        .group_by(a.node_id)
    )
    return {row.node_id: row.at for row in rows}


def get_step(connection: Connection, action_id: UUID, step: str) -> AnyRow | None:
    """What a recovery asked for in a step; None where it has not yet."""
    query = select(recovery_steps).where(s.action_id == action_id, s.step == step)
    return connection.execute(query).one_or_none()


def list_steps(connection: Connection, action_id: UUID) -> list[AnyRow]:
    """A recovery's steps in the order in which they were asked for."""
    query = select(recovery_steps).where(s.action_id == action_id).order_by(s.asked_at, s.step)
    return list(connection.execute(query))


def begin_step(
    connection: Connection,
    action_id: UUID,
    step: str,
    *,
    run_id: str,
    asked_for: str,
    served_seconds: float,
    now: datetime,
) -> AnyRow:
    """Note what was asked for, when by the gateways' clock: only a heartbeat after that shows that it helped."""
    return connection.execute(
        insert(recovery_steps)
        .values(
            action_id=action_id,
            step=step,
            status=WAITING,
            run_id=run_id,
            asked_for=asked_for,
            asked_at=now,
            asked_served_seconds=served_seconds,
        )
        .returning(*recovery_steps.c)
    ).one()


def finish_step(
    connection: Connection, action_id: UUID, step: str, *, status: str, outcome: str, now: datetime
) -> None:
    """The node came back (`SUCCEEDED`), or did not (`FAILED`)."""
    connection.execute(
        update(recovery_steps)
        .where(s.action_id == action_id, s.step == step, s.status == WAITING)
        .values(status=status, outcome=outcome, finished_at=now)
    )


def give_directive(connection: Connection, node_id: UUID, action_id: UUID, restart: str, now: datetime) -> None:
    """Ask the node's agent to restart `mta` or `agent` at its next heartbeat, in place of any earlier wish."""
    told = {"restart": restart, "restart_id": uuid5(_RESTART_NAMESPACE, str(action_id)), "requested_at": now}
    connection.execute(
        upsert(node_directives)
        .values(node_id=node_id, **told)
        .on_conflict_do_update(index_elements=[d.node_id], set_=told)
    )


def withdraw_directive(connection: Connection, node_id: UUID, action_id: UUID) -> None:
    """Ask no more: a node that comes back some other way must not restart once again for nothing."""
    restart_id = uuid5(_RESTART_NAMESPACE, str(action_id))
    connection.execute(delete(node_directives).where(d.node_id == node_id, d.restart_id == restart_id))
