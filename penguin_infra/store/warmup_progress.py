"""What was last measured of each warm-up: for the sensor that wants its next step, for tables, charts and the CLI.

Where a node stands is `warmups.py`'s: what is here grows old, and decides nothing by itself.
"""

from collections.abc import Collection, Iterable
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from penguin_infra.domain.node import SENDING_STATUSES
from penguin_infra.store.capacity_tables import warmup_progress
from penguin_infra.store.copied_rows import replace_rows
from penguin_infra.store.tables import AnyRow, sending_nodes

# The measurement comes each minute: what is older than some missed ones is no longer so.
FRESH_FOR = timedelta(minutes=10)

p = warmup_progress.c


@dataclass(frozen=True, slots=True)
class WarmupProgress:
    """A row of the table, in its order.

    `daily`: what this stage allows a day, `next_daily` what the decision leads to, `planned_daily` what the plan would
    allow by now. `is_step`: there is something to carry out.
    """

    node_id: UUID
    measured_at: datetime
    stage: int
    stages: int
    daily: int
    next_daily: int
    planned_daily: int
    full_daily: int
    delivered_last_day: int
    decision: str
    is_step: bool
    reasons: list[str]
    begun_at: datetime
    expected_full_at: datetime


def hold_progress(connection: Connection, *, is_replaced: bool = False) -> None:
    """Keep the table to this transaction, or to those that each write single rows of it.

    Before any node is locked: a measurement's rows refer to all of them. A second measurement beside one would not see
    its rows to delete, and fail on them.
    """
    shared = "" if is_replaced else "_shared"
    connection.execute(text(f"SELECT pg_advisory_xact_lock{shared}(hashtext('fleet.warmup_progress'))"))


def replace_progress(connection: Connection, rows: Iterable[WarmupProgress]) -> int:
    """Put this measurement in the last one's place; returns the rows. Readers see the one or the other, whole."""
    return replace_rows(connection, warmup_progress, map(astuple, rows))


def save_progress(connection: Connection, row: WarmupProgress) -> None:
    """Keep one node's progress as it is after a step, so that nobody wants that step again."""
    values = dict(zip((column.name for column in warmup_progress.columns), astuple(row), strict=True))
    kept = upsert(warmup_progress).values(values)
    changed = {name: value for name, value in values.items() if name != "node_id"}
    connection.execute(kept.on_conflict_do_update(index_elements=[p.node_id], set_=changed))


def forget_progress(connection: Connection, node_id: UUID) -> None:
    """A node that is warmed up has none."""
    connection.execute(warmup_progress.delete().where(p.node_id == node_id))


def read_progress(connection: Connection, node_ids: Collection[UUID] | None = None) -> list[AnyRow]:
    """What was last measured of all warm-ups, or of the given nodes', with their labels."""
    query = select(warmup_progress, sending_nodes.c.label, sending_nodes.c.status).join_from(
        warmup_progress, sending_nodes
    )
    if node_ids is not None:
        query = query.where(p.node_id.in_(node_ids))
    return list(connection.execute(query.order_by(sending_nodes.c.label)))


def wanted_steps(connection: Connection, now: datetime) -> list[AnyRow]:
    """Fresh measurements of nodes in service that lead to a step, steps back first."""
    query = (
        select(warmup_progress)
        .join_from(warmup_progress, sending_nodes)
        .where(p.is_step, p.measured_at >= now - FRESH_FOR, sending_nodes.c.status.in_(SENDING_STATUSES))
        .order_by(p.next_daily >= p.daily, p.node_id)
    )
    return list(connection.execute(query))
