"""What the guardrails must know of the fleet and its ledger, and the lock under which those sums are made.

What they make of it is `domain/guardrails.py`'s.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select, text
from sqlalchemy.dialects.postgresql import distinct_on

from penguin_infra.domain.actions import (
    DISRUPTIVE_KINDS,
    OPEN_STATUSES,
    UNDER_WAY,
    ActionKind,
    ActionStatus,
)
from penguin_infra.domain.guardrails import FLOOR_KINDS, GuardrailLimits, LedgerFacts, NodeAndKind, Rejection
from penguin_infra.domain.node import NodeStatus
from penguin_infra.store.demand import fresh_capacity, present_demand
from penguin_infra.store.switches import frozen_by
from penguin_infra.store.tables import node_actions, sending_nodes, sending_rotation

a = node_actions.c

_IN_SERVICE = frozenset({NodeStatus.WARMING, NodeStatus.ACTIVE, NodeStatus.PAUSED, NodeStatus.MAINTENANCE})

# What was never decided, or decided against, disrupted nobody. Failed ones count: part of their work may be done.
_UNDONE = frozenset({ActionStatus.REFUSED, ActionStatus.PROPOSED, ActionStatus.REJECTED})


def plan_lock(connection: Connection) -> None:
    """Hold the ledger's planning to this transaction: budgets are sums over the whole ledger."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('fleet.node_actions'))"))


def read_ledger_facts(
    connection: Connection,
    now: datetime,
    limits: GuardrailLimits,
    *,
    kinds: Collection[ActionKind] = frozenset(ActionKind),
) -> LedgerFacts:
    """Read them in the planning transaction, which the caller holds alone (`plan_lock`).

    `kinds`: what is to be judged. Only who leaves needs the rotation and its capacity, which take their time in a large
    fleet.
    """
    needs_floor = not FLOOR_KINDS.isdisjoint(kinds)
    fleet_size = connection.scalar(
        select(func.count()).select_from(sending_nodes).where(sending_nodes.c.status.in_(_IN_SERVICE))
    )
    decided_at = func.coalesce(a.decided_at, a.planned_at)
    disruptions = connection.scalar(
        select(func.count()).where(
            a.kind.in_(DISRUPTIVE_KINDS), a.status.not_in(_UNDONE), decided_at > now - timedelta(hours=1)
        )
    )
    open_rows = connection.execute(select(a.node_id, a.kind, a.status).where(a.status.in_(OPEN_STATUSES))).all()
    failed_rows = connection.execute(
        select(a.node_id, a.kind, func.max(a.finished_at).label("at"))
        .where(a.status == ActionStatus.FAILED, a.finished_at > now - timedelta(minutes=limits.cool_down_minutes))
        .group_by(a.node_id, a.kind)
    )
    return LedgerFacts(
        fleet_size=fleet_size or 0,
        disruptions_last_hour=disruptions or 0,
        open_actions=frozenset(map(_key, open_rows)),
        under_way=frozenset(_key(row) for row in open_rows if row.status in UNDER_WAY),
        failed_at={_key(row): row.at for row in failed_rows},
        rejected=_rejected(connection, now - timedelta(hours=limits.rejection_rest_hours)),
        frozen_by=frozen_by(connection),
        rotation=_rotation(connection) if needs_floor else frozenset(),
        capacity=fresh_capacity(connection, now) if needs_floor else {},
        present_demand=present_demand(connection, now) if needs_floor else None,
    )


def _rotation(connection: Connection) -> frozenset[UUID]:
    return frozenset(connection.scalars(select(sending_rotation.c.node_id)))


def _rejected(connection: Connection, since: datetime) -> dict[NodeAndKind, Rejection]:
    rows = connection.execute(
        select(a.node_id, a.kind, a.decided_by, a.decided_at)
        .where(a.status == ActionStatus.REJECTED, a.decided_at > since)
        .ext(distinct_on(a.node_id, a.kind))
        .order_by(a.node_id, a.kind, a.decided_at.desc())
    )
    return {_key(row): Rejection(row.decided_by, row.decided_at) for row in rows}


def _key(row: Any) -> NodeAndKind:
    return row.node_id, ActionKind(row.kind)
