"""Pausing a node and bringing it back: what is looked at again before it is done, and where the node comes back to."""

import pytest
from sqlalchemy import Engine

from penguin_infra.domain.actions import ActionKind, ActionStatus
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies import pause_listed
from penguin_infra.operations.carry_out_batch import CannotAct
from penguin_infra.operations.resume_node import check_resumable
from penguin_infra.store import listings, nodes
from penguin_infra_tests.fleets import NOW, add_node, address, list_address, plan, rotation, status_of
from penguin_infra_tests.operations.runs import run_pauses, run_resumes

ZEN = "zen.spamhaus.org"


@pytest.mark.parametrize("status", [NodeStatus.WARMING, NodeStatus.ACTIVE])
def test_a_sending_node_is_paused_and_says_why(engine: Engine, status: NodeStatus) -> None:
    node_id = add_node(engine, status=status)
    (action_id,) = plan(engine, [node_id])
    (outcome,) = run_pauses(engine)
    assert (outcome.status, outcome.text) == (ActionStatus.SUCCEEDED, f"node-001 went from {status} to paused")
    assert status_of(engine, node_id) is NodeStatus.PAUSED
    assert rotation(engine) == set()
    with engine.connect() as connection:
        assert nodes.get_node(connection, node_id).hold_reason == "test"
        last = nodes.transitions(connection, node_id)[-1]
    assert (last.event, last.requested_by, last.run_id) == ("paused", "person:test", outcome.action.run_id)
    assert outcome.action.action_id == action_id


def test_a_node_that_is_paused_already_is_left_as_it_is(engine: Engine) -> None:
    node_id = add_node(engine, status=NodeStatus.PAUSED)
    plan(engine, [node_id])
    (outcome,) = run_pauses(engine)
    assert (outcome.status, outcome.text) == (ActionStatus.SUCCEEDED, "node-001 was paused already")
    with engine.connect() as connection:
        assert len(nodes.transitions(connection, node_id)) == 3


def test_a_listing_that_still_stands_pauses_its_node(engine: Engine) -> None:
    node_id = add_node(engine)
    list_address(engine, node_id)
    plan(engine, [node_id], by=pause_listed.NAME)
    run_pauses(engine)
    assert status_of(engine, node_id) is NodeStatus.PAUSED


def test_a_listing_that_ended_before_the_pause_pauses_nobody(engine: Engine) -> None:
    node_id = add_node(engine)
    list_address(engine, node_id)
    plan(engine, [node_id], by=pause_listed.NAME)
    with engine.begin() as connection:
        listings.close_event(connection, address(1), ZEN, NOW)
    (outcome,) = run_pauses(engine)
    assert outcome.status is ActionStatus.SUCCEEDED
    assert outcome.text == "no listing of 127.77.0.1 asks for the pause any more; node-001 stays warming"
    assert status_of(engine, node_id) is NodeStatus.WARMING


def test_a_list_that_was_frozen_before_the_pause_pauses_nobody(engine: Engine) -> None:
    node_id = add_node(engine)
    list_address(engine, node_id)
    plan(engine, [node_id], by=pause_listed.NAME)
    with engine.begin() as connection:
        listings.freeze_list(connection, ZEN, reason="lists everybody", now=NOW)
    run_pauses(engine)
    assert status_of(engine, node_id) is NodeStatus.WARMING


def test_what_a_person_asked_for_needs_no_listing(engine: Engine) -> None:
    node_id = add_node(engine)
    plan(engine, [node_id], by="person:ada")
    run_pauses(engine)
    assert status_of(engine, node_id) is NodeStatus.PAUSED


@pytest.mark.parametrize("left", [NodeStatus.WARMING, NodeStatus.ACTIVE])
def test_a_resumed_node_is_back_where_it_was_and_may_send(engine: Engine, left: NodeStatus) -> None:
    node_id = add_node(engine, status=left)
    plan(engine, [node_id])
    run_pauses(engine)
    plan(engine, [node_id], ActionKind.RESUME)
    (outcome,) = run_resumes(engine)
    assert (outcome.status, outcome.text) == (ActionStatus.SUCCEEDED, f"node-001 is {left} again")
    assert status_of(engine, node_id) is left
    assert rotation(engine) == {node_id}


