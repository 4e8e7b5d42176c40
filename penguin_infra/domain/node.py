"""A sending node's vocabulary: its statuses, and the name its instance carries at the provider.

What may follow what is `lifecycle.py`'s.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address
from uuid import UUID


class NodeStatus(StrEnum):
    """Where a node stands in its life."""

    PROVISIONING = "provisioning"
    WARMING = "warming"
    ACTIVE = "active"
    PAUSED = "paused"
    MAINTENANCE = "maintenance"
    DECOMMISSIONED = "decommissioned"


SENDING_STATUSES = frozenset({NodeStatus.WARMING, NodeStatus.ACTIVE})

# A label is a DNS label (RFC 1123), short enough that fleet name and id still fit beside it into 63 characters.
LABEL_PATTERN = re.compile(r"^[a-z0-9]([a-z0-9-]{0,31}[a-z0-9])?\Z")

# The token tells whose an instance is: the label in its name may lose its end to the number.
_LONGEST_NUMBERED = 29

_INSTANCE_LABEL_PATTERN = re.compile(r"^(?P<fleet>[a-z][a-z0-9]*)-(?P<label>.+)-(?P<token>[0-9a-f]{8})\Z")


@dataclass(frozen=True, slots=True)
class Node:
    """A node as the registry knows it. `hold_reason` says why it is paused; only a request has no `ip_address`."""

    node_id: UUID
    label: str
    region: str
    plan: str
    status: NodeStatus
    provider_id: str | None
    ip_address: IPv4Address | None
    hostname: str | None
    hold_reason: str | None
    requested_by: str
    created_at: datetime
    updated_at: datetime
    # Which instance this is, counted from one: an address that is listed already is given back for another.
    instance_try: int = 1
    # As in known_hosts, pinned when the host was first installed.
    host_key: str | None = None


@dataclass(frozen=True, slots=True)
class InstanceLabel:
    """The name of an instance at the provider: whose it is, and for which node it was asked for.

    The token comes from the node's id, so that no two requests ever share a name, and a request whose answer was lost
    finds its own instance and nobody else's.
    """

    fleet_name: str
    label: str
    token: str

    @classmethod
    def of(cls, *, fleet_name: str, label: str, node_id: UUID, instance_try: int = 1) -> "InstanceLabel":
        """The name for a node's instance: another one for each try, since a provider may call a name spent."""
        if instance_try > 1:
            label = f"{label[:_LONGEST_NUMBERED]}-t{instance_try}"
        return cls(fleet_name, label, token_of(node_id))

    @classmethod
    def parse(cls, text: str) -> "InstanceLabel | None":
        """Read a provider's label; None where it is not of our form (a foreign instance)."""
        match = _INSTANCE_LABEL_PATTERN.match(text)
        return cls(match["fleet"], match["label"], match["token"]) if match else None

    def __str__(self) -> str:
        return f"{self.fleet_name}-{self.label}-{self.token}"


def token_of(node_id: UUID) -> str:
    """The eight hex digits by which a node's instance is told from every other."""
    return node_id.hex[:8]
