"""A node whose recipients complain calls a person, before the evidence is enough to pause it."""

from collections.abc import Iterable

from penguin_infra.domain.alerts import Alert, AlertSeverity
from penguin_infra.domain.delivery import NodeDelivery, rate_evidence
from penguin_infra.domain.delivery_limits import DeliveryLimits

RULE = "complaint_rate"


def find_alerts(nodes: Iterable[NodeDelivery], limits: DeliveryLimits) -> tuple[Alert, ...]:
    """One alert a node whose complaint rate has reached the threshold, on enough mail."""
    return tuple(
        Alert(
            rule=RULE,
            subject=node.label,
            severity=AlertSeverity.MEDIUM,
            summary=f"{node.label} is complained about at {rate}: {limits.complaint_alert_rate:.1%} or more",
            evidence=rate_evidence(rate, threshold=limits.complaint_alert_rate),
            node_id=node.node_id,
        )
        for node in nodes
        if (rate := node.total.complaint_rate).attempted >= limits.complaint_minimum_sent
        and rate.point >= limits.complaint_alert_rate
    )
