"""Where a node is: its instance and plan, address, name and host key. Each write may be repeated; `nodes.py` has more.

Errors: `AddressHeld` (of `nodes.py`).
"""

from datetime import datetime
from ipaddress import IPv4Address
from uuid import UUID

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from penguin_infra.store.nodes import AddressHeld
from penguin_infra.store.tables import ip_tenures, sending_nodes

n = sending_nodes.c


def record_instance(connection: Connection, node_id: UUID, provider_id: str, now: datetime) -> None:
    """Write down which instance is the node's."""
    connection.execute(
        update(sending_nodes)
        .where(n.id == node_id)
        .values(provider_id=provider_id, updated_at=now, version=n.version + 1)
    )


def begin_next_instance(connection: Connection, node_id: UUID, now: datetime) -> None:
    """Forget an instance that was given back: the address's tenure ends, and the next one gets a name of its own."""
    connection.execute(
        update(ip_tenures).where(ip_tenures.c.node_id == node_id, ip_tenures.c.ended_at.is_(None)).values(ended_at=now)
    )
    connection.execute(
        update(sending_nodes)
        .where(n.id == node_id)
        .values(
            provider_id=None,
            ip_address=None,
            host_key=None,
            instance_try=n.instance_try + 1,
            updated_at=now,
            version=n.version + 1,
        )
    )


def record_plan(connection: Connection, node_id: UUID, plan: str, now: datetime) -> None:
    """Write down the plan that the provider says the instance has; a repeat changes nothing."""
    connection.execute(
        update(sending_nodes)
        .where(n.id == node_id, n.plan.is_distinct_from(plan))
        .values(plan=plan, updated_at=now, version=n.version + 1)
    )


def record_hostname(connection: Connection, node_id: UUID, hostname: str, now: datetime) -> None:
    """Write down the node's name; a repeat changes nothing."""
    connection.execute(
        update(sending_nodes)
        .where(n.id == node_id, n.hostname.is_distinct_from(hostname))
        .values(hostname=hostname, updated_at=now, version=n.version + 1)
    )


def record_host_key(connection: Connection, node_id: UUID, host_key: str, now: datetime) -> None:
    """Pin the host's key; a repeat changes nothing."""
    connection.execute(
        update(sending_nodes)
        .where(n.id == node_id, n.host_key.is_distinct_from(host_key))
        .values(host_key=host_key, updated_at=now, version=n.version + 1)
    )


def record_address(connection: Connection, node_id: UUID, ip_address: IPv4Address, now: datetime) -> None:
    """Write down the node's address and begin its tenure; a repeat changes nothing. Raises `AddressHeld`.

    An address that the node had before ends its tenure.
    """
    if connection.scalar(select(n.ip_address).where(n.id == node_id)) == ip_address:
        return
    try:
        with connection.begin_nested():
            connection.execute(
                update(ip_tenures)
                .where(ip_tenures.c.node_id == node_id, ip_tenures.c.ended_at.is_(None))
                .values(ended_at=now)
            )
            connection.execute(insert(ip_tenures).values(node_id=node_id, ip_address=str(ip_address), began_at=now))
    except IntegrityError:
        holder = connection.scalar(
            select(n.label)
            .join_from(ip_tenures, sending_nodes)
            .where(ip_tenures.c.ip_address == str(ip_address), ip_tenures.c.ended_at.is_(None))
        )
        raise AddressHeld(f"{ip_address} is held by {holder}: see `penguin-infra nodes show {holder}`") from None
    connection.execute(
        update(sending_nodes)
        .where(n.id == node_id)
        .values(ip_address=str(ip_address), updated_at=now, version=n.version + 1)
    )
