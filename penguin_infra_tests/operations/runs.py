"""Runs of the batch jobs, as a sensor's tick would start them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine

from penguin_infra.domain.actions import ActionKind, RetryLimits
from penguin_infra.operations.carry_out_batch import Act, Outcome, carry_out_batch
from penguin_infra.operations.pause_node import pause_node
from penguin_infra.operations.recover_actions import Recovery, recover_actions
from penguin_infra.operations.resume_node import resume_node
from penguin_infra.store import actions as ledger
from penguin_infra.store.actions import Action
from penguin_infra.store.tables import AnyRow
from penguin_infra_tests.fleets import NOW

LIMITS = RetryLimits(max_attempts=3, rest_seconds=(60, 300))


class ProcessKilled(BaseException):
    """What happens to a process that is killed, as far as its own code can tell."""


def run_pauses(engine: Engine, *, act: Act = pause_node, run_id: str | None = None) -> list[Outcome]:
    """One run of the pause job."""
    return carry_out_batch(
        engine, ActionKind.PAUSE, act, run_id=run_id or str(uuid4()), clock=lambda: NOW, limits=LIMITS
    )


def run_resumes(engine: Engine, now: datetime = NOW) -> list[Outcome]:
    """One run of the resume job."""
    return carry_out_batch(
        engine, ActionKind.RESUME, resume_node, run_id=str(uuid4()), clock=lambda: now, limits=LIMITS
    )


def recover(engine: Engine, kind: ActionKind = ActionKind.PAUSE) -> list[Recovery]:
    """One look for dead runs; Dagster knows of none that ended before it took its action."""
    return recover_actions(engine, kind, find_ended_runs=lambda _keys: {}, limits=LIMITS, now=NOW)


def killed_at(nth: int, act: Act = pause_node) -> Act:
    """The act whose process is killed at its nth action, with the work done and not yet committed."""
    seen: list[UUID] = []

    def acting(connection: Connection, action: Action, now: datetime) -> str:
        done = act(connection, action, now)
        seen.append(action.action_id)
        if len(seen) == nth:
            raise ProcessKilled
        return done

    return acting


def ledger_rows(engine: Engine) -> Sequence[AnyRow]:
    """The whole ledger, newest first."""
    with engine.connect() as connection:
        return ledger.list_actions(connection)


def statuses(engine: Engine) -> dict[UUID, str]:
    """Each action's status."""
    return {row.id: row.status for row in ledger_rows(engine)}
