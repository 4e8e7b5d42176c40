"""The fleet's whole cadence on one page: which jobs run when. Sensors keep their intervals beside their jobs."""

from datetime import timedelta

import dagster as dg
from dagster import ResourceParam

from penguin_infra.defs.lanes import Lane, run_tags
from penguin_infra.defs.observation.blacklists import blacklists
from penguin_infra.defs.observation.capacity import capacity_utilisation
from penguin_infra.defs.observation.delivery import delivery_rates
from penguin_infra.defs.observation.health import node_health
from penguin_infra.defs.observation.inventory import node_inventory, provider_instances
from penguin_infra.defs.observation.prices import plan_prices
from penguin_infra.defs.observation.reputation import reputation_scores
from penguin_infra.defs.observation.warmup import warmup_progress
from penguin_infra.defs.reporting.alerts import alerts_open
from penguin_infra.defs.reporting.costs import cost_forecasts, node_costs
from penguin_infra.defs.reporting.days import FIRST_DAY
from penguin_infra.defs.reporting.fleet_report import fleet_report
from penguin_infra.defs.reporting.remediation_plan import remediation_plan
from penguin_infra.defs.reporting.reputation_history import listing_impacts, provider_reputation, reputation_history
from penguin_infra.defs.reporting.savings import cost_optimisation
from penguin_infra.store.reported_days import days_to_report
from penguin_infra.wiring import Wiring

take_inventory = dg.define_asset_job(
    "take_inventory",
    selection=dg.AssetSelection.assets(provider_instances, node_inventory, plan_prices),
    description="The provider's instances, where the registry differs from them, and what plans cost.",
    tags=run_tags(Lane.ROUTINE, longest=timedelta(minutes=5)),
)

sweep_blacklists = dg.define_asset_job(
    "sweep_blacklists",
    selection=dg.AssetSelection.assets(blacklists),
    description="Every list asked about every address whose turn it is.",
    tags=run_tags(Lane.ROUTINE, longest=timedelta(minutes=15)),
)

# Not in the sweep's run: its blocking check fails while a list is frozen, and scores must not stand still for that.
score_reputation = dg.define_asset_job(
    "score_reputation",
    selection=dg.AssetSelection.assets(reputation_scores),
    description="What each node's address is worth now, and why.",
    tags=run_tags(Lane.ROUTINE, longest=timedelta(minutes=5)),
)

measure_telemetry = dg.define_asset_job(
    "measure_telemetry",
    selection=dg.AssetSelection.assets(
        node_health, delivery_rates, capacity_utilisation, warmup_progress, alerts_open, remediation_plan
    ),
    description="What the nodes tell of themselves and of their mail, what people must know, and what is to be done.",
    tags=run_tags(Lane.ROUTINE, longest=timedelta(minutes=5)),
)

# What analysts read, by days; all that one run sums up.
REPORTED = (
    node_costs,
    cost_forecasts,
    cost_optimisation,
    reputation_history,
    provider_reputation,
    listing_impacts,
    fleet_report,
)

report_days = dg.define_asset_job(
    "report_days",
    selection=dg.AssetSelection.assets(*REPORTED),
    description="What each day cost and did to reputations, today so far among them, what the month will cost, "
    "what can be saved, what listings cost, and the day's report.",
    # A fleet's first run may sum up a year.
    tags=run_tags(Lane.ROUTINE, longest=timedelta(hours=1)),
)

JOBS = [take_inventory, sweep_blacklists, score_reputation, measure_telemetry, report_days]


def build_schedules(*, sweep_cron: str, report_cron: str) -> list[dg.ScheduleDefinition]:
    """All schedules, running unless an operator stops them."""
    cadence = (
        (take_inventory, "*/5 * * * *"),
        (sweep_blacklists, sweep_cron),
        # After a sweep of the usual length, so that its listings count.
        (score_reputation, "2-59/5 * * * *"),
        (measure_telemetry, "* * * * *"),
    )
    plain = [
        dg.ScheduleDefinition(
            name=f"{job.name}_schedule",
            job=job,
            cron_schedule=cron,
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description=job.description,
        )
        for job, cron in cadence
    ]
    return [*plain, _report_schedule(report_cron)]


def _report_schedule(cron: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{report_days.name}_schedule",
        job=report_days,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=report_days.description,
    )
    def report_days_schedule(fleet: ResourceParam[Wiring]) -> dg.RunRequest | dg.SkipReason:
        with fleet.engine.connect() as connection:
            days = days_to_report(connection, fleet.clock.now(), first_day=FIRST_DAY)
        if days is None:
            return dg.SkipReason("the provider has billed nothing yet")
        first, last = (day.isoformat() for day in days)
        # One day too: a run of its own for it would differ in nothing.
        ends = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        return dg.RunRequest(tags=ends)

    return report_days_schedule
