"""Instances that come into being after their request was given up and released: the provider was slow, or a run was.

Such an instance is seen as an orphan, and destroyed again.
"""

import pytest

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.inventory import DriftKind
from penguin_infra.domain.node import NodeStatus
from penguin_infra.operations.take_inventory import compare_inventory, refresh_listing
from penguin_infra_tests.scenarios.provisioning_world import FLEET, World

pytestmark = pytest.mark.xdist_group("provisioning")


def be_late(world: World) -> None:
    """The last attempt's run loses its session and sleeps; the request is released; then the run wakes and creates."""
    world.clear()
    world.request(1)
    world.points.arm("before call", 1, world.kill)
    world.tick_and_run()

    def sleep_through_the_release() -> None:
        world.lose_lock()
        world.tick_and_run()

    world.points.arm("before call", 1, sleep_through_the_release)
    world.tick_and_run()
    (node,) = world.nodes()
    assert node.status is NodeStatus.DECOMMISSIONED


def test_an_instance_made_after_its_request_was_released_is_an_orphan_that_names_its_node(world: World) -> None:
    be_late(world)
    world.clock.sleep(1)
    refresh_listing(world.outside, world.provider, world.clock.now())
    (drift,) = compare_inventory(world.outside, fleet_name=FLEET, now=world.clock.now()).drifts
    (node,) = world.nodes()
    assert (drift.kind, drift.node_id) == (DriftKind.ORPHAN, node.node_id)


def test_an_instance_made_after_its_request_was_released_is_destroyed(world: World) -> None:
    be_late(world)
    world.settle()
    assert world.simulator.instances() == []


def test_no_release_touches_a_node_that_was_admitted(world: World) -> None:
    world.clear()
    world.request(1)
    world.tick_and_run()
    (node,) = world.nodes()
    world.force(ActionKind.RELEASE, node.node_id)
    assert [instance["id"] for instance in world.simulator.instances()] == [node.provider_id]
    assert world.nodes() == [node]
