"""What the fleet can send, and what is asked of it. What follows (new nodes, larger ones) is `remediation/`'s."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
from dagster import AssetExecutionContext, ResourceParam

from penguin_infra.defs.observation.capacity_views import capacity_metadata
from penguin_infra.defs.tables import table_metadata
from penguin_infra.operations.measure_capacity import CapacityReport, measure_capacity
from penguin_infra.store.capacity_tables import capacity_utilisation as capacity_utilisation_table
from penguin_infra.wiring import Wiring

# Most of the speaking nodes: fewer windows mean that resizing and the CPU's alert see nothing.
_LEAST_WINDOWED_SHARE = 0.5


@dg.asset(
    group_name="telemetry",
    owners=["team:sre"],
    kinds={"postgres"},
    tags={"cadence": "1min", "reader": "operators-analysts"},
    # Ten minutes are what the guardrails' floor takes for fresh.
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(minutes=10), warn_window=timedelta(minutes=5)
    ),
    metadata=table_metadata(capacity_utilisation_table),
    check_specs=[
        dg.AssetCheckSpec(
            "plans_are_priced",
            asset="capacity_utilisation",
            description="A price list is known, and holds every node's plan: else the plans' capacities are guesses, "
            "and the fleet does not grow.",
        ),
        dg.AssetCheckSpec(
            "nodes_are_windowed",
            asset="capacity_utilisation",
            description="Most nodes that tell of their queue have the last closed window of five minutes: else "
            "resizing and the CPU's alert judge by nothing.",
        ),
    ],
)
def capacity_utilisation(context: AssetExecutionContext, fleet: ResourceParam[Wiring]) -> dg.MaterializeResult:
    """How much of what they can send nodes, regions and the fleet are asked for, now and on the days ahead.

    Source: heartbeats, counts and what the dispatcher turned away, every minute; messages a day, shares of 1. Demand is
    what ended, what the queues grew by, and what was refused. Readers: the guardrails' floor, operators, analysts. One
    row a node; `fleet.node_windows` and `fleet.demand_hours` are written with it, for resizing and growth.
    """
    limits, policy = fleet.wanted_limits.size, fleet.policy
    report = measure_capacity(fleet.engine, limits, policy.guardrails, now=fleet.clock.now(), run_id=context.run.run_id)
    context.log.info("%d nodes: %s", len(report.nodes), report.system)
    return dg.MaterializeResult(
        metadata=capacity_metadata(report, trigger_share=limits.growth.trigger_share),
        check_results=list(_checks(report)),
    )


def _checks(report: CapacityReport) -> Iterator[dg.AssetCheckResult]:
    yield dg.AssetCheckResult(
        passed=not report.nodes or (report.has_prices and not report.unknown_plans),
        check_name="plans_are_priced",
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"has_prices": report.has_prices, "unknown_plans": ", ".join(report.unknown_plans) or "none"},
    )
    yield dg.AssetCheckResult(
        passed=report.windowed >= _LEAST_WINDOWED_SHARE * report.speaking,
        check_name="nodes_are_windowed",
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"speaking": report.speaking, "windowed": report.windowed},
    )
