"""The registry: labels that are used once, nodes found as people name them, and the status that a node had left."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from penguin_infra.domain.lifecycle import IllegalTransition, NodeEvent, return_event
from penguin_infra.domain.node import NodeStatus
from penguin_infra.store import node_places, nodes
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, address, status_of


def happen(engine: Engine, node_id: UUID, *events: NodeEvent) -> None:
    for event in events:
        with engine.begin() as connection:
            nodes.apply_event(connection, node_id, event, reason=f"{event}!", requested_by="person:test", now=NOW)


def left(engine: Engine, node_id: UUID) -> NodeStatus:
    with engine.connect() as connection:
        return nodes.status_left(connection, nodes.get_node(connection, node_id))


def find(engine: Engine, name: str) -> UUID:
    with engine.connect() as connection:
        return nodes.find_node(connection, name).node_id


@pytest.mark.parametrize("status", [NodeStatus.WARMING, NodeStatus.DECOMMISSIONED])
def test_a_label_is_never_used_twice(engine: Engine, status: NodeStatus) -> None:
    add_node(engine, 1, status)
    with engine.begin() as connection:
        with pytest.raises(nodes.LabelTaken, match="'node-001' is taken"):
            nodes.insert_request(
                connection, label="node-001", region="dallas", plan="ssd-1", requested_by="person:test", now=NOW
            )
        # The refusal costs the caller nothing but the one request.
        assert len(nodes.list_nodes(connection)) == 1


def test_taken_labels_are_those_of_the_prefix_even_of_nodes_that_are_gone(engine: Engine) -> None:
    add_node(engine, 1, NodeStatus.DECOMMISSIONED)
    add_node(engine, 12)
    with engine.connect() as connection:
        assert nodes.taken_labels(connection, "node-0") == {"node-001", "node-012"}
        assert nodes.taken_labels(connection, "node-01") == {"node-012"}
        assert nodes.taken_labels(connection, "node_0") == set()


def test_a_node_is_found_by_label_address_and_id(engine: Engine) -> None:
    node_id, _ = add_nodes(engine, 2)
    for name in ("node-001", str(address(1)), str(node_id), str(node_id).upper()):
        assert find(engine, name) == node_id


def test_a_node_that_nobody_has_is_told_with_near_labels(engine: Engine) -> None:
    add_nodes(engine, 2)
    with pytest.raises(nodes.NodeNotFound) as missing:
        find(engine, "node-01")
    assert "'node-01'; near: " in str(missing.value)
    assert "node-001" in str(missing.value)
    with pytest.raises(nodes.NodeNotFound, match="`penguin-infra nodes list` shows all"):
        find(engine, "203.0.113.7")


def test_of_two_nodes_that_had_an_address_the_living_one_is_meant(engine: Engine) -> None:
    add_node(engine, 1, NodeStatus.DECOMMISSIONED)
    heir = add_node(engine, 2, NodeStatus.PROVISIONING)
    with engine.begin() as connection:
        node_places.record_address(connection, heir, address(1), NOW)
    assert find(engine, str(address(1))) == heir


@pytest.mark.parametrize("status", [NodeStatus.WARMING, NodeStatus.ACTIVE])
def test_the_status_left_survives_maintenance_in_between(engine: Engine, status: NodeStatus) -> None:
    node_id = add_node(engine, status=status)
    happen(engine, node_id, NodeEvent.PAUSED)
    assert left(engine, node_id) is status
    happen(engine, node_id, NodeEvent.MAINTENANCE_BEGUN)
    assert left(engine, node_id) is NodeStatus.PAUSED
    happen(engine, node_id, return_event(NodeStatus.MAINTENANCE, NodeStatus.PAUSED))
    assert left(engine, node_id) is status
    happen(engine, node_id, return_event(NodeStatus.PAUSED, status))
    assert status_of(engine, node_id) is status


def test_the_status_left_is_the_last_ones_not_the_first(engine: Engine) -> None:
    node_id = add_node(engine)
    happen(engine, node_id, NodeEvent.PAUSED, NodeEvent.RETURNED_TO_WARMING, NodeEvent.WARMED_UP, NodeEvent.PAUSED)
    assert left(engine, node_id) is NodeStatus.ACTIVE


def test_an_event_that_is_not_possible_changes_nothing(engine: Engine) -> None:
    node_id = add_node(engine)
    with engine.connect() as connection:
        before = nodes.get_node(connection, node_id), nodes.transitions(connection, node_id)
    with pytest.raises(IllegalTransition):
        happen(engine, node_id, NodeEvent.ADMITTED)
    with engine.connect() as connection:
        assert (nodes.get_node(connection, node_id), nodes.transitions(connection, node_id)) == before


def test_a_nodes_history_holds_every_change_with_reason_and_person(engine: Engine) -> None:
    node_id = add_node(engine)
    happen(engine, node_id, NodeEvent.PAUSED, NodeEvent.RETURNED_TO_WARMING)
    with engine.connect() as connection:
        history = nodes.transitions(connection, node_id)
    assert [(row.from_status, row.to_status, row.event) for row in history] == [
        (None, "provisioning", "requested"),
        ("provisioning", "warming", "admitted"),
        ("warming", "paused", "paused"),
        ("paused", "warming", "returned_to_warming"),
    ]
    assert (history[-1].reason, history[-1].requested_by) == ("returned_to_warming!", "person:test")


def test_a_held_node_says_why_until_it_is_back(engine: Engine) -> None:
    node_id = add_node(engine)
    happen(engine, node_id, NodeEvent.PAUSED)
    with engine.connect() as connection:
        assert nodes.get_node(connection, node_id).hold_reason == "paused!"
    happen(engine, node_id, NodeEvent.RETURNED_TO_WARMING)
    with engine.connect() as connection:
        assert nodes.get_node(connection, node_id).hold_reason is None


def test_a_repeated_address_changes_nothing(engine: Engine) -> None:
    node_id = add_node(engine)
    with engine.begin() as connection:
        before = nodes.get_node(connection, node_id)
        node_places.record_address(connection, node_id, address(1), NOW + timedelta(days=1))
        assert nodes.get_node(connection, node_id) == before


def test_a_node_that_does_not_exist_is_named(engine: Engine) -> None:
    unknown = uuid4()
    with engine.begin() as connection:
        with pytest.raises(nodes.NodeNotFound, match=str(unknown)):
            nodes.get_node(connection, unknown)
        with pytest.raises(nodes.NodeNotFound, match=str(unknown)):
            nodes.apply_event(connection, unknown, NodeEvent.PAUSED, reason="", requested_by="person:test", now=NOW)
