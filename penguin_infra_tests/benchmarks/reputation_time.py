"""How long a large fleet's reputation takes: one scoring, and one day of history as it goes into the analysts' tables.

The database holds two days of hourly counts at five providers, ten changes of score a node, and a listing on every
twentieth address.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, Table, text

from penguin_infra.analytics.frames import frame_of, rows_of
from penguin_infra.analytics.schemas import check_frame
from penguin_infra.domain.reputation_score import ReputationLimits
from penguin_infra.operations.score_reputation import score_reputation
from penguin_infra.operations.sum_up_reputation import Rows, sum_up_history, sum_up_impacts, sum_up_providers
from penguin_infra.store.analytics_tables import listing_impacts, provider_reputation, reputation_history
from penguin_infra.store.copied_rows import replace_rows
from penguin_infra.store.database import make_engine
from penguin_infra.store.embedded import PostgresServer
from penguin_infra.store.reputation_facts import Days
from penguin_infra_tests.conftest import Databases

SCORING_BUDGET_SECONDS = 2.0
# As much as a day of costs may take.
DAY_BUDGET_SECONDS = 10.0
LARGE_FLEET, SMALL_FLEET = 10_000, 1_000

_FILL = """
INSERT INTO fleet.sending_nodes (label, region, plan, status, health, requested_by, ip_address, provider_id)
SELECT 'node-' || number, 'region-' || number % 5, 'ssd-1', CASE number % 4 WHEN 0 THEN 'warming' ELSE 'active' END,
    'healthy', 'person:bench', '10.0.0.0'::inet + number, 'hw-' || number
FROM generate_series(1, :count) AS number;
INSERT INTO fleet.ip_tenures (node_id, ip_address, began_at)
SELECT id, ip_address, CAST(:now AS timestamptz) - interval '40 days' FROM fleet.sending_nodes;
INSERT INTO fleet.node_warmups (node_id, curve, daily, since_at, begun_at, finished_at)
SELECT id, 'cautious', 1000, :now, :now, CASE status WHEN 'active' THEN CAST(:now AS timestamptz) END
FROM fleet.sending_nodes;
INSERT INTO fleet.ip_blacklist_events (node_id, ip_address, blacklist_provider, zone, codes, severity, suspected_at,
    listed_at, operator)
SELECT id, ip_address, 'Spamhaus ZEN', 'zen.spamhaus.org', '{127.0.0.2}', 'critical',
    CAST(:now AS timestamptz) - interval '1 day', CAST(:now AS timestamptz) - interval '1 day', 'Spamhaus'
FROM fleet.sending_nodes WHERE (ip_address - '10.0.0.0'::inet) % 20 = 0;
INSERT INTO fleet.reputation_steps (node_id, changed_at, score, version, components)
SELECT id, CAST(:now AS timestamptz) - interval '3 hours' * number, 60 + number, 1, '{}'
FROM fleet.sending_nodes CROSS JOIN generate_series(1, 10) AS number;
INSERT INTO fleet.delivery_rates
SELECT id, 'recent', 'all', CAST(:now AS timestamptz) - interval '1 day', :now, 9000, 90, 20, 30, 10, 900, 3, 9150,
    0.01, 0.008, 0.012, 0.0003, 0.0001, 0.001, 0.003, 0.002, 0.004
FROM fleet.sending_nodes;
INSERT INTO fleet.delivery_hours (node_id, hour_at, mailbox_provider, sent, hard_bounces, deferrals)
SELECT node.id, hour_at, provider, 400, 4, 10
FROM generate_series(CAST(:first_at AS timestamptz), CAST(:first_at AS timestamptz) + interval '47 hours', '1 hour')
    AS hour_at
CROSS JOIN fleet.sending_nodes AS node
CROSS JOIN (VALUES ('gmail'), ('microsoft'), ('yahoo'), ('apple'), ('other')) AS one (provider);
INSERT INTO fleet.complaints (node_id, attribution, arrived_at, received_at, feedback_type, mailbox_provider,
    incidents, digest)
SELECT id, 'attributed', CAST(:first_at AS timestamptz) + interval '5 hours', :now, 'abuse', 'yahoo', 1,
    decode(md5(id::text || number), 'hex')
FROM fleet.sending_nodes CROSS JOIN generate_series(1, 3) AS number
"""


@dataclass(frozen=True, slots=True)
class ReputationTime:
    """Seconds of the first scoring, in which every score is new; of a later one; of a day, table by table."""

    first: float
    later: float
    history: float
    providers: float
    impacts: float


def measure_reputation_time(directory: Path, *, node_count: int) -> ReputationTime:
    """Fill a database, score its fleet twice, and sum up a day."""
    databases = Databases(PostgresServer(directory / f"postgres-reputation-{node_count}"))
    try:
        engine = make_engine(databases.create())
        now = datetime.now(UTC)
        yesterday = now.date() - timedelta(days=1)
        _fill(engine, node_count, now)
        days = Days(yesterday, yesterday)
        found = ReputationTime(
            _timed(lambda: score_reputation(engine, ReputationLimits(), now=now)),
            _timed(lambda: score_reputation(engine, ReputationLimits(), now=now + timedelta(minutes=5))),
            _written(engine, reputation_history, lambda: sum_up_history(engine, days, now=now).rows),
            _written(engine, provider_reputation, lambda: sum_up_providers(engine, days)),
            _written(engine, listing_impacts, lambda: sum_up_impacts(engine, now=now)),
        )
        engine.dispose()
        return found
    finally:
        databases.close()


def _fill(engine: Engine, node_count: int, now: datetime) -> None:
    first_at = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    with engine.begin() as connection:
        for statement in _FILL.split(";\n"):
            connection.execute(text(statement), {"count": node_count, "now": now, "first_at": first_at})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _written(engine: Engine, table: Table, sum_up: Callable[[], Rows]) -> float:
    """Summed up, made a frame, checked and written, as the IO manager does."""

    def work() -> None:
        frame = frame_of(table, sum_up())
        check_frame(table, frame)
        with engine.begin() as connection:
            replace_rows(connection, table, rows_of(table, frame))

    return _timed(work)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
