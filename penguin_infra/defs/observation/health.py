"""Which nodes are alive, by their heartbeats. What is done about the others is `remediation/recover.py`'s."""

from collections import Counter
from datetime import timedelta

import dagster as dg
from dagster import AssetExecutionContext, ResourceParam

from penguin_infra.defs.tables import bars, markdown_table, table_metadata
from penguin_infra.domain.heartbeat import Fault, Health
from penguin_infra.operations.judge_health import HealthReport, judge_health
from penguin_infra.store.telemetry_tables import node_pulses
from penguin_infra.wiring import Wiring


@dg.asset(
    group_name="telemetry",
    owners=["team:sre"],
    kinds={"postgres"},
    tags={"cadence": "1min", "reader": "operators"},
    # Five and ten missed rounds of a minute.
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(minutes=10), warn_window=timedelta(minutes=5)
    ),
    metadata=table_metadata(node_pulses),
    check_specs=[
        dg.AssetCheckSpec(
            "observer_is_alive",
            asset="node_health",
            blocking=True,
            description="A gateway's clock ticked within 60 s. Else nothing is concluded from silence: every node's "
            "health stays as it was, and nobody is recovered.",
        ),
        dg.AssetCheckSpec(
            "few_are_silent",
            asset="node_health",
            description="Not more than 30 % of the nodes that spoke (and at least 3) are silent together. Else the "
            "observer or the provider is suspected, and recovery probes one node only.",
        ),
    ],
)
def node_health(context: AssetExecutionContext, fleet: ResourceParam[Wiring]) -> dg.MaterializeResult:
    """Which nodes are healthy, unhealthy (three missed heartbeats, or the MTA down) or unknown (never spoke).

    Source: heartbeats in `fleet.node_pulses`, judged every minute in the gateways' own time; the result stands in
    `fleet.sending_nodes.health`. Readers: the recover sensor, operators. One row a node that ever spoke.
    """
    report = judge_health(fleet.engine, now=fleet.clock.now())
    context.log.info("%d nodes, %d changed; observer alive: %s", len(report.nodes), report.changed_count,
                     report.is_observer_alive)  # fmt: skip
    limits = fleet.policy.health.silence
    return dg.MaterializeResult(
        metadata=_metadata(report),
        check_results=[
            dg.AssetCheckResult(
                passed=report.is_observer_alive,
                check_name="observer_is_alive",
                severity=dg.AssetCheckSeverity.ERROR,
                metadata={"ticked_at": report.clock.ticked_at.isoformat()},
            ),
            dg.AssetCheckResult(
                passed=not report.are_many_silent(limits),
                check_name="few_are_silent",
                severity=dg.AssetCheckSeverity.WARN,
                metadata={
                    "silent": report.silent_count,
                    "speaking": report.speaking_count,
                    "most_silent_share": limits.most_silent_share,
                },
            ),
        ],
    )


def _metadata(report: HealthReport) -> dict[str, int | dg.MarkdownMetadataValue]:
    counts = Counter(verdict.health for _, verdict in report.nodes)
    ill = [
        (node.label, node.status, verdict.reason, node.health_since, node.received_at)
        for node, verdict in sorted(report.nodes, key=lambda one: one[0].received_at or report.clock.ticked_at)
        if verdict.health is Health.UNHEALTHY
    ]
    return {
        "dagster/row_count": sum(node.pulse is not None for node, _ in report.nodes),
        **{health.value: counts[health] for health in Health},
        "silent": sum(verdict.fault is Fault.SILENT for _, verdict in report.nodes),
        "changed": report.changed_count,
        "nodes_by_health": bars({health.value: counts[health] for health in Health}),
        "unhealthy_nodes": markdown_table(["node", "status", "why", "since", "last heard"], ill),
    }
