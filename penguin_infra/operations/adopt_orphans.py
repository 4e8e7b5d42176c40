"""Take an instance that carries our name, and that no node of the registry asked for, into the registry.

Such a one comes from a registry that was restored from an older copy, or was made by hand. It becomes a request whose
instance is there already: it is screened, named, installed, verified and admitted like any other, and released where
that fails. Many at once are a registry that lost its memory: then a person is asked, by the orphans' alerts.
"""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import Connection

from penguin_infra.domain.guardrails import GuardrailLimits
from penguin_infra.domain.node import LABEL_PATTERN, InstanceLabel
from penguin_infra.store import inventory, node_places, nodes

REQUESTED_BY = "policy:adopt_orphans"


def adopt_orphans(connection: Connection, *, grace: timedelta, limits: GuardrailLimits, now: datetime) -> list[str]:
    """Adopt the strangers among the orphans that have stood longer than the grace; returns their labels."""
    strangers = inventory.stranger_orphans(connection, since=now - grace)
    fleet_size = sum(count for status, count in inventory.counts_by_status(connection).items() if status in _COUNTED)
    if len(strangers) > limits.disruptions_per_hour(fleet_size):
        return []
    adopted = []
    for instance in strangers:
        name = InstanceLabel.parse(instance.label)
        if name is None:
            continue
        label = name.label if LABEL_PATTERN.match(name.label) else f"found-{name.token}"
        if nodes.taken_labels(connection, label):
            label = f"found-{name.token}"
        # By its first digits a node is found from its instance's name.
        node_id = UUID(name.token + uuid4().hex[len(name.token) :])
        nodes.insert_request(
            connection,
            node_id=node_id,
            label=label,
            region=instance.region,
            plan=instance.plan,
            requested_by=REQUESTED_BY,
            now=now,
        )
        node_places.record_instance(connection, node_id, instance.provider_id, now)
        inventory.resolve_orphans(connection, [instance.provider_id], now)
        adopted.append(label)
    return adopted


_COUNTED = frozenset({"warming", "active", "paused", "maintenance"})
