"""Costs end to end: the hourly run takes the days' place, shows figures and charts, and writes nothing on bad input."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import dagster as dg
from sqlalchemy import Engine, select, text

from penguin_infra.defs.build import build_definitions
from penguin_infra.store.analytics_tables import cost_forecasts, node_costs
from penguin_infra.wiring import Wiring
from penguin_infra_tests.operations.test_measure_costs import spell
from penguin_infra_tests.pipeline.test_inventory import checks, materialized

FIGURES = {
    "dagster/row_count", "days", "instances", "hours", "total_usd", "last_day_usd", "in_service_usd", "held_usd",
    "provisioning_usd", "unowned_usd", "unused_usd", "unhealthy_usd", "idle_usd", "ghosts",
}  # fmt: skip
FORECAST_FIGURES = {
    "dagster/row_count", "month_to_date_usd", "forecast_usd", "lower_usd", "upper_usd",
}  # fmt: skip
COSTS = [dg.AssetKey("node_costs"), dg.AssetKey("cost_forecasts")]


def tick(fleet: Wiring, instance: dg.DagsterInstance) -> Any:
    """What the schedule asks for now."""
    repository = build_definitions(fleet).get_repository_def()
    context = dg.build_schedule_context(
        instance=instance,
        resources={"fleet": fleet},
        repository_def=repository,
        scheduled_execution_time=datetime.now(UTC),
    )
    return repository.get_schedule_def("report_days_schedule").evaluate_tick(context)


def run(fleet: Wiring, instance: dg.DagsterInstance, tags: dict[str, str]) -> dg.ExecuteInProcessResult:
    job = build_definitions(fleet).resolve_job_def("report_days")
    return job.execute_in_process(instance=instance, tags=tags, asset_selection=COSTS, raise_on_error=False)


def rows(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(node_costs).order_by(*node_costs.primary_key.columns))]


def test_the_schedule_s_run_sums_up_all_days_since_the_first_and_then_today_s(
    fleet: Wiring, engine: Engine, instance: dg.DagsterInstance
) -> None:
    assert "nothing yet" in (tick(fleet, instance).skip_message or "")
    midnight = datetime.combine(fleet.clock.now().date(), time(), UTC)
    spell(engine, "hw-1", midnight - timedelta(days=2, minutes=20))
    (request,) = tick(fleet, instance).run_requests
    result = run(fleet, instance, request.tags)
    assert result.success
    found = rows(engine)
    assert [row[0] for row in found] == [midnight.date() - timedelta(days=back) for back in (3, 2, 1, 0)]
    assert [row[8] for row in found][:3] == [1, 24, 24]
    with engine.connect() as connection:
        assert len(connection.execute(select(cost_forecasts)).all()) == 4
    assert all(check.passed for check in checks(result).values())
    assert checks(result).keys() == {"costs_are_whole", "no_hour_is_free"}

    (request,) = tick(fleet, instance).run_requests
    ends = {request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end")}
    assert max(ends) == midnight.date().isoformat()


def test_the_ui_shows_figures_charts_and_where_columns_come_from(
    fleet: Wiring, engine: Engine, instance: dg.DagsterInstance
) -> None:
    spell(engine, "hw-1", fleet.clock.now() - timedelta(days=1))
    (request,) = tick(fleet, instance).run_requests
    shown = materialized(run(fleet, instance, request.tags))
    numbers = {
        name: {key for key, entry in one.metadata.items() if isinstance(entry.value, (int, float))}
        for name, one in shown.items()
    }
    assert numbers["node_costs"] >= FIGURES
    assert numbers["cost_forecasts"] >= FORECAST_FIGURES
    costs = shown["node_costs"].metadata
    assert "unowned" in str(costs["cents_a_day"].value)
    assert "ssd-1 in dallas, US cents" in str(costs["by_plan"].value)
    assert "| hw-1 |" in str(costs["costliest_instances"].value)
    lineage: Any = costs["dagster/column_lineage"].value
    assert lineage.deps_by_column.keys() <= {column.name for column in node_costs.columns}
    assert "wide" in str(shown["cost_forecasts"].metadata["method"].value)


def test_a_plan_without_a_price_blocks_the_days_and_leaves_their_rows(
    fleet: Wiring, engine: Engine, instance: dg.DagsterInstance
) -> None:
    spell(engine, "hw-1", fleet.clock.now() - timedelta(hours=30), plan="ssd-1")
    (request,) = tick(fleet, instance).run_requests
    assert run(fleet, instance, request.tags).success
    before = rows(engine)
    spell(engine, "hw-2", fleet.clock.now() - timedelta(hours=30), plan="ssd-9")
    result = run(fleet, instance, request.tags)
    assert not result.success
    assert "ssd-9: hw-2" in str(result.get_step_failure_events()[0].step_failure_data.error)
    assert rows(engine) == before
    assert "cost_forecasts" not in materialized(result)


def test_an_hour_for_nothing_fails_its_check_and_nothing_is_written(
    fleet: Wiring, engine: Engine, instance: dg.DagsterInstance
) -> None:
    with engine.begin() as connection:
        # No price list with such a price is ever taken: somebody wrote it.
        connection.execute(
            text(
                "INSERT INTO fleet.plan_prices (plan, seen_at, last_seen_at, cpu_count, memory_mb, disk_gb, "
                "transfer_gb, monthly_usd, hourly_usd) VALUES ('ssd-1', now(), now(), 1, 1024, 30, 1000, 4.99, 0)"
            )
        )
    spell(engine, "hw-1", fleet.clock.now() - timedelta(hours=30))
    (request,) = tick(fleet, instance).run_requests
    result = run(fleet, instance, request.tags)
    assert not result.success
    found = checks(result)
    assert (found["no_hour_is_free"].passed, found["costs_are_whole"].passed) == (False, True)
    assert rows(engine) == []
