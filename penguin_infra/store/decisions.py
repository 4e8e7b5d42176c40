"""What persons decide about the ledger's actions: approved, rejected, or called off.

Whether a decision may be taken is `operations/`' to say; each statement here changes an action only as it expects it.
"""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, exists, func, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB

from penguin_infra.domain.actions import DRAINING_KINDS, FORCED, LEAVING_KINDS, UNDER_WAY, ActionKind, ActionStatus
from penguin_infra.domain.guardrails import Rejection
from penguin_infra.store.actions import with_attempt
from penguin_infra.store.tables import AnyRow, node_actions, sending_nodes

a = node_actions.c

# In a decommission's evidence, once it begins to take away what makes the node known.
IS_HALF_GONE = "is_half_gone"

# In a resize's evidence, once it begins to ask the provider.
IS_CHANGING_PLAN = "is_changing_plan"


def lock_action(connection: Connection, action_id: UUID) -> AnyRow | None:
    """A whole row, held until the transaction ends: two persons do not decide at once."""
    query = select(node_actions, sending_nodes.c.label).join_from(node_actions, sending_nodes)
    return connection.execute(query.where(a.id == action_id).with_for_update(of=node_actions)).one_or_none()


def count_proposed(connection: Connection, kind: ActionKind) -> int:
    """How many of a kind wait for approval."""
    return connection.scalar(select(func.count()).where(a.kind == kind, a.status == ActionStatus.PROPOSED)) or 0


def approve(connection: Connection, action_id: UUID, *, decided_by: str, is_forced: bool, now: datetime) -> None:
    """Let a proposal be planned; it is due at once."""
    evidence = a.evidence.concat(literal({FORCED: True}, JSONB)) if is_forced else a.evidence
    connection.execute(
        update(node_actions)
        .where(a.id == action_id, a.status == ActionStatus.PROPOSED)
        .values(status=ActionStatus.PLANNED, decided_by=decided_by, decided_at=now, evidence=evidence)
    )


def reject(connection: Connection, action_id: UUID, *, decided_by: str, outcome: str, now: datetime) -> None:
    """Close a proposal undone."""
    connection.execute(
        update(node_actions)
        .where(a.id == action_id, a.status == ActionStatus.PROPOSED)
        .values(status=ActionStatus.REJECTED, decided_by=decided_by, decided_at=now, outcome=outcome, finished_at=now)
    )


def last_rejection_of_request(connection: Connection, requested_by: str) -> Rejection | None:
    """When a person last said no to the provision of a node that was asked for by the given name."""
    row = connection.execute(
        select(a.decided_by, a.decided_at)
        .join_from(node_actions, sending_nodes)
        .where(
            a.kind == ActionKind.PROVISION,
            a.status == ActionStatus.REJECTED,
            sending_nodes.c.requested_by == requested_by,
        )
        .order_by(a.decided_at.desc())
        .limit(1)
    ).one_or_none()
    return Rejection(row.decided_by, row.decided_at) if row else None


def leaving_under_way(connection: Connection, node_id: UUID) -> AnyRow | None:
    """The maintenance or decommission that is planned or running on a node."""
    return _under_way(connection, node_id, LEAVING_KINDS)


def draining_under_way(connection: Connection, node_id: UUID) -> AnyRow | None:
    """The maintenance, decommission or resize that is planned or running on a node."""
    return _under_way(connection, node_id, DRAINING_KINDS)


def is_half_gone(connection: Connection, node_id: UUID) -> bool:
    """Whether a decommission failed on its way, and the node was not installed again since."""
    again = node_actions.alias("again")
    is_mended = exists().where(
        again.c.node_id == a.node_id,
        again.c.kind == ActionKind.REINSTALL,
        again.c.status == ActionStatus.SUCCEEDED,
        again.c.finished_at > a.finished_at,
    )
    query = select(a.id).where(
        a.node_id == node_id,
        a.kind == ActionKind.DECOMMISSION,
        a.status == ActionStatus.FAILED,
        a.evidence.has_key(IS_HALF_GONE),
        ~is_mended,
    )
    return connection.execute(query.limit(1)).first() is not None


def call_off(connection: Connection, action_id: UUID, *, decided_by: str, outcome: str, now: datetime) -> bool:
    """Close an action that is planned or running; its run, if there is one, finds it closed. False: it was over."""
    closed = connection.execute(
        update(node_actions)
        .where(a.id == action_id, a.status.in_(UNDER_WAY))
        .values(
            status=ActionStatus.REJECTED,
            decided_by=decided_by,
            decided_at=now,
            outcome=outcome,
            finished_at=now,
            attempts=with_attempt(outcome, now),
        )
    )
    return closed.rowcount > 0


def _under_way(connection: Connection, node_id: UUID, kinds: Collection[ActionKind]) -> AnyRow | None:
    query = select(node_actions).where(a.node_id == node_id, a.kind.in_(kinds), a.status.in_(UNDER_WAY))
    return connection.execute(query.order_by(a.planned_at).limit(1)).one_or_none()
