"""Demand's memory: what the fleet was asked for, an hour and region a row, and what its nodes could send of it lately.

What the sums mean is `domain/demand.py`'s; who measures them, `operations/measure_capacity.py`'s.
"""

from datetime import UTC, datetime, timedelta
from statistics import median_low
from uuid import UUID

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from penguin_infra.domain.demand import DemandHour, recent_demand
from penguin_infra.store.capacity_tables import capacity_utilisation, demand_hours

d = demand_hours.c
u = capacity_utilisation.c

# Ten missed rounds of a minute: what is older says nothing about now.
FRESH_FOR = timedelta(minutes=10)

# As far as a present sum, its queue at both ends and all its samples reach.
_RECENT = timedelta(hours=54)


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
    hour_at = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    row = upsert(demand_hours).values(hour_at=hour_at, region=region, refused=messages)
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[d.hour_at, d.region], set_={"refused": d.refused + row.excluded.refused}
        )
    )
