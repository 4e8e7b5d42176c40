"""Nodes' last hours in windows of five minutes (UTC): queue, resources, and what became of the mail meanwhile.

Made of heartbeats and counts as the gateway wrote them. What a window says of a node is `domain/queue_pressure.py`'s.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, func, select, text

from penguin_infra.store.capacity_tables import node_windows

WINDOW = timedelta(minutes=5)

# Heartbeats of a longer outage would hold up the minute's run, and no rule looks further back.
CATCH_UP = timedelta(hours=2)

# Growth is reckoned against a day ago; the rest is for whoever looks a little before that.
KEPT = timedelta(hours=26)

# Agents hand their counts over once they could: a node that was cut off for a moment is late with them.
_LATE_COUNTS = timedelta(minutes=15)

# 10,000 nodes make 2,000 windows a minute: five times that catches up with whatever was left.
_MOST_DELETED = 10_000

w = node_windows.c

# One index scan a node: heartbeats are indexed by node and time, and no window needs more than its own few rows. A node
# whose queue could not be read in a window has none: nothing is known of it. A beat without a transport is an old
# agent's.
_ADD = text("""
WITH beats AS (
    SELECT pulse.node_id, one.*
    FROM fleet.node_pulses AS pulse CROSS JOIN LATERAL (
        SELECT date_bin('5 min', beat.received_at, '2000-01-01 00:00+00') AS window_at,
            percentile_disc(0.5) WITHIN GROUP (ORDER BY
                beat.queue_active + beat.queue_deferred + coalesce(beat.queue_held, 0)) AS depth,
            percentile_disc(0.5) WITHIN GROUP (ORDER BY beat.queue_deferred) AS deferred,
            percentile_disc(0.5) WITHIN GROUP (ORDER BY beat.queue_oldest_seconds) AS oldest_age_seconds,
            avg(beat.cpu_percent)::real AS cpu_percent, avg(beat.memory_percent)::real AS memory_percent,
            2 * count(*) FILTER (WHERE beat.transport = 'held') >= count(*) AS is_held
        FROM fleet.heartbeats AS beat
        WHERE beat.node_id = pulse.node_id AND beat.received_at >= :begin_at AND beat.received_at < :end_at
        GROUP BY 1
    ) AS one
    WHERE pulse.received_at >= :begin_at AND one.depth IS NOT NULL
), counts AS (
    SELECT node_id, bucket_at, coalesce(sum(messages) FILTER (WHERE result <> 'deferred'), 0)::bigint AS ended,
        coalesce(sum(messages) FILTER (WHERE result = 'deferred'), 0)::bigint AS deferrals
    FROM fleet.delivery_counts WHERE bucket_at >= :begin_at AND bucket_at < :end_at
    GROUP BY 1, 2
)
INSERT INTO fleet.node_windows (node_id, window_at, depth, deferred, oldest_age_seconds, ended, deferrals,
    cpu_percent, memory_percent, is_held)
SELECT beats.node_id, window_at, depth, least(deferred, depth), oldest_age_seconds, coalesce(ended, 0),
    coalesce(deferrals, 0), cpu_percent, memory_percent, is_held
FROM beats LEFT JOIN counts ON counts.node_id = beats.node_id AND counts.bucket_at = beats.window_at
ON CONFLICT DO NOTHING
""")

_COUNT_LATE = text("""
WITH counts AS (
    SELECT node_id, bucket_at, coalesce(sum(messages) FILTER (WHERE result <> 'deferred'), 0)::bigint AS ended,
        coalesce(sum(messages) FILTER (WHERE result = 'deferred'), 0)::bigint AS deferrals
    FROM fleet.delivery_counts WHERE bucket_at >= :begin_at AND bucket_at < :end_at
    GROUP BY 1, 2
)
UPDATE fleet.node_windows AS known SET ended = counts.ended, deferrals = counts.deferrals
FROM counts
WHERE known.node_id = counts.node_id AND known.window_at = counts.bucket_at
  AND known.window_at >= :begin_at AND known.window_at < :end_at
  AND (known.ended, known.deferrals) IS DISTINCT FROM (counts.ended, counts.deferrals)
""")

_FORGET = text("""
DELETE FROM fleet.node_windows WHERE (node_id, window_at) IN (
    SELECT node_id, window_at FROM fleet.node_windows WHERE window_at < :before ORDER BY window_at LIMIT :most)
""")


def add_windows(connection: Connection, now: datetime) -> int:
    """Add the closed windows that are not there yet, and what was counted late for the last ones; returns how many."""
    end_at = window_of(now)
    newest = connection.scalar(select(w.window_at).where(w.window_at < end_at).order_by(w.window_at.desc()).limit(1))
    begin_at = end_at - CATCH_UP if newest is None else max(newest + WINDOW, end_at - CATCH_UP)
    added = 0
    if begin_at < end_at:
        added = connection.execute(_ADD, {"begin_at": begin_at, "end_at": end_at}).rowcount
    connection.execute(_COUNT_LATE, {"begin_at": end_at - _LATE_COUNTS, "end_at": end_at})
    return added


def forget_windows(connection: Connection, now: datetime) -> int:
    """Delete windows that nobody reads any more, not too many at once; returns how many."""
    return connection.execute(_FORGET, {"before": now - KEPT, "most": _MOST_DELETED}).rowcount


def cpu_percents(connection: Connection, windows: Sequence[datetime]) -> dict[UUID, dict[datetime, float | None]]:
    """How busy the nodes' CPUs were in these windows, by node; without those that are missing."""
    found: dict[UUID, dict[datetime, float | None]] = {}
    for row in connection.execute(select(w.node_id, w.window_at, w.cpu_percent).where(w.window_at.in_(windows))):
        found.setdefault(row.node_id, {})[row.window_at] = row.cpu_percent
    return found


def nodes_with_window(connection: Connection, window_at: datetime) -> int:
    """How many nodes have that window."""
    return connection.scalar(select(func.count()).where(w.window_at == window_at)) or 0


def window_of(moment: datetime) -> datetime:
    """The beginning of the window that holds that moment."""
    seconds = int(moment.timestamp())
    return datetime.fromtimestamp(seconds - seconds % int(WINDOW.total_seconds()), UTC)
