"""The registry held against the provider: what counts as a difference, and what is left alone."""

from dataclasses import replace
from ipaddress import IPv4Address
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.inventory import DriftKind, RegisteredNode, SeenInstance, compare
from penguin_infra.domain.node import InstanceLabel, NodeStatus
from penguin_infra_tests.fleets import NOW

FLEET = "penguin"


def node_id(number: int) -> UUID:
    return UUID(int=number << 96)


def registered(
    number: int = 1, status: NodeStatus = NodeStatus.WARMING, *, is_unsettled: bool = False
) -> RegisteredNode:
    ip_address = IPv4Address("192.0.2.0") + number
    return RegisteredNode(
        node_id(number), f"node-{number:03}", status, f"hw-{number}", "ssd-1", ip_address, is_unsettled
    )


def seen(number: int = 1, *, fleet_name: str = FLEET, label: str | None = None) -> SeenInstance:
    ours = str(InstanceLabel.of(fleet_name=fleet_name, label=f"node-{number:03}", node_id=node_id(number)))
    ip_address = IPv4Address("192.0.2.0") + number
    return SeenInstance(f"hw-{number}", ours if label is None else label, "dallas", "ssd-1", "running", ip_address, NOW)


def kinds(nodes: list[RegisteredNode], instances: list[SeenInstance]) -> list[DriftKind]:
    return [drift.kind for drift in compare(nodes, instances, fleet_name=FLEET).drifts]


def test_a_registry_that_agrees_with_the_provider_has_no_drift() -> None:
    comparison = compare([registered(1), registered(2)], [seen(2), seen(1)], fleet_name=FLEET)
    assert (comparison.drifts, comparison.foreign_count) == ((), 0)


def test_an_instance_of_ours_that_nobody_asked_for_is_an_orphan() -> None:
    (drift,) = compare([], [seen(1)], fleet_name=FLEET).drifts
    assert (drift.kind, drift.node_id, drift.provider_id) == (DriftKind.ORPHAN, None, "hw-1")
    assert "penguin-node-001-00000001 is billed" in drift.detail
    assert "no node of the registry asked for it" in drift.detail


def test_the_instance_of_a_node_that_is_gone_is_an_orphan_with_its_name() -> None:
    (drift,) = compare([registered(1, NodeStatus.DECOMMISSIONED)], [seen(1)], fleet_name=FLEET).drifts
    assert (drift.kind, drift.node_id) == (DriftKind.ORPHAN, node_id(1))
    assert "node-001 is decommissioned and does not hold it" in drift.detail


def test_a_second_instance_of_one_node_is_an_orphan() -> None:
    twin = replace(seen(1), provider_id="hw-99")
    (drift,) = compare([registered(1)], [seen(1), twin], fleet_name=FLEET).drifts
    assert (drift.kind, drift.provider_id) == (DriftKind.ORPHAN, "hw-99")


def test_the_instance_of_a_request_under_way_is_no_orphan() -> None:
    asked = replace(registered(1, NodeStatus.PROVISIONING, is_unsettled=True), provider_id=None)
    assert kinds([asked], [seen(1)]) == []


@pytest.mark.parametrize("status", [status for status in NodeStatus if status is not NodeStatus.DECOMMISSIONED])
def test_a_living_node_without_its_instance_is_a_ghost(status: NodeStatus) -> None:
    (drift,) = compare([registered(1, status)], [seen(2, label="web")], fleet_name=FLEET).drifts
    assert (drift.kind, drift.node_id, drift.provider_id) == (DriftKind.GHOST, node_id(1), "hw-1")
    assert drift.detail == f"node-001 ({status}) has no instance hw-1"


def test_a_decommissioned_node_is_no_ghost() -> None:
    assert kinds([registered(1, NodeStatus.DECOMMISSIONED)], []) == []


@pytest.mark.parametrize("at_the_provider", [IPv4Address("192.0.2.99"), None])
def test_another_address_is_a_drift_with_both_sides(at_the_provider: IPv4Address | None) -> None:
    (drift,) = compare([registered(1)], [replace(seen(1), ip_address=at_the_provider)], fleet_name=FLEET).drifts
    assert drift.kind is DriftKind.CHANGED_ADDRESS
    assert drift.detail == f"registry 192.0.2.1, provider {at_the_provider}"


def test_another_plan_is_a_drift_with_both_sides() -> None:
    (drift,) = compare([registered(1)], [replace(seen(1), plan="ssd-4")], fleet_name=FLEET).drifts
    assert (drift.kind, drift.detail) == (DriftKind.CHANGED_PLAN, "registry ssd-1, provider ssd-4")


def test_address_and_plan_are_two_drifts() -> None:
    moved = replace(seen(1), plan="ssd-4", ip_address=None)
    assert kinds([registered(1)], [moved]) == [DriftKind.CHANGED_ADDRESS, DriftKind.CHANGED_PLAN]


def test_a_node_whose_label_was_changed_at_the_provider_is_known_by_its_id() -> None:
    assert compare([registered(1)], [seen(1, label="renamed")], fleet_name=FLEET).foreign_count == 0


@pytest.mark.parametrize("instances", [[], [replace(seen(1), plan="ssd-4", ip_address=None)]])
def test_nothing_is_said_of_a_node_that_changed_since_the_listing(instances: list[SeenInstance]) -> None:
    assert kinds([registered(1, is_unsettled=True)], instances) == []


nodes = st.builds(registered, st.integers(1, 6), st.sampled_from(NodeStatus), is_unsettled=st.booleans())
foreign_labels = st.text().filter(
    lambda label: (name := InstanceLabel.parse(label)) is None or name.fleet_name != FLEET
)
foreign = st.one_of(
    st.builds(seen, st.integers(100, 120), label=foreign_labels),
    # Another fleet of ours on the same account, with the very same node.
    st.builds(seen, st.integers(1, 120), fleet_name=st.sampled_from(["puffin", "penguin2", "pengui"])).map(
        lambda instance: replace(instance, provider_id=f"other-{instance.provider_id}")
    ),
)


@given(st.lists(nodes, max_size=6), st.lists(st.integers(1, 6).map(seen), max_size=6), st.lists(foreign, max_size=10))
def test_foreign_instances_never_make_a_drift(
    registry: list[RegisteredNode], ours: list[SeenInstance], others: list[SeenInstance]
) -> None:
    without = compare(registry, ours, fleet_name=FLEET)
    comparison = compare(registry, [*ours, *others], fleet_name=FLEET)
    assert comparison.drifts == without.drifts
    assert comparison.foreign_count == len({other.provider_id for other in others})
