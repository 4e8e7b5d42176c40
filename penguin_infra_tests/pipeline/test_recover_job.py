"""Recovery from the sensor's request to the ledger's outcome, with a gateway that ticks and a provider that reboots."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from uuid import UUID

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from penguin_infra.defs.remediation.recover import recover_sensor
from penguin_infra.domain.node import NodeStatus
from penguin_infra.operations.judge_health import judge_health
from penguin_infra.store import node_places
from penguin_infra.wiring import Wiring
from penguin_infra_tests.fleets import add_node, add_nodes, status_of
from penguin_infra_tests.pipeline.test_node_jobs import ask, ledger, run
from penguin_infra_tests.pulses import beat, tick
from penguin_infra_tests.simulator_process import SimulatorProcess


@pytest.fixture
def fallen(fleet: Wiring) -> UUID:
    """A silent node whose instance the provider knows."""
    node_id = add_node(fleet.engine)
    made = fleet.provider.create_instance(label=f"penguin-ill-{node_id.hex[:8]}", region="dallas", plan="ssd-1")
    now = fleet.clock.now()
    with fleet.engine.begin() as connection:
        node_places.record_instance(connection, node_id, made.provider_id, now)
    fall_silent(fleet, [node_id])
    return node_id


def fall_silent(fleet: Wiring, node_ids: list[UUID]) -> None:
    now = fleet.clock.now()
    tick(fleet.engine, at=now)
    beat(fleet.engine, node_ids, silent_seconds=120, at=now)
    judge_health(fleet.engine, now=now)


def reboots(simulator: SimulatorProcess) -> list[object]:
    ids = [instance["id"] for instance in simulator.instances()]
    return [simulator.ask("GET", f"/lab/instances/{each}").json()["reboots"] for each in ids]


@contextmanager
def gateway(engine: Engine, each_tick: Callable[[], None] = lambda: None, *, seconds: float = 1) -> Iterator[None]:
    """A gateway's clock that ticks in the background, so many seconds ten times a second."""
    is_over = Event()

    def serve() -> None:
        while not is_over.wait(0.1):
            with engine.begin() as connection:
                connection.execute(
                    text(
                        "UPDATE fleet.gateway_clock SET served_seconds = served_seconds + :seconds,"
                        " ticked_at = clock_timestamp()"
                    ),
                    {"seconds": seconds},
                )
            each_tick()

    thread = Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_a_healthy_fleet_is_skipped_with_the_reason(fleet: Wiring, instance: dg.DagsterInstance) -> None:
    answer = recover_sensor(dg.build_sensor_context(instance=instance, resources={"fleet": fleet}))
    assert isinstance(answer, dg.SkipReason)
    assert answer.skip_message == "no node needs recover"


def test_a_silent_node_is_rebooted_and_back(
    fleet: Wiring,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    simulator: SimulatorProcess,
    fallen: UUID,
) -> None:
    (request,) = ask(recover_sensor, fleet, instance)
    assert request.tags["penguin/node"] == "node-001"
    assert request.tags["penguin/cause"] == "policy:recover_unhealthy"

    def boot() -> None:
        if reboots(simulator) == [1]:
            beat(fleet.engine, [fallen], silent_seconds=0, at=fleet.clock.now())

    with gateway(fleet.engine, boot):
        assert run("recover", request, definitions, instance).success
    assert (reboots(simulator), ledger(fleet)) == ([1], [("recover", "succeeded")])
    assert status_of(fleet.engine, fallen) is NodeStatus.WARMING


def test_a_node_that_does_not_come_back_fails_the_run_and_is_in_maintenance(
    fleet: Wiring,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    simulator: SimulatorProcess,
    fallen: UUID,
) -> None:
    (request,) = ask(recover_sensor, fleet, instance)
    with gateway(fleet.engine, seconds=20):
        result = run("recover", request, definitions, instance)
    (failure,) = [one for one in result.all_events if one.is_step_failure]
    assert failure.step_key == "begin_maintenance"
    assert "node-001 is in maintenance" in str(failure.step_failure_data.error)
    assert (reboots(simulator), ledger(fleet)) == ([1], [("recover", "failed")])
    assert status_of(fleet.engine, fallen) is NodeStatus.MAINTENANCE
    # It is a person's now: nothing more is asked for.
    tick(fleet.engine, served_seconds=20_000, at=fleet.clock.now())
    judge_health(fleet.engine, now=fleet.clock.now())
    answer = recover_sensor(dg.build_sensor_context(instance=instance, resources={"fleet": fleet}))
    assert isinstance(answer, dg.SkipReason)


def test_a_fleet_that_falls_silent_together_gets_one_probe(fleet: Wiring, instance: dg.DagsterInstance) -> None:
    fall_silent(fleet, add_nodes(fleet.engine, 10))
    (request,) = ask(recover_sensor, fleet, instance)
    assert "a probe: 10 of 10 nodes are silent together" in request.tags["penguin/reason"]
    # Until its run begins the same one is asked for, and no other.
    (again,) = ask(recover_sensor, fleet, instance)
    assert again.run_key == request.run_key
    assert ledger(fleet) == [("recover", "planned")]
