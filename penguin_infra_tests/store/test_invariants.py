"""What the database itself holds, whoever writes to it: tried with plain SQL, past every function of ours."""

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.node import SENDING_STATUSES, NodeStatus
from penguin_infra.store import listings, node_places, nodes
from penguin_infra_tests.fleets import NOW, add_node, address, list_address, plan, rotation


def execute(engine: Engine, statement: str, **values: object) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement), values)


def test_a_status_outside_the_lifecycle_is_refused(engine: Engine) -> None:
    add_node(engine)
    with pytest.raises(IntegrityError, match="status_is_legal"):
        execute(engine, "UPDATE fleet.sending_nodes SET status = 'sleeping'")


def test_every_status_of_the_lifecycle_is_accepted(engine: Engine) -> None:
    add_node(engine)
    for status in NodeStatus:
        execute(engine, "UPDATE fleet.sending_nodes SET status = :status", status=status.value)


@pytest.mark.parametrize("status", [NodeStatus.WARMING, NodeStatus.ACTIVE, NodeStatus.PAUSED, NodeStatus.MAINTENANCE])
def test_a_node_in_service_without_an_address_is_refused(engine: Engine, status: NodeStatus) -> None:
    add_node(engine, status=NodeStatus.PROVISIONING)
    with pytest.raises(IntegrityError, match="address_in_service"):
        execute(engine, "UPDATE fleet.sending_nodes SET status = :status", status=status.value)


def test_a_request_that_failed_may_end_without_an_address(engine: Engine) -> None:
    add_node(engine, status=NodeStatus.PROVISIONING)
    execute(engine, "UPDATE fleet.sending_nodes SET status = 'decommissioned'")


def test_a_second_open_action_of_the_same_node_and_kind_is_refused(engine: Engine) -> None:
    node_id = add_node(engine)
    plan(engine, [node_id])
    with pytest.raises(IntegrityError, match="one_open_a_node_and_kind"):
        plan(engine, [node_id])


def test_an_action_that_is_over_makes_room_for_the_next(engine: Engine) -> None:
    node_id = add_node(engine)
    plan(engine, [node_id])
    execute(engine, "UPDATE fleet.node_actions SET status = 'succeeded', finished_at = now()")
    plan(engine, [node_id])


def test_two_living_nodes_cannot_hold_one_address(engine: Engine) -> None:
    add_node(engine, 1)
    other = add_node(engine, 2)
    with engine.begin() as connection, pytest.raises(nodes.AddressHeld, match=r"127\.77\.0\.1 is held by node-001"):
        node_places.record_address(connection, other, address(1), NOW)


def test_the_address_of_a_node_that_is_gone_can_be_held_again(engine: Engine) -> None:
    add_node(engine, 1, NodeStatus.DECOMMISSIONED)
    other = add_node(engine, 2)
    with engine.begin() as connection:
        node_places.record_address(connection, other, address(1), NOW)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE fleet.node_transitions SET reason = 'other'",
        "DELETE FROM fleet.node_transitions",
        "TRUNCATE fleet.node_transitions",
    ],
)
def test_history_cannot_be_changed(engine: Engine, change: str) -> None:
    add_node(engine)
    with pytest.raises(DBAPIError, match="append-only"):
        execute(engine, change)


@pytest.mark.parametrize("status", list(NodeStatus))
def test_only_nodes_that_warm_up_or_are_active_are_in_the_rotation(engine: Engine, status: NodeStatus) -> None:
    node_id = add_node(engine, status=status)
    assert rotation(engine) == ({node_id} if status in SENDING_STATUSES else set())


@pytest.mark.parametrize("severity", list(Severity))
def test_only_critical_and_high_listings_take_a_node_out_of_the_rotation(engine: Engine, severity: Severity) -> None:
    node_id = add_node(engine, status=NodeStatus.ACTIVE)
    other = add_node(engine, 2)
    list_address(engine, node_id, severity=severity)
    is_out = severity in {Severity.CRITICAL, Severity.HIGH}
    assert rotation(engine) == ({other} if is_out else {node_id, other})


def test_a_listing_takes_its_node_out_in_the_transaction_that_records_it(engine: Engine) -> None:
    node_id = add_node(engine)
    event = listings.ListingEvent(
        node_id, address(1), "zen.spamhaus.org", "ZEN", ("127.0.0.2",), Severity.HIGH, NOW, NOW, "", None
    )
    with engine.begin() as connection:
        listings.save_event(connection, event)
        assert nodes.rotation(connection) == []
        assert rotation(engine) == {node_id}
    assert rotation(engine) == set()


def test_a_node_is_back_in_the_rotation_when_its_listing_ends(engine: Engine) -> None:
    node_id = add_node(engine)
    list_address(engine, node_id)
    with engine.begin() as connection:
        listings.close_event(connection, address(1), "zen.spamhaus.org", NOW)
    assert rotation(engine) == {node_id}


def test_a_listing_follows_the_address_not_the_node(engine: Engine) -> None:
    former = add_node(engine, 1)
    list_address(engine, former)
    with engine.begin() as connection:
        nodes.apply_event(
            connection, former, NodeEvent.DECOMMISSIONED, reason="test", requested_by="person:test", now=NOW
        )
    heir = add_node(engine, 2)
    with engine.begin() as connection:
        node_places.record_address(connection, heir, address(1), NOW)
    assert rotation(engine) == set()
