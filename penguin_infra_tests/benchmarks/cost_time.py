"""How long costs take to sum up: a day of a large fleet, and a year of a smaller one, read, reckoned, checked, written.

The database holds what a fleet leaves behind: spells with a resize in the middle, changes of status and of health, and
hours of mail. All that a run of the asset does is done, but for Dagster's own part.
"""

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, text

from penguin_infra.analytics.frames import frame_of, rows_of
from penguin_infra.analytics.schemas import check_frame
from penguin_infra.domain.pricing import CostLimits
from penguin_infra.operations.measure_costs import measure_costs
from penguin_infra.store.analytics_tables import node_costs
from penguin_infra.store.copied_rows import replace_rows
from penguin_infra.store.database import make_engine
from penguin_infra.store.embedded import PostgresServer
from penguin_infra_tests.benchmarks.health_time import LARGE_FLEET
from penguin_infra_tests.conftest import Databases

__all__ = [
    "DAY_BUDGET_SECONDS",
    "LARGE_FLEET",
    "SMALL_DAY_FLEET",
    "YEAR_BUDGET_SECONDS",
    "YEAR_DAYS",
    "YEAR_FLEET",
    "measure_cost_time",
]

DAY_BUDGET_SECONDS = 10.0
# Minutes, for a year.
YEAR_BUDGET_SECONDS = 300.0
YEAR_DAYS, YEAR_FLEET, SMALL_DAY_FLEET = 365, 1_000, 100

_FIRST_DAY = date(2026, 1, 1)

_FILL = """
INSERT INTO fleet.plan_prices (plan, seen_at, last_seen_at, cpu_count, memory_mb, disk_gb, transfer_gb,
    monthly_usd, hourly_usd)
SELECT plan, CAST(:begin AS timestamptz) + days * interval '1 day',
    CAST(:begin AS timestamptz) + (days + 60) * interval '1 day', 1, 1024, 30, 1000, price + days * 0.01,
    round((price + days * 0.01) / 720, 6)
FROM (VALUES ('ssd-1', 4.99), ('ssd-2', 9.99)) AS one (plan, price), generate_series(0, 364, 60) AS days;
INSERT INTO fleet.sending_nodes (label, region, plan, status, requested_by, ip_address, provider_id)
SELECT 'node-' || lpad(number::text, 5, '0'), 'region-' || number % 5, 'ssd-2', 'active', 'person:bench',
    '10.0.0.0'::inet + number, 'hw-' || number
FROM generate_series(1, :count) AS number;
INSERT INTO fleet.instance_spells (provider_id, began_at, ended_at, plan, label, region, node_id)
SELECT provider_id, CAST(:begin AS timestamptz) - (1 + right(label, 1)::int) * interval '487 minutes',
    CAST(:begin AS timestamptz) + :days * interval '12 hours' + right(label, 2)::int * interval '13 minutes', 'ssd-1',
    label, region, id
FROM fleet.sending_nodes;
INSERT INTO fleet.instance_spells (provider_id, began_at, plan, extra_addresses, label, region, node_id)
SELECT provider_id, ended_at, 'ssd-2', 1, label, region, node_id FROM fleet.instance_spells;
INSERT INTO fleet.node_transitions (node_id, to_status, event, reason, requested_by, happened_at)
SELECT id, CASE WHEN number % 2 = 0 THEN 'active' ELSE 'paused' END, 'admitted', 'bench', 'person:bench',
    CAST(:begin AS timestamptz) - interval '9 days' + number * :days * interval '2 hours'
FROM fleet.sending_nodes CROSS JOIN generate_series(0, 12) AS number;
INSERT INTO fleet.node_health_events (node_id, health, reason, happened_at)
SELECT id, CASE WHEN number % 2 = 0 THEN 'healthy' ELSE 'unhealthy' END, 'bench',
    CAST(:begin AS timestamptz) - interval '1 day' + number * :days * interval '1 hour'
FROM fleet.sending_nodes CROSS JOIN generate_series(0, 24) AS number;
INSERT INTO fleet.delivery_hours (node_id, hour_at, mailbox_provider, sent)
SELECT id, hour_at, provider, 100
FROM generate_series(CAST(:begin AS timestamptz), CAST(:begin AS timestamptz) + :days * interval '1 day',
    :every * interval '1 hour') AS hour_at
CROSS JOIN fleet.sending_nodes CROSS JOIN (VALUES ('gmail'), ('other')) AS one (provider)
"""


def measure_cost_time(directory: Path, *, node_count: int, days: int) -> float:
    """Fill a database, and sum up so many days of so many nodes in one run; the seconds it took."""
    databases = Databases(PostgresServer(directory / f"postgres-costs-{node_count}-{days}"))
    try:
        engine = make_engine(databases.create())
        # A year's hours of mail would take longer to make up than to sum up: every twelfth is there.
        given = {"begin": _FIRST_DAY, "count": node_count, "days": days, "every": 1 if days == 1 else 12}
        with engine.begin() as connection:
            for statement in _FILL.split(";\n"):
                connection.execute(text(statement), given)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        seconds = _sum_up(engine, _FIRST_DAY + timedelta(days=days - 1))
        engine.dispose()
        return seconds
    finally:
        databases.close()


def _sum_up(engine: Engine, last_day: date) -> float:
    began = time.perf_counter()
    now = datetime.combine(last_day + timedelta(days=9), datetime.min.time(), UTC)
    report = measure_costs(engine, CostLimits(), first_day=_FIRST_DAY, last_day=last_day, fleet_name="fleet", now=now)
    assert report.billed_hours == report.spell_hours
    frame = frame_of(node_costs, report.lines)
    check_frame(node_costs, frame)
    with engine.begin() as connection:
        replace_rows(connection, node_costs, rows_of(node_costs, frame))
    return time.perf_counter() - began
