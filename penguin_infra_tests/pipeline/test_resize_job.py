"""The resize in the pipeline: a node that its own plan holds up is found by the sensor and resized by the job."""

from uuid import UUID

import dagster as dg
import pytest

from penguin_infra.defs.remediation.resize import resize_sensor
from penguin_infra.domain.node import InstanceLabel, NodeStatus
from penguin_infra.store import node_places, nodes
from penguin_infra.wiring import Wiring
from penguin_infra_tests.fleets import add_node, rotation
from penguin_infra_tests.pipeline.test_leaving_jobs import skip_reason, steps_of
from penguin_infra_tests.pipeline.test_node_jobs import ask, ledger, run
from penguin_infra_tests.pulses import beat, tick
from penguin_infra_tests.queues import pile_up, price
from penguin_infra_tests.simulator_process import SimulatorProcess

STEPS = ["begin_resize", "drain_for_resize", "change_plan", "verify_resized", "end_resize"]


@pytest.fixture
def node_id(fleet: Wiring) -> UUID:
    """A node with an instance at the provider, another one that goes on sending, and a price list."""
    made = add_node(fleet.engine, 1, NodeStatus.ACTIVE)
    add_node(fleet.engine, 77_777, NodeStatus.ACTIVE)
    label = InstanceLabel.of(fleet_name=fleet.settings.fleet_name, label="node-001", node_id=made)
    provider_id = fleet.provider.create_instance(label=str(label), region="dallas", plan="ssd-1").provider_id
    while (address := fleet.provider.get_instance(provider_id).ip_address) is None:
        fleet.clock.sleep(0.05)
    with fleet.engine.begin() as connection:
        node_places.record_instance(connection, made, provider_id, fleet.clock.now())
        node_places.record_address(connection, made, address, fleet.clock.now())
    price(fleet.engine, fleet.clock.now())
    return made


@pytest.fixture
def hears_of_it(fleet: Wiring, node_id: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node speaks at every wait of a run: an agent lives on its own."""
    sleep = type(fleet.clock).sleep

    def speaking(clock: object, seconds: float) -> None:
        sleep(clock, seconds)  # type: ignore[arg-type]
        tick(fleet.engine, at=fleet.clock.now())
        beat(fleet.engine, [node_id], silent_seconds=100, at=fleet.clock.now())

    monkeypatch.setattr(type(fleet.clock), "sleep", speaking)


def test_a_flooded_node_is_resized_and_rests_afterwards(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance, node_id: UUID, hears_of_it: None
) -> None:
    assert skip_reason(resize_sensor, fleet, instance) == "no node needs resize"
    pile_up(fleet.engine, node_id, at=fleet.clock.now())
    (request,) = ask(resize_sensor, fleet, instance)
    assert (request.tags["penguin/node"], request.tags["penguin/cause"]) == ("node-001", "policy:resize_deep_queue")
    assert "CPU 97 % >= 85 %" in request.tags["penguin/reason"]
    result = run("resize", request, definitions, instance)
    assert steps_of(result) == STEPS
    assert ledger(fleet) == [("resize", "succeeded")]
    with fleet.engine.connect() as connection:
        node = nodes.get_node(connection, node_id)
    assert (node.status, node.plan) == (NodeStatus.ACTIVE, "ssd-4")
    assert fleet.provider.get_instance(str(node.provider_id)).plan == "ssd-4"
    tick(fleet.engine, at=fleet.clock.now())
    beat(fleet.engine, [node_id], at=fleet.clock.now())
    assert node_id in rotation(fleet.engine)
    # Deep still: a larger plan needs its time, and a day is waited before the next.
    assert skip_reason(resize_sensor, fleet, instance) == "no node needs resize"


def test_a_queue_that_remote_hosts_hold_up_asks_for_no_run(
    fleet: Wiring, instance: dg.DagsterInstance, node_id: UUID
) -> None:
    pile_up(fleet.engine, node_id, at=fleet.clock.now(), deferred=5_000, cpu=5)
    assert skip_reason(resize_sensor, fleet, instance) == "no node needs resize"


def test_a_provider_that_refuses_fails_the_run_in_plain_words(
    fleet: Wiring,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    simulator: SimulatorProcess,
    node_id: UUID,
    hears_of_it: None,
) -> None:
    pile_up(fleet.engine, node_id, at=fleet.clock.now())
    (request,) = ask(resize_sensor, fleet, instance)
    for one in simulator.instances():
        simulator.ask("DELETE", f"/instances/{one['id']}").raise_for_status()
    result = run("resize", request, definitions, instance)
    (failed,) = [one for one in result.all_events if one.is_step_failure]
    assert "the instance is gone" in str(failed.step_failure_data.error)
    assert ledger(fleet) == [("resize", "failed")]
