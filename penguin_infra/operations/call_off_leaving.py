"""Call a maintenance, decommission or resize off while the node still drains: it sends again at once."""

from datetime import datetime

from sqlalchemy import Connection

from penguin_infra.domain.actions import ActionStatus
from penguin_infra.domain.node import Node, NodeStatus
from penguin_infra.operations.carry_out_batch import CannotAct
from penguin_infra.store import decisions, drains


def call_off_leaving(connection: Connection, node: Node, *, requested_by: str, reason: str, now: datetime) -> str:
    """Close the action and end the drain; returns what was done. Raises `CannotAct` where there is nothing to call off.

    The node's row is locked first, as whoever carries the action on does: it has gone on, or it goes no further.
    """
    status = drains.lock_node(connection, node.node_id)
    row = decisions.draining_under_way(connection, node.node_id)
    if row is None:
        raise CannotAct(
            f"{node.label} is {status} and nothing takes it out of service. A proposal is rejected by "
            "`penguin-infra actions reject`; what is in maintenance comes back by `penguin-infra nodes resume`"
        )
    if row.status == ActionStatus.RUNNING and status is NodeStatus.MAINTENANCE:
        raise CannotAct(f"{node.label} has drained and its {row.kind} goes on: too late to call it off")
    if decisions.IS_CHANGING_PLAN in row.evidence:
        raise CannotAct(f"the provider was asked to resize {node.label}: too late to call it off")
    approved = f" (approved by {row.decided_by})" if row.decided_by else ""
    outcome = f"called off by {requested_by}{approved}: {reason}"
    if not decisions.call_off(connection, row.id, decided_by=requested_by, outcome=outcome, now=now):
        raise CannotAct(f"{row.kind} of {node.label} ended just now: `penguin-infra actions show {row.id}` says how")
    drains.end_drain(connection, node.node_id)
    return f"{row.kind} of {node.label} is called off; it stays {status}"
