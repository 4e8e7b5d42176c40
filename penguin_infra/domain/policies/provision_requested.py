"""A node that was asked for and has no instance work under way: provision it.

One whose provision failed for good, or was rejected by a person, is released.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from penguin_infra.domain.actions import ActionKind, PlannedAction


@dataclass(frozen=True, slots=True)
class RequestedNode:
    """A node in `provisioning` with neither a provision nor a release open.

    `reason`: why it was asked for. `failure`: the outcome of its last provision where that failed for good, or was
    rejected (`is_rejected`).
    """

    node_id: UUID
    label: str
    region: str
    plan: str
    requested_by: str
    failure: str | None
    reason: str = ""
    is_rejected: bool = False


def plan_provisions(nodes: Iterable[RequestedNode]) -> tuple[PlannedAction, ...]:
    """One provision for each request that was not given up."""
    return tuple(
        PlannedAction(
            node_id=node.node_id,
            kind=ActionKind.PROVISION,
            reason=": ".join(filter(None, [f"{node.label} was requested by {node.requested_by}", node.reason])),
            requested_by="policy:provision_requested",
            evidence={"region": node.region, "plan": node.plan, "requested_by": node.requested_by},
        )
        for node in nodes
        if node.failure is None
    )


def plan_releases(nodes: Iterable[RequestedNode]) -> tuple[PlannedAction, ...]:
    """One release for each request that was given up: whatever it left at the provider costs money."""
    return tuple(
        PlannedAction(
            node_id=node.node_id,
            kind=ActionKind.RELEASE,
            reason=f"provisioning {node.label} {'was' if node.is_rejected else 'failed for good:'} {node.failure}",
            requested_by="policy:provision_requested",
            evidence={"failure": node.failure},
        )
        for node in nodes
        if node.failure is not None
    )
