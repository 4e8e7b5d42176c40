"""Jobs that work on one node: provision and release, from the sensor's request to the ledger's outcome."""

from typing import Any
from uuid import UUID

import dagster as dg
import pytest
from sqlalchemy import event, text

from penguin_infra.defs.build import build_definitions
from penguin_infra.defs.remediation.provision import provision_sensor
from penguin_infra.defs.remediation.release import release_sensor
from penguin_infra.domain.node import NodeStatus
from penguin_infra.operations.provision_node import STEPS
from penguin_infra.settings import read_settings
from penguin_infra.store import actions, nodes, steps
from penguin_infra.store.tables import AnyRow
from penguin_infra.wiring import Wiring
from penguin_infra_tests.fleets import add_node, add_nodes, status_of
from penguin_infra_tests.simulator_process import SimulatorProcess


def ask(sensor: dg.SensorDefinition, fleet: Wiring, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    answer: Any = sensor(dg.build_sensor_context(instance=instance, resources={"fleet": fleet}))
    assert isinstance(answer, list), answer
    return answer


def run(
    name: str, request: dg.RunRequest, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> dg.ExecuteInProcessResult:
    job = definitions.resolve_job_def(name)
    return job.execute_in_process(instance=instance, tags=dict(request.tags), raise_on_error=False)


def request_node(fleet: Wiring, number: int = 1, *, plan: str = "ssd-1") -> UUID:
    node_id = add_node(fleet.engine, number, NodeStatus.PROVISIONING)
    with fleet.engine.begin() as connection:
        connection.execute(
            text("UPDATE fleet.sending_nodes SET plan = :plan WHERE id = :id"), {"plan": plan, "id": node_id}
        )
    return node_id


def ledger(fleet: Wiring) -> list[tuple[str, str]]:
    with fleet.engine.connect() as connection:
        return [(row.kind, row.status) for row in actions.list_actions(connection)]


def test_the_sensor_asks_for_one_run_a_node(fleet: Wiring, instance: dg.DagsterInstance) -> None:
    add_nodes(fleet.engine, 3, NodeStatus.PROVISIONING)
    requests = ask(provision_sensor, fleet, instance)
    assert sorted(request.tags["penguin/node"] for request in requests) == ["node-001", "node-002", "node-003"]
    assert len({request.run_key for request in requests}) == 3


def test_no_more_runs_wait_than_dagster_starts_in_a_minute_or_two(fleet: Wiring, instance: dg.DagsterInstance) -> None:
    add_nodes(fleet.engine, 30, NodeStatus.PROVISIONING)
    assert len(ask(provision_sensor, fleet, instance)) == 25


def test_a_provision_ends_with_a_warming_node_at_its_instances_address(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance, simulator: SimulatorProcess
) -> None:
    node_id = request_node(fleet)
    (request,) = ask(provision_sensor, fleet, instance)
    assert run("provision", request, definitions, instance).success
    (made,) = simulator.instances()
    with fleet.engine.connect() as connection:
        node = nodes.get_node(connection, node_id)
    assert (node.status, node.provider_id, str(node.ip_address)) == (NodeStatus.WARMING, made["id"], made["ip"])
    assert ledger(fleet) == [("provision", "succeeded")]


def test_a_second_run_of_the_same_action_changes_nothing_and_says_why(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance, simulator: SimulatorProcess
) -> None:
    request_node(fleet)
    (request,) = ask(provision_sensor, fleet, instance)
    run("provision", request, definitions, instance)
    again = run("provision", request, definitions, instance)
    (failure,) = [one for one in again.all_events if one.is_step_failure]
    assert "is succeeded" in str(failure.step_failure_data.error)
    assert len(simulator.instances()) == 1


def test_a_run_launched_by_hand_without_an_action_says_what_to_use(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    result = definitions.resolve_job_def("provision").execute_in_process(instance=instance, raise_on_error=False)
    (failure,) = [one for one in result.all_events if one.is_step_failure]
    assert "penguin-infra nodes" in str(failure.step_failure_data.error)


def test_a_request_that_failed_for_good_is_released_and_nothing_is_paid_for(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance, simulator: SimulatorProcess
) -> None:
    node_id = request_node(fleet)
    simulator.add_fault("no_address", count=1)
    (request,) = ask(provision_sensor, fleet, instance)
    assert not run("provision", request, definitions, instance).success
    assert len(simulator.instances()) == 1
    (request,) = ask(release_sensor, fleet, instance)
    assert run("release", request, definitions, instance).success
    assert simulator.instances() == []
    assert status_of(fleet.engine, node_id) is NodeStatus.DECOMMISSIONED
    assert sorted(ledger(fleet)) == [("provision", "failed"), ("release", "succeeded")]


def test_a_refused_plan_is_given_up_without_a_second_attempt(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    request_node(fleet, plan="ssd-99")
    (request,) = ask(provision_sensor, fleet, instance)
    assert not run("provision", request, definitions, instance).success
    assert ledger(fleet) == [("provision", "failed")]
    (request,) = ask(release_sensor, fleet, instance)
    assert "ssd-99" in request.tags["penguin/reason"]


def steps_of(fleet: Wiring, node_id: UUID) -> list[AnyRow]:
    """The steps' whole rows, with who did them and when."""
    with fleet.engine.connect() as connection:
        return list(steps.list_steps(connection, node_id, STEPS))


def break_the_last_step(fleet: Wiring, simulator: SimulatorProcess) -> None:
    """When the last step begins for the first time, no look at an instance succeeds any more."""
    begun: list[str] = []

    def look(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if "INSERT INTO fleet.provisioning_steps" in statement and "admit_node" in str(parameters) and not begun:
            begun.append(statement)
            simulator.add_fault("html", method="GET")

    event.listen(fleet.engine, "before_cursor_execute", look)


def test_the_next_attempt_goes_on_at_the_step_that_failed(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance, simulator: SimulatorProcess
) -> None:
    node_id = request_node(fleet)
    break_the_last_step(fleet, simulator)
    (request,) = ask(provision_sensor, fleet, instance)
    first = run("provision", request, definitions, instance)
    assert not first.success
    done_before = steps_of(fleet, node_id)
    simulator.clear_faults()
    (again,) = ask(provision_sensor, fleet, instance)
    assert again.run_key == str(request.run_key).removesuffix(":1") + ":2"
    second = run("provision", again, definitions, instance)
    assert second.success
    done = steps_of(fleet, node_id)
    assert done[:-1] == done_before[:-1]
    assert [row.run_id for row in done] == [first.run_id] * (len(STEPS) - 1) + [second.run_id]


def provision_job() -> dg.JobDefinition:
    """The job as a code server would load it: from the environment."""
    return build_definitions(Wiring(read_settings())).resolve_job_def("provision")


@pytest.fixture
def environment(fleet: Wiring, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess) -> None:
    """The fleet's settings in the environment, for definitions that read them there."""
    told = simulator.environment | {
        "PENGUIN_DATABASE_URL": fleet.database_url.render_as_string(hide_password=False),
        "PENGUIN_POLICY_FILE": str(fleet.settings.policy_file),
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)


# The reconstructed job makes a wiring of its own, whose connections nobody is left to close.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("environment")
def test_re_execution_goes_on_at_the_step_that_failed(
    fleet: Wiring, definitions: dg.Definitions, simulator: SimulatorProcess
) -> None:
    node_id = request_node(fleet)

    break_the_last_step(fleet, simulator)
    with dg.instance_for_test() as instance:
        (request,) = ask(provision_sensor, fleet, instance)
        failed = run("provision", request, definitions, instance)
        assert [one.step_key for one in failed.all_events if one.is_step_failure] == ["admit_node"]
        simulator.clear_faults()
        options = dg.ReexecutionOptions.from_failure(failed.run_id, instance)
        # The UI copies the tags too.
        job, tags = dg.reconstructable(provision_job), dict(request.tags)
        with dg.execute_job(job, instance, tags=tags, reexecution_options=options) as result:
            assert result.success
            assert [one.step_key for one in result.all_events if one.is_step_start] == ["admit_node"]
    assert status_of(fleet.engine, node_id) is NodeStatus.WARMING
    assert len(simulator.instances()) == 1
    assert ledger(fleet) == [("provision", "succeeded")]


def test_each_steps_words_stand_in_its_own_log(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    request_node(fleet)
    (request,) = ask(provision_sensor, fleet, instance)
    result = run("provision", request, definitions, instance)
    said: dict[str | None, list[str]] = {}
    for entry in instance.all_logs(result.run_id):
        if not entry.is_dagster_event:
            said.setdefault(entry.step_key, []).append(entry.user_message)
    assert said["admit_node"][-1] == "the node is warming"
    assert any("dkim: well" in line for line in said["verify_delivery"])


def test_what_is_not_configured_is_told_by_its_settings_and_no_instance_is_made(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance, simulator: SimulatorProcess
) -> None:
    request_node(fleet)
    for part in ("provision_parts", "dns_publisher", "installer"):
        vars(fleet).pop(part)
    (request,) = ask(provision_sensor, fleet, instance)
    assert not run("provision", request, definitions, instance).success
    (row,) = ledger_rows(fleet)
    assert row.status == "failed"
    for setting in ("PENGUIN_DNS_ZONE", "PENGUIN_SSH_KEY_FILE", "PENGUIN_GATEWAY_URL", "PENGUIN_SINK_MAILBOX"):
        assert setting in row.outcome
    assert simulator.instances() == []


def test_a_run_that_was_cancelled_in_the_queue_ends_its_request(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    node_id = request_node(fleet)
    (request,) = ask(provision_sensor, fleet, instance)
    queued = instance.create_run_for_job(
        definitions.resolve_job_def("provision"),
        tags={**request.tags, "dagster/run_key": str(request.run_key)},
        status=dg.DagsterRunStatus.NOT_STARTED,
    )
    instance.report_run_canceled(queued)
    provision_sensor(dg.build_sensor_context(instance=instance, resources={"fleet": fleet}))
    (row,) = ledger_rows(fleet)
    assert (row.status, row.attempt) == ("failed", 1)
    assert "cancelled before it began" in row.outcome
    (request,) = ask(release_sensor, fleet, instance)
    assert run("release", request, definitions, instance).success
    assert status_of(fleet.engine, node_id) is NodeStatus.DECOMMISSIONED


def ledger_rows(fleet: Wiring) -> list[AnyRow]:
    with fleet.engine.connect() as connection:
        return list(actions.list_actions(connection))
