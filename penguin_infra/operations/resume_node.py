"""Resume one node: a paused one takes up the status that it had left, a maintained one comes back through warm-up."""

from datetime import datetime

from sqlalchemy import Connection

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.delivery_limits import DEFAULT_LIMITS, DeliveryLimits
from penguin_infra.domain.lifecycle import return_event
from penguin_infra.domain.node import SENDING_STATUSES, Node, NodeStatus
from penguin_infra.domain.policies import pause_listed, resume_recovered
from penguin_infra.operations.carry_out_batch import CannotAct
from penguin_infra.operations.want_pauses import want_resumes
from penguin_infra.store import decisions, listings, nodes
from penguin_infra.store.actions import Action

_HELD = frozenset({NodeStatus.PAUSED, NodeStatus.MAINTENANCE})


def resume_node(
    connection: Connection, action: Action, now: datetime, *, delivery_limits: DeliveryLimits = DEFAULT_LIMITS
) -> str:
    """Resume the action's node; raises `CannotAct` while its address has a listing that would pause it again."""
    node = nodes.get_node(connection, action.node_id)
    if node.status in SENDING_STATUSES:
        return f"{node.label} is {node.status} already"
    is_by_policy = action.requested_by == resume_recovered.NAME
    if is_by_policy and not want_resumes(connection, delivery_limits, now, node.node_id):
        return f"the pause of {node.label} is no longer one that ends by itself; it stays {node.status}"
    check_resumable(connection, node)
    target = nodes.apply_event(
        connection,
        action.node_id,
        return_event(node.status, nodes.status_left(connection, node)),
        reason=action.reason,
        requested_by=action.requested_by,
        now=now,
        action_id=action.action_id,
        run_id=action.run_id,
    )
    return f"{node.label} is {target} again"


def check_resumable(connection: Connection, node: Node) -> None:
    """Raise `CannotAct` where the node is not held back, or would be paused again at once.

    A node that is silent still is resumed all the same: the rotation leaves it out, and the person may know more.
    """
    if node.status not in _HELD:
        raise CannotAct(f"{node.label} is {node.status}; only a paused or maintained node can be resumed")
    leaving = decisions.leaving_under_way(connection, node.node_id)
    if leaving is not None and leaving.kind == ActionKind.DECOMMISSION:
        raise CannotAct(
            f"{node.label} is being decommissioned (action {leaving.id}): `penguin-infra nodes undrain {node.label}` "
            "calls that off while it drains"
        )
    if decisions.is_half_gone(connection, node.node_id):
        raise CannotAct(
            f"a decommission of {node.label} failed after it had begun to take its names away: end it by "
            f"`penguin-infra nodes decommission {node.label}`"
        )
    if blocking := pause_listed.pausing_listings(listings.open_listings(connection, node.node_id)):
        zones = ", ".join(listing.zone for listing in blocking)
        raise CannotAct(
            f"{node.ip_address} is still listed by {zones}: `penguin-infra check-ip {node.ip_address}` shows how "
            "to get off; the event closes by itself after enough clean sweeps"
        )
