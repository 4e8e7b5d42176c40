"""A node that a person wants out of service: for maintenance, from which it comes back, or for good.

A resize takes a node out for a while too, and passes the same check (`resize_on_request.py`, `resize_deep_queue.py`).

Whether enough nodes are left is the guardrails' to say (the capacity floor); how the node drains, `drain.py`'s.
"""

from collections.abc import Mapping

from penguin_infra.domain.actions import FORCED, ActionKind, PlannedAction
from penguin_infra.domain.lifecycle import NodeEvent, next_status
from penguin_infra.domain.node import SENDING_STATUSES, Node, NodeStatus

# A drain holds one of the few places of its lane: whoever has mail that needs longer pauses its sources first.
MOST_DRAIN_MINUTES = 240

DRAIN_MINUTES = "drain_minutes"

_EVENTS = {
    ActionKind.MAINTENANCE: NodeEvent.MAINTENANCE_BEGUN,
    ActionKind.DECOMMISSION: NodeEvent.DECOMMISSIONED,
}


class CannotLeave(Exception):
    """A node cannot be taken out of service so; the message says what to do instead."""


def ask_to_leave(
    node: Node, kind: ActionKind, *, reason: str, requested_by: str, drain_minutes: float, is_forced: bool = False
) -> PlannedAction:
    """The maintenance or decommission of a node; raises `CannotLeave`, `IllegalTransition` where it is impossible."""
    check_can_leave(node, kind)
    if not 0 <= drain_minutes <= MOST_DRAIN_MINUTES:
        raise CannotLeave(f"drain_minutes: {drain_minutes:g} is not between 0 (at once) and {MOST_DRAIN_MINUTES}")
    evidence: dict[str, object] = {DRAIN_MINUTES: drain_minutes}
    if is_forced:
        evidence[FORCED] = True
    return PlannedAction(node.node_id, kind, reason, requested_by, evidence)


def check_can_leave(node: Node, kind: ActionKind) -> None:
    """Raise `IllegalTransition` or `CannotLeave` where a node's status rules its leaving out."""
    if node.status is NodeStatus.PROVISIONING:
        raise CannotLeave(
            f"{node.label} is provisioning: cancel its provision run in the UI, and what it made so far is released"
        )
    if kind is ActionKind.RESIZE:
        if node.status not in SENDING_STATUSES:
            raise CannotLeave(f"{node.label} is {node.status}: only a node in service is resized; resume it first")
        return
    next_status(node.status, _EVENTS[kind])


def drain_minutes_of(evidence: Mapping[str, object], *, default: float) -> float:
    """How long an action lets its node drain; the default where nobody said."""
    minutes = evidence.get(DRAIN_MINUTES, default)
    return float(minutes) if isinstance(minutes, int | float) else default
