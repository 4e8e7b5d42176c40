"""The way out in the pipeline: what persons ask for and approve is run, step by step, and a proposal is not."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import dagster as dg
import pytest

from penguin_infra.defs.remediation.decommission import decommission_sensor
from penguin_infra.defs.remediation.maintenance import maintenance_sensor
from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.inventory import Drift, DriftKind
from penguin_infra.domain.node import InstanceLabel, NodeStatus
from penguin_infra.operations.approve_action import approve_action
from penguin_infra.operations.plan_actions import plan_actions
from penguin_infra.store import actions, drains, inventory, node_places
from penguin_infra.wiring import Wiring
from penguin_infra_tests.fleets import add_node, plan, rotation, status_of
from penguin_infra_tests.pipeline.test_node_jobs import ask, ledger, run
from penguin_infra_tests.simulator_process import SimulatorProcess


@pytest.fixture
def node_id(fleet: Wiring) -> UUID:
    """A node with an instance at the provider, and another one that goes on sending."""
    made = add_node(fleet.engine, 1)
    add_node(fleet.engine, 77_777)
    label = InstanceLabel.of(fleet_name=fleet.settings.fleet_name, label="node-001", node_id=made)
    instance = fleet.provider.create_instance(label=str(label), region="dallas", plan="ssd-1")
    with fleet.engine.begin() as connection:
        node_places.record_instance(connection, made, instance.provider_id, fleet.clock.now())
    return made


def want(fleet: Wiring, node_id: UUID, kind: ActionKind) -> UUID:
    """As a person asks by command."""
    action = PlannedAction(node_id, kind, "its range is burnt", "person:ada", {"drain_minutes": 0})
    made = plan_actions(
        fleet.engine, lambda _connection: [action], limits=fleet.policy.guardrails, now=fleet.clock.now()
    )
    (action_id,) = (*made.action_ids, *made.proposed_ids)
    return action_id


def approve(fleet: Wiring, action_id: UUID) -> None:
    with fleet.engine.begin() as connection:
        approve_action(
            connection, action_id, decided_by="person:bob", limits=fleet.policy.guardrails, now=fleet.clock.now()
        )


def skip_reason(sensor: dg.SensorDefinition, fleet: Wiring, instance: dg.DagsterInstance) -> str:
    answer: Any = sensor(dg.build_sensor_context(instance=instance, resources={"fleet": fleet}))
    assert isinstance(answer, dg.SkipReason), answer
    return str(answer.skip_message)


def steps_of(result: dg.ExecuteInProcessResult) -> list[str]:
    return [str(one.step_key) for one in result.all_events if one.is_step_success]


def test_a_maintenance_that_a_person_asked_for_is_run_and_holds_the_node(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance, node_id: UUID
) -> None:
    assert skip_reason(maintenance_sensor, fleet, instance) == "no node needs maintenance"
    want(fleet, node_id, ActionKind.MAINTENANCE)
    (request,) = ask(maintenance_sensor, fleet, instance)
    assert (request.tags["penguin/node"], request.tags["penguin/cause"]) == ("node-001", "person:ada")
    result = run("maintenance", request, definitions, instance)
    assert steps_of(result) == ["drain", "hold_node"]
    assert status_of(fleet.engine, node_id) is NodeStatus.MAINTENANCE
    assert ledger(fleet) == [("maintenance", "succeeded")]


def test_a_proposal_is_not_run_until_somebody_approves_it(
    fleet: Wiring,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    simulator: SimulatorProcess,
    node_id: UUID,
) -> None:
    action_id = want(fleet, node_id, ActionKind.DECOMMISSION)
    assert skip_reason(decommission_sensor, fleet, instance) == (
        "1 decommission waiting for approval (`penguin-infra actions list --status proposed`)"
    )
    assert len(simulator.instances()) == 1
    approve(fleet, action_id)
    (request,) = ask(decommission_sensor, fleet, instance)
    result = run("decommission", request, definitions, instance)
    assert steps_of(result) == ["drain", "hold_node", "remove_names", "end_instance", "close_node"]
    assert simulator.instances() == []
    assert status_of(fleet.engine, node_id) is NodeStatus.DECOMMISSIONED
    assert ledger(fleet) == [("decommission", "succeeded")]


def test_a_run_launched_by_hand_for_a_proposal_takes_nothing(
    fleet: Wiring,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    simulator: SimulatorProcess,
    node_id: UUID,
) -> None:
    action_id = want(fleet, node_id, ActionKind.DECOMMISSION)
    request = dg.RunRequest(tags={"penguin/action": str(action_id)})
    assert not run("decommission", request, definitions, instance).success
    assert ledger(fleet) == [("decommission", "proposed")]
    assert (len(simulator.instances()), status_of(fleet.engine, node_id)) == (1, NodeStatus.WARMING)


def test_the_next_attempt_goes_on_where_the_provider_failed(
    fleet: Wiring,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    simulator: SimulatorProcess,
    node_id: UUID,
) -> None:
    approve(fleet, want(fleet, node_id, ActionKind.DECOMMISSION))
    simulator.add_fault("server_error", method="DELETE")
    (request,) = ask(decommission_sensor, fleet, instance)
    assert steps_of(run("decommission", request, definitions, instance)) == ["drain", "hold_node", "remove_names"]
    assert status_of(fleet.engine, node_id) is NodeStatus.MAINTENANCE
    simulator.clear_faults()
    (again,) = ask(decommission_sensor, fleet, instance)
    assert again.run_key == str(request.run_key).removesuffix(":1") + ":2"
    assert run("decommission", again, definitions, instance).success
    assert simulator.instances() == []


def test_too_few_nodes_left_end_the_run_with_the_sum(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    node_id = add_node(fleet.engine)
    plan(fleet.engine, [node_id], ActionKind.MAINTENANCE, at=fleet.clock.now())
    (request,) = ask(maintenance_sensor, fleet, instance)
    result = run("maintenance", request, definitions, instance)
    (failure,) = [one for one in result.all_events if one.is_step_failure]
    assert "capacity_floor: 1 - 1 < 1 nodes in the rotation" in str(failure.step_failure_data.error)
    assert (rotation(fleet.engine), ledger(fleet)) == ({node_id}, [("maintenance", "failed")])


def test_the_end_of_a_node_without_an_instance_is_proposed_once_it_has_stood(
    fleet: Wiring, instance: dg.DagsterInstance, node_id: UUID
) -> None:
    now = fleet.clock.now()
    drift = Drift(DriftKind.GHOST, node_id, "hw-1", "node-001 (warming) has no instance hw-1")
    with fleet.engine.begin() as connection:
        inventory.save_drift(connection, [drift], now - timedelta(minutes=31))
    for _ in range(3):
        assert "1 decommission waiting for approval" in skip_reason(decommission_sensor, fleet, instance)
    with fleet.engine.connect() as connection:
        (row,) = actions.list_actions(connection)
    assert (row.status, row.requested_by, row.reason) == ("proposed", "policy:mend_drift", drift.detail)


def test_a_node_that_nobody_drains_any_more_sends_again_after_a_tick(
    fleet: Wiring, instance: dg.DagsterInstance, node_id: UUID
) -> None:
    with fleet.engine.begin() as connection:
        drains.begin_drain(connection, node_id, fleet.clock.now() + timedelta(minutes=30))
    assert node_id not in rotation(fleet.engine)
    skip_reason(maintenance_sensor, fleet, instance)
    assert node_id in rotation(fleet.engine)
