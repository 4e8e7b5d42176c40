"""Pause one node: it keeps its address and its place in the fleet, and sends nothing until somebody resumes it."""

from datetime import datetime

from sqlalchemy import Connection

from penguin_infra.domain.delivery_limits import DEFAULT_LIMITS, DeliveryLimits
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies import pause_bouncing, pause_listed
from penguin_infra.operations.want_pauses import want_pauses
from penguin_infra.store import nodes
from penguin_infra.store.actions import Action

# What a policy saw, as an outcome names it once it is gone.
_CAUSES = {
    pause_listed.NAME: "no listing of {node.ip_address} asks",
    pause_bouncing.NAME: "no rate of {node.label} that was measured lately asks",
}


def pause_node(
    connection: Connection, action: Action, now: datetime, *, delivery_limits: DeliveryLimits = DEFAULT_LIMITS
) -> str:
    """Pause the action's node, if what asked for it still holds; returns the outcome in words."""
    node = nodes.get_node(connection, action.node_id)
    if node.status is NodeStatus.PAUSED:
        return f"{node.label} was paused already"
    cause = _CAUSES.get(action.requested_by)
    wanted = want_pauses(connection, delivery_limits, now, node.node_id) if cause else []
    if cause and action.requested_by not in {one.requested_by for one in wanted}:
        return f"{cause.format(node=node)} for the pause any more; {node.label} stays {node.status}"
    nodes.apply_event(
        connection,
        action.node_id,
        NodeEvent.PAUSED,
        reason=action.reason,
        requested_by=action.requested_by,
        now=now,
        action_id=action.action_id,
        run_id=action.run_id,
    )
    return f"{node.label} went from {node.status} to paused"
