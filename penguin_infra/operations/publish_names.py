"""Publish a node's names: A and SPF in the fleet's zone, the reverse name at the provider, and see that they agree.

Every record is written down before it is made (`store/published_names.py`), so that a crash leaves none unknown.
Taking them away is `leave_node.py`'s.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from ipaddress import IPv4Address

from sqlalchemy import Connection

from penguin_infra.dns_records.publisher import DnsUnavailable, Record
from penguin_infra.domain.node import Node
from penguin_infra.domain.node_names import PTR, NamedRecord, forward_records, reverse_record
from penguin_infra.operations.node_steps import Done, StepImpossible, do_step, in_seconds, wait
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.operations.provision_node import PUBLISH_DNS
from penguin_infra.operations.provision_parts import ProvisionParts
from penguin_infra.store import node_places, published_names


def publish_dns(work: NodeWork, parts: ProvisionParts) -> None:
    """Publish the names and wait until address and name lead to each other, as receivers will check.

    Raises `RecordTaken` where somebody else has the name; `StepImpossible` where the reverse zone stays behind.
    """

    def act(node: Node, since: datetime) -> Done:
        if node.ip_address is None or node.provider_id is None:
            raise StepImpossible(f"{node.label} has no address on record")
        hostname, ip_address = parts.hostname_of(node.label), node.ip_address
        forward, reverse = forward_records(hostname, ip_address), reverse_record(hostname, ip_address)
        with work.engine.begin() as connection:
            node_places.record_hostname(connection, node.node_id, hostname, work.clock.now())
        publish_records(work, parts, forward, also_wanted=[reverse])
        work.say(f"{hostname} is {ip_address}; asking the provider for the reverse name")
        work.provider.set_reverse_name(node.provider_id, ip_address, hostname)
        _await_agreement(work, parts, hostname, ip_address, since)

        def record(connection: Connection) -> None:
            published_names.mark_published(connection, node.node_id, [*forward, reverse], work.clock.now())

        return Done({"hostname": hostname, "ip_address": str(ip_address)}, record)

    do_step(work, PUBLISH_DNS, act)


def publish_records(
    work: NodeWork,
    parts: ProvisionParts,
    records: Iterable[NamedRecord],
    *,
    also_wanted: Iterable[NamedRecord] = (),
) -> None:
    """Write down, then publish, and read back at the authoritative server."""
    records = list(records)
    with work.engine.begin() as connection:
        before = published_names.live_records(connection, work.node_id)
        published_names.want_records(connection, work.node_id, [*records, *also_wanted], work.clock.now())
    work.lock.check()
    parts.dns.publish(in_zone(records), ours=in_zone(before))


def in_zone(records: Iterable[NamedRecord]) -> list[Record]:
    """Those that stand in the fleet's own zone: reverse names are the provider's."""
    return [
        Record(record.name, "A" if record.rdtype == "A" else "TXT", record.value)
        for record in records
        if record.rdtype != PTR
    ]


def _await_agreement(
    work: NodeWork, parts: ProvisionParts, hostname: str, ip_address: IPv4Address, since: datetime
) -> None:
    """Wait until the reverse name is the host's and the host's address is this: reverse zones take their time."""
    deadline_at = since + timedelta(minutes=work.limits.dns_timeout_minutes)
    while True:
        waited = in_seconds(work.clock.now() - since)
        try:
            names, addresses = parts.names.reverse_names(ip_address), parts.names.addresses(hostname)
            if names == {hostname} and addresses == {str(ip_address)}:
                work.say(f"{ip_address} and {hostname} lead to each other after {waited}")
                return
            seen = (
                f"{ip_address} is named {', '.join(sorted(names)) or 'nothing'}, and "
                f"{hostname} is {', '.join(sorted(addresses)) or 'nowhere'}"
            )
        except DnsUnavailable as error:
            seen = str(error)
        progress = f"{seen}; waited {waited} of {work.limits.dns_timeout_minutes:g} min"
        if work.clock.now() >= deadline_at:
            raise StepImpossible(f"{progress}. Slower reverse zones need a longer [provisioning] dns_timeout_minutes")
        wait(work, PUBLISH_DNS, progress)
