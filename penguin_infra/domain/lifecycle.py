"""The node's life as one table of status and event, and the diagram drawn from it.

Why a node changes and who may ask stand in the policies and the ledger, not here.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from penguin_infra.domain.node import NodeStatus

S = NodeStatus


class NodeEvent(StrEnum):
    """What can happen to a node."""

    ADMITTED = "admitted"
    PROVISIONING_FAILED = "provisioning_failed"
    WARMED_UP = "warmed_up"
    # A reputation is forgotten: whoever was silent for long, or was held for cause, earns it again.
    WENT_COLD = "went_cold"
    PAUSED = "paused"
    MAINTENANCE_BEGUN = "maintenance_begun"
    # A paused node takes up the status it had left, which its transitions record. A maintained one was not itself for a
    # while: it comes back through warm-up, or to the pause it was in.
    RETURNED_TO_WARMING = "returned_to_warming"
    RETURNED_TO_ACTIVE = "returned_to_active"
    RETURNED_TO_PAUSED = "returned_to_paused"
    DECOMMISSIONED = "decommissioned"


E = NodeEvent

TRANSITIONS: Mapping[tuple[NodeStatus, NodeEvent], NodeStatus] = MappingProxyType(
    {
        (S.PROVISIONING, E.ADMITTED): S.WARMING,
        (S.PROVISIONING, E.PROVISIONING_FAILED): S.DECOMMISSIONED,
        (S.PROVISIONING, E.DECOMMISSIONED): S.DECOMMISSIONED,
        (S.WARMING, E.WARMED_UP): S.ACTIVE,
        (S.WARMING, E.PAUSED): S.PAUSED,
        (S.WARMING, E.MAINTENANCE_BEGUN): S.MAINTENANCE,
        (S.WARMING, E.DECOMMISSIONED): S.DECOMMISSIONED,
        (S.ACTIVE, E.WENT_COLD): S.WARMING,
        (S.ACTIVE, E.PAUSED): S.PAUSED,
        (S.ACTIVE, E.MAINTENANCE_BEGUN): S.MAINTENANCE,
        (S.ACTIVE, E.DECOMMISSIONED): S.DECOMMISSIONED,
        (S.PAUSED, E.RETURNED_TO_WARMING): S.WARMING,
        (S.PAUSED, E.RETURNED_TO_ACTIVE): S.ACTIVE,
        (S.PAUSED, E.MAINTENANCE_BEGUN): S.MAINTENANCE,
        (S.PAUSED, E.DECOMMISSIONED): S.DECOMMISSIONED,
        (S.MAINTENANCE, E.RETURNED_TO_WARMING): S.WARMING,
        (S.MAINTENANCE, E.RETURNED_TO_PAUSED): S.PAUSED,
        (S.MAINTENANCE, E.DECOMMISSIONED): S.DECOMMISSIONED,
    }
)

_RETURNS = MappingProxyType(
    {
        (S.PAUSED, S.WARMING): E.RETURNED_TO_WARMING,
        (S.PAUSED, S.ACTIVE): E.RETURNED_TO_ACTIVE,
        (S.MAINTENANCE, S.WARMING): E.RETURNED_TO_WARMING,
        (S.MAINTENANCE, S.ACTIVE): E.RETURNED_TO_WARMING,
        (S.MAINTENANCE, S.PAUSED): E.RETURNED_TO_PAUSED,
    }
)


class IllegalTransition(Exception):
    """An event that the table does not allow in this status; the message says which ones it does."""

    def __init__(self, status: NodeStatus, event: NodeEvent) -> None:
        allowed = ", ".join(sorted(known for at, known in TRANSITIONS if at is status)) or "none: it is final"
        super().__init__(f"a node that is {status} cannot be {event}; events possible there: {allowed}")
        self.status = status
        self.event = event


def next_status(status: NodeStatus, event: NodeEvent) -> NodeStatus:
    """The status after the event; raises `IllegalTransition`."""
    try:
        return TRANSITIONS[status, event]
    except KeyError:
        raise IllegalTransition(status, event) from None


def return_event(status: NodeStatus, left_status: NodeStatus) -> NodeEvent:
    """The event that brings a paused or maintained node back, by the status that it had left."""
    return _RETURNS[status, left_status]


def diagram() -> str:
    """The table as a Mermaid state diagram (the README's)."""
    edges: dict[tuple[NodeStatus, NodeStatus], list[NodeEvent]] = {}
    for (status, event), target in TRANSITIONS.items():
        edges.setdefault((status, target), []).append(event)
    lines = ["stateDiagram-v2", f"    [*] --> {S.PROVISIONING}: requested"]
    lines += [f"    {status} --> {target}: {', '.join(events)}" for (status, target), events in edges.items()]
    return "\n".join([*lines, f"    {S.DECOMMISSIONED} --> [*]"])
