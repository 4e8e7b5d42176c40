"""Blacklists' health as it is remembered: by zone, resolver and address family, with every change of it.

How a quarantine begins and ends is `domain/list_health.py`'s.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta

from sqlalchemy import Connection, case, func, select, text

from penguin_infra.domain.list_health import Fault, HealthKey, ListFault, ListHealth
from penguin_infra.store.blacklist_tables import blacklist_health, blacklist_health_changes, blacklist_paces
from penguin_infra.store.tables import AnyRow

h = blacklist_health.c
c = blacklist_health_changes.c
p = blacklist_paces.c

# A list that is not asked any more says nothing about itself. Sweeps are minutes apart: an hour is many of them.
ASKED_WITHIN = timedelta(hours=1)

# `since` moves only when health does; a fault that turns into another is history, not a new quarantine.
_SAVE = text(
    """
    WITH seen AS (
        SELECT * FROM jsonb_to_recordset(CAST(:seen AS jsonb)) AS one (
            zone text, resolver text, ip_version smallint, is_healthy boolean, fault text, reason text,
            passes smallint, checked_at timestamptz)
    ), former AS (
        SELECT known.* FROM fleet.blacklist_health AS known JOIN seen USING (zone, resolver, ip_version)
    ), told AS (
        INSERT INTO fleet.blacklist_health_changes
            (zone, resolver, ip_version, is_healthy, fault, reason, happened_at)
        SELECT seen.zone, seen.resolver, seen.ip_version, seen.is_healthy, seen.fault, seen.reason, seen.checked_at
        FROM seen LEFT JOIN former USING (zone, resolver, ip_version)
        WHERE CASE WHEN former.zone IS NULL THEN NOT seen.is_healthy
            ELSE (seen.is_healthy, seen.fault) IS DISTINCT FROM (former.is_healthy, former.fault) END
        ORDER BY seen.zone, seen.resolver, seen.ip_version
    )
    INSERT INTO fleet.blacklist_health AS known
        (zone, resolver, ip_version, is_healthy, fault, reason, passes, since, checked_at)
    SELECT zone, resolver, ip_version, is_healthy, fault, reason, passes, checked_at, checked_at FROM seen
    ON CONFLICT (zone, resolver, ip_version) DO UPDATE
    SET is_healthy = excluded.is_healthy, fault = excluded.fault, reason = excluded.reason, passes = excluded.passes,
        checked_at = excluded.checked_at,
        since = CASE WHEN known.is_healthy = excluded.is_healthy THEN known.since ELSE excluded.since END
    """
)


def save_health(connection: Connection, seen: Iterable[ListHealth]) -> None:
    """Write down how lists do, and what changed of that."""
    rows = [
        {
            "zone": one.zone,
            "resolver": one.resolver,
            "ip_version": one.ip_version,
            "is_healthy": one.is_healthy,
            "fault": one.fault.kind if one.fault else None,
            "reason": one.fault.reason if one.fault else None,
            "passes": one.passes,
            "checked_at": one.checked_at.isoformat(),
        }
        for one in {one.key: one for one in seen}.values()
    ]
    if rows:
        connection.execute(_SAVE, {"seen": json.dumps(rows)})


def load_health(connection: Connection, zones: Collection[str]) -> dict[HealthKey, ListHealth]:
    """How these lists did when last looked at."""
    return {one.key: one for one in map(_health, list_health(connection, zones))}


def list_health(connection: Connection, zones: Collection[str] | None = None) -> Sequence[AnyRow]:
    """How the lists did at their test points when last asked, the ill ones first."""
    query = select(blacklist_health).order_by(h.is_healthy, h.zone, h.resolver, h.ip_version)
    if zones is not None:
        query = query.where(h.zone.in_(zones))
    return connection.execute(query).all()


def ill_lists(connection: Connection) -> Sequence[AnyRow]:
    """Lists that fail their test points, by resolver, among the lists and resolvers that are still asked."""
    newest = select(h.zone, func.max(h.checked_at).label("checked_at")).group_by(h.zone).subquery()
    any_newest = select(func.max(h.checked_at)).scalar_subquery()
    # A list with a small budget is asked a few times a day: it is over with it only when it has no turn any more.
    is_asked = case(
        (p.zone.is_(None), h.checked_at >= any_newest - ASKED_WITHIN), else_=p.interval_seconds.is_not(None)
    )
    query = (
        select(blacklist_health)
        .join(newest, newest.c.zone == h.zone)
        .join(blacklist_paces, p.zone == h.zone, isouter=True)
        .where(~h.is_healthy, is_asked, h.checked_at >= newest.c.checked_at - ASKED_WITHIN)
    )
    return connection.execute(query.order_by(h.zone, h.since, h.resolver)).all()


def health_changes(connection: Connection, *, limit: int = 25) -> Sequence[AnyRow]:
    """The newest changes of any list's health."""
    return connection.execute(select(blacklist_health_changes).order_by(c.id.desc()).limit(limit)).all()


def fault_kind(row: AnyRow) -> ListFault:
    """What is wrong with an ill list; rows of before faults had kinds say only that something is."""
    return ListFault(row.fault) if row.fault else ListFault.SERVER_ERROR


def _health(row: AnyRow) -> ListHealth:
    fault = None
    if not row.is_healthy:
        fault = Fault(fault_kind(row), row.reason)
    return ListHealth(row.zone, row.resolver, row.ip_version, row.checked_at, fault, row.passes)
