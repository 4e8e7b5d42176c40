"""How long a large fleet's warm-up and capacity take: the minute's measurements, and a tick of each sensor upon them.

Half of the nodes are warming. The database holds what eight days leave behind: sums by the hour, a day of five-minute
windows, ten minutes of heartbeats.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import dagster as dg
from sqlalchemy import URL, Connection, Engine, text

from penguin_infra.defs.remediation.ticks import Tick
from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.operations.begin_warmups import WarmupRules
from penguin_infra.operations.measure_capacity import measure_capacity
from penguin_infra.operations.measure_warmups import measure_warmups
from penguin_infra.operations.wanted import grow_and_want
from penguin_infra.settings import Settings
from penguin_infra.store.database import make_engine
from penguin_infra.store.embedded import PostgresServer
from penguin_infra.wiring import Wiring
from penguin_infra_tests.conftest import Databases

# The design's: a telemetry run's work, and a sensor's tick, at 10,000 nodes.
RUN_BUDGET_SECONDS, TICK_BUDGET_SECONDS = 15.0, 1.0
LARGE_FLEET, SMALL_FLEET = 10_000, 100
_ROUNDS = 3
_SENSORS = (ActionKind.ADVANCE_WARMUP, ActionKind.RESIZE, ActionKind.PROVISION, ActionKind.DECOMMISSION)

_STATEMENTS = (
    """
    INSERT INTO fleet.sending_nodes (label, region, plan, status, requested_by, ip_address, provider_id)
    SELECT 'node-' || number, (ARRAY['dallas', 'seattle', 'amsterdam'])[1 + number % 3], 'ssd-1',
        CASE WHEN number % 2 = 0 THEN 'active' ELSE 'warming' END, 'person:bench', '10.0.0.0'::inet + number,
        'hw-' || number
    FROM generate_series(1, :count) AS number
    """,
    """
    INSERT INTO fleet.plan_prices
        (plan, seen_at, last_seen_at, cpu_count, memory_mb, disk_gb, transfer_gb, monthly_usd, hourly_usd)
    VALUES ('ssd-1', now(), now(), 1, 1024, 30, 1000, 4.99, 0.006931),
        ('ssd-2', now(), now(), 1, 2048, 50, 2000, 9.99, 0.013875),
        ('ssd-4', now(), now(), 2, 4096, 75, 2000, 18.99, 0.026375)
    """,
    """
    INSERT INTO fleet.node_warmups (node_id, curve, daily, since_at, begun_at, finished_at)
    SELECT id, 'cautious', CASE WHEN status = 'active' THEN 60000 ELSE 15000 END, now() - interval '36 h',
        now() - interval '30 days', CASE WHEN status = 'active' THEN now() - interval '36 h' END
    FROM fleet.sending_nodes
    """,
    """
    INSERT INTO fleet.delivery_hours (node_id, hour_at, mailbox_provider, sent, hard_bounces)
    SELECT node.id, hour_at, provider, CASE WHEN node.status = 'active' THEN 700 ELSE 300 END, 1
    FROM generate_series(date_trunc('hour', now()) - interval '8 days', date_trunc('hour', now()), interval '1 h')
        AS hours (hour_at)
    CROSS JOIN fleet.sending_nodes AS node CROSS JOIN (VALUES ('gmail'), ('other')) AS providers (provider)
    """,
    # Every fiftieth node's queue stays deep.
    """
    INSERT INTO fleet.node_windows
        (node_id, window_at, depth, deferred, oldest_age_seconds, ended, deferrals, cpu_percent, memory_percent,
        is_held)
    SELECT node.id, window_at, CASE WHEN split_part(label, '-', 2)::int % 50 = 0 THEN 3000 ELSE 20 END, 5, 1200, 200,
        2, 90, 50, false
    FROM generate_series(date_bin('5 min', now(), '2000-01-01 00:00+00') - interval '26 h',
        date_bin('5 min', now(), '2000-01-01 00:00+00') - interval '10 min', interval '5 min') AS windows (window_at)
    CROSS JOIN fleet.sending_nodes AS node
    """,
    "UPDATE fleet.gateway_clock SET served_seconds = 10000, ticked_at = clock_timestamp()",
)
# As the gateway keeps them: the newest of each node apart.
_PULSES = """
INSERT INTO fleet.node_pulses
    (node_id, received_at, served_seconds, sent_at, boot_id, agent_version, mta_state, transport)
SELECT id, clock_timestamp(), 9990, clock_timestamp(), 'boot', '1.0', 'up', 'released' FROM fleet.sending_nodes
ON CONFLICT (node_id) DO UPDATE SET received_at = excluded.received_at
"""


@dataclass(frozen=True, slots=True)
class ScalingTime:
    """Seconds, the middle one of several rounds. `ticks` are by the sensor's kind."""

    warmups: float
    capacity: float
    ticks: dict[ActionKind, float]


def measure_scaling_time(directory: Path, *, node_count: int) -> ScalingTime:
    """Fill a database, measure it, and let each sensor tick upon the measurement."""
    databases = Databases(PostgresServer(directory / f"postgres-scaling-{node_count}"))
    try:
        url = databases.create()
        engine = make_engine(url)
        _fill(engine, node_count)
        fleet = Wiring(_settings(url, directory))
        rules = WarmupRules(fleet.policy.curve, fleet.policy.warmup, fleet.policy.throughput)
        size = fleet.wanted_limits.size
        warmups = _median(lambda: measure_warmups(engine, rules, now=_now()))
        capacity = _median(lambda: measure_capacity(engine, size, fleet.policy.guardrails, now=_now()))
        ticks = {kind: _tick(fleet, kind) for kind in _SENSORS}
        fleet.engine.dispose()
        engine.dispose()
        return ScalingTime(warmups, capacity, ticks)
    finally:
        databases.close()


def _settings(url: URL, directory: Path) -> Settings:
    return Settings(_env_file=None, home=directory, database_url=url.render_as_string(hide_password=False))


def _fill(engine: Engine, node_count: int) -> None:
    with engine.begin() as connection:
        for statement in (*_STATEMENTS, _PULSES):
            connection.execute(text(statement), {"count": node_count} if ":count" in statement else {})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _tick(fleet: Wiring, kind: ActionKind) -> float:
    """A sensor's tick: what the policies want, judged and written down."""
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance)
        is_batch = kind is ActionKind.ADVANCE_WARMUP
        return _median(lambda: Tick(context, fleet, kind).run(_wanted(fleet, kind), is_batch=is_batch))


def _wanted(fleet: Wiring, kind: ActionKind) -> Callable[[Connection], list[PlannedAction]]:
    if kind is ActionKind.PROVISION:
        return lambda connection: list(grow_and_want(connection, fleet.wanted_limits, _now()))
    return lambda connection: list(fleet.wanted(kind)(connection))


def _median(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def _now() -> datetime:
    return datetime.now(UTC)
