"""What agents report, written in groups: one statement for all heartbeats, one for all batches, and the clock.

For psycopg's asynchronous connections in autocommit: each statement is a transaction. What is legal was checked before.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

# A gateway that did not tick for longer than this was away; what passed meanwhile makes nobody's heartbeat older.
OUTAGE_SECONDS = 5
PARTITION_DAYS_AHEAD = 3

AnyConnection = AsyncConnection[tuple[Any, ...]]
BatchKey = tuple[UUID, str, int]


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """One heartbeat as it is stored."""

    node_id: str
    sent_at: datetime
    boot_id: str
    agent_version: str
    mta_state: str
    transport: str
    directive_version: int | None
    restart_done_id: str | None
    cpu_percent: float | None
    memory_percent: float | None
    disk_percent: float | None
    rx_bytes_per_second: float | None
    tx_bytes_per_second: float | None
    queue_active: int | None
    queue_deferred: int | None
    queue_held: int | None
    queue_oldest_seconds: int | None
    details: Mapping[str, Any]


_SINCE_TICK = (
    "CASE WHEN now() - ticked_at > make_interval(secs => %(outage)s) THEN 0"
    " ELSE greatest(extract(epoch FROM now() - ticked_at), 0) END"
)

_TICK = f"""
UPDATE fleet.gateway_clock
SET served_seconds = served_seconds + {_SINCE_TICK}, ticked_at = greatest(ticked_at, now())
"""  # noqa: S608 - made of constants

_PROBES = (
    "cpu_percent, memory_percent, disk_percent, rx_bytes_per_second, tx_bytes_per_second,"
    " queue_active, queue_deferred, queue_held, queue_oldest_seconds"
)
# Rounded: a number smaller than any `real` would be an error to PostgreSQL, and would take the whole group along.
_ROUNDED_PROBES = _PROBES.replace(
    "cpu_percent, memory_percent, disk_percent",
    "round(cpu_percent, 2)::real, round(memory_percent, 2)::real, round(disk_percent, 2)::real",
)
_PULSE_COLUMNS = (
    "received_at, served_seconds, sent_at, boot_id, agent_version, mta_state, transport, directive_version,"
    f" {_PROBES}, details"
)

# Rows are locked in the order of their ids, so that two gateways never wait for each other.
_WRITE_PULSES = f"""
WITH beat AS MATERIALIZED (
    SELECT * FROM ROWS FROM (json_to_recordset(%(beats)s::json) AS (
        node_id uuid, sent_at timestamptz, boot_id text, agent_version text, mta_state text, transport text,
        directive_version bigint, restart_done_id uuid, cpu_percent numeric, memory_percent numeric,
        disk_percent numeric, rx_bytes_per_second double precision, tx_bytes_per_second double precision,
        queue_active integer, queue_deferred integer, queue_held integer, queue_oldest_seconds integer, details jsonb
    )) WITH ORDINALITY
), history AS (
    INSERT INTO fleet.heartbeats (node_id, received_at, mta_state, transport, {_PROBES})
    SELECT node_id, now(), mta_state, transport, {_ROUNDED_PROBES} FROM beat
), finished AS (
    DELETE FROM fleet.node_directives AS directive USING beat
    WHERE directive.node_id = beat.node_id AND directive.restart_id = beat.restart_done_id
), newest AS (
    INSERT INTO fleet.node_pulses AS pulse (node_id, {_PULSE_COLUMNS})
    SELECT DISTINCT ON (node_id)
        node_id, now(), clock.served_seconds + {_SINCE_TICK}, sent_at, boot_id, agent_version, mta_state, transport,
        directive_version, {_ROUNDED_PROBES}, details
    FROM beat, fleet.gateway_clock AS clock
    ORDER BY node_id, ordinality DESC
    ON CONFLICT (node_id) DO UPDATE SET
        {", ".join(f"{name.strip()} = excluded.{name.strip()}" for name in _PULSE_COLUMNS.split(","))}
    WHERE pulse.received_at <= excluded.received_at
)
SELECT now()
"""  # noqa: S608 - made of constants

# What was counted before is not in `fresh`, and its counts are not added. Two gateways that write the same batch: the
# second waits for the first one's commit, and then finds it there. Hours are written with their buckets: they are
# always the sums of these.
_WRITE_BATCHES = """
WITH batch AS MATERIALIZED (
    SELECT DISTINCT ON (node_id, stream, sequence) *
    FROM json_to_recordset(%(batches)s::json) AS (
        node_id uuid, stream text, sequence bigint, unread_lines integer, dropped_batches integer, counts json)
    ORDER BY node_id, stream, sequence
), fresh AS (
    INSERT INTO fleet.delivery_batches (node_id, stream, sequence, received_at, unread_lines, dropped_batches)
    SELECT node_id, stream, sequence, now(), unread_lines, dropped_batches FROM batch
    ORDER BY node_id, stream, sequence
    ON CONFLICT DO NOTHING
    RETURNING node_id, stream, sequence
), added AS MATERIALIZED (
    SELECT batch.node_id, one.bucket_at, one.mailbox_provider, one.result, sum(one.messages)::bigint AS messages
    FROM fresh JOIN batch USING (node_id, stream, sequence)
    CROSS JOIN LATERAL json_to_recordset(batch.counts) AS one (
        bucket_at timestamptz, mailbox_provider text, result text, messages bigint)
    GROUP BY 1, 2, 3, 4
), counted AS (
    INSERT INTO fleet.delivery_counts AS known (node_id, bucket_at, mailbox_provider, result, messages)
    SELECT node_id, bucket_at, mailbox_provider, result, messages FROM added ORDER BY 1, 2, 3, 4
    ON CONFLICT (node_id, bucket_at, mailbox_provider, result)
    DO UPDATE SET messages = known.messages + excluded.messages
), summed AS (
    INSERT INTO fleet.delivery_hours AS known (node_id, hour_at, mailbox_provider,
        sent, hard_bounces, soft_bounces, policy_rejections, expired, deferrals)
    SELECT node_id, date_trunc('hour', bucket_at, 'UTC'), mailbox_provider,
        coalesce(sum(messages) FILTER (WHERE result = 'sent'), 0),
        coalesce(sum(messages) FILTER (WHERE result = 'hard_bounce'), 0),
        coalesce(sum(messages) FILTER (WHERE result = 'soft_bounce'), 0),
        coalesce(sum(messages) FILTER (WHERE result = 'policy_rejection'), 0),
        coalesce(sum(messages) FILTER (WHERE result = 'expired'), 0),
        coalesce(sum(messages) FILTER (WHERE result = 'deferred'), 0)
    FROM added GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (node_id, hour_at, mailbox_provider) DO UPDATE SET
        sent = known.sent + excluded.sent, hard_bounces = known.hard_bounces + excluded.hard_bounces,
        soft_bounces = known.soft_bounces + excluded.soft_bounces,
        policy_rejections = known.policy_rejections + excluded.policy_rejections,
        expired = known.expired + excluded.expired, deferrals = known.deferrals + excluded.deferrals
), late AS (
    INSERT INTO fleet.late_hours (hour_at)
    SELECT DISTINCT date_trunc('hour', bucket_at, 'UTC') AS hour_at FROM added
    WHERE bucket_at < date_trunc('hour', now(), 'UTC') - interval '2 hours' ORDER BY 1
    ON CONFLICT DO NOTHING
)
SELECT node_id, stream, sequence FROM fresh
"""


async def write_pulses(connection: AnyConnection, pulses: Sequence[Pulse]) -> datetime:
    """Store heartbeats that came together, the later one of a node last; returns when they were received."""
    parameters = {"beats": msgspec.json.encode(pulses).decode(), "outage": OUTAGE_SECONDS}
    cursor = await connection.execute(_WRITE_PULSES, parameters, prepare=True)
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("a select without a table returned nothing")
    received_at: datetime = row[0]
    return received_at


async def write_batches(connection: AnyConnection, batches: Sequence[msgspec.Struct]) -> set[BatchKey]:
    """Count batches that came together (their wire shape); returns those that were not counted before."""
    parameters = {"batches": msgspec.json.encode(batches).decode()}
    cursor = await connection.execute(_WRITE_BATCHES, parameters, prepare=True)
    return {(row[0], row[1], row[2]) for row in await cursor.fetchall()}


async def tick_clock(connection: AnyConnection) -> None:
    """Let the gateways' clock go on by what passed since its last tick, or by nothing after an outage."""
    await connection.execute(_TICK, {"outage": OUTAGE_SECONDS}, prepare=True)


async def make_partitions(connection: AnyConnection) -> int:
    """Make the missing partitions from today on; returns how many were made."""
    cursor = await connection.execute(
        "SELECT fleet.make_heartbeat_partitions((now() AT TIME ZONE 'UTC')::date, %(days)s)",
        {"days": PARTITION_DAYS_AHEAD + 1},
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0
