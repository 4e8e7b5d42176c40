"""Warm-ups for tests: where nodes stand, and the mail by which they are judged, written as the gateway counts it."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Engine, update
from sqlalchemy.dialects.postgresql import insert as upsert

from penguin_infra.domain.warmup_state import ProviderStage, WarmupState
from penguin_infra.store import warmups
from penguin_infra.store.capacity_tables import delivery_hours, node_warmups
from penguin_infra_tests.fleets import NOW

HOUR = timedelta(hours=1)


def stand_at(
    engine: Engine,
    node_id: UUID,
    daily: int,
    since_at: datetime,
    *,
    providers: dict[str, ProviderStage] | None = None,
    begun_at: datetime | None = None,
    is_finished: bool = False,
) -> WarmupState:
    """Put a node's warm-up at so many messages a day."""
    state = WarmupState("cautious", daily, since_at, providers=providers or {})
    with engine.begin() as connection:
        warmups.save_state(connection, node_id, state, since_at, is_finished=is_finished)
        connection.execute(
            update(node_warmups).where(node_warmups.c.node_id == node_id).values(begun_at=begun_at or since_at)
        )
    return state


def add_hour(engine: Engine, node_id: UUID, hour_at: datetime, *, provider: str = "gmail", **messages: int) -> None:
    """What became of one hour's mail to one provider, by the table's columns."""
    row = {"node_id": node_id, "hour_at": hour_at, "mailbox_provider": provider, **messages}
    columns = delivery_hours.c
    with engine.begin() as connection:
        connection.execute(
            upsert(delivery_hours)
            .values(row)
            .on_conflict_do_update(
                index_elements=[columns.node_id, columns.hour_at, columns.mailbox_provider], set_=messages
            )
        )


def add_day(
    engine: Engine,
    node_id: UUID,
    *,
    until_at: datetime = NOW,
    hours: int = 24,
    provider: str = "gmail",
    **messages: int,
) -> None:
    """The same in each of the hours before `until_at`'s."""
    last_at = until_at.replace(minute=0, second=0, microsecond=0)
    for ago in range(1, hours + 1):
        add_hour(engine, node_id, last_at - ago * HOUR, provider=provider, **messages)


def state_of(engine: Engine, node_id: UUID) -> WarmupState:
    """Where it stands now."""
    with engine.connect() as connection:
        return warmups.read_states(connection, [node_id])[node_id]
