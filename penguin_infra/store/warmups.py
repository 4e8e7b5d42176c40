"""Warm-up's memory: where each node stands. What its next step is, `domain/warmup.py` says."""

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from penguin_infra.domain.warmup_state import ProviderStage, WarmupState
from penguin_infra.store.capacity_tables import node_warmups
from penguin_infra.store.tables import AnyRow

w = node_warmups.c


def read_states(connection: Connection, node_ids: Collection[UUID] | None = None) -> dict[UUID, WarmupState]:
    """Each node's state (of the given nodes only, if any are given); nodes whose warm-up nobody began have none."""
    query = select(node_warmups)
    if node_ids is not None:
        query = query.where(w.node_id.in_(node_ids))
    return {row.node_id: _state(row) for row in connection.execute(query)}


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


def _state(row: AnyRow) -> WarmupState:
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
