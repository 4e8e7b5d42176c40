"""Addresses that were given back because a list had them: the evidence, one row an instance and list."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from penguin_infra.domain.node import Node
from penguin_infra.store.installation_tables import address_rejections
from penguin_infra.store.tables import AnyRow

r = address_rejections.c


class Listing(Protocol):
    """A list that has the address."""

    @property
    def zone(self) -> str:
        """The list."""
        ...

    @property
    def codes(self) -> Sequence[str]:
        """Its codes for the address."""
        ...


def reject(connection: Connection, node: Node, listings: Iterable[Listing], now: datetime) -> None:
    """Write down why the node's present address is not taken."""
    rows = [
        {
            "node_id": node.node_id,
            "instance_try": node.instance_try,
            "provider_id": node.provider_id,
            "ip_address": str(node.ip_address),
            "zone": listing.zone,
            "codes": list(listing.codes),
            "rejected_at": now,
        }
        for listing in listings
    ]
    connection.execute(insert(address_rejections).on_conflict_do_nothing(), rows)


def zones_of(connection: Connection, node_id: UUID, instance_try: int) -> list[str]:
    """The lists that this try's address was rejected for."""
    query = select(r.zone).where(r.node_id == node_id, r.instance_try == instance_try).order_by(r.zone)
    return list(connection.scalars(query))


def list_rejections(connection: Connection, node_id: UUID) -> list[AnyRow]:
    """All rejections of a node's addresses, oldest first."""
    query = select(address_rejections).where(r.node_id == node_id).order_by(r.instance_try, r.zone)
    return list(connection.execute(query))
