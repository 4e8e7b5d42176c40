"""How long one measurement of a large fleet's delivery takes, from a day of counts to written rates; and a small one's.

The database is filled as a day of agents' batches fills it: a row a node, bucket, provider and result.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, text

from penguin_infra.domain.delivery_limits import DEFAULT_LIMITS
from penguin_infra.operations.measure_delivery import measure_delivery
from penguin_infra.store.database import make_engine
from penguin_infra.store.embedded import PostgresServer
from penguin_infra_tests.conftest import Databases

# The whole telemetry run's: health, delivery, capacity and warm-up share it.
BUDGET_SECONDS = 15.0
LARGE_FLEET, SMALL_FLEET = 10_000, 1_000
_MEASUREMENTS = 3

_NODES = """
INSERT INTO fleet.sending_nodes (label, region, plan, status, requested_by, ip_address, provider_id)
SELECT 'node-' || number, 'dallas', 'ssd-1', 'active', 'person:bench', '10.0.0.0'::inet + number, 'hw-' || number
FROM generate_series(1, :count) AS number
"""
# Bucket by bucket, as they come in. Every node sends to two providers; a bounce in every fourth bucket. About 11,500
# messages a node: a day holds the window, but for the tenth of the nodes that send a tenth and reach back for it.
_COUNTS = """
INSERT INTO fleet.delivery_counts (node_id, bucket_at, mailbox_provider, result, messages)
SELECT node.id, bucket_at, kind.provider, kind.result,
    CASE WHEN node.ip_address - '10.0.0.0'::inet <= :small_senders THEN greatest(1, kind.messages / 10)
         ELSE kind.messages END
FROM generate_series(date_bin('5 min', now(), '2000-01-01 00:00+00') - interval '1 day' * CAST(:from_days AS int),
        date_bin('5 min', now(), '2000-01-01 00:00+00') - interval '1 day' * CAST(:to_days AS int) - interval '5 min',
        interval '5 min') WITH ORDINALITY AS bucket (bucket_at, number)
CROSS JOIN fleet.sending_nodes AS node
JOIN (VALUES ('gmail', 'sent', 30, 1), ('other', 'sent', 10, 1), ('other', 'hard_bounce', 1, 4))
    AS kind (provider, result, messages, every) ON bucket.number % kind.every = 0
WHERE :with_large OR node.ip_address - '10.0.0.0'::inet <= :small_senders
"""


@dataclass(frozen=True, slots=True)
class DeliveryTime:
    """Seconds a measurement, the slowest of several; how many rows of counts the database held."""

    slowest: float
    row_count: int


def measure_delivery_time(directory: Path, *, node_count: int) -> DeliveryTime:
    """Fill a database with a day of counts, and measure the fleet's delivery."""
    databases = Databases(PostgresServer(directory / f"postgres-delivery-{node_count}"))
    try:
        engine = make_engine(databases.create())
        row_count = _fill(engine, node_count)
        seconds = []
        for _ in range(_MEASUREMENTS):
            began = time.perf_counter()
            measure_delivery(engine, DEFAULT_LIMITS, now=datetime.now(UTC))
            seconds.append(time.perf_counter() - began)
        engine.dispose()
        return DeliveryTime(max(seconds), row_count)
    finally:
        databases.close()


def _fill(engine: Engine, node_count: int) -> int:
    with engine.begin() as connection:
        connection.execute(text(_NODES), {"count": node_count})
        small = {"small_senders": node_count // 10}
        connection.execute(text(_COUNTS), small | {"from_days": 8, "to_days": 1, "with_large": False})
        connection.execute(text(_COUNTS), small | {"from_days": 1, "to_days": 0, "with_large": True})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
        return connection.scalar(text("SELECT count(*) FROM fleet.delivery_counts")) or 0
