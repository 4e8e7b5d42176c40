"""Blacklists' memory: the state of each address on each list, confirmed listings as events, and lists that are unwell.

How a look advances a state is `domain/listing_advance.py`'s; what is done about a listing is the policies'.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from ipaddress import IPv4Address
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Connection, String, cast, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from penguin_infra.domain.listing import Severity
from penguin_infra.domain.listing_state import ListingState
from penguin_infra.domain.node import SENDING_STATUSES
from penguin_infra.domain.policies.pause_listed import ListedNode, OpenListing
from penguin_infra.store.blacklist_tables import (
    blacklist_freezes,
    blacklist_health,
    blacklist_states,
    ip_blacklist_events,
)
from penguin_infra.store.tables import AnyRow, ip_tenures, sending_nodes

StateKey = tuple[IPv4Address, str]

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


def held_addresses(connection: Connection) -> dict[IPv4Address, UUID]:
    """Every address that the fleet holds now, with its node."""
    rows = connection.execute(
        select(ip_tenures.c.ip_address, ip_tenures.c.node_id)
        .where(ip_tenures.c.ended_at.is_(None))
        .order_by(ip_tenures.c.ip_address)
    )
    return {row.ip_address: row.node_id for row in rows}


def load_states(connection: Connection) -> dict[StateKey, ListingState]:
    """Where every address that the fleet holds stands on every list it was asked on."""
    rows = connection.execute(
        select(blacklist_states.c.ip_address, blacklist_states.c.zone, blacklist_states.c.facts).join(
            ip_tenures,
            (ip_tenures.c.ip_address == blacklist_states.c.ip_address) & ip_tenures.c.ended_at.is_(None),
        )
    )
    return {(row.ip_address, row.zone): _state_adapter().validate_python(row.facts) for row in rows}


def save_states(connection: Connection, states: Mapping[StateKey, ListingState], now: datetime) -> None:
    """Write states down, whole."""
    if not states:
        return
    statement = upsert(blacklist_states)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[blacklist_states.c.ip_address, blacklist_states.c.zone],
            set_={name: statement.excluded[name] for name in ("state", "since", "facts", "updated_at")},
        ),
        [
            {
                "ip_address": str(ip_address),
                "zone": zone,
                "state": state.status.value,
                "since": state.since,
                "facts": _state_adapter().dump_python(state, mode="json"),
                "updated_at": now,
            }
            for (ip_address, zone), state in states.items()
        ],
    )


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
    )
    new = statement.excluded
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[e.ip_address, e.zone],
            index_where=e.delisted_at.is_(None),
            set_={"codes": new.codes, "severity": new.severity, "details": new.details},
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


def list_health(connection: Connection, zones: Collection[str] | None = None) -> Sequence[AnyRow]:
    """How the lists did at their test points when last asked."""
    query = select(blacklist_health).order_by(blacklist_health.c.zone, blacklist_health.c.resolver)
    if zones is not None:
        query = query.where(blacklist_health.c.zone.in_(zones))
    return connection.execute(query).all()


_LISTING_COLUMNS = (
    e.zone,
    e.severity,
    e.codes,
    e.listed_at,
    select(blacklist_freezes.c.id)
    .where(blacklist_freezes.c.zone == e.zone, blacklist_freezes.c.lifted_at.is_(None))
    .correlate(ip_blacklist_events)
    .exists()
    .label("is_frozen"),
)


def _listing(row: AnyRow) -> OpenListing:
    return OpenListing(row.zone, Severity(row.severity), tuple(row.codes), row.listed_at, row.is_frozen)


@cache
def _state_adapter() -> TypeAdapter[ListingState]:
    return TypeAdapter(ListingState)
