"""How long a lab node lives: over restarts of its process, and not longer than its machine or its record."""

from pathlib import Path

import pytest

from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra_tests.contract.nodes.conftest import Lab, LabHost
from penguin_infra_tests.simulator_process import free_port
from penguin_infra_tests.waiting import until


def folder_of(lab: Lab, host: LabHost) -> Path:
    return lab.folder / "nodes" / host.label


def test_installed_nodes_come_back_without_anybodys_help(lab: Lab) -> None:
    host = lab.installed(NodeStatus.PROVISIONING)
    lab.nodes.kill()
    port, lab.nodes.gateway_port = lab.nodes.gateway_port, free_port()
    try:
        # Only the address in the order leads to the gateway: the one that the process was told is dead.
        lab.nodes.start()
        lab.await_heartbeat(host)
    finally:
        lab.nodes.stop()
        lab.nodes.gateway_port = port
        lab.nodes.start()


def test_a_node_whose_machine_is_gone_is_silent_and_unknown(lab: Lab) -> None:
    host = lab.installed()
    lab.simulator.ask("DELETE", f"/instances/{host.provider_id}")
    until("it is gone", lambda: host.label not in lab.nodes.nodes())
    assert lab.nodes.ask("GET", f"/hosts/{host.label}/queue").status_code == 404
    # Its record stands: a provider's listing may have been wrong.
    assert folder_of(lab, host).exists()


def test_a_changed_plan_boots_the_node_anew_and_ends_its_flood(lab: Lab) -> None:
    flooded, other = lab.installed(), lab.installed()
    boots = "SELECT boot_id FROM fleet.node_pulses WHERE node_id = :node_id"
    until("its plan is known", (folder_of(lab, flooded) / "plan").exists)
    for host in (flooded, other):
        assert lab.nodes.ask("POST", f"/nodes/{host.label}/scenario", {"scenario": "flood"}).status_code == 200
    before = lab.scalar(boots, flooded)
    lab.simulator.ask("POST", f"/instances/{flooded.provider_id}/resize", body={"plan": "ssd-4"}).raise_for_status()
    until("the flood is over", lambda: lab.nodes.nodes()[flooded.label]["scenario"] == "calm")
    until("it has booted", lambda: lab.scalar(boots, flooded) != before)
    assert lab.nodes.nodes()[flooded.label]["is_speaking"]
    assert lab.nodes.nodes()[other.label]["scenario"] == "flood"
    lab.nodes.ask("POST", f"/nodes/{other.label}/scenario", {"scenario": "calm"})


@pytest.mark.parametrize("event", [NodeEvent.DECOMMISSIONED, NodeEvent.PROVISIONING_FAILED])
def test_a_decommissioned_node_is_silent_and_forgotten_with_its_machine(lab: Lab, event: NodeEvent) -> None:
    is_new = event is NodeEvent.PROVISIONING_FAILED
    host = lab.installed(NodeStatus.PROVISIONING if is_new else NodeStatus.WARMING)
    lab.happen(host, event)
    until("it is gone", lambda: host.label not in lab.nodes.nodes())
    assert folder_of(lab, host).exists()
    lab.simulator.ask("DELETE", f"/instances/{host.provider_id}")
    until("its folder is gone", lambda: not folder_of(lab, host).exists())


def test_a_node_of_an_earlier_version_goes_on_speaking(lab: Lab) -> None:
    host = lab.host(NodeStatus.WARMING)
    lab.nodes.stop()
    folder_of(lab, host).mkdir()
    token = folder_of(lab, host) / "token"
    token.touch(mode=0o600)
    token.write_text(host.token)
    lab.nodes.start()
    lab.await_heartbeat(host)
    # And can be installed anew by what it has.
    assert lab.install(host, agent_token=None)["dkim_public_key"]


@pytest.mark.parametrize("fault", ["server_error", "html"])
def test_a_provider_that_is_away_silences_nobody(lab: Lab, fault: str) -> None:
    host, gone = lab.installed(), lab.installed()
    lab.simulator.add_fault(fault, method="GET", count=4)
    until("looks have failed", lambda: not lab.simulator.faults())
    lab.simulator.ask("DELETE", f"/instances/{gone.provider_id}")
    # The looks go on: this one is noticed.
    until("it is gone", lambda: gone.label not in lab.nodes.nodes())
    assert lab.nodes.nodes()[host.label]["is_speaking"]
