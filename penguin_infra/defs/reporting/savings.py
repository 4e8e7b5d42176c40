"""What can be saved, as analysts and owners read it. How it is found stands below; who makes a saving, at the CLI."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal

import dagster as dg
from dagster import AssetExecutionContext, ResourceParam

from penguin_infra.defs.column_lineage import column_lineage
from penguin_infra.defs.postgres_io import ANALYTICS_TABLE
from penguin_infra.defs.tables import bars, markdown_table, table_metadata
from penguin_infra.domain.savings import FleetSums, SavingKind, SavingPlan
from penguin_infra.operations.find_savings import find_savings, saving_rows
from penguin_infra.store import savings
from penguin_infra.store.analytics_tables import cost_optimisation as cost_optimisation_table
from penguin_infra.wiring import Wiring

_CENTS = 100

_PRICES = ("plan_prices.monthly_usd", "plan_prices.hourly_usd")
_INSTANCES = ("provider_instances.plan", "provider_instances.extra_addresses")
_CAPACITY = ("capacity_utilisation.plan", "capacity_utilisation.status", "capacity_utilisation.allowance_per_day")
_DEMAND = tuple(f"delivery_rates.{name}" for name in ("sent", "hard_bounces", "soft_bounces", "policy_rejections"))
_STANDING = ("reputation_scores.score", "blacklist_status.severity")

_LINEAGE = column_lineage(
    {
        "kind": (*_DEMAND, *_STANDING, *_PRICES),
        "node_id": ("capacity_utilisation.node_id",),
        "label": ("reputation_scores.label", "provider_instances.label"),
        "region": ("capacity_utilisation.region", "provider_instances.region"),
        "plan": ("capacity_utilisation.plan", "provider_instances.plan"),
        "to_plan": ("plan_prices.plan",),
        **dict.fromkeys(
            ("saving_monthly_usd", "cost_before_monthly_usd", "cost_after_monthly_usd"), (*_PRICES, *_INSTANCES)
        ),
        **dict.fromkeys(("capacity_before_per_day", "capacity_after_per_day"), _CAPACITY),
        **dict.fromkeys(("peak_share_before", "peak_share_after"), (*_CAPACITY, *_DEMAND)),
        "reason": (*_CAPACITY, *_DEMAND, *_STANDING),
    }
)


@dg.asset(
    group_name="cost",
    owners=["team:sre"],
    kinds={"postgres"},
    tags={"cadence": "1h", "reader": "analysts"},
    io_manager_key=ANALYTICS_TABLE,
    # By the facts behind them, and after the day's costs, beside which they are read.
    deps=["plan_prices", "capacity_utilisation", "node_costs", "reputation_scores", "node_inventory", "delivery_rates"],
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=26), warn_window=timedelta(hours=3)),
    metadata=table_metadata(cost_optimisation_table),
)
def cost_optimisation(context: AssetExecutionContext, fleet: ResourceParam[Wiring]) -> dg.MaterializeResult:
    """What can be saved a month, in US dollars, each with its reason, its risk, and the fleet before and after it.

    Source: the newest prices, two weeks of mail, a day of CPU and memory, scores, listings, orphans and the forecast of
    demand; every hour, the present list in place of the last. Readers: owners, analysts, operators. One row a saving;
    all of them can be made together. None is made by itself: `penguin-infra actions plan ID` proposes one, and a person
    approves it (docs/savings.md).
    """
    now = fleet.clock.now()
    with fleet.engine.connect() as connection:
        plan = find_savings(connection, fleet.saving_search, now)
        made = savings.made_actions(connection)
    context.log.info("%d savings of %.2f USD a month together", len(plan.recommendations), plan.saving_usd)
    for note in plan.notes:
        context.log.info(note)
    from penguin_infra.analytics.frames import frame_of  # noqa: PLC0415 - pandas: not for whoever only loads this

    return dg.MaterializeResult(
        value=frame_of(cost_optimisation_table, saving_rows(plan, made, now)), metadata={**_metadata(plan), **_LINEAGE}
    )


def _metadata(plan: SavingPlan) -> dict[str, int | float | dg.MarkdownMetadataValue]:
    counts = Counter(each.kind for each in plan.recommendations)
    by_kind = {kind: Decimal(0) for kind in SavingKind}
    for each in plan.recommendations:
        by_kind[each.kind] += each.saving_usd
    return {
        "saving_monthly_usd": float(plan.saving_usd),
        "cost_before_monthly_usd": float(plan.before.monthly_usd),
        "cost_after_monthly_usd": float(plan.together.monthly_usd),
        **{f"{kind.value}_count": counts[kind] for kind in SavingKind},
        **{f"{kind.value}_usd": float(saved) for kind, saved in by_kind.items()},
        **_peak("before", plan.before),
        **_peak("after", plan.together),
        "before_and_after": bars(
            {
                "now, US cents a month": int(plan.before.monthly_usd * _CENTS),
                "with all savings, US cents a month": int(plan.together.monthly_usd * _CENTS),
            }
        ),
        "by_kind": bars({f"{kind}, US cents a month": int(saved * _CENTS) for kind, saved in by_kind.items()}),
        "together": dg.MetadataValue.md(f"now: {plan.before}\n\nwith all savings: {plan.together}"),
        "not_judged": markdown_table(["why"], [[note] for note in plan.notes]),
        "savings": markdown_table(
            ["USD a month", "kind", "of", "plan", "to plan", "why", "risk", "command"],
            [
                (
                    f"{each.saving_usd:.2f}", each.kind, each.label, each.plan, each.to_plan, each.reason, each.risk,
                    each.command,
                )
                for each in plan.recommendations
            ],
        ),
    }  # fmt: skip


def _peak(when: str, sums: FleetSums) -> dict[str, float]:
    """Nothing where no share describes it: a nought would be drawn as one."""
    return {} if sums.peak_share is None else {f"peak_share_{when}": sums.peak_share}
