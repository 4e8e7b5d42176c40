"""Capacity's memory: what each node was measured by last, and the facts that its place in the fleet's sums is made of.

The sums themselves are `domain/capacity.py`'s; who measures, `operations/measure_capacity.py`.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from penguin_infra.domain.node import NodeStatus
from penguin_infra.store.capacity_tables import capacity_utilisation
from penguin_infra.store.copied_rows import replace_rows
from penguin_infra.store.demand import FRESH_FOR, hour_of

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)

# A window of a day ago that is missing is replaced by one a little older; beyond that, growth is not known.
_GROWTH_SLACK = timedelta(minutes=30)

# The hour that a span begins in counts by the part of it that lies within: counts by the bucket would be twelve times
# the rows. What a decommissioned node delivered was demand, and it is no node any more: it comes without figures.
_FACTS = text("""
WITH delivered AS (
    SELECT node_id,
        sum(ended * CASE WHEN hour_at >= :day_hour_at + interval '1 hour' THEN 1 ELSE :part END)::bigint AS day,
        coalesce(sum(ended * CASE WHEN hour_at >= :this_hour_at THEN 1 ELSE :part END)
            FILTER (WHERE hour_at >= :last_hour_at), 0)::bigint AS hour
    FROM (
        SELECT node_id, hour_at, (sent + hard_bounces + soft_bounces + policy_rejections + expired)::float8 AS ended
        FROM fleet.delivery_hours WHERE hour_at >= :day_hour_at AND hour_at <= :this_hour_at
    ) AS hours
    GROUP BY node_id
), day_ago AS (
    SELECT DISTINCT ON (node_id) node_id, depth FROM fleet.node_windows
    WHERE window_at > :oldest_window_at AND window_at <= :day_ago
    ORDER BY node_id, window_at DESC
), pulse AS (
    SELECT node_id, queue_active + queue_deferred + coalesce(queue_held, 0) AS depth, queue_oldest_seconds,
        cpu_percent, memory_percent
    FROM fleet.node_pulses WHERE received_at >= :fresh_at
)
SELECT node.id AS node_id, node.label, node.region, node.plan, node.status,
    rotation.node_id IS NOT NULL AS is_in_rotation, warmup.daily,
    coalesce(delivered.day, 0) AS ended_last_day, coalesce(delivered.hour, 0) AS ended_last_hour,
    pulse.depth AS queue_depth, coalesce(pulse.depth - day_ago.depth, 0) AS queue_growth,
    pulse.queue_oldest_seconds AS oldest_age_seconds, pulse.cpu_percent, pulse.memory_percent,
    pulse.node_id IS NOT NULL AS is_speaking
FROM fleet.sending_nodes AS node
LEFT JOIN delivered ON delivered.node_id = node.id
LEFT JOIN day_ago ON day_ago.node_id = node.id
LEFT JOIN pulse ON pulse.node_id = node.id
LEFT JOIN fleet.node_warmups AS warmup ON warmup.node_id = node.id AND node.status = 'warming'
LEFT JOIN (SELECT node_id FROM fleet.sending_rotation) AS rotation ON rotation.node_id = node.id
WHERE node.status <> 'decommissioned' OR delivered.day > 0
ORDER BY node.label
""")


@dataclass(frozen=True, slots=True)
class CapacityFacts:
    """What is known of a node. `daily`: what a warming one has earned; None of others, and before its warm-up begins.

    `queue_depth` and what comes after it: None where the node does not speak, or could not tell.
    """

    node_id: UUID
    label: str
    region: str
    plan: str
    status: NodeStatus
    is_in_rotation: bool
    daily: int | None
    ended_last_day: int
    ended_last_hour: int
    queue_depth: int | None
    queue_growth: int
    oldest_age_seconds: int | None
    cpu_percent: float | None
    memory_percent: float | None
    is_speaking: bool


@dataclass(frozen=True, slots=True)
class UtilisationRow:
    """A row of `fleet.capacity_utilisation`, in the order of its columns."""

    node_id: UUID
    measured_at: datetime
    region: str
    status: str
    plan: str
    is_in_rotation: bool
    plan_per_day: int | None
    allowance_per_day: int | None
    capacity_per_day: int
    ended_last_day: int
    ended_last_hour: int
    queue_depth: int | None
    queue_growth: int
    oldest_age_seconds: int | None
    cpu_percent: float | None
    memory_percent: float | None
    demand_share: float | None


def read_facts(connection: Connection, now: datetime) -> list[CapacityFacts]:
    """All nodes by label; of decommissioned ones those that delivered within the day."""
    day_ago = now - _DAY
    rows = connection.execute(
        _FACTS,
        {
            "day_ago": day_ago,
            "day_hour_at": hour_of(day_ago),
            "this_hour_at": hour_of(now),
            "last_hour_at": hour_of(now) - _HOUR,
            "part": 1 - (now - hour_of(now)) / _HOUR,
            "oldest_window_at": day_ago - _GROWTH_SLACK,
            "fresh_at": now - FRESH_FOR,
        },
    )
    return [CapacityFacts(**dict(row._mapping) | {"status": NodeStatus(row.status)}) for row in rows]


def replace_utilisation(connection: Connection, rows: Iterable[UtilisationRow]) -> int:
    """Put this measurement in the last one's place; returns the rows. Readers see the one or the other, whole."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('fleet.capacity_utilisation'))"))
    return replace_rows(connection, capacity_utilisation, map(astuple, rows))
