"""Refusals in the ledger: each with its sum, and one that repeats itself only counted."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Text, Uuid, any_, column, insert, literal, select, update, values
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on

from penguin_infra.domain.actions import ActionStatus
from penguin_infra.domain.guardrails import Refusal
from penguin_infra.store.actions import action_row
from penguin_infra.store.tables import AnyRow, node_actions

a = node_actions.c

_COUNT_REPEATS_EVERY = timedelta(minutes=1)


def record_refusals(connection: Connection, refusals: Sequence[Refusal], now: datetime) -> int:
    """Write refusals down, each with its sum; one that repeats the node's last refusal only raises its count.

    A sensor plans every few seconds: without this, one listed node under an exhausted budget would fill the ledger.
    For the same reason a repeat is counted once a minute. Returns how many were new.
    """
    if not refusals:
        return 0
    last = _last_actions(connection, refusals)
    repeats: list[tuple[UUID, str]] = []
    new: list[Refusal] = []
    for refusal in refusals:
        row = last.get((refusal.action.node_id, refusal.action.kind))
        if row is None or row.status != ActionStatus.REFUSED or row.refusal_rule != refusal.rule:
            new.append(refusal)
        elif row.finished_at <= now - _COUNT_REPEATS_EVERY:
            repeats.append((row.id, refusal.explanation))
    if repeats:
        told = values(column("id", Uuid), column("outcome", Text), name="told").data(repeats)
        connection.execute(
            update(node_actions)
            .where(a.id == told.c.id)
            .values(refusal_count=a.refusal_count + 1, finished_at=now, outcome=told.c.outcome)
        )
    if new:
        connection.execute(insert(node_actions), [_refused_row(refusal, now) for refusal in new])
    return len(new)


def _last_actions(connection: Connection, refusals: Sequence[Refusal]) -> dict[tuple[UUID, str], AnyRow]:
    node_ids = [refusal.action.node_id for refusal in refusals]
    rows = connection.execute(
        select(a.id, a.node_id, a.kind, a.status, a.refusal_rule, a.finished_at)
        .where(a.node_id == any_(literal(node_ids, ARRAY(Uuid))), a.kind.in_({one.action.kind for one in refusals}))
        .ext(distinct_on(a.node_id, a.kind))
        .order_by(a.node_id, a.kind, a.planned_at.desc(), a.id)
    )
    return {(row.node_id, row.kind): row for row in rows}


def _refused_row(refusal: Refusal, now: datetime) -> dict[str, Any]:
    return action_row(refusal.action) | {
        "status": ActionStatus.REFUSED,
        "refusal_rule": refusal.rule,
        "refusal_count": 1,
        "outcome": refusal.explanation,
        "planned_at": now,
        "finished_at": now,
    }
