"""What people are told of warm-ups: nodes that have stood at one stage for too long. When that is, `warmup.py` says."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from penguin_infra.domain.alerts import Alert, AlertSeverity

RULE = "warmup_stuck"


@dataclass(frozen=True, slots=True)
class StuckNode:
    """A node that does not come on, at `daily` of `full_daily` messages a day, and why."""

    node_id: UUID
    label: str
    daily: int
    full_daily: int
    reasons: tuple[str, ...]


def stuck_alerts(nodes: Iterable[StuckNode]) -> list[Alert]:
    """Low: it sends what it is trusted with, and harms nobody; after ten days one more does not matter."""
    return [
        Alert(
            RULE,
            node.label,
            AlertSeverity.LOW,
            f"{node.label} does not warm up: {' '.join(node.reasons)} See `penguin-infra nodes show {node.label}`",
            {"daily": node.daily, "full_daily": node.full_daily, "reasons": list(node.reasons)},
            node.node_id,
        )
        for node in nodes
    ]