def test_a_node_that_was_maintained_while_paused_still_comes_back_to_what_it_left(engine: Engine) -> None:
    node_id = add_node(engine, status=NodeStatus.ACTIVE)
    for event in (NodeEvent.PAUSED, NodeEvent.MAINTENANCE_BEGUN, NodeEvent.RETURNED_TO_PAUSED):
        with engine.begin() as connection:
            nodes.apply_event(connection, node_id, event, reason="test", requested_by="person:test", now=NOW)
    plan(engine, [node_id], ActionKind.RESUME)
    run_resumes(engine)
    assert status_of(engine, node_id) is NodeStatus.ACTIVE


def test_a_node_that_sends_already_needs_no_resuming(engine: Engine) -> None:
    node_id = add_node(engine)
    plan(engine, [node_id], ActionKind.RESUME)
    (outcome,) = run_resumes(engine)
    assert (outcome.status, outcome.text) == (ActionStatus.SUCCEEDED, "node-001 is warming already")


def test_a_node_that_is_still_listed_stays_paused_with_the_way_out(engine: Engine) -> None:
    node_id = add_node(engine, status=NodeStatus.PAUSED)
    list_address(engine, node_id)
    plan(engine, [node_id], ActionKind.RESUME)
    (outcome,) = run_resumes(engine)
    assert outcome.status is ActionStatus.FAILED
    assert "127.77.0.1 is still listed by zen.spamhaus.org" in outcome.text
    assert "penguin-infra check-ip 127.77.0.1" in outcome.text
    assert status_of(engine, node_id) is NodeStatus.PAUSED


@pytest.mark.parametrize("is_frozen", [False, True])
def test_a_listing_that_would_not_pause_the_node_does_not_hold_it(engine: Engine, is_frozen: bool) -> None:
    node_id = add_node(engine, status=NodeStatus.PAUSED)
    list_address(engine, node_id, severity=Severity.CRITICAL if is_frozen else Severity.MEDIUM)
    if is_frozen:
        with engine.begin() as connection:
            listings.freeze_list(connection, ZEN, reason="lists everybody", now=NOW)
    plan(engine, [node_id], ActionKind.RESUME)
    run_resumes(engine)
    assert status_of(engine, node_id) is NodeStatus.WARMING


@pytest.mark.parametrize(
    ("left", "becomes"),
    [
        (NodeStatus.WARMING, NodeStatus.WARMING),
        (NodeStatus.ACTIVE, NodeStatus.WARMING),
        (NodeStatus.PAUSED, NodeStatus.PAUSED),
    ],
)
def test_a_maintained_node_comes_back_through_warm_up_or_to_its_pause(
    engine: Engine, left: NodeStatus, becomes: NodeStatus
) -> None:
    node_id = add_node(engine, status=left)
    with engine.begin() as connection:
        event = NodeEvent.MAINTENANCE_BEGUN
        nodes.apply_event(connection, node_id, event, reason="dead", requested_by="policy:test", now=NOW)
    plan(engine, [node_id], ActionKind.RESUME)
    (outcome,) = run_resumes(engine)
    assert (outcome.status, outcome.text) == (ActionStatus.SUCCEEDED, f"node-001 is {becomes} again")
    assert status_of(engine, node_id) is becomes


def test_a_maintained_node_that_is_listed_stays_where_it_is(engine: Engine) -> None:
    node_id = add_node(engine, status=NodeStatus.MAINTENANCE)
    list_address(engine, node_id)
    plan(engine, [node_id], ActionKind.RESUME)
    (outcome,) = run_resumes(engine)
    assert outcome.status is ActionStatus.FAILED
    assert status_of(engine, node_id) is NodeStatus.MAINTENANCE


@pytest.mark.parametrize("status", [NodeStatus.PROVISIONING, NodeStatus.WARMING, NodeStatus.DECOMMISSIONED])
def test_only_a_node_that_is_held_back_can_be_resumed(engine: Engine, status: NodeStatus) -> None:
    node_id = add_node(engine, status=status)
    with (
        engine.connect() as connection,
        pytest.raises(CannotAct, match=f"node-001 is {status}; only a paused or maintained node"),
    ):
        check_resumable(connection, nodes.get_node(connection, node_id))
