"""Taking stock of a real simulated provider: what is recorded as a difference, and that nothing is touched."""

import time
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from penguin_infra.domain.guardrails import GuardrailLimits
from penguin_infra.domain.inventory import Comparison, DriftKind
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import InstanceLabel, NodeStatus, token_of
from penguin_infra.domain.node_names import forward_records
from penguin_infra.hostwind.provider import Instance, InstanceStatus, ProviderUnavailable
from penguin_infra.hostwind.rest import RestProvider
from penguin_infra.operations.adopt_orphans import adopt_orphans
from penguin_infra.operations.take_inventory import compare_inventory, refresh_listing
from penguin_infra.store import inventory, node_places, nodes, published_names
from penguin_infra.store.requests import leftovers
from penguin_infra_tests.fleets import NOW
from penguin_infra_tests.simulator_process import SimulatorProcess

LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def fleet_name() -> str:
    """A fleet of the test's own: to every other test its instances are foreign."""
    return f"t{uuid4().hex[:12]}"


def create(provider: RestProvider, label: str) -> Instance:
    instance = provider.create_instance(label=label, region="dallas", plan="ssd-1")
    deadline = time.monotonic() + 20
    while instance.status is not InstanceStatus.RUNNING or instance.ip_address is None:
        assert time.monotonic() < deadline, instance
        time.sleep(0.02)
        instance = provider.get_instance(instance.provider_id)
    return instance


def add_real_node(engine: Engine, provider: RestProvider, fleet_name: str, label: str = "node-001") -> tuple[UUID, str]:
    """A node in service since yesterday, with its instance."""
    yesterday = NOW - timedelta(days=1)
    with engine.begin() as connection:
        node_id = nodes.insert_request(
            connection, label=label, region="dallas", plan="ssd-1", requested_by="person:test", now=yesterday
        )
    instance = create(provider, str(InstanceLabel.of(fleet_name=fleet_name, label=label, node_id=node_id)))
    assert instance.ip_address is not None
    with engine.begin() as connection:
        node_places.record_instance(connection, node_id, instance.provider_id, yesterday)
        node_places.record_address(connection, node_id, instance.ip_address, yesterday)
        nodes.apply_event(
            connection, node_id, NodeEvent.ADMITTED, reason="test", requested_by="person:test", now=yesterday
        )
    return node_id, instance.provider_id


def take(engine: Engine, provider: RestProvider, fleet_name: str) -> Comparison:
    refresh_listing(engine, provider, NOW)
    return compare_inventory(engine, fleet_name=fleet_name, now=NOW)


def open_drift(engine: Engine) -> list[tuple[str, str, str | None]]:
    with engine.connect() as connection:
        return [(row.kind, row.provider_id, row.label) for row in inventory.open_drift(connection)]


def test_a_fleet_as_it_should_be_has_no_drift(engine: Engine, provider: RestProvider, fleet_name: str) -> None:
    add_real_node(engine, provider, fleet_name)
    assert take(engine, provider, fleet_name).drifts == ()
    assert open_drift(engine) == []


def test_foreign_instances_are_counted_and_left_alone(
    engine: Engine, provider: RestProvider, simulator: SimulatorProcess, fleet_name: str
) -> None:
    create(provider, f"web-{fleet_name}")
    create(provider, str(InstanceLabel.of(fleet_name="puffin", label="node-001", node_id=uuid4())))
    before = simulator.instances()
    comparison = take(engine, provider, fleet_name)
    assert (comparison.drifts, comparison.foreign_count) == ((), len(before))
    assert simulator.instances() == before


def test_an_orphan_is_recorded_and_not_destroyed(
    engine: Engine, provider: RestProvider, simulator: SimulatorProcess, fleet_name: str
) -> None:
    orphan = create(provider, str(InstanceLabel.of(fleet_name=fleet_name, label="node-009", node_id=uuid4())))
    take(engine, provider, fleet_name)
    assert open_drift(engine) == [(DriftKind.ORPHAN, orphan.provider_id, None)]
    assert len(simulator.instances(orphan.label)) == 1


def test_a_ghost_is_recorded_and_its_node_left_as_it_is(
    engine: Engine, provider: RestProvider, fleet_name: str
) -> None:
    node_id, provider_id = add_real_node(engine, provider, fleet_name)
    # One more, so that the listing is not empty whatever other tests leave behind.
    create(provider, f"web-{fleet_name}")
    with engine.connect() as connection:
        before = nodes.get_node(connection, node_id)
    provider.delete_instance(provider_id)
    take(engine, provider, fleet_name)
    assert open_drift(engine) == [(DriftKind.GHOST, provider_id, "node-001")]
    with engine.connect() as connection:
        assert nodes.get_node(connection, node_id) == before


def test_nothing_is_concluded_before_a_listing_was_taken(
    engine: Engine, provider: RestProvider, fleet_name: str
) -> None:
    add_real_node(engine, provider, fleet_name)
    assert compare_inventory(engine, fleet_name=fleet_name, now=NOW) == Comparison((), 0)
    assert open_drift(engine) == []


