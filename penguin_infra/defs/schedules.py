"""The fleet's whole cadence on one page: which jobs run when. Sensors keep their intervals beside their jobs."""

from datetime import timedelta

import dagster as dg

from penguin_infra.defs.lanes import Lane, run_tags
from penguin_infra.defs.observation.blacklists import blacklists
from penguin_infra.defs.observation.capacity import capacity_utilisation
from penguin_infra.defs.observation.delivery import delivery_rates
from penguin_infra.defs.observation.health import node_health
from penguin_infra.defs.observation.inventory import node_inventory, provider_instances
from penguin_infra.defs.observation.prices import plan_prices
from penguin_infra.defs.observation.warmup import warmup_progress
from penguin_infra.defs.reporting.alerts import alerts_open
from penguin_infra.defs.reporting.remediation_plan import remediation_plan

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

measure_telemetry = dg.define_asset_job(
    "measure_telemetry",
    selection=dg.AssetSelection.assets(
        node_health, delivery_rates, capacity_utilisation, warmup_progress, alerts_open, remediation_plan
    ),
    description="What the nodes tell of themselves and of their mail, what people must know, and what is to be done.",
    tags=run_tags(Lane.ROUTINE, longest=timedelta(minutes=5)),
)

JOBS = [take_inventory, sweep_blacklists, measure_telemetry]


def build_schedules(*, sweep_cron: str) -> list[dg.ScheduleDefinition]:
    """All schedules, running unless an operator stops them."""
    cadence = (
        (take_inventory, "*/5 * * * *"),
        (sweep_blacklists, sweep_cron),
        (measure_telemetry, "* * * * *"),
    )
    return [
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
