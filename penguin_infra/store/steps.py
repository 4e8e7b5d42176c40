"""How far each request for a node has come: one row a node and step, with its attempt, times, result and error."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, case, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert

from penguin_infra.store.tables import AnyRow, provisioning_steps

s = provisioning_steps.c

SUCCEEDED = "succeeded"
FAILED = "failed"
RUNNING = "running"


def begin_step(
    connection: Connection,
    node_id: UUID,
    step: str,
    *,
    action_id: UUID,
    attempt: int,
    run_id: str,
    now: datetime,
) -> AnyRow:
    """Note that a step begins, unless this action did it before; returns its row either way.

    `started_at` stays the action's first attempt's: a time-out counts from there, however often the run died in
    between. Another action (a node is installed again, released twice) begins afresh.
    """
    statement = insert(provisioning_steps).values(
        node_id=node_id, step=step, status=RUNNING, action_id=action_id, attempt=attempt, run_id=run_id, started_at=now
    )
    is_another = s.action_id.is_distinct_from(action_id)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[s.node_id, s.step],
            set_={
                "status": RUNNING,
                "action_id": action_id,
                "attempt": attempt,
                "run_id": run_id,
                "error": None,
                "finished_at": None,
                "progress": case((is_another, None), else_=s.progress),
                "result": case((is_another, literal({}, JSONB)), else_=s.result),
                "started_at": case((is_another, now), else_=s.started_at),
            },
            where=(s.status != SUCCEEDED) | is_another,
        )
    )
    return connection.execute(select(provisioning_steps).where(s.node_id == node_id, s.step == step)).one()


def note_progress(connection: Connection, node_id: UUID, step: str, progress: str) -> None:
    """Say what the step is waiting for."""
    connection.execute(update(provisioning_steps).where(s.node_id == node_id, s.step == step).values(progress=progress))


def finish_step(connection: Connection, node_id: UUID, step: str, *, result: dict[str, Any], now: datetime) -> None:
    """The step succeeded."""
    connection.execute(
        update(provisioning_steps)
        .where(s.node_id == node_id, s.step == step)
        .values(status=SUCCEEDED, result=result, progress=None, error=None, finished_at=now)
    )


def fail_step(connection: Connection, node_id: UUID, step: str, *, error: str, now: datetime) -> None:
    """The step failed, unless its success was written and only the answer to that was lost."""
    connection.execute(
        update(provisioning_steps)
        .where(s.node_id == node_id, s.step == step, s.status != SUCCEEDED)
        .values(status=FAILED, error=error, finished_at=now)
    )


def list_steps(connection: Connection, node_id: UUID, order: Sequence[str]) -> Sequence[AnyRow]:
    """A node's steps in the order in which they are done."""
    position = case({step: index for index, step in enumerate(order)}, value=s.step, else_=len(order))
    return connection.execute(select(provisioning_steps).where(s.node_id == node_id).order_by(position)).all()
