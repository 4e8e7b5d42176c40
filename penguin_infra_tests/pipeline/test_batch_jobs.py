"""Batch jobs: pause and resume carry out all that is due in one run, with an outcome a node."""

from typing import Any

import dagster as dg

from penguin_infra.defs.remediation.pause import pause_sensor
from penguin_infra.defs.remediation.resume import resume_sensor
from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.node import NodeStatus
from penguin_infra.wiring import Wiring
from penguin_infra_tests.fleets import add_node, add_nodes, list_address, plan, rotation, status_of
from penguin_infra_tests.pipeline.test_node_jobs import ask, ledger, run


def outcomes(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (output,) = [one.step_output_data for one in result.all_events if one.is_successful_output]
    return {key: entry.value for key, entry in output.metadata.items()}


def test_a_listed_node_is_paused_by_the_run_that_its_sensor_asked_for(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    listed, clean = add_nodes(fleet.engine, 2)
    list_address(fleet.engine, listed)
    (request,) = ask(pause_sensor, fleet, instance)
    result = run("pause", request, definitions, instance)
    assert result.success
    assert outcomes(result)["actions"] == 1
    assert "node-001 went from warming to paused" in outcomes(result)["outcomes"]
    assert status_of(fleet.engine, listed) is NodeStatus.PAUSED
    assert status_of(fleet.engine, clean) is NodeStatus.WARMING
    assert ledger(fleet) == [("pause", "succeeded")]


def test_one_run_pauses_every_node_that_is_due(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    node_ids = add_nodes(fleet.engine, 5)
    plan(fleet.engine, node_ids, at=fleet.clock.now())
    (request,) = ask(pause_sensor, fleet, instance)
    assert outcomes(run("pause", request, definitions, instance))["actions"] == 5
    assert {status_of(fleet.engine, node_id) for node_id in node_ids} == {NodeStatus.PAUSED}


def test_a_resumed_node_takes_up_the_status_it_had_left(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    node_id = add_node(fleet.engine, status=NodeStatus.PAUSED)
    plan(fleet.engine, [node_id], ActionKind.RESUME, at=fleet.clock.now())
    (request,) = ask(resume_sensor, fleet, instance)
    assert run("resume", request, definitions, instance).success
    assert status_of(fleet.engine, node_id) is NodeStatus.WARMING
    assert rotation(fleet.engine) == {node_id}


def test_a_node_that_cannot_resume_makes_the_run_red_and_holds_up_no_other(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    listed, clean = add_nodes(fleet.engine, 2, NodeStatus.PAUSED)
    list_address(fleet.engine, listed)
    plan(fleet.engine, [listed, clean], ActionKind.RESUME, at=fleet.clock.now())
    (request,) = ask(resume_sensor, fleet, instance)
    result = run("resume", request, definitions, instance)
    assert not result.success
    (failure,) = [one.step_failure_data.user_failure_data for one in result.all_events if one.is_step_failure]
    assert failure is not None
    assert "1 of 2 failed" in str(failure.description)
    assert failure.metadata["failed"].value == 1
    assert status_of(fleet.engine, listed) is NodeStatus.PAUSED
    assert status_of(fleet.engine, clean) is NodeStatus.WARMING
    assert sorted(ledger(fleet)) == [("resume", "failed"), ("resume", "succeeded")]


def test_a_run_with_nothing_left_to_do_succeeds(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    result = definitions.resolve_job_def("pause").execute_in_process(instance=instance)
    assert outcomes(result)["actions"] == 0