def test_a_difference_is_recorded_once_and_resolved_when_it_is_gone(
    engine: Engine, provider: RestProvider, fleet_name: str
) -> None:
    orphan = create(provider, str(InstanceLabel.of(fleet_name=fleet_name, label="node-009", node_id=uuid4())))
    take(engine, provider, fleet_name)
    compare_inventory(engine, fleet_name=fleet_name, now=LATER)
    with engine.connect() as connection:
        (row,) = inventory.open_drift(connection)
    assert (row.first_seen_at, row.last_seen_at) == (NOW, LATER)
    provider.delete_instance(orphan.provider_id)
    take(engine, provider, fleet_name)
    assert open_drift(engine) == []


def test_a_node_that_changed_since_the_listing_is_not_judged_by_it(
    engine: Engine, provider: RestProvider, fleet_name: str
) -> None:
    create(provider, f"web-{fleet_name}")
    refresh_listing(engine, provider, NOW - timedelta(days=2))
    add_real_node(engine, provider, fleet_name)
    assert compare_inventory(engine, fleet_name=fleet_name, now=NOW).drifts == ()


def test_a_provider_that_answers_with_a_web_page_leaves_the_old_listing(
    engine: Engine, provider: RestProvider, simulator: SimulatorProcess, fleet_name: str
) -> None:
    add_real_node(engine, provider, fleet_name)
    take(engine, provider, fleet_name)
    with engine.connect() as connection:
        before = inventory.read_listing(connection)
    assert before[0]
    simulator.add_fault("html")
    with pytest.raises(ProviderUnavailable):
        refresh_listing(engine, provider, LATER)
    with engine.connect() as connection:
        assert inventory.read_listing(connection) == before
    assert compare_inventory(engine, fleet_name=fleet_name, now=LATER).drifts == ()


def adopt(engine: Engine, *, at: datetime = LATER + timedelta(hours=1)) -> list[str]:
    with engine.begin() as connection:
        return adopt_orphans(connection, grace=timedelta(hours=1), limits=GuardrailLimits(), now=at)


def stranger(provider: RestProvider, fleet_name: str, label: str = "node-009") -> Instance:
    """An instance of ours that no node asked for."""
    return create(provider, str(InstanceLabel.of(fleet_name=fleet_name, label=label, node_id=uuid4())))


def test_a_stranger_with_our_name_is_taken_into_the_registry_after_the_grace_as_a_request_with_its_instance(
    engine: Engine, provider: RestProvider, fleet_name: str
) -> None:
    found = stranger(provider, fleet_name)
    take(engine, provider, fleet_name)
    assert adopt(engine, at=NOW + timedelta(minutes=59)) == []
    assert adopt(engine) == ["node-009"]
    with engine.connect() as connection:
        (node,) = nodes.list_nodes(connection)
    assert (node.status, node.provider_id, node.plan) == (NodeStatus.PROVISIONING, found.provider_id, "ssd-1")
    assert found.label.endswith(token_of(node.node_id))
    assert adopt(engine) == []
    assert take(engine, provider, fleet_name).drifts == ()


def test_a_stranger_whose_label_is_taken_gets_one_from_its_token(
    engine: Engine, provider: RestProvider, fleet_name: str
) -> None:
    add_real_node(engine, provider, fleet_name, "node-009")
    found = stranger(provider, fleet_name, "node-009")
    take(engine, provider, fleet_name)
    assert adopt(engine) == [f"found-{found.label[-8:]}"]


def test_many_strangers_at_once_are_a_registry_that_lost_its_memory_and_left_to_a_person(
    engine: Engine, provider: RestProvider, simulator: SimulatorProcess, fleet_name: str
) -> None:
    for number in range(2):
        stranger(provider, fleet_name, f"node-{number}")
    take(engine, provider, fleet_name)
    before = simulator.instances()
    assert adopt(engine) == []
    assert simulator.instances() == before


def test_a_record_that_outlived_its_node_is_a_stray_until_it_is_removed(
    engine: Engine, provider: RestProvider, fleet_name: str
) -> None:
    node_id, provider_id = add_real_node(engine, provider, fleet_name)
    yesterday = NOW - timedelta(days=1)
    with engine.begin() as connection:
        node_places.record_hostname(connection, node_id, "node-001.nodes.example", yesterday)
        node = nodes.get_node(connection, node_id)
        assert node.ip_address is not None
        records = forward_records("node-001.nodes.example", node.ip_address)
        published_names.want_records(connection, node_id, records, yesterday)
    assert take(engine, provider, fleet_name).drifts == ()
    with engine.begin() as connection:
        nodes.apply_event(
            connection, node_id, NodeEvent.DECOMMISSIONED, reason="test", requested_by="person:test", now=yesterday
        )
    provider.delete_instance(provider_id)
    (stray,) = take(engine, provider, fleet_name).drifts
    assert (stray.kind, stray.node_id) == (DriftKind.STRAY_RECORD, node_id)
    assert f"A node-001.nodes.example {node.ip_address}" in stray.detail
    with engine.connect() as connection:
        assert [left.node_id for left in leftovers(connection)] == [node_id]
    with engine.begin() as connection:
        published_names.mark_removed(connection, node_id, records, NOW)
    assert take(engine, provider, fleet_name).drifts == ()
