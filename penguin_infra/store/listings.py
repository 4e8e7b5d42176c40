"""Confirmed listings as events, and the lists that are frozen because they listed too many.

Where each address stands is `listing_states.py`'s; what is done about a listing is the policies'.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address
from uuid import UUID

from sqlalchemy import Connection, String, cast, func, literal_column, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from penguin_infra.domain.listing import Severity
from penguin_infra.domain.node import SENDING_STATUSES
from penguin_infra.domain.policies.pause_listed import ListedNode, OpenListing
from penguin_infra.store.blacklist_tables import (
    blacklist_freezes,
    ip_blacklist_events,
)
from penguin_infra.store.tables import AnyRow, ip_tenures, sending_nodes

e = ip_blacklist_events.c


@dataclass(frozen=True, slots=True)
class ListingEvent:
    """What is recorded of a confirmed listing. `details` holds the raw answer, as the sweep saw it."""

    node_id: UUID
    ip_address: IPv4Address
    zone: str
    list_name: str
    codes: tuple[str, ...]
    severity: Severity
    suspected_at: datetime
    listed_at: datetime
    details: str
    reason: str | None
    operator: str | None = None
    delist_url: str | None = None
    family: str | None = None


def held_addresses(connection: Connection) -> dict[IPv4Address, UUID]:
    """Every IPv4 address that the fleet holds now, with its node."""
    rows = connection.execute(
        # By number: an address is made from one in a fifth of the time that its text takes.
        select(literal_column("ip_address - inet '0.0.0.0'").label("number"), ip_tenures.c.node_id)
        .where(ip_tenures.c.ended_at.is_(None), func.family(ip_tenures.c.ip_address) == 4)
        .order_by(ip_tenures.c.ip_address)
    )
    return {IPv4Address(row.number): row.node_id for row in rows}


def save_event(connection: Connection, event: ListingEvent) -> None:
    """Record a confirmed listing, or other codes of one that is open.

    The rotation drops the address with the commit of this transaction.
    """
    statement = upsert(ip_blacklist_events).values(
        node_id=event.node_id,
        ip_address=str(event.ip_address),
        zone=event.zone,
        blacklist_provider=event.list_name,
        codes=list(event.codes),
        severity=event.severity,
        suspected_at=event.suspected_at,
        listed_at=event.listed_at,
        details=event.details,
        reason=event.reason,
        operator=event.operator,
        delist_url=event.delist_url,
        family=event.family,
    )
    new = statement.excluded
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[e.ip_address, e.zone],
            index_where=e.delisted_at.is_(None),
            set_={
                "codes": new.codes,
                "severity": new.severity,
                "details": new.details,
                "operator": new.operator,
                "delist_url": new.delist_url,
                "family": new.family,
                # The words of the confirmation stay, unless there are newer ones.
                "reason": func.coalesce(new.reason, e.reason),
            },
        )
    )


def close_event(connection: Connection, ip_address: IPv4Address, zone: str, delisted_at: datetime) -> None:
    """Record that a listing ended."""
    connection.execute(
        update(ip_blacklist_events)
        .where(e.ip_address == str(ip_address), e.zone == zone, e.delisted_at.is_(None))
        .values(delisted_at=delisted_at)
    )


def listed_nodes(connection: Connection, node_id: UUID | None = None) -> list[ListedNode]:
    """Sending nodes whose address has an open listing of any severity."""
    query = (
        select(sending_nodes.c.id, sending_nodes.c.label, sending_nodes.c.ip_address, *_LISTING_COLUMNS)
        .join(ip_blacklist_events, e.ip_address == sending_nodes.c.ip_address)
        .where(e.delisted_at.is_(None), sending_nodes.c.status.in_(SENDING_STATUSES))
        .order_by(sending_nodes.c.id, e.listed_at)
    )
    if node_id is not None:
        query = query.where(sending_nodes.c.id == node_id)
    nodes: dict[UUID, list[AnyRow]] = {}
    for row in connection.execute(query):
        nodes.setdefault(row.id, []).append(row)
    return [
        ListedNode(row_id, rows[0].label, rows[0].ip_address, tuple(_listing(row) for row in rows))
        for row_id, rows in nodes.items()
    ]


def open_listings(connection: Connection, node_id: UUID) -> list[OpenListing]:
    """The open listings of a node's address, whatever its status."""
    rows = connection.execute(
        select(*_LISTING_COLUMNS)
        .join(sending_nodes, e.ip_address == sending_nodes.c.ip_address)
        .where(e.delisted_at.is_(None), sending_nodes.c.id == node_id)
        .order_by(e.listed_at)
    )
    return [_listing(row) for row in rows]


