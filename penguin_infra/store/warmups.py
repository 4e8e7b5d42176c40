"""Warm-up's memory: where each node stands. What its next step is, `domain/warmup.py` says."""

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, exists, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from penguin_infra.domain.node import SENDING_STATUSES
from penguin_infra.domain.warmup_state import ProviderStage, WarmupState
from penguin_infra.store.capacity_tables import node_warmups, sending_allowances
from penguin_infra.store.tables import AnyRow, sending_nodes

n = sending_nodes.c
w = node_warmups.c


def read_states(connection: Connection, node_ids: Collection[UUID] | None = None) -> dict[UUID, WarmupState]:
    """Each node's state (of the given nodes only, if any are given); nodes whose warm-up nobody began have none."""
    query = select(node_warmups)
    if node_ids is not None:
        query = query.where(w.node_id.in_(node_ids))
    return {row.node_id: state_of(row) for row in connection.execute(query)}


def save_state(
    connection: Connection, node_id: UUID, state: WarmupState, now: datetime, *, is_finished: bool = False
) -> None:
    """Keep a node's state in place of the last one. `begun_at` is the first one's; a restart begins no new cohort."""
    values = {
        "curve": state.curve,
        "daily": state.daily,
        "since_at": state.since_at,
        "stepped_back_at": state.stepped_back_at,
        "steps_back": state.steps_back,
        "providers": {
            name: asdict(each) | {"since_at": each.since_at.isoformat()} for name, each in state.providers.items()
        },
        "finished_at": now if is_finished else None,
    }
    row = upsert(node_warmups).values(node_id=node_id, begun_at=now, **values)
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[w.node_id],
            set_=values | {"finished_at": func.coalesce(w.finished_at, now) if is_finished else None},
        )
    )


def stateless_nodes(connection: Connection) -> list[AnyRow]:
    """Nodes in service whose warm-up nobody began: `node_id`, `plan` and `status`."""
    query = select(n.id.label("node_id"), n.plan, n.status).where(
        n.status.in_(SENDING_STATUSES), ~exists().where(w.node_id == n.id)
    )
    return list(connection.execute(query))


def read_allowance(connection: Connection, node_id: UUID) -> AnyRow | None:
    """What a node may send in this hour and on this day, and what it has sent; None of one that is not warming."""
    query = select(sending_allowances).where(sending_allowances.c.node_id == node_id)
    return connection.execute(query).one_or_none()


def lock_node(connection: Connection, node_id: UUID) -> None:
    """Hold a node's status to this transaction: who pauses it meanwhile waits."""
    connection.execute(select(n.id).where(n.id == node_id).with_for_update(key_share=True))


def state_of(row: AnyRow) -> WarmupState:
    """A node's state from the columns of `node_warmups`."""
    return WarmupState(
        curve=row.curve,
        daily=row.daily,
        since_at=row.since_at,
        stepped_back_at=row.stepped_back_at,
        steps_back=row.steps_back,
        providers={
            name: ProviderStage(each["daily"], datetime.fromisoformat(each["since_at"]))
            for name, each in row.providers.items()
        },
    )
