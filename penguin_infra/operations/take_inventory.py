"""Take stock: keep the provider's listing, and hold the registry against it. Nothing is created or destroyed here."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Engine

from penguin_infra.domain.inventory import Comparison, compare, owners_of, stray
from penguin_infra.hostwind.provider import Instance, NodeProvider
from penguin_infra.operations.instances import as_seen
from penguin_infra.store import instance_spells, inventory, published_names


def refresh_listing(engine: Engine, provider: NodeProvider, now: datetime) -> list[Instance]:
    """Ask the provider for all its instances and keep the answer; `now` is the time just before asking."""
    instances = provider.list_instances()
    with engine.begin() as connection:
        inventory.replace_listing(connection, map(as_seen, instances), now)
    return instances


def compare_inventory(engine: Engine, *, fleet_name: str, now: datetime) -> Comparison:
    """Hold the registry against the listing as kept, and record what differs, and what is billed.

    A listing that is empty, or was never taken, makes nobody a ghost: nothing is concluded while nodes hold instances.
    """
    with engine.begin() as connection:
        instances, taken_at = inventory.read_listing(connection)
        nodes = inventory.registered_nodes(connection, taken_at or now)
        if taken_at is None and any(node.holds_instance for node in nodes):
            return Comparison((), 0)
        owners = owners_of(nodes, instances, fleet_name=fleet_name)
        instance_spells.observe(connection, instances, owners, taken_at or now)
        comparison = compare(nodes, instances, fleet_name=fleet_name)
        by_id = {node.node_id: node for node in nodes}
        strays = [
            stray(by_id[node_id], records)
            for node_id, records in published_names.stray_records(connection).items()
            if not by_id[node_id].is_unsettled
        ]
        comparison = replace(comparison, drifts=(*comparison.drifts, *strays))
        inventory.save_drift(connection, comparison.drifts, now)
    return comparison
