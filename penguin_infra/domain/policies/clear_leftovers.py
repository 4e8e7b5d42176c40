"""An instance or a record that carries a node's name and that the node does not hold: clear it away."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from penguin_infra.domain.actions import ActionKind, PlannedAction

NAME = "policy:clear_leftovers"


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a node left behind; nothing is open about it."""

    node_id: UUID
    label: str
    detail: str


def plan_clearances(leftovers: Iterable[Leftover]) -> tuple[PlannedAction, ...]:
    """One release for each node: what it holds itself stays untouched by one."""
    return tuple(
        PlannedAction(
            node_id=left.node_id,
            kind=ActionKind.RELEASE,
            reason=f"{left.label} left something behind: {left.detail}",
            requested_by=NAME,
            evidence={"detail": left.detail},
        )
        for left in leftovers
    )
