"""All of Dagster's definitions put together around one wiring; tests build them around another."""

from collections.abc import Sequence

import dagster as dg

from penguin_infra.defs import schedules
from penguin_infra.defs.observation.blacklists import blacklists
from penguin_infra.defs.observation.capacity import capacity_utilisation
from penguin_infra.defs.observation.delivery import delivery_rates
from penguin_infra.defs.observation.health import node_health
from penguin_infra.defs.observation.inventory import node_inventory, provider_instances
from penguin_infra.defs.observation.prices import plan_prices
from penguin_infra.defs.observation.reputation import reputation_scores
from penguin_infra.defs.observation.warmup import warmup_progress
from penguin_infra.defs.postgres_io import ANALYTICS_TABLE, AnalyticsTables
from penguin_infra.defs.remediation.decommission import decommission, decommission_sensor
from penguin_infra.defs.remediation.maintenance import maintenance, maintenance_sensor
from penguin_infra.defs.remediation.node_runs import node_run
from penguin_infra.defs.remediation.pause import pause, pause_sensor
from penguin_infra.defs.remediation.provision import provision, provision_sensor
from penguin_infra.defs.remediation.recover import recover, recover_sensor
from penguin_infra.defs.remediation.reinstall import reinstall, reinstall_sensor
from penguin_infra.defs.remediation.release import release, release_sensor
from penguin_infra.defs.remediation.resize import resize, resize_sensor
from penguin_infra.defs.remediation.resume import resume, resume_sensor
from penguin_infra.defs.remediation.warmup import advance_warmup, advance_warmup_sensor
from penguin_infra.defs.reporting.alerts import alerts_open
from penguin_infra.defs.reporting.costs import cost_forecasts, node_costs
from penguin_infra.defs.reporting.fleet_report import fleet_report
from penguin_infra.defs.reporting.remediation_plan import remediation_plan
from penguin_infra.defs.reporting.reputation_history import listing_impacts, provider_reputation, reputation_history
from penguin_infra.defs.reporting.savings import cost_optimisation
from penguin_infra.wiring import Wiring

SENSORS: Sequence[dg.SensorDefinition] = (
    pause_sensor,
    resume_sensor,
    provision_sensor,
    release_sensor,
    recover_sensor,
    reinstall_sensor,
    resize_sensor,
    maintenance_sensor,
    decommission_sensor,
    advance_warmup_sensor,
)


def build_definitions(
    fleet: Wiring,
    *,
    executor: dg.ExecutorDefinition = dg.in_process_executor,
    sensors: Sequence[dg.SensorDefinition] = SENSORS,
) -> dg.Definitions:
    """The code location.

    In process by default: a run's steps are short, share one claim, and a process each would double the time from a
    listing to its pause.
    """
    return dg.Definitions(
        assets=[
            provider_instances,
            node_inventory,
            plan_prices,
            blacklists,
            node_health,
            delivery_rates,
            capacity_utilisation,
            warmup_progress,
            reputation_scores,
            alerts_open,
            remediation_plan,
            node_costs,
            cost_optimisation,
            reputation_history,
            provider_reputation,
            listing_impacts,
            cost_forecasts,
            fleet_report,
        ],
        jobs=[
            pause,
            resume,
            provision,
            release,
            recover,
            reinstall,
            resize,
            maintenance,
            decommission,
            advance_warmup,
            *schedules.JOBS,
        ],
        sensors=sensors,
        schedules=schedules.build_schedules(
            sweep_cron=fleet.settings.sweep_cron, report_cron=fleet.settings.report_cron
        ),
        resources={
            "fleet": dg.ResourceDefinition.hardcoded_resource(fleet),
            "node_run": node_run,
            ANALYTICS_TABLE: AnalyticsTables(fleet),
        },
        executor=executor,
    )
