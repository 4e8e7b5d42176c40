"""A sending node whose bounces or complaints are proven too many is paused.

Proven: the rate's lower bound is above the threshold, on enough mail. Facts that are old, or none, pause nobody. How it
comes back is `resume_recovered.py`'s.
"""

from collections.abc import Iterable
from datetime import datetime

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.delivery import NodeDelivery, rate_evidence
from penguin_infra.domain.delivery_limits import FRESH_FOR, DeliveryLimits
from penguin_infra.domain.reputation import Rate

NAME = "policy:pause_bouncing"

# After critical listings (0) and high ones (1): those cost deliverability already, a rate is on its way there.
URGENCY = 2


def plan_pauses(nodes: Iterable[NodeDelivery], limits: DeliveryLimits, now: datetime) -> tuple[PlannedAction, ...]:
    """One pause a node, with the rates that ask for it."""
    return tuple(
        _pause(node, proven, limits)
        for node in nodes
        if now - node.measured_at <= FRESH_FOR and (proven := _proven(node, limits))
    )


def _proven(node: NodeDelivery, limits: DeliveryLimits) -> dict[str, Rate]:
    asked = {
        "bounce": (node.total.bounce_rate, limits.bounce_pause_rate),
        "complaint": (node.total.complaint_rate, limits.complaint_pause_rate),
    }
    return {
        name: rate
        for name, (rate, threshold) in asked.items()
        if rate.attempted >= limits.minimum_attempted and rate.lower > threshold
    }


def _pause(node: NodeDelivery, proven: dict[str, Rate], limits: DeliveryLimits) -> PlannedAction:
    thresholds = {"bounce": limits.bounce_pause_rate, "complaint": limits.complaint_pause_rate}
    said = [f"{name} rate {rate} is surely above {thresholds[name]:.1%}" for name, rate in proven.items()]
    return PlannedAction(
        node_id=node.node_id,
        kind=ActionKind.PAUSE,
        reason=f"{node.label}: {'; '.join(said)}",
        requested_by=NAME,
        evidence={
            "since_at": node.since_at.isoformat(),
            "measured_at": node.measured_at.isoformat(),
            **{name: rate_evidence(rate, threshold=thresholds[name]) for name, rate in proven.items()},
        },
        urgency=URGENCY,
    )
