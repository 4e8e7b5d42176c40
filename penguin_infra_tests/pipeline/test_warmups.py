"""Warm-up through Dagster: the minute's measurement and its figures, then the sensor, its run, and the node's state."""

from datetime import timedelta
from typing import Any

import dagster as dg
from sqlalchemy import text

from penguin_infra.defs.remediation.warmup import advance_warmup_sensor
from penguin_infra.domain.node import NodeStatus
from penguin_infra.wiring import Wiring
from penguin_infra_tests.fleets import add_node, add_nodes, status_of
from penguin_infra_tests.pipeline.test_batch_jobs import outcomes
from penguin_infra_tests.pipeline.test_inventory import figures, materialized
from penguin_infra_tests.pipeline.test_node_jobs import ask, ledger, run
from penguin_infra_tests.warmups import add_day, stand_at, state_of

DAY = timedelta(days=1)
FIGURES = {
    "dagster/row_count", "stuck", "late", "steps_due", "begun", "allowed_per_day", "planned_per_day", "full_per_day",
    "delivered_last_day", "alerts_opened", "alerts_resolved",
}  # fmt: skip


def measure(definitions: dg.Definitions, instance: dg.DagsterInstance) -> dg.AssetMaterialization:
    job = definitions.resolve_job_def("measure_telemetry")
    result = job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey("warmup_progress")])
    return materialized(result)["warmup_progress"]


def shown(measured: dg.AssetMaterialization, name: str) -> str:
    return str(measured.metadata[name].value)


def test_a_fleet_without_warm_ups_has_all_figures_and_nothing_to_show(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    measured = measure(definitions, instance)
    assert set(figures(measured)) == FIGURES
    assert set(figures(measured).values()) == {0}
    assert shown(measured, "all_full_on") == "no node is warming"


def test_plan_and_fact_are_shown_by_cohort_and_the_stuck_and_late_nodes_by_name(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    well, late, stuck = add_nodes(fleet.engine, 3)
    now = fleet.clock.now()
    stand_at(fleet.engine, well, 250, now - 2 * DAY)
    stand_at(fleet.engine, late, 100, now - DAY, begun_at=now - 10 * DAY)
    stand_at(fleet.engine, stuck, 50, now - 11 * DAY)
    measured = measure(definitions, instance)
    found = figures(measured)
    assert (found["stuck"], found["late"], found["allowed_per_day"]) == (1, 2, 400)
    assert found["full_per_day"] == 3 * fleet.policy.curve.stages[-1]
    assert found["alerts_opened"] == 1
    week = f"{now - 2 * DAY:%G-W%V}"
    assert f"{week} allowed" in shown(measured, "cohorts")
    assert f"{week} planned" in shown(measured, "cohorts")
    table = shown(measured, "stuck_and_late_nodes")
    assert ("node-001" in table, "node-002" in table, "node-003" in table) == (False, True, True)
    assert "for 11 days" in table
    last = max(line.split()[0] for line in shown(measured, "full_capacity_by_day").splitlines() if "█" in line)
    assert shown(measured, "all_full_on") == last


def test_an_earned_stage_is_taken_by_the_run_that_the_sensor_asked_for(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    earned, waiting = add_nodes(fleet.engine, 2)
    now = fleet.clock.now()
    for node_id in (earned, waiting):
        stand_at(fleet.engine, node_id, 50, now - DAY - timedelta(minutes=5))
    add_day(fleet.engine, earned, until_at=now, hours=23, sent=3)
    assert figures(measure(definitions, instance))["steps_due"] == 1
    (request,) = ask(advance_warmup_sensor, fleet, instance)
    assert request.tags["penguin/cause"] == "policy:advance_warmup"
    result = run("advance_warmup", request, definitions, instance)
    assert result.success
    assert "node-001: advance" in outcomes(result)["outcomes"]
    assert [state_of(fleet.engine, node_id).daily for node_id in (earned, waiting)] == [100, 50]
    assert ledger(fleet) == [("advance_warmup", "succeeded")]
    assert said(fleet, instance) == "no node needs advance_warmup"


def test_a_node_that_was_silent_for_a_month_warms_up_again(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    node_id = add_node(fleet.engine, status=NodeStatus.ACTIVE)
    stand_at(fleet.engine, node_id, 55_000, fleet.clock.now() - 31 * DAY, is_finished=True)
    measure(definitions, instance)
    (request,) = ask(advance_warmup_sensor, fleet, instance)
    assert run("advance_warmup", request, definitions, instance).success
    assert status_of(fleet.engine, node_id) is NodeStatus.WARMING


def test_what_no_measurement_saw_lately_is_left_alone(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    node_id = add_node(fleet.engine, status=NodeStatus.ACTIVE)
    stand_at(fleet.engine, node_id, 55_000, fleet.clock.now() - 31 * DAY, is_finished=True)
    measure(definitions, instance)
    with fleet.engine.begin() as connection:
        connection.execute(text("UPDATE fleet.warmup_progress SET measured_at = measured_at - interval '11 minutes'"))
    assert said(fleet, instance) == "no node needs advance_warmup"


def said(fleet: Wiring, instance: dg.DagsterInstance) -> str:
    context = dg.build_sensor_context(instance=instance, resources={"fleet": fleet})
    answer: Any = advance_warmup_sensor(context)
    assert isinstance(answer, dg.SkipReason), answer
    return str(answer.skip_message)
