"""The ledger: planning, claiming and closing actions, and finding those whose run died.

Whether an action is wise is decided on the domain's floor; what stands here keeps the record whole. What persons decide
is `decisions.py`'s; what the guardrails must know, `ledger_facts.py`'s.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, String, cast, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB

from penguin_infra.domain.actions import (
    API_PREFIX,
    FORCED,
    PERSON_PREFIX,
    UNDER_WAY,
    ActionKind,
    ActionStatus,
    PlannedAction,
    Verdict,
)
from penguin_infra.store.switches import frozen_by
from penguin_infra.store.tables import AnyRow, node_actions, sending_nodes

a = node_actions.c


@dataclass(frozen=True, slots=True)
class Action:
    """An action of the ledger, as much of it as a job needs. `decided_by`: who approved it, where somebody had to."""

    action_id: UUID
    node_id: UUID
    label: str
    kind: ActionKind
    status: ActionStatus
    reason: str
    requested_by: str
    attempt: int
    run_id: str | None
    planned_at: datetime
    evidence: Mapping[str, Any] = field(default_factory=dict)
    decided_by: str | None = None

    @property
    def is_forced(self) -> bool:
        """Whether a person asked for it, or approved it, although it leaves too little sending capacity."""
        is_a_persons = self.decided_by is not None or self.requested_by.startswith((PERSON_PREFIX, API_PREFIX))
        return is_a_persons and self.evidence.get(FORCED) is True

    @property
    def run_key(self) -> str:
        """The key by which Dagster starts one run for one attempt and no more."""
        return f"{self.kind}:{self.action_id}:{self.attempt}"


_COLUMNS = (
    a.id,
    a.node_id,
    sending_nodes.c.label,
    a.kind,
    a.status,
    a.reason,
    a.requested_by,
    a.attempt,
    a.run_id,
    a.planned_at,
    a.evidence,
    a.decided_by,
)

# While the fleet is frozen, only what a person asked for, or approved, is done.
_BY_A_PERSON = (
    a.requested_by.startswith(PERSON_PREFIX) | a.requested_by.startswith(API_PREFIX) | a.decided_by.is_not(None)
)


def insert_planned(connection: Connection, actions: Iterable[PlannedAction], now: datetime) -> list[UUID]:
    """Write allowed actions down as planned; returns their ids, in order."""
    return _insert(connection, actions, ActionStatus.PLANNED, now)


def insert_proposed(connection: Connection, actions: Iterable[PlannedAction], now: datetime) -> list[UUID]:
    """Write actions down that wait for a person's approval; returns their ids, in order."""
    return _insert(connection, actions, ActionStatus.PROPOSED, now)


def _insert(
    connection: Connection, actions: Iterable[PlannedAction], status: ActionStatus, now: datetime
) -> list[UUID]:
    rows = [action_row(action) | {"status": status, "planned_at": now} for action in actions]
    if not rows:
        return []
    statement = insert(node_actions).returning(a.id, sort_by_parameter_order=True)
    return list(connection.scalars(statement, rows))


def due_actions(connection: Connection, kind: ActionKind, now: datetime) -> list[Action]:
    """Planned actions of a kind that may run now, oldest first. While the fleet is frozen, persons' only."""
    query = _select().where(
        a.kind == kind, a.status == ActionStatus.PLANNED, func.coalesce(a.retry_at, a.planned_at) <= now
    )
    if frozen_by(connection) is not None:
        query = query.where(_BY_A_PERSON)
    return [_action(row) for row in connection.execute(query.order_by(a.planned_at, a.id))]


def mark_dispatched(connection: Connection, action_ids: Collection[UUID], now: datetime) -> None:
    """Note that a run was asked for."""
    if action_ids:
        connection.execute(update(node_actions).where(a.id.in_(action_ids)).values(dispatched_at=now))


def dispatched_actions(connection: Connection, kind: ActionKind) -> list[Action]:
    """Planned actions for which a run was asked for that has not taken them yet."""
    query = _select().where(a.kind == kind, a.status == ActionStatus.PLANNED, a.dispatched_at.is_not(None))
    return [_action(row) for row in connection.execute(query)]


def dead_actions(connection: Connection, kind: ActionKind) -> list[Action]:
    """Actions that are running in a run that no longer lives."""
    query = _select().where(
        a.kind == kind, a.status == ActionStatus.RUNNING, func.fleet.run_lock_holder(a.run_id).is_(None)
    )
    return [_action(row) for row in connection.execute(query)]


def claim_due(connection: Connection, kind: ActionKind, run_id: str, now: datetime) -> list[Action]:
    """Take all actions of a kind that are due, for one run; those that another run is taking are left to it."""
    due_ids = [action.action_id for action in due_actions(connection, kind, now)]
    return _claim(
        connection,
        select(a.id)
        .where(a.id.in_(due_ids), a.status == ActionStatus.PLANNED)
        .with_for_update(skip_locked=True)
        .scalar_subquery(),
        run_id,
        now,
    )


