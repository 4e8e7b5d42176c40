"""How long a large fleet's health takes: judging, the minute's alerts, and a recover sensor's tick."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from sqlalchemy import Engine, text

from penguin_infra.domain.guardrails import GuardrailLimits
from penguin_infra.domain.heartbeat import SilenceLimits
from penguin_infra.domain.policies.recover_unhealthy import HealthLimits, plan_recoveries
from penguin_infra.operations.fleet_health import read_fleet_health
from penguin_infra.operations.judge_health import judge_health
from penguin_infra.operations.plan_actions import plan_actions
from penguin_infra.operations.refresh_alerts import refresh_alerts
from penguin_infra.store.database import make_engine
from penguin_infra.store.embedded import PostgresServer
from penguin_infra_tests.conftest import Databases

# The design's: a telemetry run's work, and a sensor's tick, at 10,000 nodes.
RUN_BUDGET_SECONDS, TICK_BUDGET_SECONDS = 15.0, 1.0
LARGE_FLEET, SMALL_FLEET = 10_000, 100
_ROUNDS = 5

_NODES = """
INSERT INTO fleet.sending_nodes (label, region, plan, status, requested_by, ip_address, provider_id)
SELECT 'node-' || number, 'dallas', 'ssd-1', 'active', 'person:bench', '10.0.0.0'::inet + number, 'hw-' || number
FROM generate_series(1, :count) AS number
"""
_CLOCK = "UPDATE fleet.gateway_clock SET served_seconds = 10000, ticked_at = clock_timestamp()"
# Every fifth node is silent: below the share at which recovery stops.
_PULSES = """
INSERT INTO fleet.node_pulses
    (node_id, received_at, served_seconds, sent_at, boot_id, agent_version, mta_state, transport)
SELECT id, clock_timestamp(), CASE WHEN split_part(label, '-', 2)::int % 5 = 0 THEN 9000 ELSE 9990 END,
    clock_timestamp(), 'boot', '1.0', 'up', 'released'
FROM fleet.sending_nodes
ON CONFLICT (node_id) DO UPDATE SET received_at = excluded.received_at
"""


@dataclass(frozen=True, slots=True)
class HealthTime:
    """Seconds a round: judging a fleet for the first time, then as it stands; its alerts; a tick of the sensor."""

    first_judging: float
    judging: float
    alerts: float
    tick: float


def measure_health_time(directory: Path, *, node_count: int) -> HealthTime:
    """Fill a database with heartbeats and judge it."""
    databases = Databases(PostgresServer(directory / f"postgres-{node_count}"))
    try:
        engine = make_engine(databases.create())
        with engine.begin() as connection:
            connection.execute(text(_NODES), {"count": node_count})
        first = _seconds(engine, lambda: judge_health(engine, now=_now()))
        return HealthTime(
            first,
            median(_seconds(engine, lambda: judge_health(engine, now=_now())) for _ in range(_ROUNDS)),
            median(
                _seconds(engine, lambda: refresh_alerts(engine, limits=SilenceLimits(), now=_now()))
                for _ in range(_ROUNDS)
            ),
            median(_seconds(engine, lambda: _tick(engine)) for _ in range(_ROUNDS)),
        )
    finally:
        databases.close()


def _tick(engine: Engine) -> None:
    limits, now = HealthLimits(), _now()
    plan_actions(
        engine,
        lambda connection: plan_recoveries(read_fleet_health(connection, limits=limits, now=now), limits, now),
        limits=GuardrailLimits(),
        now=now,
    )


def _seconds(engine: Engine, work: Callable[[], object]) -> float:
    """A round of heartbeats first, which does not count."""
    with engine.begin() as connection:
        connection.execute(text(_CLOCK))
        connection.execute(text(_PULSES))
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _now() -> datetime:
    return datetime.now(UTC)
