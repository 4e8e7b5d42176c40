"""How long one measurement of a large fleet's capacity takes: when a window was closed, in between, and the first one.

The database holds two hours of heartbeats and nine days of hourly counts, as agents leave them.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, text

from penguin_infra.operations.measure_capacity import measure_capacity
from penguin_infra.operations.read_fleet_size import SizeLimits
from penguin_infra.policy import Policy
from penguin_infra.store.database import make_engine
from penguin_infra.store.embedded import PostgresServer
from penguin_infra_tests.benchmarks.health_time import LARGE_FLEET, SMALL_FLEET
from penguin_infra_tests.conftest import Databases

__all__ = ["BUDGET_SECONDS", "LARGE_FLEET", "SMALL_FLEET", "CapacityTime", "measure_capacity_time"]

# Of the telemetry run's fifteen.
BUDGET_SECONDS = 3.0

_FILL = """
INSERT INTO fleet.plan_prices (plan, seen_at, last_seen_at, cpu_count, memory_mb, disk_gb, transfer_gb,
    monthly_usd, hourly_usd)
VALUES ('ssd-1', :now, :now, 1, 1024, 30, 1000, 4.99, 0.006931);
INSERT INTO fleet.sending_nodes (label, region, plan, status, requested_by, ip_address, provider_id)
SELECT 'node-' || number, 'region-' || number % 5, 'ssd-1', CASE number % 4 WHEN 0 THEN 'warming' ELSE 'active' END,
    'person:bench', '10.0.0.0'::inet + number, 'hw-' || number
FROM generate_series(1, :count) AS number;
INSERT INTO fleet.node_warmups (node_id, curve, daily, since_at, begun_at)
SELECT id, 'cautious', 50 * (1 + length(label)), :now, :now FROM fleet.sending_nodes WHERE status = 'warming';
UPDATE fleet.gateway_clock SET served_seconds = 10000, ticked_at = clock_timestamp();
INSERT INTO fleet.node_pulses (node_id, received_at, served_seconds, sent_at, boot_id, agent_version, mta_state,
    transport, cpu_percent, memory_percent, queue_active, queue_deferred, queue_held, queue_oldest_seconds)
SELECT id, :now, 9990, :now, 'boot', '1.0', 'up', 'released', 40, 50, 20, 30, 0, 60 FROM fleet.sending_nodes;
SELECT fleet.make_heartbeat_partitions((CAST(:now AS timestamptz) AT TIME ZONE 'UTC')::date - 1, 3);
INSERT INTO fleet.heartbeats (node_id, received_at, mta_state, transport, cpu_percent, memory_percent, queue_active,
    queue_deferred, queue_held, queue_oldest_seconds)
SELECT node.id, beat_at, 'up', 'released', 40, 50, 20, 30, 0, 60
FROM generate_series(CAST(:now AS timestamptz) - interval '2 hours', CAST(:now AS timestamptz), '30 s') AS beat_at
CROSS JOIN fleet.sending_nodes AS node;
INSERT INTO fleet.delivery_hours (node_id, hour_at, mailbox_provider, sent, hard_bounces)
SELECT node.id, hour_at, provider, 400, 4
FROM generate_series(date_trunc('hour', CAST(:now AS timestamptz)) - interval '9 days', CAST(:now AS timestamptz),
    '1 hour') AS hour_at
CROSS JOIN fleet.sending_nodes AS node CROSS JOIN (VALUES ('gmail'), ('other')) AS one (provider);
INSERT INTO fleet.delivery_counts (node_id, bucket_at, mailbox_provider, result, messages)
SELECT node.id, bucket_at, provider, 'sent', 30
FROM generate_series(date_bin('5 min', CAST(:now AS timestamptz), '2000-01-01 00:00+00') - interval '3 hours',
    CAST(:now AS timestamptz), '5 min') AS bucket_at
CROSS JOIN fleet.sending_nodes AS node CROSS JOIN (VALUES ('gmail'), ('other')) AS one (provider)
"""


@dataclass(frozen=True, slots=True)
class CapacityTime:
    """Seconds of the first measurement, which catches up; of one that closes a window; of one in between."""

    first: float
    closing: float
    between: float


def measure_capacity_time(directory: Path, *, node_count: int) -> CapacityTime:
    """Fill a database, and measure the fleet's capacity three times."""
    databases = Databases(PostgresServer(directory / f"postgres-capacity-{node_count}"))
    try:
        engine = make_engine(databases.create())
        now = datetime.now(UTC).replace(second=30)
        _fill(engine, node_count, now)
        # A minute's run after the first: the newest window is closed anew, and then nothing is to be closed.
        first = _measure(engine, now)
        with engine.begin() as connection:
            connection.execute(
                text("DELETE FROM fleet.node_windows WHERE window_at = (SELECT max(window_at) FROM fleet.node_windows)")
            )
        found = CapacityTime(first, _measure(engine, now), _measure(engine, now + timedelta(seconds=5)))
        engine.dispose()
        return found
    finally:
        databases.close()


def _fill(engine: Engine, node_count: int, now: datetime) -> None:
    with engine.begin() as connection:
        for statement in _FILL.split(";\n"):
            connection.execute(text(statement), {"count": node_count, "now": now})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _measure(engine: Engine, now: datetime) -> float:
    policy = Policy()
    limits = SizeLimits(policy.growth, policy.curve, policy.warmup, policy.throughput, policy.resize)
    began = time.perf_counter()
    measure_capacity(engine, limits, policy.guardrails, now=now)
    return time.perf_counter() - began
