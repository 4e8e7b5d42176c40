"""What the provider's listing showed last, and where the registry differs from it. The comparison is the domain's."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, fields
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert

from penguin_infra.domain.inventory import Drift, DriftKind, RegisteredNode, SeenInstance
from penguin_infra.domain.node import NodeStatus
from penguin_infra.store.tables import AnyRow, instance_drift, provider_instances, sending_nodes

p = provider_instances.c
d = instance_drift.c
n = sending_nodes.c


def replace_listing(connection: Connection, instances: Iterable[SeenInstance], seen_at: datetime) -> None:
    """Keep the provider's whole listing in place of the last one."""
    rows = [
        asdict(instance) | {"ip_address": str(instance.ip_address) if instance.ip_address else None, "seen_at": seen_at}
        for instance in instances
    ]
    connection.execute(delete(provider_instances))
    if rows:
        connection.execute(insert(provider_instances), rows)


def read_listing(connection: Connection) -> tuple[list[SeenInstance], datetime | None]:
    """The listing as kept, and when it was taken (None: never, or it was empty)."""
    rows = connection.execute(select(provider_instances)).mappings().all()
    names = [field.name for field in fields(SeenInstance)]
    instances = [SeenInstance(**{name: row[name] for name in names}) for row in rows]
    return instances, max((row["seen_at"] for row in rows), default=None)


def registered_nodes(connection: Connection, listing_taken_at: datetime) -> list[RegisteredNode]:
    """The registry, each node with whether the listing is too old to judge it by."""
    rows = connection.execute(select(n.id, n.label, n.status, n.provider_id, n.plan, n.ip_address, n.updated_at))
    return [
        RegisteredNode(
            node_id=row.id,
            label=row.label,
            status=NodeStatus(row.status),
            provider_id=row.provider_id,
            plan=row.plan,
            ip_address=row.ip_address,
            is_unsettled=row.updated_at >= listing_taken_at or row.status == NodeStatus.PROVISIONING,
        )
        for row in rows
    ]


def save_drift(connection: Connection, drifts: Sequence[Drift], now: datetime) -> None:
    """Record the differences: new ones open, those seen before go on, those that are gone are resolved."""
    still_open = [(drift.kind.value, drift.provider_id) for drift in drifts]
    connection.execute(
        update(instance_drift)
        .where(d.resolved_at.is_(None), tuple_(d.kind, d.provider_id).not_in(still_open))
        .values(resolved_at=now)
    )
    if not drifts:
        return
    statement = upsert(instance_drift)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[d.kind, d.provider_id],
            index_where=d.resolved_at.is_(None),
            set_={"last_seen_at": now, "detail": statement.excluded.detail},
        ),
        [
            {
                "kind": drift.kind,
                "node_id": drift.node_id,
                "provider_id": drift.provider_id,
                "detail": drift.detail,
                "first_seen_at": now,
                "last_seen_at": now,
            }
            for drift in drifts
        ],
    )


def resolve_orphans(connection: Connection, provider_ids: Collection[str], now: datetime) -> None:
    """Close the orphans that were destroyed."""
    connection.execute(
        update(instance_drift)
        .where(d.kind == DriftKind.ORPHAN, d.provider_id.in_(provider_ids), d.resolved_at.is_(None))
        .values(resolved_at=now)
    )


def stranger_orphans(connection: Connection, *, since: datetime) -> list[SeenInstance]:
    """Instances of ours that no node asked for, and that have been seen as such since then, or longer."""
    names = [field.name for field in fields(SeenInstance)]
    rows = connection.execute(
        select(provider_instances)
        .join(instance_drift, d.provider_id == p.provider_id)
        .where(d.kind == DriftKind.ORPHAN, d.node_id.is_(None), d.resolved_at.is_(None), d.first_seen_at <= since)
        .order_by(p.created_at)
    ).mappings()
    return [SeenInstance(**{name: row[name] for name in names}) for row in rows]


def open_drift(connection: Connection) -> Sequence[AnyRow]:
    """The differences that stand, oldest first."""
    return connection.execute(
        select(instance_drift, n.label)
        .join(sending_nodes, d.node_id == n.id, isouter=True)
        .where(d.resolved_at.is_(None))
        .order_by(d.first_seen_at)
    ).all()


def counts_by_status(connection: Connection) -> dict[str, int]:
    """Nodes per status."""
    return {
        row.status: row.nodes
        for row in connection.execute(select(n.status, func.count().label("nodes")).group_by(n.status))
    }
