"""Demand's memory: what the fleet was asked for, an hour and region a row, and what its nodes could send of it lately.

What the sums mean is `domain/demand.py`'s; who measures them, `operations/measure_capacity.py`'s.
"""

from datetime import UTC, datetime, timedelta
from statistics import median_low
from uuid import UUID

from sqlalchemy import Connection, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from penguin_infra.domain.demand import DemandHour, recent_demand
from penguin_infra.store.capacity_tables import capacity_utilisation, demand_hours, late_hours

d = demand_hours.c
u = capacity_utilisation.c

# Ten missed rounds of a minute: what is older says nothing about now.
FRESH_FOR = timedelta(minutes=10)

# As far as a present sum, its queue at both ends and all its samples reach.
_RECENT = timedelta(hours=54)

_HOUR = timedelta(hours=1)

# A fleet that is measured for the first time has its past told at once, as far as a forecast looks back.
_HISTORY = timedelta(days=183)

# Nodes of all statuses: what a decommissioned one delivered was asked for, too.
_SUM_HOURS = text("""
INSERT INTO fleet.demand_hours AS known (hour_at, region, ended)
SELECT hours.hour_at, node.region,
    sum(hours.sent + hours.hard_bounces + hours.soft_bounces + hours.policy_rejections + hours.expired)::bigint
FROM fleet.delivery_hours AS hours JOIN fleet.sending_nodes AS node ON node.id = hours.node_id
WHERE hours.hour_at >= :begin_at AND hours.hour_at < :end_at OR hours.hour_at = ANY (:late)
GROUP BY 1, 2
ON CONFLICT (hour_at, region) DO UPDATE SET ended = excluded.ended WHERE known.ended <> excluded.ended
""")

# A region of which nobody speaks gets no row: its depth is not known.
_SET_DEPTHS = text("""
INSERT INTO fleet.demand_hours AS known (hour_at, region, queue_depth)
SELECT CAST(:hour_at AS timestamptz), node.region,
    sum(pulse.queue_active + pulse.queue_deferred + coalesce(pulse.queue_held, 0))
FROM fleet.node_pulses AS pulse JOIN fleet.sending_nodes AS node ON node.id = pulse.node_id
WHERE pulse.received_at >= :since AND node.status <> 'decommissioned'
GROUP BY node.region
HAVING count(pulse.queue_active + pulse.queue_deferred) > 0
ON CONFLICT (hour_at, region) DO UPDATE SET queue_depth = excluded.queue_depth
""")


def read_hours(connection: Connection, since: datetime) -> list[DemandHour]:
    """The fleet's hours from then on, the oldest first, all regions together."""
    rows = connection.execute(
        select(
            d.hour_at,
            func.sum(d.ended).label("ended"),
            func.sum(d.refused).label("refused"),
            func.sum(d.queue_depth).label("queue_depth"),
        )
        .where(d.hour_at >= since)
        .group_by(d.hour_at)
        .order_by(d.hour_at)
    )
    return [
        DemandHour(
            row.hour_at, int(row.ended), int(row.refused), None if row.queue_depth is None else int(row.queue_depth)
        )
        for row in rows
    ]


def count_hours(connection: Connection, now: datetime) -> None:
    """Add up the hours that may have changed, and note what waits now; what was refused stays.

    The last hours each time, from the newest known one on, and those of which agents told late.
    """
    this_hour = hour_of(now)
    newest = connection.scalar(
        select(func.max(d.hour_at)).where(d.hour_at < this_hour, (d.ended > 0) | d.queue_depth.is_not(None))
    )
    begin_at = this_hour - _HISTORY if newest is None else min(newest, this_hour - 2 * _HOUR)
    # Forgotten with this transaction. What is told of such an hour meanwhile waits for its end, and is noted anew.
    late = connection.scalars(delete(late_hours).returning(late_hours.c.hour_at)).all()
    connection.execute(_SUM_HOURS, {"begin_at": begin_at, "end_at": this_hour + _HOUR, "late": list(late)})
    connection.execute(_SET_DEPTHS, {"hour_at": this_hour, "since": now - FRESH_FOR})


def refused_by_region(connection: Connection, since: datetime) -> dict[str, int]:
    """Messages that were turned away from that hour on."""
    rows = connection.execute(
        select(d.region, func.sum(d.refused).label("messages"))
        .where(d.hour_at >= since, d.refused > 0)
        .group_by(d.region)
    )
    return {row.region: int(row.messages) for row in rows}


def present_demand(connection: Connection, now: datetime) -> float | None:
    """Messages that a day asks for, by most of the recent sums; None where nobody measured any."""
    sums = recent_demand(read_hours(connection, now - _RECENT), now)
    return median_low(sums) if sums else None


def fresh_capacity(connection: Connection, now: datetime) -> dict[UUID, int]:
    """What each node in the rotation can send in a day, as measured lately; empty where nobody did."""
    rows = connection.execute(
        select(u.node_id, u.capacity_per_day).where(u.measured_at >= now - FRESH_FOR, u.is_in_rotation)
    )
    return {row.node_id: row.capacity_per_day for row in rows}


def add_refused(connection: Connection, *, region: str, messages: int, at: datetime) -> None:
    """Count messages that the dispatcher turned away for want of allowance, into the hour (UTC) of that moment."""
    row = upsert(demand_hours).values(hour_at=hour_of(at), region=region, refused=messages)
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[d.hour_at, d.region], set_={"refused": d.refused + row.excluded.refused}
        )
    )


def hour_of(moment: datetime) -> datetime:
    """The beginning of the hour (UTC) that holds that moment."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
