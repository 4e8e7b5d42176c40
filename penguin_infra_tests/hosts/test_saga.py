"""A node from request to warm-up on a real host: installed by Ansible over SSH, verified by real mail, heard by TLS.

One host for the whole room: what breaks it for good stands last.
"""

import smtplib
from collections.abc import Iterator
from email import message_from_bytes
from uuid import UUID

import pytest
from sqlalchemy import text

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.installer.installer import HostKeyChanged, Installation
from penguin_infra.operations.install_node import host_of
from penguin_infra.store import nodes
from penguin_infra.store.sink import find_messages
from penguin_infra_tests.conftest import Databases, fresh_engine
from penguin_infra_tests.fleets import rotation
from penguin_infra_tests.hosts.pool import HostPool
from penguin_infra_tests.hosts.real_fleet import RealFleet, real_fleet
from penguin_infra_tests.sink.sink_process import SinkProcess

pytestmark = pytest.mark.xdist_group("hosts")

SERVICES = ("postfix", "opendkim", "fail2ban", "ufw", "redis-server", "penguin-worker", "penguin-agent", "ssh")


@pytest.fixture(scope="module")
def fleet(databases: Databases, host_pool: HostPool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealFleet]:
    host = host_pool.start_host()
    for engine in fresh_engine(databases):
        with real_fleet(engine, host, tmp_path_factory.mktemp("saga")) as made:
            yield made
    host_pool.release(host)


@pytest.fixture(scope="module")
def node_id(fleet: RealFleet) -> UUID:
    """A node that went the whole way."""
    asked = fleet.request("saga-001")
    fleet.run(ActionKind.PROVISION, asked)
    return asked


def test_a_bare_host_becomes_a_warming_node_in_the_rotation(fleet: RealFleet, node_id: UUID) -> None:
    node = fleet.node(node_id)
    assert (node.status, node.ip_address) == (NodeStatus.WARMING, fleet.host.address)
    assert node_id in rotation(fleet.engine)
    assert fleet.unaccounted() == []


def test_its_mail_is_what_receivers_ask_for(fleet: RealFleet, node_id: UUID) -> None:
    findings = fleet.findings(node_id)
    assert {name: row.detail for name, row in findings.items() if not row.is_ok} == {}
    assert len(findings) == 10
    assert findings["tls"].detail.startswith("TLSv1")
    assert findings["open_ports"].detail == "open: 22, 25"
    correlation_id = fleet.steps(node_id)["verify_delivery"].result["correlation_id"]
    with fleet.engine.connect() as connection:
        (sunk,) = find_messages(connection, correlation_id)
    assert message_from_bytes(sunk.content)["DKIM-Signature"] is not None
    assert (sunk.mail.peer_address, sunk.mail.helo) == (fleet.host.address, "saga-001.nodes.test")


def test_the_agent_that_was_installed_speaks_for_it_over_tls(fleet: RealFleet, node_id: UUID) -> None:
    pulse = fleet.await_heartbeat(node_id, "mta_state = 'up'")
    assert str(pulse.boot_id) == fleet.host.boot_id()


def test_no_secret_of_it_is_in_the_log_or_the_steps(fleet: RealFleet, node_id: UUID) -> None:
    token = fleet.host.run("cat /etc/penguin-agent/token").strip()
    assert token.startswith("pia_")
    with fleet.engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM fleet.provisioning_steps")).all()
    assert token not in "\n".join(fleet.said)
    assert token not in repr(rows)


def test_a_second_installation_changes_nothing(fleet: RealFleet, node_id: UUID) -> None:
    # The first one gives the agent a new token, which is a change; after that there is nothing left to do.
    host = host_of(fleet.node(node_id))
    installer, parts = fleet.wiring.installer, fleet.wiring.provision_parts
    assert installer is not None
    again = installer.install(Installation(host, parts.gateway_url, None), lambda _line: None)
    assert again.changed == 0


def test_a_reinstallation_verifies_the_node_anew_and_leaves_it_in_service(fleet: RealFleet, node_id: UUID) -> None:
    fleet.run(ActionKind.REINSTALL, node_id)
    assert fleet.node(node_id).status is NodeStatus.WARMING
    assert all(row.is_ok for row in fleet.findings(node_id).values())


def test_after_a_reboot_everything_runs_and_the_node_speaks_again(fleet: RealFleet, node_id: UUID) -> None:
    fleet.host.reboot()
    fleet.await_heartbeat(node_id, f"boot_id = '{fleet.host.boot_id()}' AND mta_state = 'up'")
    states = fleet.host.run(f"systemctl is-active {' '.join(SERVICES)}", check=False).split()
    assert dict(zip(SERVICES, states, strict=True)) == dict.fromkeys(SERVICES, "active")
    assert "Status: active" in fleet.host.run("ufw status")


