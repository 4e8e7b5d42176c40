"""The DNS records that we made or are about to make: nothing else is ever removed.

A record is written down before it is published, so that no crash leaves one that nobody knows of.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.node_names import NamedRecord, find_stray
from penguin_infra.store.installation_tables import dns_records
from penguin_infra.store.tables import sending_nodes

d = dns_records.c
n = sending_nodes.c


def want_records(connection: Connection, node_id: UUID, records: Iterable[NamedRecord], now: datetime) -> None:
    """Write down what is about to be published; a repeat changes nothing."""
    rows = [record._asdict() | {"node_id": node_id, "wanted_at": now} for record in records]
    if rows:
        connection.execute(insert(dns_records).on_conflict_do_nothing(), rows)


def live_records(connection: Connection, node_id: UUID) -> list[NamedRecord]:
    """A node's records that are, or may be, published."""
    query = select(d.name, d.rdtype, d.value).where(d.node_id == node_id, d.removed_at.is_(None)).order_by(d.wanted_at)
    return [NamedRecord(*row) for row in connection.execute(query)]


def mark_published(connection: Connection, node_id: UUID, records: Collection[NamedRecord], now: datetime) -> None:
    """They were read back."""
    connection.execute(update(dns_records).where(_these(node_id, records)).values(published_at=now))


def mark_removed(connection: Connection, node_id: UUID, records: Collection[NamedRecord], now: datetime) -> None:
    """They were taken away, and seen to be gone."""
    connection.execute(update(dns_records).where(_these(node_id, records)).values(removed_at=now))


def stray_records(connection: Connection) -> dict[UUID, list[NamedRecord]]:
    """By node, the records that outlived it, or that name what it no longer has. A request under way has none."""
    rows = connection.execute(
        select(d.node_id, d.name, d.rdtype, d.value, n.status, n.hostname, n.ip_address)
        .join_from(dns_records, sending_nodes)
        .where(d.removed_at.is_(None), n.status != NodeStatus.PROVISIONING)
        .order_by(d.node_id, d.wanted_at)
    )
    found: dict[UUID, list[NamedRecord]] = {}
    for row in rows:
        is_gone = row.status == NodeStatus.DECOMMISSIONED
        record = NamedRecord(row.name, row.rdtype, row.value)
        hostname, ip_address = (None, None) if is_gone else (row.hostname, row.ip_address)
        if find_stray([record], hostname=hostname, ip_address=ip_address):
            found.setdefault(row.node_id, []).append(record)
    return found


def _these(node_id: UUID, records: Collection[NamedRecord]) -> ColumnElement[bool]:
    named = tuple_(d.name, d.rdtype, d.value).in_([tuple(record) for record in records])
    return (d.node_id == node_id) & d.removed_at.is_(None) & named
