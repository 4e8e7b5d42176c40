"""The registry held against the provider: which instances are unknown, missing or not as we believe.

Foreign instances (not of this fleet's name) are counted and otherwise left alone, always.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address
from uuid import UUID

from penguin_infra.domain.node import InstanceLabel, NodeStatus, token_of
from penguin_infra.domain.node_names import NamedRecord


class DriftKind(StrEnum):
    """How registry and provider can differ."""

    ORPHAN = "orphan"  # the provider bills an instance of ours that no living node holds
    GHOST = "ghost"  # a living node's instance is not at the provider
    CHANGED_ADDRESS = "changed_address"
    CHANGED_PLAN = "changed_plan"
    STRAY_RECORD = "stray_record"  # a DNS record that we made has outlived its node or its address


@dataclass(frozen=True, slots=True)
class SeenInstance:
    """An instance as the provider's listing shows it."""

    provider_id: str
    label: str
    region: str
    plan: str
    status: str
    ip_address: IPv4Address | None
    created_at: datetime
    extra_addresses: int = 0


@dataclass(frozen=True, slots=True)
class RegisteredNode:
    """A node as the registry knows it, of any status.

    `is_unsettled`: it changed after the listing was taken, or its request is under way, so nothing can be said yet.
    """

    node_id: UUID
    label: str
    status: NodeStatus
    provider_id: str | None
    plan: str
    ip_address: IPv4Address | None
    is_unsettled: bool

    @property
    def holds_instance(self) -> bool:
        """Whether an instance at the provider should be this node's."""
        return self.provider_id is not None and self.status is not NodeStatus.DECOMMISSIONED


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference, with both sides of it."""

    kind: DriftKind
    node_id: UUID | None
    provider_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """All differences, and how many instances are not this fleet's."""

    drifts: tuple[Drift, ...]
    foreign_count: int


def compare(nodes: Collection[RegisteredNode], instances: Iterable[SeenInstance], *, fleet_name: str) -> Comparison:
    """Hold the registry against the provider's listing."""
    seen = {instance.provider_id: instance for instance in instances}
    living = {node.provider_id: node for node in nodes if node.provider_id and node.holds_instance}
    by_token = {token_of(node.node_id): node for node in nodes}
    drifts: list[Drift] = []
    foreign_count = 0

    for instance in seen.values():
        if holder := living.get(instance.provider_id):
            drifts += [] if holder.is_unsettled else _changes(holder, instance)
            continue
        name = InstanceLabel.parse(instance.label)
        if name is None or name.fleet_name != fleet_name:
            foreign_count += 1
            continue
        asker = by_token.get(name.token)
        if asker is None or not asker.is_unsettled:
            drifts.append(_orphan(instance, asker))

    drifts += [
        Drift(DriftKind.GHOST, node.node_id, provider_id, f"{node.label} ({node.status}) has no instance {provider_id}")
        for provider_id, node in living.items()
        if provider_id not in seen and not node.is_unsettled
    ]
    return Comparison(tuple(drifts), foreign_count)


def owners_of(
    nodes: Iterable[RegisteredNode], instances: Iterable[SeenInstance], *, fleet_name: str
) -> dict[str, UUID]:
    """The node that each instance was asked for, by the provider's id; of orphans and foreign ones none."""
    by_token = {token_of(node.node_id): node.node_id for node in nodes}
    named = {instance.provider_id: InstanceLabel.parse(instance.label) for instance in instances}
    return {
        provider_id: by_token[name.token]
        for provider_id, name in named.items()
        if name and name.fleet_name == fleet_name and name.token in by_token
    }


def stray(node: RegisteredNode, records: Iterable[NamedRecord]) -> Drift:
    """The records that a node left behind, as one difference."""
    named = ", ".join(f"{record.rdtype} {record.name} {record.value}" for record in records)
    return Drift(
        DriftKind.STRAY_RECORD, node.node_id, node.provider_id or node.label, f"{node.label} ({node.status}): {named}"
    )


def _orphan(instance: SeenInstance, asker: RegisteredNode | None) -> Drift:
    whose = f"{asker.label} is {asker.status} and does not hold it" if asker else "no node of the registry asked for it"
    return Drift(
        DriftKind.ORPHAN,
        asker.node_id if asker else None,
        instance.provider_id,
        f"{instance.label} is billed at the provider, but {whose}",
    )


def _changes(node: RegisteredNode, instance: SeenInstance) -> list[Drift]:
    changes = []
    if node.ip_address != instance.ip_address:
        detail = f"registry {node.ip_address}, provider {instance.ip_address}"
        changes.append(Drift(DriftKind.CHANGED_ADDRESS, node.node_id, instance.provider_id, detail))
    if node.plan != instance.plan:
        detail = f"registry {node.plan}, provider {instance.plan}"
        changes.append(Drift(DriftKind.CHANGED_PLAN, node.node_id, instance.provider_id, detail))
    return changes
