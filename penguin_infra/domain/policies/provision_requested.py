"""A node that was asked for and has no instance work under way: provision it; one that failed for good: release it."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from penguin_infra.domain.actions import ActionKind, PlannedAction


@dataclass(frozen=True, slots=True)
class RequestedNode:
    """A node in `provisioning` with neither a provision nor a release open.

    `failure`: the outcome of its last provision where that failed for good.
    """

    node_id: UUID
    label: str
    region: str
    plan: str
    requested_by: str
    failure: str | None


def plan_provisions(nodes: Iterable[RequestedNode]) -> tuple[PlannedAction, ...]:
    """One provision for each request that has not failed for good."""
    return tuple(
        PlannedAction(
            node_id=node.node_id,
            kind=ActionKind.PROVISION,
            reason=f"{node.label} was requested by {node.requested_by}",
            requested_by="policy:provision_requested",
            evidence={"region": node.region, "plan": node.plan, "requested_by": node.requested_by},
        )
        for node in nodes
        if node.failure is None
    )


def plan_releases(nodes: Iterable[RequestedNode]) -> tuple[PlannedAction, ...]:
    """One release for each request that failed for good: whatever it left at the provider costs money."""
    return tuple(
        PlannedAction(
            node_id=node.node_id,
            kind=ActionKind.RELEASE,
            reason=f"provisioning {node.label} failed for good: {node.failure}",
            requested_by="policy:provision_requested",
            evidence={"failure": node.failure},
        )
        for node in nodes
        if node.failure is not None
    )
