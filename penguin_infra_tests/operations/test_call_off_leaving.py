"""A maintenance or decommission that is called off: possible while the node drains, and too late afterwards."""

import pytest
from sqlalchemy import Engine

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.node import NodeStatus
from penguin_infra.hostwind.rest import RestProvider
from penguin_infra.operations.call_off_leaving import call_off_leaving
from penguin_infra.operations.carry_out_batch import CannotAct
from penguin_infra.operations.drain_node import CalledOff, drain
from penguin_infra.operations.maintain_node import begin_maintenance
from penguin_infra.store import decisions, nodes
from penguin_infra_tests.fleets import add_node, rotation, status_of
from penguin_infra_tests.operations.leaving import Leaving, tell_queue
from penguin_infra_tests.pulses import tick


@pytest.fixture(params=[ActionKind.MAINTENANCE, ActionKind.DECOMMISSION])
def world(engine: Engine, provider: RestProvider, request: pytest.FixtureRequest) -> Leaving:
    """A node with mail that is asked to leave."""
    tick(engine)
    made = Leaving(engine, provider, add_node(engine), kind=request.param)
    tell_queue(made, active=5)
    made.meanwhile = lambda world: tell_queue(world, active=5)
    made.ask()
    return made


def call_off(world: Leaving) -> str:
    with world.engine.begin() as connection:
        node = nodes.get_node(connection, world.node_id)
        return call_off_leaving(connection, node, requested_by="person:bob", reason="wrong node", now=world.at)


def test_a_draining_node_sends_again_at_once_and_its_run_ends_with_who_called_it_off(world: Leaving) -> None:
    seen: list[object] = []

    def meanwhile(world: Leaving) -> None:
        tell_queue(world, active=5)
        if not seen:
            call_off(world)
            seen.append(rotation(world.engine))

    world.meanwhile = meanwhile
    with pytest.raises(CalledOff, match="called off by person:bob: node-001 keeps its place in the fleet"):
        world.maintain()
    assert seen == [{world.node_id}]
    assert world.minutes == pytest.approx(10 / 60)
    action = world.action()
    assert (action.status, action.decided_by, action.outcome) == (
        "rejected", "person:bob", "called off by person:bob: wrong node",
    )  # fmt: skip
    assert (status_of(world.engine, world.node_id), world.drain_until) == (NodeStatus.WARMING, None)
    assert world.step("drain").status == "failed"


def test_what_no_run_took_yet_is_called_off_too(world: Leaving) -> None:
    assert call_off(world) == f"{world.kind} of node-001 is called off; it stays warming"
    assert world.action().status == "rejected"


def test_a_run_that_had_drained_when_it_was_called_off_goes_no_further(world: Leaving) -> None:
    world.meanwhile = tell_queue
    with world.working() as work:
        drain(work, world.guardrails)
        call_off(world)
        with pytest.raises(CalledOff):
            begin_maintenance(work)
    assert rotation(world.engine) == {world.node_id}
    assert world.action().status == "rejected"


def test_once_it_is_held_a_decommission_cannot_be_called_off(world: Leaving) -> None:
    world.meanwhile = tell_queue
    with world.working() as work:
        drain(work, world.guardrails)
        begin_maintenance(work)
        expected = "too late" if world.kind is ActionKind.DECOMMISSION else "nothing takes it out of service"
        with pytest.raises(CannotAct, match=expected):
            call_off(world)
    assert status_of(world.engine, world.node_id) is NodeStatus.MAINTENANCE


def test_where_nothing_is_under_way_it_says_what_to_do_instead(world: Leaving) -> None:
    call_off(world)
    with pytest.raises(CannotAct, match=r"actions reject.*nodes resume"):
        call_off(world)


def test_who_approved_it_is_not_forgotten(world: Leaving) -> None:
    with world.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE fleet.node_actions SET status = 'proposed'")
        action_id = world.action().id
        decisions.approve(connection, action_id, decided_by="person:ada", is_forced=False, now=world.at)
    call_off(world)
    assert world.action().outcome == "called off by person:bob (approved by person:ada): wrong node"
