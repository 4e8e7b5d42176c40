"""How long a pause sensor's tick takes in a large fleet with many listed nodes, beside one in a small fleet."""

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import dagster as dg
from sqlalchemy import URL, Engine, text

from penguin_infra.defs.remediation.ticks import Tick
from penguin_infra.domain.actions import ActionKind
from penguin_infra.operations.want_pauses import want_pauses
from penguin_infra.settings import Settings
from penguin_infra.store.database import make_engine
from penguin_infra.store.embedded import PostgresServer
from penguin_infra.wiring import Wiring
from penguin_infra_tests.conftest import Databases

BUDGET_SECONDS = 1.0
LARGE_FLEET, SMALL_FLEET = 10_000, 100
# Twice what the disruption budget takes in an hour: half of them are refused in every tick.
_LISTED_SHARE = 0.2
_TICKS = 5

_NODES = """
INSERT INTO fleet.sending_nodes (label, region, plan, status, requested_by, ip_address, provider_id)
SELECT 'node-' || number, 'dallas', 'ssd-1', 'active', 'person:bench', '10.0.0.0'::inet + number, 'hw-' || number
FROM generate_series(1, :count) AS number
"""
_LISTINGS = """
INSERT INTO fleet.ip_blacklist_events
    (node_id, blacklist_provider, listed_at, ip_address, zone, codes, severity, suspected_at)
SELECT id, 'Spamhaus ZEN', now(), ip_address, 'zen.spamhaus.org', '{127.0.0.2}', 'critical', now()
FROM fleet.sending_nodes ORDER BY label LIMIT :count
"""


@dataclass(frozen=True, slots=True)
class TickTime:
    """Seconds a tick: the first one, which plans, and the median of those that follow it."""

    first: float
    later: float


def measure_tick_time(directory: Path, *, node_count: int) -> TickTime:
    """Fill a database and let the pause sensor tick."""
    databases = Databases(PostgresServer(directory / f"postgres-{node_count}"))
    try:
        url = databases.create()
        engine = make_engine(url)
        _fill(engine, node_count)
        seconds = _tick(url, directory)
        engine.dispose()
        return TickTime(seconds[0], median(seconds[1:]))
    finally:
        databases.close()


def _fill(engine: Engine, node_count: int) -> None:
    with engine.begin() as connection:
        connection.execute(text(_NODES), {"count": node_count})
        connection.execute(text(_LISTINGS), {"count": int(node_count * _LISTED_SHARE)})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def _tick(url: URL, directory: Path) -> list[float]:
    settings = Settings(_env_file=None, home=directory, database_url=url.render_as_string(hide_password=False))
    fleet = Wiring(settings)
    seconds = []
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance)
        for _ in range(_TICKS):
            began = time.perf_counter()
            Tick(context, fleet, ActionKind.PAUSE).run(
                lambda connection: want_pauses(connection, fleet.policy.delivery, fleet.clock.now()), is_batch=True
            )
            seconds.append(time.perf_counter() - began)
    fleet.engine.dispose()
    return seconds
