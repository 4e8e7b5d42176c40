"""Measure the fleet's delivery: write the rates down for everybody to read, and open and resolve the alerts on them.

Who is paused for a rate is the pause sensor's to decide, from what is written here.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine

from penguin_infra.domain.delivery import NodeDelivery, Span
from penguin_infra.domain.delivery_limits import DeliveryLimits
from penguin_infra.domain.policies import alert_bounces, alert_complaints, alert_policy_rejections
from penguin_infra.operations.update_alerts import update_alerts
from penguin_infra.store import delivery

_ALERTS = (alert_bounces, alert_complaints, alert_policy_rejections)


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """One measurement: each node's recent delivery, and what stands beside it.

    `is_reported`: whether any node told of a delivery within the hour. `complaint_reports`: those of the last day, by
    whether and why not they could be laid to a node.
    """

    nodes: tuple[NodeDelivery, ...]
    row_count: int
    sending_count: int
    is_reported: bool
    complaint_reports: dict[str, int]
    opened_alerts: int
    resolved_alerts: int


def measure_delivery(
    engine: Engine, limits: DeliveryLimits, *, now: datetime, run_id: str | None = None
) -> DeliveryReport:
    """Measure, write the rates down in the last ones' place, and let the alerts' rules look at them."""
    with engine.begin() as connection:
        measured = delivery.measure(connection, now, window_messages=limits.window_messages)
        row_count = delivery.replace_rates(connection, measured)
        sending_count = delivery.sending_count(connection)
        is_reported = delivery.was_reported_since(connection, now - timedelta(hours=1))
        complaint_reports = delivery.complaints_by_attribution(connection, now - timedelta(days=1))
    recent = tuple(each.node for each in measured if each.span is Span.RECENT)
    changes = [
        update_alerts(engine, rule.RULE, rule.find_alerts(recent, limits), now=now, run_id=run_id) for rule in _ALERTS
    ]
    return DeliveryReport(
        nodes=recent,
        row_count=row_count,
        sending_count=sending_count,
        is_reported=is_reported,
        complaint_reports=complaint_reports,
        opened_alerts=sum(len(change.opened) for change in changes),
        resolved_alerts=sum(len(change.resolved) for change in changes),
    )
