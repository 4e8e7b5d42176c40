"""What people and Dagster are told of the pipeline: every asset explains itself, and the cadence is as written here."""

from typing import Any

import dagster as dg
import pytest

from penguin_infra.defs.build import build_definitions
from penguin_infra.defs.lanes import LANE_TAG
from penguin_infra.settings import Settings
from penguin_infra.wiring import Wiring


@pytest.fixture(scope="module")
def bare() -> dg.Definitions:
    """Definitions of a fleet with neither database nor provider."""
    return build_definitions(Wiring(Settings(_env_file=None)))


@pytest.fixture(scope="module")
def repository(bare: dg.Definitions) -> dg.RepositoryDefinition:
    return bare.get_repository_def()


def specs(bare: dg.Definitions) -> list[dg.AssetSpec]:
    return list(bare.resolve_all_asset_specs())


def test_every_asset_says_what_it_is_whose_and_how_fresh(bare: dg.Definitions) -> None:
    silent = {
        (spec.key.to_user_string(), what)
        for spec in specs(bare)
        for what, said in {
            "docstring": spec.description and len(spec.description) > 100 and "Source:" in spec.description,
            "readers": spec.description and "Readers:" in spec.description,
            "owner": spec.owners and all(owner.startswith("team:") for owner in spec.owners),
            "group": spec.group_name and spec.group_name != "default",
            "kinds": spec.kinds,
            "cadence": spec.tags.get("cadence"),
            "reader": spec.tags.get("reader"),
            "freshness policy": spec.freshness_policy,
            # The plan reads, and writes nothing; the report writes a file.
            "table name": spec.key.to_user_string() in {"remediation_plan", "fleet_report"}
            or str(spec.metadata.get("dagster/table_name", "")).startswith(("penguin.fleet.", "penguin.analytics.")),
        }.items()
        if not said
    }
    assert silent == set()


def test_every_asset_describes_the_columns_of_its_table(bare: dg.Definitions) -> None:
    for spec in specs(bare):
        schema: Any = spec.metadata["dagster/column_schema"]
        assert all(column.name and column.type for column in schema.columns), spec.key
        assert any(column.description for column in schema.columns), spec.key


def test_assets_and_checks_are_these(bare: dg.Definitions, repository: dg.RepositoryDefinition) -> None:
    found = {
        spec.key.to_user_string(): (spec.group_name, sorted(dep.asset_key.to_user_string() for dep in spec.deps))
        for spec in specs(bare)
    }
    assert found == {
        "alerts_open": ("reporting", []),
        "blacklist_health": ("reputation", []),
        "blacklist_status": ("reputation", []),
        "capacity_utilisation": ("telemetry", []),
        "cost_forecasts": ("cost", ["node_costs"]),
        "cost_optimisation": (
            "cost",
            [
                "capacity_utilisation",
                "delivery_rates",
                "node_costs",
                "node_inventory",
                "plan_prices",
                "reputation_scores",
            ],
        ),
        "delivery_rates": ("telemetry", []),
        "node_costs": ("cost", ["delivery_rates", "node_health", "node_inventory", "plan_prices"]),
        "node_health": ("telemetry", []),
        "node_inventory": ("inventory", ["provider_instances"]),
        "plan_prices": ("cost", []),
        "provider_instances": ("inventory", []),
        "remediation_plan": (
            "reporting",
            ["capacity_utilisation", "delivery_rates", "warmup_progress"],
        ),
        "fleet_report": (
            "reporting",
            [
                "alerts_open",
                "capacity_utilisation",
                "cost_forecasts",
                "cost_optimisation",
                "listing_impacts",
                "node_costs",
                "provider_reputation",
                "remediation_plan",
                "reputation_history",
                "reputation_scores",
                "warmup_progress",
            ],
        ),
        "listing_impacts": ("reputation", ["blacklist_status", "delivery_rates"]),
        "provider_reputation": ("reputation", ["delivery_rates"]),
        "reputation_history": ("reputation", ["blacklist_status", "delivery_rates", "reputation_scores"]),
        "reputation_scores": (
            "reputation",
            ["blacklist_status", "delivery_rates", "node_health", "warmup_progress"],
        ),
        "warmup_progress": ("telemetry", []),
    }
    graph = repository.asset_graph
    checks = {
        f"{key.asset_key.to_user_string()}:{key.name}": graph.get_check_spec(key) for key in graph.asset_check_keys
    }
    assert {name: spec.blocking for name, spec in checks.items()} == {
        "blacklist_health:terms_are_kept": False,
        "blacklist_status:answers_are_fresh": False,
        "blacklist_status:lists_are_healthy": False,
        "blacklist_status:no_list_lists_everybody": True,
        "capacity_utilisation:nodes_are_windowed": False,
        "capacity_utilisation:plans_are_priced": False,
        "delivery_rates:complaints_are_attributed": False,
        "delivery_rates:deliveries_are_reported": False,
        "node_costs:costs_are_whole": True,
        "node_costs:no_hour_is_free": True,
        "node_health:few_are_silent": False,
        "node_health:observer_is_alive": True,
        "node_inventory:no_ghosts": False,
        "node_inventory:no_orphans": False,
        "node_inventory:no_strays": False,
        "node_inventory:nothing_changed_unasked": False,
        "plan_prices:prices_are_sound": True,
        "provider_instances:listing_is_not_empty": True,
        "reputation_history:history_is_whole": True,
        "reputation_history:mail_is_attributed": False,
        "reputation_scores:scores_explained": False,
    }
    assert all(spec.description for spec in checks.values())


