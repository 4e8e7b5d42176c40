"""How long a large fleet's warm-ups take: one measurement of all, and the gateway's look at what each may send.

Half of the nodes are warming, and have been in their stage for 36 hours; the look is at the end of a day, when it has
all the day's hours to add up.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from sqlalchemy import Engine, text

from penguin_infra.operations.begin_warmups import WarmupRules
from penguin_infra.operations.measure_warmups import measure_warmups
from penguin_infra.operations.want_warmups import want_warmups
from penguin_infra.store.agent_directory import read_allowances
from penguin_infra.store.database import make_engine
from penguin_infra.store.embedded import PostgresServer
from penguin_infra_tests.conftest import Databases

MEASUREMENT_BUDGET_SECONDS, TICK_BUDGET_SECONDS = 2.0, 1.0
# Every 15 s, of a gateway that is to come round each second.
ALLOWANCES_BUDGET_SECONDS = 1.0
LARGE_FLEET, SMALL_FLEET = 10_000, 100
_TIMES = 3

_NODES = """
INSERT INTO fleet.sending_nodes (label, region, plan, status, requested_by, ip_address, provider_id)
SELECT 'node-' || number, 'dallas', 'ssd-1', CASE WHEN number % 2 = 0 THEN 'warming' ELSE 'active' END,
    'person:bench', '10.0.0.0'::inet + number, 'hw-' || number
FROM generate_series(1, :count) AS number
"""
_STATES = """
INSERT INTO fleet.node_warmups (node_id, curve, daily, since_at, begun_at, finished_at)
SELECT id, 'cautious', CASE status WHEN 'warming' THEN 1000 ELSE 55000 END, now() - interval '36 hours',
    now() - interval '5 days', CASE status WHEN 'active' THEN now() - interval '36 hours' END
FROM fleet.sending_nodes
"""
# Three days of every node's mail to all five providers, hour by hour as they come in, the rest of this day too.
_HOURS = """
INSERT INTO fleet.delivery_hours (node_id, hour_at, mailbox_provider, sent, hard_bounces)
SELECT node.id, hour_at, provider, 9, CASE WHEN extract(hour FROM hour_at) = 7 THEN 1 ELSE 0 END
FROM generate_series(date_trunc('day', now(), 'UTC') - interval '2 days',
        date_trunc('day', now(), 'UTC') + interval '23 hours', interval '1 hour') AS hour_at
CROSS JOIN fleet.sending_nodes AS node
CROSS JOIN unnest(ARRAY['gmail', 'microsoft', 'yahoo', 'apple', 'other']) AS provider
"""


@dataclass(frozen=True, slots=True)
class WarmupTime:
    """Seconds, the slowest of several: a measurement, a sensor's reading, and a gateway's reading of 10,000 warming."""

    measurement: float
    wanting: float
    allowances: float
    row_count: int


def measure_warmup_time(directory: Path, *, node_count: int) -> WarmupTime:
    """Fill a database with three days of hours, and measure the fleet's warm-ups."""
    databases = Databases(PostgresServer(directory / f"postgres-warmups-{node_count}"))
    try:
        url = databases.create()
        engine = make_engine(url)
        row_count = _fill(engine, node_count)
        now = datetime.now(UTC)
        measurement = _slowest(lambda: measure_warmups(engine, WarmupRules(), now=now))
        with engine.connect() as connection:
            wanting = _slowest(lambda: want_warmups(connection, now))
        with engine.begin() as connection:
            connection.execute(text("UPDATE fleet.sending_nodes SET status = 'warming'"))
        allowances = asyncio.run(_read_allowances(engine.url.set(drivername="postgresql").render_as_string(False)))
        engine.dispose()
        return WarmupTime(measurement, wanting, allowances, row_count)
    finally:
        databases.close()


async def _read_allowances(conninfo: str) -> float:
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        seconds = []
        for _ in range(_TIMES):
            began = time.perf_counter()
            await read_allowances(connection)
            seconds.append(time.perf_counter() - began)
        return max(seconds)


def _slowest(act: Callable[[], object]) -> float:
    seconds = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - began)
    return max(seconds)


def _fill(engine: Engine, node_count: int) -> int:
    with engine.begin() as connection:
        connection.execute(text(_NODES), {"count": node_count})
        connection.execute(text(_STATES))
        connection.execute(text(_HOURS))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
        return connection.scalar(text("SELECT count(*) FROM fleet.delivery_hours")) or 0