def open_events(connection: Connection) -> Sequence[AnyRow]:
    """All open listings of the fleet's nodes, the gravest first."""
    gravity = func.array_position([severity.value for severity in Severity], cast(e.severity, String))
    return connection.execute(
        select(ip_blacklist_events, sending_nodes.c.label, sending_nodes.c.status)
        .join(sending_nodes, e.node_id == sending_nodes.c.id)
        .where(e.delisted_at.is_(None))
        .order_by(gravity, e.listed_at)
    ).all()


def listings_by_day(connection: Connection, *, days: int, now: datetime) -> dict[str, list[int]]:
    """How many listings were open on each list in each of the last days, the present one last."""
    rows = connection.execute(_BY_DAY, {"days": days, "now": now})
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(row.zone, []).append(row.open)
    return found


def freeze_list(connection: Connection, zone: str, *, reason: str, now: datetime) -> bool:
    """Stop a list from pausing anybody until a person lifts it; False where it was frozen already."""
    frozen_id = connection.scalar(
        upsert(blacklist_freezes)
        .values(zone=zone, reason=reason, frozen_at=now)
        .on_conflict_do_nothing()
        # Not `rowcount`: SQLAlchemy keeps none of an insert.
        .returning(blacklist_freezes.c.id)
    )
    return frozen_id is not None


def lift_freeze(connection: Connection, zone: str, *, requested_by: str, now: datetime) -> bool:
    """Trust a list again; False where it was not frozen."""
    freezes = blacklist_freezes.c
    result = connection.execute(
        update(blacklist_freezes)
        .where(freezes.zone == zone, freezes.lifted_at.is_(None))
        .values(lifted_at=now, lifted_by=requested_by)
    )
    return result.rowcount > 0


def open_freezes(connection: Connection) -> Sequence[AnyRow]:
    """The lists that are frozen, since when and why."""
    query = select(blacklist_freezes).where(blacklist_freezes.c.lifted_at.is_(None))
    return connection.execute(query.order_by(blacklist_freezes.c.zone)).all()


# A listing counts on every day on which it was open for any time.
_BY_DAY = text(
    """
    SELECT list.zone, day, (
        SELECT count(*) FROM fleet.ip_blacklist_events AS event
        WHERE event.zone = list.zone AND event.listed_at < day + interval '1 day'
            AND (event.delisted_at IS NULL OR event.delisted_at >= day)) AS open
    FROM (SELECT DISTINCT zone FROM fleet.ip_blacklist_events
          WHERE delisted_at IS NULL OR delisted_at > CAST(:now AS timestamptz) - make_interval(days => :days)) AS list
    CROSS JOIN generate_series(
        date_trunc('day', CAST(:now AS timestamptz), 'UTC') - make_interval(days => :days - 1),
        CAST(:now AS timestamptz), interval '1 day') AS day
    ORDER BY list.zone, day
    """
)

_LISTING_COLUMNS = (
    e.zone,
    e.severity,
    e.codes,
    e.listed_at,
    e.operator,
    select(blacklist_freezes.c.id)
    .where(blacklist_freezes.c.zone == e.zone, blacklist_freezes.c.lifted_at.is_(None))
    .correlate(ip_blacklist_events)
    .exists()
    .label("is_frozen"),
)


def _listing(row: AnyRow) -> OpenListing:
    return OpenListing(row.zone, Severity(row.severity), tuple(row.codes), row.listed_at, row.is_frozen, row.operator)
