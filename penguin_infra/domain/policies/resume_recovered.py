"""A node that was paused for its rates is resumed after a minimum pause.

A paused node sends nothing, so its rates never better themselves: time ends the cause. Only its own kind of pause is
undone: what a person or a listing paused stays so.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.delivery_limits import DeliveryLimits
from penguin_infra.domain.policies import pause_bouncing

NAME = "policy:resume_recovered"


@dataclass(frozen=True, slots=True)
class PausedNode:
    """A paused node, and who asked for its pause last, and when that was done.

    `is_listed`: its address has an open critical or high listing, whether its list is trusted or not.
    """

    node_id: UUID
    label: str
    paused_by: str
    paused_at: datetime
    is_listed: bool


def plan_resumes(nodes: Iterable[PausedNode], limits: DeliveryLimits, now: datetime) -> tuple[PlannedAction, ...]:
    """One resumption for each node whose pause for its rates has lasted long enough."""
    rest = timedelta(hours=limits.minimum_pause_hours)
    return tuple(
        PlannedAction(
            node_id=node.node_id,
            kind=ActionKind.RESUME,
            reason=f"{node.label} was paused for its rates at {node.paused_at:%Y-%m-%d %H:%M} UTC, "
            f"{limits.minimum_pause_hours:g} h ago or more, and is not listed",
            requested_by=NAME,
            evidence={
                "paused_by": node.paused_by,
                "paused_at": node.paused_at.isoformat(),
                "minimum_pause_hours": limits.minimum_pause_hours,
            },
        )
        for node in nodes
        if node.paused_by == pause_bouncing.NAME and not node.is_listed and now - node.paused_at >= rest
    )
