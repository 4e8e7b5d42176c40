"""What goes wrong while a real host becomes a node: a clear error, a repeat, and in the end nothing unaccounted for."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.node import NodeStatus
from penguin_infra.operations.node_steps import StepError
from penguin_infra_tests.hosts.host import Host
from penguin_infra_tests.hosts.pool import HostPool
from penguin_infra_tests.hosts.real_fleet import RealFleet, real_fleet

pytestmark = pytest.mark.xdist_group("hosts")


@pytest.fixture
def fleet(engine: Engine, bare_host: Host, tmp_path: Path) -> Iterator[RealFleet]:
    with real_fleet(engine, bare_host, tmp_path) as made:
        yield made


@pytest.fixture
def node_id(fleet: RealFleet) -> UUID:
    return fleet.request("fault-001")


def test_a_network_that_breaks_while_a_host_is_installed_is_waited_for_and_the_work_goes_on(
    fleet: RealFleet, node_id: UUID
) -> None:
    cut_at: list[str] = []

    def cut_for_a_while() -> None:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            step = fleet.steps(node_id).get("install_node")
            if step is not None and step.progress and "postfix" in step.progress:
                fleet.host.cut_network()
                cut_at.append(step.progress)
                time.sleep(20)
                fleet.host.mend_network()
                return
            time.sleep(0.1)

    cutter = threading.Thread(target=cut_for_a_while)
    cutter.start()
    action = fleet.run_until_over(ActionKind.PROVISION, node_id)
    cutter.join()
    assert cut_at
    assert action.status == "succeeded"
    assert fleet.node(node_id).status is NodeStatus.WARMING
    assert fleet.unaccounted() == []


def test_a_sink_that_is_down_keeps_the_node_out_until_it_is_back(
    engine: Engine, host_pool: HostPool, tmp_path: Path
) -> None:
    host = host_pool.start_host()
    with real_fleet(engine, host, tmp_path) as fleet:
        node_id = fleet.request("fault-002")
        fleet.sink.stop()
        with pytest.raises(StepError, match="nothing arrived within 30 s; 1 mails wait in the node's queue"):
            fleet.run(ActionKind.PROVISION, node_id)
        assert fleet.node(node_id).status is NodeStatus.PROVISIONING
        assert "port 25" in fleet.findings(node_id)["arrived"].remedy
        fleet.sink.start()
        fleet.run(ActionKind.PROVISION, node_id)
        assert fleet.node(node_id).status is NodeStatus.WARMING
    host_pool.release(host)


def test_a_full_disk_is_named_and_the_request_ends_with_nothing_left(fleet: RealFleet, node_id: UUID) -> None:
    fleet.host.fill_disk()
    action = fleet.run_until_over(ActionKind.PROVISION, node_id)
    fleet.host.free_disk()
    assert (action.status, action.attempt) == ("failed", 3)
    assert "install_node" in action.outcome
    assert "the disk is full" in action.outcome
    fleet.run(ActionKind.RELEASE, node_id)
    assert fleet.unaccounted() == []
    assert fleet.simulator.instances() == []
    assert fleet.node(node_id).status is NodeStatus.DECOMMISSIONED


def test_a_name_server_that_is_down_ends_the_request_and_nothing_is_left_once_it_is_back(
    fleet: RealFleet, node_id: UUID
) -> None:
    fleet.dns.stop()
    action = fleet.run_until_over(ActionKind.PROVISION, node_id)
    assert (action.status, action.attempt) == ("failed", 3)
    assert "publish_dns" in action.outcome
    assert fleet.run_until_over(ActionKind.RELEASE, node_id).status == "failed"
    fleet.dns.start()
    fleet.run(ActionKind.RELEASE, node_id)
    assert fleet.unaccounted() == []
    assert fleet.simulator.instances() == []
    assert fleet.node(node_id).status is NodeStatus.DECOMMISSIONED