def claim_one(connection: Connection, action_id: UUID, run_id: str, now: datetime) -> Action | None:
    """Take one action for a run: planned, or already this run's. None where neither holds.

    A run that waited in the queue while the fleet was frozen finds nothing to take, unless a person asked for it.
    """
    claimable = (a.status == ActionStatus.PLANNED) | ((a.status == ActionStatus.RUNNING) & (a.run_id == run_id))
    if frozen_by(connection) is not None:
        claimable &= (a.status == ActionStatus.RUNNING) | _BY_A_PERSON
    claimed = _claim(connection, select(a.id).where(a.id == action_id, claimable).with_for_update(), run_id, now)
    return claimed[0] if claimed else None


def finish(connection: Connection, action_id: UUID, *, outcome: str, now: datetime) -> None:
    """Close an action as succeeded."""
    connection.execute(
        update(node_actions)
        .where(a.id == action_id)
        .values(status=ActionStatus.SUCCEEDED, outcome=outcome, finished_at=now, attempts=with_attempt(outcome, now))
    )


def add_evidence(connection: Connection, action_id: UUID, told: Mapping[str, Any]) -> None:
    """Add to an action's evidence what was found while it was carried out."""
    connection.execute(
        update(node_actions).where(a.id == action_id).values(evidence=a.evidence.concat(literal(dict(told), JSONB)))
    )


def close_attempt(connection: Connection, action_id: UUID, verdict: Verdict, *, outcome: str, now: datetime) -> None:
    """An attempt ended badly: plan the next one, or close the action as failed, as the verdict says."""
    is_over = verdict.status is ActionStatus.FAILED
    connection.execute(
        update(node_actions)
        .where(a.id == action_id, a.status.in_(UNDER_WAY))
        .values(
            status=verdict.status,
            outcome=outcome,
            attempts=with_attempt(outcome, now),
            attempt=a.attempt if is_over else a.attempt + 1,
            retry_at=verdict.retry_at,
            dispatched_at=None,
            run_id=a.run_id if is_over else None,
            finished_at=now if is_over else None,
        )
    )


def get_action(connection: Connection, action_id: UUID) -> Action | None:
    """One action by its id."""
    row = connection.execute(_select().where(a.id == action_id)).one_or_none()
    return _action(row) if row else None


def list_actions(
    connection: Connection,
    *,
    statuses: Collection[ActionStatus] | None = None,
    node_id: UUID | None = None,
    limit: int = 50,
) -> Sequence[AnyRow]:
    """The newest actions, whole rows with the node's label; those that wait for approval before all others."""
    query = select(node_actions, sending_nodes.c.label).join_from(node_actions, sending_nodes)
    if statuses:
        query = query.where(a.status.in_(statuses))
    if node_id:
        query = query.where(a.node_id == node_id)
    waits_for_approval = a.status == ActionStatus.PROPOSED
    return connection.execute(query.order_by(waits_for_approval.desc(), a.planned_at.desc(), a.id).limit(limit)).all()


def find_actions(connection: Connection, id_prefix: str) -> Sequence[AnyRow]:
    """Whole rows of the actions whose id begins so."""
    return connection.execute(
        select(node_actions, sending_nodes.c.label)
        .join_from(node_actions, sending_nodes)
        .where(cast(a.id, String).startswith(id_prefix.lower(), autoescape=True))
        .limit(2)
    ).all()


def _claim(connection: Connection, ids: Any, run_id: str, now: datetime) -> list[Action]:
    claimed = connection.scalars(
        update(node_actions)
        .where(a.id.in_(ids))
        .values(status=ActionStatus.RUNNING, run_id=run_id, started_at=now, outcome=None)
        .returning(a.id)
    ).all()
    rows = connection.execute(_select().where(a.id.in_(claimed)).order_by(a.planned_at, a.id))
    return [_action(row) for row in rows]


def with_attempt(outcome: str, now: datetime) -> Any:
    """The attempts with the one that ends now."""
    entry = func.jsonb_build_object(
        "attempt", a.attempt, "run_id", a.run_id, "started_at", a.started_at,
        "ended_at", literal(now), "outcome", literal(outcome),
    )  # fmt: skip
    return a.attempts.concat(func.jsonb_build_array(entry, type_=JSONB))


def _select() -> Any:
    return select(*_COLUMNS).join_from(node_actions, sending_nodes)


def action_row(action: PlannedAction) -> dict[str, Any]:
    """The columns that an action brings with it."""
    row = asdict(action)
    del row["urgency"]
    return row


def _action(row: AnyRow) -> Action:
    return Action(
        action_id=row.id,
        node_id=row.node_id,
        label=row.label,
        kind=ActionKind(row.kind),
        status=ActionStatus(row.status),
        reason=row.reason,
        requested_by=row.requested_by,
        attempt=row.attempt,
        run_id=row.run_id,
        planned_at=row.planned_at,
        evidence=row.evidence,
        decided_by=row.decided_by,
    )