def test_jobs_wait_in_these_lanes_and_may_not_run_for_ever(repository: dg.RepositoryDefinition) -> None:
    jobs = {job.name: job for job in repository.get_all_jobs() if not job.name.startswith("__")}
    found = {
        name: (job.run_tags[LANE_TAG], job.run_tags["dagster/priority"], int(job.run_tags["dagster/max_runtime"]))
        for name, job in jobs.items()
    }
    assert found == {
        "pause": ("urgent", "10", 600),
        "resume": ("urgent", "10", 600),
        "provision": ("slow", "-10", 21600),
        "release": ("slow", "-10", 1800),
        "recover": ("urgent", "10", 3600),
        "reinstall": ("slow", "-10", 21600),
        "resize": ("slow", "-10", 21600),
        "maintenance": ("slow", "-10", 16200),
        "decommission": ("slow", "-10", 18000),
        "advance_warmup": ("routine", "0", 900),
        "take_inventory": ("routine", "0", 300),
        "sweep_blacklists": ("routine", "0", 900),
        "score_reputation": ("routine", "0", 300),
        "measure_telemetry": ("routine", "0", 300),
        "report_days": ("routine", "0", 3600),
    }
    assert [name for name, job in jobs.items() if not job.description] == []


def test_every_run_executes_in_one_process(repository: dg.RepositoryDefinition) -> None:
    assert {job.executor_def.name for job in repository.get_all_jobs()} == {"in_process"}


def test_schedules_are_these_in_utc_and_running(repository: dg.RepositoryDefinition) -> None:
    found = {
        schedule.name: (schedule.job_name, schedule.cron_schedule, schedule.execution_timezone, schedule.default_status)
        for schedule in repository.schedule_defs
    }
    running = dg.DefaultScheduleStatus.RUNNING
    assert found == {
        "take_inventory_schedule": ("take_inventory", "*/5 * * * *", "UTC", running),
        "sweep_blacklists_schedule": ("sweep_blacklists", "*/5 * * * *", "UTC", running),
        "score_reputation_schedule": ("score_reputation", "2-59/5 * * * *", "UTC", running),
        "measure_telemetry_schedule": ("measure_telemetry", "* * * * *", "UTC", running),
        "report_days_schedule": ("report_days", "5 * * * *", "UTC", running),
    }


def test_the_sweeps_cadence_is_a_setting() -> None:
    fleet = Wiring(Settings(_env_file=None, sweep_cron="* * * * *"))
    schedule = build_definitions(fleet).get_repository_def().get_schedule_def("sweep_blacklists_schedule")
    assert schedule.cron_schedule == "* * * * *"


def test_sensors_are_these_each_with_its_job_and_running(repository: dg.RepositoryDefinition) -> None:
    found = {
        sensor.name: (sensor.job_name, sensor.minimum_interval_seconds, sensor.default_status)
        for sensor in repository.sensor_defs
    }
    running = dg.DefaultSensorStatus.RUNNING
    assert found == {
        "pause_sensor": ("pause", 5, running),
        "resume_sensor": ("resume", 5, running),
        "provision_sensor": ("provision", 5, running),
        "release_sensor": ("release", 15, running),
        "recover_sensor": ("recover", 15, running),
        "reinstall_sensor": ("reinstall", 15, running),
        "resize_sensor": ("resize", 15, running),
        "maintenance_sensor": ("maintenance", 5, running),
        "decommission_sensor": ("decommission", 5, running),
        "advance_warmup_sensor": ("advance_warmup", 15, running),
    }
    assert [sensor.name for sensor in repository.sensor_defs if not sensor.description] == []
