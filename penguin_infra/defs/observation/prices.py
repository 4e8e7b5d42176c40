"""What the provider's plans cost. What the fleet costs by them is the cost report's."""

from datetime import timedelta

import dagster as dg
from dagster import AssetExecutionContext, ResourceParam

from penguin_infra.defs.tables import bars, markdown_table, table_metadata
from penguin_infra.operations.refresh_prices import PriceReport, refresh_prices
from penguin_infra.store.capacity_tables import plan_prices as plan_prices_table
from penguin_infra.wiring import Wiring

_CENTS = 100


@dg.asset(
    group_name="cost",
    owners=["team:sre"],
    kinds={"hostwind", "postgres"},
    tags={"cadence": "5min", "reader": "operators-analysts"},
    # Prices stand for months: a provider that is away for a day is not yet one that raised them.
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=1), warn_window=timedelta(hours=1)),
    metadata=table_metadata(plan_prices_table),
    check_specs=[
        dg.AssetCheckSpec(
            "prices_are_sound",
            asset="plan_prices",
            blocking=True,
            description="The provider offers plans, each once, and none for nothing: else the list is not taken, and "
            "growth and costs go on with the prices known before.",
        )
    ],
)
def plan_prices(context: AssetExecutionContext, fleet: ResourceParam[Wiring]) -> dg.MaterializeResult:
    """The plans on offer with their list prices in USD, a row for each change.

    Source: `GET /plans`, every 5 minutes. Readers: growth, resizing, capacity and costs, analysts. One row a plan and
    price, never rewritten but for `last_seen_at`.
    """
    report = refresh_prices(fleet.engine, fleet.provider, fleet.clock.now())
    context.log.info("%d plans offered, %d new or changed", len(report.offers), report.changed_count)
    for fault in report.faults:
        context.log.error("the price list is not taken: %s", fault)
    return dg.MaterializeResult(
        metadata=_metadata(report),
        check_results=[
            dg.AssetCheckResult(
                passed=not report.faults,
                check_name="prices_are_sound",
                severity=dg.AssetCheckSeverity.ERROR,
                metadata={
                    "offered": len(report.offers),
                    "faults": markdown_table(["why"], [[f] for f in report.faults]),
                },
            )
        ],
    )


def _metadata(report: PriceReport) -> dict[str, int | float | dg.MarkdownMetadataValue]:
    monthly = {row.plan: row.monthly_usd for row in report.kept}
    return {
        "dagster/row_count": len(report.kept),
        "offered": len(report.offers),
        "changed": report.changed_count,
        "cheapest_monthly_usd": float(min(monthly.values(), default=0)),
        "dearest_monthly_usd": float(max(monthly.values(), default=0)),
        "price_by_plan": bars({f"{plan}, US cents a month": int(price * _CENTS) for plan, price in monthly.items()}),
        "prices": markdown_table(
            ["plan", "CPUs", "memory, MB", "disk, GB", "traffic, GB", "USD a month", "since", "last seen"],
            [
                (
                    row.plan, row.cpu_count, row.memory_mb, row.disk_gb, row.transfer_gb, f"{row.monthly_usd:.2f}",
                    f"{row.seen_at:%Y-%m-%d %H:%M}", f"{row.last_seen_at:%Y-%m-%d %H:%M}",
                )
                for row in report.kept
            ],
        ),
    }  # fmt: skip
