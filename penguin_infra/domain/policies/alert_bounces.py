"""A node that bounces more than its share calls a person, before the evidence is enough to pause it."""

from collections.abc import Iterable

from penguin_infra.domain.alerts import Alert, AlertSeverity
from penguin_infra.domain.delivery import NodeDelivery, rate_evidence
from penguin_infra.domain.delivery_limits import DeliveryLimits

RULE = "bounce_rate"


def find_alerts(nodes: Iterable[NodeDelivery], limits: DeliveryLimits) -> tuple[Alert, ...]:
    """One alert a node whose bounce rate's point estimate is above the threshold, on enough mail."""
    return tuple(
        Alert(
            rule=RULE,
            subject=node.label,
            severity=AlertSeverity.MEDIUM,
            summary=f"{node.label} bounces {rate}: above {limits.bounce_alert_rate:.1%}",
            evidence=rate_evidence(rate, threshold=limits.bounce_alert_rate),
            node_id=node.node_id,
        )
        for node in nodes
        if (rate := node.total.bounce_rate).attempted >= limits.minimum_attempted
        and rate.point > limits.bounce_alert_rate
    )