def test_what_stopped_is_started_again_from_outside(fleet: RealFleet, node_id: UUID) -> None:
    fleet.host.run("systemctl stop postfix opendkim redis-server penguin-worker")
    installer = fleet.wiring.installer
    assert installer is not None
    installer.restart_services(host_of(fleet.node(node_id)), lambda _line: None)
    states = fleet.host.run(f"systemctl is-active {' '.join(SERVICES)}", check=False).split()
    assert dict(zip(SERVICES, states, strict=True)) == dict.fromkeys(SERVICES, "active")


def test_a_pause_keeps_mail_in_the_queue_and_a_resumption_lets_it_go(
    fleet: RealFleet, node_id: UUID, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("elsewhere")
    host = fleet.host
    with SinkProcess(
        fleet.engine, home, host=str(host.gateway), PENGUIN_SINK_MAILBOX="verify@elsewhere.test"
    ) as elsewhere:
        # A customer's mail: it takes the ordinary way out.
        host.run(f"postconf -e 'default_transport = smtp:[{host.gateway}]:{elsewhere.port}' && postfix reload")
        speak_often(fleet)
        set_status(fleet, node_id, NodeEvent.PAUSED)
        fleet.await_heartbeat(node_id, "transport = 'held'")
        send(host, "held-mail-0001")
        assert "held-mail-0001" not in received(fleet)
        assert host.run("postqueue -j").count("elsewhere.test") == 1
        set_status(fleet, node_id, NodeEvent.RETURNED_TO_WARMING)
        fleet.await_heartbeat(node_id, "transport = 'released' AND queue_active + queue_deferred = 0")
        assert "held-mail-0001" in received(fleet)
        host.run("postconf -X default_transport && postfix reload")


def test_a_held_node_is_installed_and_verified_again_without_letting_its_mail_go(
    fleet: RealFleet, node_id: UUID
) -> None:
    speak_often(fleet)
    set_status(fleet, node_id, NodeEvent.PAUSED)
    fleet.await_heartbeat(node_id, "transport = 'held'")
    fleet.run(ActionKind.REINSTALL, node_id)
    assert fleet.node(node_id).status is NodeStatus.PAUSED
    assert fleet.host.run("postconf -h defer_transports").split() == ["smtp"]
    set_status(fleet, node_id, NodeEvent.RETURNED_TO_WARMING)


def test_a_stranger_can_neither_relay_nor_reach_more_than_mail_and_ssh(fleet: RealFleet, node_id: UUID) -> None:
    # Three verifications within minutes looked like somebody who tries.
    fleet.host.run("fail2ban-client unban --all")
    with smtplib.SMTP(str(fleet.host.address), 25, timeout=10) as server:
        server.ehlo("stranger.test")
        server.mail("stranger@stranger.test")
        code, _ = server.rcpt("victim@victim.test")
    assert code == 554


def test_a_host_with_another_key_than_it_was_first_seen_with_is_touched_by_nobody(
    fleet: RealFleet, node_id: UUID
) -> None:
    fleet.host.replace_host_key()
    with pytest.raises(HostKeyChanged):
        fleet.run(ActionKind.REINSTALL, node_id)
    action = fleet.action(ActionKind.REINSTALL, node_id)
    assert (action.status, action.attempt) == ("failed", 1)
    assert fleet.node(node_id).status is NodeStatus.WARMING


def set_status(fleet: RealFleet, node_id: UUID, event: NodeEvent) -> None:
    with fleet.engine.begin() as connection:
        nodes.apply_event(
            connection, node_id, event, reason="test", requested_by="person:test", now=fleet.wiring.clock.now()
        )


def speak_often(fleet: RealFleet) -> None:
    """Let the agent speak every second, so that no test waits half a minute for a directive; until its next install."""
    config = "/etc/penguin-agent/config.json"
    change = (
        f"import json; told = json.load(open('{config}')) | {{'heartbeat_seconds': 1}}; "
        f"json.dump(told, open('{config}', 'w'))"
    )
    fleet.host.run(f'python3 -c "{change}" && systemctl restart penguin-agent')


def send(host: object, correlation_id: str) -> None:
    mail = f"From: sales@saga-001.nodes.test\\nSubject: hello\\nX-Penguin-Correlation: {correlation_id}\\n\\nhello\\n"
    host.run(f"printf '{mail}' | sendmail -i -f sales@saga-001.nodes.test verify@elsewhere.test")  # type: ignore[attr-defined]


def received(fleet: RealFleet) -> set[str]:
    with fleet.engine.connect() as connection:
        return set(connection.scalars(text("SELECT correlation_id FROM fleet.sink_messages")))
