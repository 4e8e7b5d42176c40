"""What a node leaves behind, taken away in reverse order: its token, its names, its instance.

Steps that releasing a failed request and decommissioning a node share; each may be repeated at any point. Only what is
written down as ours, or carries the node's own label at the provider, is touched.
"""

from datetime import datetime

from sqlalchemy import Connection

from penguin_infra.dns_records.publisher import DnsPublisher
from penguin_infra.domain.node import InstanceLabel, Node, NodeStatus, token_of
from penguin_infra.domain.node_names import PTR, NamedRecord, find_stray
from penguin_infra.hostwind.provider import Instance
from penguin_infra.operations.instances import destroy_instances, note_billed
from penguin_infra.operations.node_steps import Done, StepImpossible, do_step
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.operations.publish_names import in_zone
from penguin_infra.store import credentials, inventory, published_names

REVOKE_ACCESS = "revoke_access"
REMOVE_RECORDS = "remove_records"
DESTROY_INSTANCE = "destroy_instance"
LEAVING_STEPS = (REVOKE_ACCESS, REMOVE_RECORDS, DESTROY_INSTANCE)

# A node in one of these keeps what is its own, whatever is cleared away around it.
KEEPING = frozenset({NodeStatus.WARMING, NodeStatus.ACTIVE, NodeStatus.PAUSED, NodeStatus.MAINTENANCE})


def revoke_access(work: NodeWork, *, is_leaving: bool = False) -> None:
    """End the node's tokens: nothing speaks for it any more. A node in service keeps its own, unless it is leaving."""

    def act(node: Node, _since: datetime) -> Done:
        if _keeps(node, is_leaving=is_leaving):
            return Done({"ended": 0})

        def record(connection: Connection) -> None:
            credentials.end_tokens(connection, node.node_id, work.clock.now())

        return Done({}, record)

    do_step(work, REVOKE_ACCESS, act)


def remove_records(work: NodeWork, dns: DnsPublisher | None, *, is_leaving: bool = False) -> None:
    """Take the node's records out of the zone, exactly those that we made; raises `DnsError`s.

    Of a node in service only those that it no longer asks for, unless it is leaving.
    """

    def act(node: Node, _since: datetime) -> Done:
        with work.engine.connect() as connection:
            live = published_names.live_records(connection, node.node_id)
        doomed = _doomed(node, live, is_leaving=is_leaving)
        in_our_zone = [record for record in doomed if record.rdtype != PTR]
        if in_our_zone and dns is None:
            raise StepImpossible(
                f"{len(in_our_zone)} records of {node.label} stand in DNS, and no zone is configured: set "
                "PENGUIN_DNS_ZONE, PENGUIN_DNS_SERVER and its key"
            )
        if in_our_zone and dns is not None:
            work.say(f"removing {', '.join(f'{record.rdtype} {record.name}' for record in in_our_zone)}")
            dns.remove(in_zone(in_our_zone))

        def record(connection: Connection) -> None:
            if in_our_zone:
                published_names.mark_removed(connection, node.node_id, in_our_zone, work.clock.now())

        return Done({"removed": [" ".join(record) for record in in_our_zone]}, record)

    do_step(work, REMOVE_RECORDS, act)


def destroy_instance(work: NodeWork, *, is_leaving: bool = False) -> None:
    """Destroy what the provider holds under the node's name, and see that it is gone; its reverse name goes with it.

    The instance of a node in service stays, unless the node is leaving. Nothing of another label is ever touched.
    """

    def act(node: Node, _since: datetime) -> Done:
        keeps = _keeps(node, is_leaving=is_leaving)
        asked_at = work.clock.now()
        instances = _instances_of(work, node)
        note_billed(work, instances, asked_at)
        found = {instance.provider_id for instance in instances}
        # One on record whose label was changed at the provider by hand is ours all the same.
        found |= {node.provider_id} if node.provider_id else set()
        if keeps and node.provider_id:
            found.discard(node.provider_id)
        destroyed = destroy_instances(work, found)

        def record(connection: Connection) -> None:
            now = work.clock.now()
            live = published_names.live_records(connection, node.node_id)
            reverse = [one for one in _doomed(node, live, is_leaving=is_leaving) if one.rdtype == PTR]
            if reverse:
                published_names.mark_removed(connection, node.node_id, reverse, now)
            # Known to be gone: the next inventory is minutes away, and would be asked to release it again until then.
            inventory.resolve_orphans(connection, destroyed, now)

        return Done({"destroyed": destroyed}, record)

    do_step(work, DESTROY_INSTANCE, act)


def _keeps(node: Node, *, is_leaving: bool) -> bool:
    return node.status in KEEPING and not is_leaving


def _doomed(node: Node, live: list[NamedRecord], *, is_leaving: bool) -> list[NamedRecord]:
    if _keeps(node, is_leaving=is_leaving):
        return find_stray(live, hostname=node.hostname, ip_address=node.ip_address)
    return find_stray(live, hostname=None, ip_address=None)


def _instances_of(work: NodeWork, node: Node) -> list[Instance]:
    found = []
    for instance in work.provider.list_instances():
        name = InstanceLabel.parse(instance.label)
        if name and name.fleet_name == work.fleet_name and name.token == token_of(node.node_id):
            found.append(instance)
    return found
