"""What the fleet cost, day by day, and what the month will cost. What can be saved is `savings.py`'s."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
from dagster import AssetExecutionContext, ResourceParam

from penguin_infra.defs.reporting.cost_views import COST_LINEAGE, FORECAST_LINEAGE, cost_metadata, forecast_metadata
from penguin_infra.defs.reporting.days import daily_asset, days_of
from penguin_infra.defs.tables import markdown_table, table_metadata
from penguin_infra.operations.forecast_costs import forecast_costs, tell_budget
from penguin_infra.operations.measure_costs import CostReport, CostsNotKnown, measure_costs
from penguin_infra.store import analytics_tables
from penguin_infra.wiring import Wiring

_FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=26), warn_window=timedelta(hours=3))


@daily_asset(
    group_name="cost",
    owners=["team:sre"],
    kinds={"postgres"},
    tags={"cadence": "1h", "reader": "analysts"},
    freshness_policy=_FRESH,
    deps=["node_inventory", "plan_prices", "node_health", "delivery_rates"],
    metadata=table_metadata(analytics_tables.node_costs),
    check_specs=[
        dg.AssetCheckSpec(
            "costs_are_whole",
            asset="node_costs",
            blocking=True,
            description="The rows hold exactly the hours that were billed, counted by another road: else nothing is "
            "written, and the days stay as they were.",
        ),
        dg.AssetCheckSpec(
            "no_hour_is_free",
            asset="node_costs",
            blocking=True,
            description="No billed hour costs nothing: else nothing is written, and the days stay as they were.",
        ),
    ],
)
def node_costs(
    context: AssetExecutionContext, fleet: ResourceParam[Wiring]
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """What each instance cost, in US dollars: started hours at the plan's price in force, by what they went to.

    Source: `fleet.instance_spells`, `fleet.plan_prices`, the nodes' status, health and mail; every hour, a partition a
    day (UTC). Readers: analysts, owners, the forecast and the savings. One row a day, instance, plan, charge and usage;
    every billed hour is in exactly one row, and an open day's rows are the day so far.
    """
    first_day, last_day = days_of(context)
    now = fleet.clock.now()
    try:
        report = measure_costs(
            fleet.engine,
            fleet.policy.cost,
            first_day=first_day,
            last_day=last_day,
            fleet_name=fleet.settings.fleet_name,
            now=now,
        )
    except CostsNotKnown as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    context.log.info("%s to %s: %d rows, %.2f USD", first_day, last_day, len(report.lines), report.total_usd)
    checks = _checks(report)
    yield from checks
    if faults := [check.check_name for check in checks if not check.passed]:
        raise dg.Failure(f"{', '.join(map(str, faults))} failed: nothing was written", allow_retries=False)
    from penguin_infra.analytics.frames import frame_of  # noqa: PLC0415 - pandas: not for whoever only loads this

    yield dg.MaterializeResult(
        value=frame_of(analytics_tables.node_costs, report.lines), metadata={**cost_metadata(report), **COST_LINEAGE}
    )


@daily_asset(
    group_name="cost",
    owners=["team:sre"],
    kinds={"postgres"},
    tags={"cadence": "1h", "reader": "analysts"},
    freshness_policy=_FRESH,
    deps=["node_costs"],
    metadata=table_metadata(analytics_tables.cost_forecasts),
)
def cost_forecasts(context: AssetExecutionContext, fleet: ResourceParam[Wiring]) -> dg.MaterializeResult:
    """What the month will have cost, in US dollars, as it looked at the end of each day, with an interval of 80 %.

    Source: `analytics.node_costs`; every hour, a partition a day (UTC). Readers: owners, and the alert `budget`, which
    today's forecast opens and resolves. One row a day that anything was billed before.
    """
    first_day, last_day = days_of(context)
    now, limits = fleet.clock.now(), fleet.policy.cost
    found = forecast_costs(fleet.engine, first_day=first_day, last_day=last_day, now=now)
    tell_budget(fleet.engine, found, limits, now=now, run_id=context.run.run_id)
    rows = [
        (
            one.day, one.month, one.month_to_date_usd, one.forecast_usd, one.lower_usd, one.upper_usd,
            limits.monthly_budget_usd, one.method,
        )
        for one in found
    ]  # fmt: skip
    from penguin_infra.analytics.frames import frame_of  # noqa: PLC0415 - as above

    return dg.MaterializeResult(
        value=frame_of(analytics_tables.cost_forecasts, rows),
        metadata={**forecast_metadata(found, limits.monthly_budget_usd), **FORECAST_LINEAGE},
    )


def _checks(report: CostReport) -> list[dg.AssetCheckResult]:
    free = report.free_lines
    return [
        dg.AssetCheckResult(
            passed=report.billed_hours == report.spell_hours,
            asset_key="node_costs",
            check_name="costs_are_whole",
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"hours_in_rows": report.billed_hours, "hours_billed": report.spell_hours},
        ),
        dg.AssetCheckResult(
            passed=not free,
            asset_key="node_costs",
            check_name="no_hour_is_free",
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={
                "free_rows": len(free),
                "rows": markdown_table(
                    ["day", "instance", "plan", "charge", "hours"],
                    [(line.day, line.provider_id, line.plan, line.charge, line.hours) for line in free],
                ),
            },
        ),
    ]
