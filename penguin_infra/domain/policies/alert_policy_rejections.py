"""A mailbox provider that rejects a node's mail for the sender's sake (5.7.x) is named to a person.

The addresses are good and the list is not to blame: the node's reputation there is, or its DNS records, or its content.
"""

from collections.abc import Iterable

from penguin_infra.domain.alerts import Alert, AlertSeverity
from penguin_infra.domain.delivery import NodeDelivery, rate_evidence
from penguin_infra.domain.delivery_limits import DeliveryLimits

RULE = "policy_rejections"


def find_alerts(nodes: Iterable[NodeDelivery], limits: DeliveryLimits) -> tuple[Alert, ...]:
    """One alert a node and provider: others may take the same node's mail gladly."""
    return tuple(
        Alert(
            rule=RULE,
            subject=f"{node.label} at {provider}",
            severity=AlertSeverity.MEDIUM,
            summary=f"{provider} rejects {rate} of {node.label}'s mail by policy (5.7.x): above "
            f"{limits.policy_rejection_alert_rate:.1%}",
            evidence={"mailbox_provider": provider} | rate_evidence(rate, threshold=limits.policy_rejection_alert_rate),
            node_id=node.node_id,
        )
        for node in nodes
        for provider, facts in node.by_provider.items()
        if (rate := facts.policy_rejection_rate).attempted >= limits.minimum_attempted
        and rate.point > limits.policy_rejection_alert_rate
    )
