"""The lab's installer service by its wire contract: what it answers, and what a node is after it."""

import json

import pytest

from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra_tests.contract.nodes.conftest import Lab
from penguin_infra_tests.waiting import until

DELIVERIES = "SELECT count(*) FROM fleet.delivery_counts WHERE node_id = :node_id"


def test_an_installation_tells_the_hosts_keys_and_a_repeat_changes_nothing(lab: Lab) -> None:
    host = lab.host()
    first = lab.install(host)
    assert set(first) == {"host_key", "dkim_selector", "dkim_public_key", "changed"}
    assert first["host_key"].startswith("ssh-ed25519 AAAA")
    assert (first["dkim_selector"], first["changed"] > 0) == ("penguin", True)
    assert lab.install(host) == first | {"changed": 0}
    assert lab.install(host, agent_token=None) == first | {"changed": 0}


def test_a_changed_order_changes_the_host_and_keeps_its_keys(lab: Lab) -> None:
    host = lab.host()
    first = lab.install(host)
    assert lab.install(host, hostname=f"other-{host.hostname}") == first | {"changed": 1}
    assert lab.install(host, agent_token=lab.token(host.node_id), hostname=f"other-{host.hostname}")["changed"] == 1


def test_each_host_has_keys_of_its_own(lab: Lab) -> None:
    one, other = lab.install(lab.host()), lab.install(lab.host())
    assert one["host_key"] != other["host_key"]
    assert one["dkim_public_key"] != other["dkim_public_key"]


def test_another_node_of_the_same_label_gets_a_fresh_host(lab: Lab) -> None:
    first, second = lab.host(), lab.host()
    installed = lab.install(first)
    answer = lab.nodes.ask("PUT", f"/hosts/{first.label}", lab.order(second))
    assert answer.json()["host_key"] != installed["host_key"]


def test_secrets_are_kept_from_other_users(lab: Lab) -> None:
    host = lab.host()
    lab.install(host)
    folder = lab.folder / "nodes" / host.label
    for name in ("token", "penguin.private", "ssh_host_ed25519_key", "host.json"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert host.token not in lab.nodes.log


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/hosts/node-x"),
        ("POST", "/hosts/node-x/restart"),
        ("POST", "/hosts/node-x/mail"),
        ("GET", "/hosts/node-x/queue"),
    ],
)
def test_without_the_key_nothing_is_told_or_done(lab: Lab, method: str, path: str) -> None:
    answer = lab.nodes.ask(method, path, {}, key="wrong")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "restart"), ("POST", "mail"), ("GET", "queue")],
)
def test_a_host_that_was_never_installed_is_unknown(lab: Lab, method: str, path: str) -> None:
    mail = {"sender": "a@n.test", "recipient": "b@sink.test", "correlation_id": "c1"}
    answer = lab.nodes.ask(method, f"/hosts/node-nowhere/{path}", mail)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_host")
    assert "node-nowhere" in answer.json()["error"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("node_id", "not-a-uuid"),
        ("ip_address", "127.77"),
        ("hostname", "no dots"),
        ("gateway_url", "http://gateway.example"),
        ("agent_token", "two words"),
        ("agent_token", 7),
    ],
)
def test_an_order_that_cannot_be_is_refused_and_installs_nothing(lab: Lab, name: str, value: object) -> None:
    host = lab.host()
    answer = lab.nodes.ask("PUT", f"/hosts/{host.label}", lab.order(host, **{name: value}))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert "two words" not in answer.text
    assert not (lab.folder / "nodes" / host.label).exists()


@pytest.mark.parametrize("label", ["..", "%2e%2e", "UPPER", "a b"])
def test_a_label_that_is_no_dns_label_is_refused(lab: Lab, label: str) -> None:
    assert lab.nodes.ask("PUT", f"/hosts/{label}", lab.order(lab.host())).status_code in {404, 405, 422}


def test_a_host_without_any_token_is_not_installed(lab: Lab) -> None:
    host = lab.host()
    answer = lab.nodes.ask("PUT", f"/hosts/{host.label}", lab.order(host, agent_token=None))
    assert (answer.status_code, answer.json()["code"]) == (409, "no_token")


def test_a_node_speaks_once_it_is_installed_and_serves_nobody_before_it_is_in_service(lab: Lab) -> None:
    host = lab.installed(NodeStatus.PROVISIONING)
    other = lab.installed(NodeStatus.WARMING)
    for each in (host, other):
        lab.nodes.ask("POST", f"/nodes/{each.label}/scenario", {"scenario": "flood"})
    # What happens to the one happens to the other in the same look, and in the same second.
    until("the other's history is told", lambda: lab.scalar(DELIVERIES, other) > 0)
    until("the other has mail", lambda: lab.nodes.queued(other.label) > 0)
    assert (lab.scalar(DELIVERIES, host), lab.nodes.queued(host.label)) == (0, 0)
    lab.happen(host, NodeEvent.ADMITTED)
    until("its history is told", lambda: lab.scalar(DELIVERIES, host) > 0)
    until("it has mail", lambda: lab.nodes.queued(host.label) > 0)


def test_a_restart_of_its_services_ends_what_ails_its_mail_server_and_stays_ended(lab: Lab) -> None:
    host = lab.installed()
    lab.nodes.ask("POST", f"/nodes/{host.label}/scenario", {"scenario": "mta-down"})
    query = "SELECT mta_state FROM fleet.heartbeats WHERE node_id = :node_id ORDER BY received_at DESC LIMIT 1"
    until("the gateway is told", lambda: lab.scalar(query, host) == "down")
    assert lab.nodes.ask("POST", f"/hosts/{host.label}/restart").status_code == 204
    until("the gateway is told", lambda: lab.scalar(query, host) == "up")
    until("it is kept", lambda: _kept_scenarios(lab)[host.label] == "calm")


def test_a_restart_of_its_services_does_not_make_a_hung_machine_speak(lab: Lab) -> None:
    host = lab.installed()
    lab.nodes.ask("POST", f"/nodes/{host.label}/scenario", {"scenario": "silence"})
    until("it is silent", lambda: not lab.nodes.nodes()[host.label]["is_speaking"])
    assert lab.nodes.ask("POST", f"/hosts/{host.label}/restart").status_code == 204
    assert not lab.nodes.nodes()[host.label]["is_speaking"]
    lab.simulator.ask("POST", f"/instances/{host.provider_id}/reboot")
    lab.await_heartbeat(host)


def _kept_scenarios(lab: Lab) -> dict[str, str]:
    kept: dict[str, str] = json.loads((lab.folder / "nodes" / "scenarios.json").read_text())
    return kept
