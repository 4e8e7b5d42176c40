"""Deliveries and complaints for tests, written as the gateway does."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import Engine, insert

from penguin_infra.store import delivery
from penguin_infra.store.telemetry_tables import complaints, delivery_counts
from penguin_infra_tests.fleets import NOW

BUCKET = timedelta(minutes=5)


def add_counts(
    engine: Engine, node_id: UUID, *, at: datetime = NOW - BUCKET, provider: str = "gmail", **messages: int
) -> None:
    """One bucket's counts, by result."""
    bucket_at = datetime.fromtimestamp(at.timestamp() // 300 * 300, at.tzinfo)
    rows = [
        {"node_id": node_id, "bucket_at": bucket_at, "mailbox_provider": provider, "result": result, "messages": count}
        for result, count in messages.items()
    ]
    with engine.begin() as connection:
        connection.execute(insert(delivery_counts), rows)


def add_complaint(
    engine: Engine, node_id: UUID, *, at: datetime = NOW - BUCKET, incidents: int = 1, feedback_type: str = "abuse"
) -> None:
    """A report that was laid to the node, about a mail of that time."""
    with engine.begin() as connection:
        connection.execute(
            insert(complaints).values(
                node_id=node_id,
                attribution="attributed",
                arrived_at=at,
                received_at=at,
                feedback_type=feedback_type,
                mailbox_provider="yahoo",
                incidents=incidents,
                digest=uuid4().bytes,
            )
        )


def measure_rates(engine: Engine, now: datetime = NOW, *, window_messages: int = 10_000) -> None:
    """Measure and write the rates down, without judging them."""
    with engine.begin() as connection:
        delivery.replace_rates(connection, delivery.measure(connection, now, window_messages=window_messages))
