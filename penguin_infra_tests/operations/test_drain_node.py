"""A node that leaves drains first: out of the rotation at once, watched until it is empty, or its time is up."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.hostwind.rest import RestProvider
from penguin_infra.store import nodes
from penguin_infra_tests.fleets import NOW, add_node, list_address, rotation, status_of
from penguin_infra_tests.operations.leaving import Leaving, tell_queue
from penguin_infra_tests.pulses import tick


@pytest.fixture
def world(engine: Engine, provider: RestProvider) -> Leaving:
    """An active node that speaks, and holds three mails at first."""
    tick(engine)
    made = Leaving(engine, provider, add_node(engine, status=NodeStatus.ACTIVE))
    tell_queue(made, active=2, deferred=1)
    return made


def empty_after(minutes: float) -> Callable[[Leaving], None]:
    """The node speaks at every look, and has delivered all by then."""

    def meanwhile(world: Leaving) -> None:
        tell_queue(world, active=0 if world.minutes >= minutes else 5)

    return meanwhile


def test_it_leaves_the_rotation_before_the_first_look_and_goes_on_delivering(world: Leaving) -> None:
    seen: list[object] = []

    def meanwhile(world: Leaving) -> None:
        seen.append((rotation(world.engine), status_of(world.engine, world.node_id)))
        tell_queue(world)

    world.meanwhile = meanwhile
    world.ask()
    world.maintain()
    assert seen
    assert all(one == (set(), NodeStatus.ACTIVE) for one in seen)


def test_it_is_in_maintenance_once_its_queue_is_empty_and_says_how_long_that_took(world: Leaving) -> None:
    world.meanwhile = empty_after(3)
    world.ask()
    action = world.maintain()
    assert world.minutes == pytest.approx(3, abs=0.2)
    assert (action.status, action.outcome) == (
        "succeeded",
        "node-001 is in maintenance; its queue was empty after 3 min",
    )
    assert action.evidence["queue_left"] == {
        "active": 0, "deferred": 0, "held": 0, "delay_reasons": [], "is_truncated": False,
        "heard_at": world.at.isoformat(),
    }  # fmt: skip
    assert (status_of(world.engine, world.node_id), world.drain_until) == (NodeStatus.MAINTENANCE, None)
    with world.engine.connect() as connection:
        last = nodes.transitions(connection, world.node_id)[-1]
        assert nodes.get_node(connection, world.node_id).hold_reason == "kernel update"
    assert (last.event, last.requested_by, last.run_id) == ("maintenance_begun", "person:ada", action.run_id)


def test_an_empty_queue_told_before_the_last_mail_can_have_come_is_not_believed(world: Leaving) -> None:
    """Whoever read the rotation just before the drain may hand over one more mail."""
    tell_queue(world)
    world.meanwhile = lambda world: tell_queue(world, active=0 if world.minutes < 0.5 or world.minutes > 1.5 else 1)
    world.ask()
    assert world.maintain().outcome.endswith("its queue was empty after 100 s")


def test_when_time_is_up_what_is_left_is_told_by_cause_and_stays(world: Leaving) -> None:
    world.meanwhile = lambda world: tell_queue(
        world, active=12, deferred=30, held=1, reasons={"host said: 421 try again": 28, "connection timed out": 2}
    )
    world.ask(drain_minutes=10)
    action = world.maintain()
    assert world.minutes == pytest.approx(10, abs=0.2)
    assert action.outcome == (
        "node-001 is in maintenance; its time was up after 10 min: 43 mails wait (12 active, 30 deferred, 1 held; 28 "
        "because: host said: 421 try again; 2 because: connection timed out), as it said at 12:10:00 UTC"
    )
    left = action.evidence["queue_left"]
    assert (left["active"], left["deferred"], left["held"]) == (12, 30, 1)
    assert left["delay_reasons"][0] == {"reason": "host said: 421 try again", "count": 28}
    assert action.evidence["drain_minutes"] == 10


def test_while_it_waits_it_says_what_for_and_how_long_still(world: Leaving) -> None:
    told: list[str] = []

    def meanwhile(world: Leaving) -> None:
        told.append(world.step("drain").progress)
        tell_queue(world, active=0 if world.minutes > 1 else 4)

    world.meanwhile = meanwhile
    world.ask(drain_minutes=20)
    world.maintain()
    assert told[0] == "3 mails wait (2 active, 1 deferred, 0 held), as it said at 12:00:00 UTC; 20 min left"
    assert told[1] == "4 mails wait (4 active, 0 deferred, 0 held), as it said at 12:00:10 UTC; 20 min left"
    assert set(told) <= set(world.said)


def test_no_minutes_at_all_hold_it_at_once(world: Leaving) -> None:
    world.ask(drain_minutes=0)
    action = world.maintain()
    assert world.at == NOW
    assert action.outcome == (
        "node-001 is in maintenance; 3 mails wait (2 active, 1 deferred, 0 held), as it said at 12:00:00 UTC"
    )


def test_a_silent_node_is_not_waited_for(world: Leaving) -> None:
    world.ask()
    action = world.maintain()
    assert 1.5 <= world.minutes < 2
    assert "it is silent, so nothing can be seen to drain: 3 mails wait" in action.outcome


def test_a_node_that_never_spoke_is_not_waited_for(engine: Engine, provider: RestProvider) -> None:
    world = Leaving(engine, provider, add_node(engine))
    world.ask()
    assert "it never spoke, what waits on it is not known" in world.maintain().outcome
    assert world.at == NOW


def test_while_no_gateway_serves_nobody_is_silent_and_the_deadline_counts(world: Leaving) -> None:
    world.is_gateway_up = False
    world.ask(drain_minutes=5)
    action = world.maintain()
    assert world.minutes == pytest.approx(5, abs=0.2)
    assert any("no gateway serves, so its queue is not known" in line for line in world.said)
    assert "3 mails wait (2 active, 1 deferred, 0 held), as it said at 12:00:00 UTC" in action.outcome


@pytest.mark.parametrize("cause", ["paused", "listed"])
def test_a_node_that_may_not_send_keeps_its_mail_and_is_not_waited_for(world: Leaving, cause: str) -> None:
    if cause == "paused":
        happen(world, NodeEvent.PAUSED)
    else:
        list_address(world.engine, world.node_id)
    world.ask()
    action = world.maintain()
    why = {"paused": "it is paused", "listed": "its address is listed"}[cause]
    assert f"{why}, so nothing was drained: 3 mails wait" in action.outcome
    assert world.at == NOW
    assert status_of(world.engine, world.node_id) is NodeStatus.MAINTENANCE


def test_a_pause_in_the_middle_ends_the_wait_and_is_where_it_comes_back_to(world: Leaving) -> None:
    def meanwhile(world: Leaving) -> None:
        tell_queue(world, active=5)
        if world.minutes == pytest.approx(2):
            happen(world, NodeEvent.PAUSED)

    world.meanwhile = meanwhile
    world.ask()
    assert "it is paused, so nothing was drained" in world.maintain().outcome
    with world.engine.connect() as connection:
        node = nodes.get_node(connection, world.node_id)
        assert (node.status, nodes.status_left(connection, node)) == (NodeStatus.MAINTENANCE, NodeStatus.PAUSED)


def test_a_queue_that_cannot_be_read_is_not_taken_for_an_empty_one(world: Leaving) -> None:
    def meanwhile(world: Leaving) -> None:
        tell_queue(world, active=None, deferred=None, held=None, mta_state="down")

    world.meanwhile = meanwhile
    world.ask(drain_minutes=3)
    assert "its queue could not be read: the MTA is down" in world.maintain().outcome
    assert world.minutes == pytest.approx(3, abs=0.2)


def test_a_queue_longer_than_the_agent_counts_is_at_least_that(world: Leaving) -> None:
    world.meanwhile = lambda world: tell_queue(world, deferred=10_000, is_truncated=True)
    world.ask(drain_minutes=1)
    assert "at least 10000 mails wait" in world.maintain().outcome


def happen(world: Leaving, event: NodeEvent) -> None:
    with world.engine.begin() as connection:
        nodes.apply_event(connection, world.node_id, event, reason="r", requested_by="person:bob", now=world.at)
