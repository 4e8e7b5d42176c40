"""What becomes of the fleet's mail. Pausing for it is `remediation/pause.py`'s, reading complaints the gateway's."""

from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta

import dagster as dg
from dagster import AssetExecutionContext, ResourceParam

from penguin_infra.defs.tables import bars, markdown_table, table_metadata
from penguin_infra.domain.delivery import DeliveryFacts, NodeDelivery, total_of
from penguin_infra.operations.measure_delivery import DeliveryReport, measure_delivery
from penguin_infra.store.telemetry_tables import delivery_rates as delivery_rates_table
from penguin_infra.wiring import Wiring


@dg.asset(
    group_name="telemetry",
    owners=["team:deliverability"],
    kinds={"postgres"},
    tags={"cadence": "1min", "reader": "operators-analysts"},
    # Ten minutes are what the pause sensor takes for fresh.
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(minutes=10), warn_window=timedelta(minutes=5)
    ),
    metadata=table_metadata(delivery_rates_table),
    check_specs=[
        dg.AssetCheckSpec(
            "deliveries_are_reported",
            asset="delivery_rates",
            description="Some node told of a delivery within the hour, while there are nodes that send: else agents, "
            "gateway or dispatcher are silent, and the rates grow old without looking so.",
        ),
        dg.AssetCheckSpec(
            "complaints_are_attributed",
            asset="delivery_rates",
            description="Every complaint of the last day could be laid to a node: else reports lack their Source-IP "
            "or Arrival-Date, or name addresses that the fleet never held, and count for nobody.",
        ),
    ],
)
def delivery_rates(context: AssetExecutionContext, fleet: ResourceParam[Wiring]) -> dg.MaterializeResult:
    """How much of each node's mail bounces, is rejected or complained about, with what certainty, and where.

    Source: `fleet.delivery_counts` and `fleet.complaints`, every minute; shares of 1, with Wilson's 95 % bounds.
    Readers: the pause sensor, the alerts, operators, analysts. One row a node, span and mailbox provider.
    """
    report = measure_delivery(fleet.engine, fleet.policy.delivery, now=fleet.clock.now(), run_id=context.run.run_id)
    context.log.info("%d nodes measured, %d alerts opened", len(report.nodes), report.opened_alerts)
    return dg.MaterializeResult(metadata=_metadata(report), check_results=list(_checks(report)))


def _metadata(report: DeliveryReport) -> dict[str, int | float | dg.MarkdownMetadataValue]:
    total = total_of(node.total for node in report.nodes)
    worst = sorted(report.nodes, key=lambda node: node.total.bounce_rate.lower, reverse=True)
    return {
        "dagster/row_count": report.row_count,
        "nodes": len(report.nodes),
        "attempted": total.attempted,
        **{each.name: getattr(total, each.name) for each in fields(DeliveryFacts)},
        "bounce_rate": total.bounce_rate.point,
        "complaint_rate": total.complaint_rate.point,
        "policy_rejection_rate": total.policy_rejection_rate.point,
        "alerts_opened": report.opened_alerts,
        "alerts_resolved": report.resolved_alerts,
        "results": bars({each.name: getattr(total, each.name) for each in fields(DeliveryFacts)}),
        "worst_nodes": markdown_table(
            ["node", "attempted", "bounce rate", "complaint rate", "rejected most by", "since"],
            map(_worst_row, worst),
        ),
    }


def _worst_row(node: NodeDelivery) -> tuple[object, ...]:
    rejecting = max((facts.policy_rejection_rate.point, provider) for provider, facts in node.by_provider.items())
    return (
        node.label,
        node.total.attempted,
        node.total.bounce_rate,
        node.total.complaint_rate,
        f"{rejecting[1]}: {rejecting[0]:.2%}" if rejecting[0] else None,
        f"{node.since_at:%Y-%m-%d %H:%M}",
    )


def _checks(report: DeliveryReport) -> Iterator[dg.AssetCheckResult]:
    yield dg.AssetCheckResult(
        passed=report.is_reported or not report.sending_count,
        check_name="deliveries_are_reported",
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"sending_nodes": report.sending_count},
    )
    unattributed = {name: count for name, count in report.complaint_reports.items() if name != "attributed"}
    yield dg.AssetCheckResult(
        passed=not unattributed,
        check_name="complaints_are_attributed",
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "reports": sum(report.complaint_reports.values()),
            "unattributed": sum(unattributed.values()),
            "why": bars(unattributed),
        },
    )
