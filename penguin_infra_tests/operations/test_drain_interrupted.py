"""A drain that is interrupted, forbidden or given up: where it goes on, and that no node stays out for nothing."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.guardrails import GuardrailLimits
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.hostwind.rest import RestProvider
from penguin_infra.operations.drain_node import NoLongerAllowed, drain
from penguin_infra.operations.maintain_node import begin_maintenance
from penguin_infra.store import actions as ledger
from penguin_infra.store import drains, nodes
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, rotation
from penguin_infra_tests.operations.leaving import Leaving, tell_queue
from penguin_infra_tests.operations.runs import ProcessKilled
from penguin_infra_tests.pulses import tick


@pytest.fixture
def world(engine: Engine, provider: RestProvider) -> Leaving:
    """An active node that speaks, and holds three mails at first."""
    tick(engine)
    made = Leaving(engine, provider, add_node(engine, status=NodeStatus.ACTIVE))
    tell_queue(made, active=2, deferred=1)
    return made


def test_a_run_that_dies_leaves_the_node_out_and_the_next_one_waits_to_the_same_deadline(world: Leaving) -> None:
    def die_after_four_minutes(world: Leaving) -> None:
        tell_queue(world, active=9)
        if world.minutes >= 4:
            raise ProcessKilled

    world.meanwhile = die_after_four_minutes
    world.ask(drain_minutes=10)
    with pytest.raises(ProcessKilled):
        world.maintain()
    assert (rotation(world.engine), world.drain_until) == (set(), NOW + timedelta(minutes=10))

    world.meanwhile = lambda world: tell_queue(world, active=9)
    world.sleep(120)
    world.find_dead_runs()
    assert rotation(world.engine) == set()
    action = world.maintain()
    assert (action.status, action.attempt) == ("succeeded", 2)
    assert world.minutes == pytest.approx(10, abs=0.2)
    assert "its time was up after 10 min: 9 mails wait" in action.outcome


def test_a_drain_that_is_done_is_not_done_again(world: Leaving) -> None:
    world.meanwhile = tell_queue
    world.ask()
    with world.working() as work:
        drain(work, world.guardrails)
    at = world.at
    world.find_dead_runs()
    assert world.maintain().status == "succeeded"
    assert world.at == at


def test_too_few_nodes_left_by_then_end_it_before_the_node_leaves_the_rotation(
    engine: Engine, provider: RestProvider
) -> None:
    tick(engine)
    first, second = add_nodes(engine, 2)
    world = Leaving(engine, provider, first, guardrails=GuardrailLimits())
    world.ask()
    pause_one(world, second)
    with pytest.raises(NoLongerAllowed):
        world.maintain()
    action = world.action()
    assert (action.status, action.attempt) == ("failed", 1)
    assert action.outcome == (
        "drain: capacity_floor: 1 - 1 < 1 nodes in the rotation (50% of 2 in service, rounded up)"
    )
    assert (rotation(engine), world.drain_until) == ({first}, None)


@pytest.mark.parametrize(("by", "is_done"), [("person:ada", True), ("policy:test", False)])
def test_what_a_person_forced_is_done_all_the_same(world: Leaving, by: str, is_done: bool) -> None:
    world.guardrails = GuardrailLimits()
    world.ask(by=by, drain_minutes=0, forced=True)
    if is_done:
        assert world.maintain().status == "succeeded"
    else:
        with pytest.raises(NoLongerAllowed):
            world.maintain()


def test_a_node_that_somebody_brought_to_maintenance_meanwhile_is_there(world: Leaving) -> None:
    world.ask()
    happen(world, NodeEvent.MAINTENANCE_BEGUN)
    action = world.maintain()
    assert action.status == "succeeded"
    with world.engine.connect() as connection:
        assert [row.event for row in nodes.transitions(connection, world.node_id)].count("maintenance_begun") == 1


def test_a_node_that_is_gone_meanwhile_is_told(world: Leaving) -> None:
    world.ask()
    happen(world, NodeEvent.DECOMMISSIONED)
    with pytest.raises(NoLongerAllowed, match="a node that is decommissioned cannot be maintenance_begun"):
        world.maintain()
    assert world.action().status == "failed"


def test_an_action_that_is_given_up_lets_its_node_send_again(world: Leaving) -> None:
    """Its runs died in the middle of the drain, three times."""

    def die(_world: Leaving) -> None:
        raise ProcessKilled

    world.meanwhile = die
    world.ask()
    for _ in range(3):
        with pytest.raises(ProcessKilled):
            world.maintain()
        assert rotation(world.engine) == set()
        assert ended(world) == []
        world.find_dead_runs()
    assert world.action().status == "failed"
    assert ended(world) == ["node-001"]
    assert rotation(world.engine) == {world.node_id}
    assert ended(world) == []


def test_a_proposal_drains_nobody_and_keeps_no_drain_alive(world: Leaving) -> None:
    with world.engine.begin() as connection:
        wanted = PlannedAction(world.node_id, ActionKind.DECOMMISSION, "test", "policy:test")
        ledger.insert_proposed(connection, [wanted], NOW)
        drains.begin_drain(connection, world.node_id, NOW + timedelta(minutes=30))
    assert ended(world) == ["node-001"]


def test_a_second_drain_begins_afresh(world: Leaving) -> None:
    world.meanwhile = tell_queue
    world.ask(drain_minutes=0)
    world.maintain()
    happen(world, NodeEvent.RETURNED_TO_WARMING)
    world.sleep(3600)
    began_at = world.at
    world.meanwhile = lambda world: tell_queue(world, active=1)
    tell_queue(world, active=1)
    world.ask(drain_minutes=5)
    with world.working() as work:
        drain(work, world.guardrails)
        assert world.at - began_at >= timedelta(minutes=5)
        begin_maintenance(work)


def happen(world: Leaving, event: NodeEvent) -> None:
    with world.engine.begin() as connection:
        nodes.apply_event(connection, world.node_id, event, reason="r", requested_by="person:bob", now=world.at)


def pause_one(world: Leaving, node_id: UUID) -> None:
    with world.engine.begin() as connection:
        nodes.apply_event(connection, node_id, NodeEvent.PAUSED, reason="r", requested_by="policy:test", now=world.at)


def ended(world: Leaving) -> list[str]:
    with world.engine.begin() as connection:
        return drains.end_abandoned_drains(connection)
