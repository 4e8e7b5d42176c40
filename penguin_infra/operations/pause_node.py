"""Pause one node: it keeps its address and its place in the fleet, and sends nothing until somebody resumes it."""

from datetime import datetime

from sqlalchemy import Connection

from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies import pause_listed
from penguin_infra.store import listings, nodes
from penguin_infra.store.actions import Action


def pause_node(connection: Connection, action: Action, now: datetime) -> str:
    """Pause the action's node, if what asked for it still holds; returns the outcome in words."""
    node = nodes.get_node(connection, action.node_id)
    if node.status is NodeStatus.PAUSED:
        return f"{node.label} was paused already"
    if action.requested_by == pause_listed.NAME and not _is_still_wanted(connection, action):
        return f"no listing of {node.ip_address} asks for the pause any more; {node.label} stays {node.status}"
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


def _is_still_wanted(connection: Connection, action: Action) -> bool:
    listed = listings.listed_nodes(connection, node_id=action.node_id)
    return bool(pause_listed.plan_pauses(listed))
