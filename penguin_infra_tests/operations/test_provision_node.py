"""A node's making, step by step: what each leaves behind, what it waits for, and how its failure ends."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import IPv4Address
from itertools import count
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from penguin_infra.dns_records.dynamic_update import DynamicUpdatePublisher
from penguin_infra.dns_records.publisher import Record
from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.hostwind.rest import RestProvider
from penguin_infra.installer.installer import HostKeyChanged, InstallFailed
from penguin_infra.operations.node_steps import StepError, StepImpossible
from penguin_infra.operations.provision_node import STEPS
from penguin_infra.operations.provision_parts import Names
from penguin_infra.store import nodes, rejections, verifications
from penguin_infra.store.tables import AnyRow
from penguin_infra_tests.dns_process import DnsProcess
from penguin_infra_tests.fleets import rotation
from penguin_infra_tests.operations.making import Making
from penguin_infra_tests.pretend_node import ZONE, publisher_of, unreachable
from penguin_infra_tests.pulses import beat
from penguin_infra_tests.simulator_process import SimulatorProcess, free_port
from penguin_infra_tests.warmups import state_of

_labels = (f"making-{number:03}" for number in count(1))


@pytest.fixture
def making(engine: Engine, provider: RestProvider, simulator: SimulatorProcess, lab_dns: DnsProcess) -> Making:
    return Making(engine, provider, simulator, lab_dns)


@pytest.fixture
def node_id(making: Making) -> UUID:
    return making.request(next(_labels))


def test_a_request_becomes_a_warming_node_with_its_names_its_key_and_ten_good_findings(
    making: Making, node_id: UUID
) -> None:
    making.provision(node_id)
    node = making.node(node_id)
    assert node.status is NodeStatus.WARMING
    assert (node.hostname, node.host_key) == (f"{node.label}.{ZONE}", "ssh-ed25519 AAAA")
    assert [making.steps(node_id)[step].status for step in STEPS] == ["succeeded"] * len(STEPS)
    published = {(record.rdtype, record.name) for record in making.records(node_id)}
    assert node.ip_address is not None
    assert published == {
        ("A", node.hostname),
        ("TXT", node.hostname),
        ("TXT", f"penguin._domainkey.{node.hostname}"),
        ("PTR", node.ip_address.reverse_pointer),
    }
    with making.engine.connect() as connection:
        findings = verifications.list_findings(connection, node_id)
    assert [(row.check_name, row.is_ok) for row in findings] == [
        (name, True)
        for name in (
            "arrived", "source_address", "helo", "reverse_name", "tls", "spf", "dkim", "queue_empty",
            "no_open_relay", "open_ports",
        )
    ]  # fmt: skip
    assert making.action(node_id, ActionKind.PROVISION).status == "succeeded"


def test_a_node_is_at_its_first_stage_from_the_moment_it_is_admitted(making: Making, node_id: UUID) -> None:
    making.provision(node_id)
    state = state_of(making.engine, node_id)
    with making.engine.connect() as connection:
        admitted = nodes.transitions(connection, node_id)[-1]
    assert (state.curve, state.daily, state.since_at) == ("cautious", 50, admitted.happened_at)


def test_the_installer_gets_a_token_that_is_in_no_row_and_in_no_log(making: Making, node_id: UUID) -> None:
    making.provision(node_id)
    (installation,) = making.installer.installations
    token = installation.agent_token
    assert token
    with making.engine.connect() as connection:
        rows = [
            connection.execute(text(f"SELECT * FROM fleet.{table}")).all()
            for table in ("provisioning_steps", "node_actions")
        ]
    assert token not in repr(rows)
    assert token not in repr(making.said)
    assert token not in repr(installation)


def test_a_listed_address_is_given_back_for_another_before_anything_is_installed(making: Making, node_id: UUID) -> None:
    first = making.simulator.ask("GET", "/lab/next-address").json()["ip"]
    making.dirty[first] = "zen.spamhaus.org"
    making.provision(node_id)
    node = making.node(node_id)
    assert (node.status, node.instance_try) == (NodeStatus.WARMING, 2)
    assert str(node.ip_address) != first
    assert making.instances(node_id) == [node.provider_id]
    with making.engine.connect() as connection:
        (row,) = rejections.list_rejections(connection, node_id)
        tenures = connection.execute(text("SELECT ended_at IS NULL AS is_live FROM fleet.ip_tenures ORDER BY began_at"))
        assert [each.is_live for each in tenures] == [False, True]
    assert (str(row.ip_address), row.zone, row.codes) == (first, "zen.spamhaus.org", ["127.0.0.2"])
    assert [str(each.host.ip_address) for each in making.installer.installations] == [str(node.ip_address)]


def test_what_is_billed_is_written_down_as_it_happens_given_back_instances_too(making: Making, node_id: UUID) -> None:
    first = making.simulator.ask("GET", "/lab/next-address").json()["ip"]
    making.dirty[first] = "zen.spamhaus.org"
    making.provision(node_id)
    assert [(spell.provider_id == making.node(node_id).provider_id, spell.ended_at) for spell in billed(making)][
        1:
    ] == [(True, None)]
    given_back, _ = billed(making)
    assert given_back.ended_at is not None


def test_what_a_failed_request_cost_is_known_when_its_instance_is_gone(making: Making, node_id: UUID) -> None:
    making.dirty = {f"127.77.{third}.{last}": "zen.spamhaus.org" for third in range(4) for last in range(256)}
    making.provision_until_over(node_id)
    making.release(node_id)
    spells = billed(making)
    assert [spell.node_id for spell in spells] == [node_id] * 3
    assert all(spell.ended_at for spell in spells)


def billed(making: Making) -> list[AnyRow]:
    with making.engine.connect() as connection:
        return list(connection.execute(text("SELECT * FROM fleet.instance_spells ORDER BY began_at, provider_id")))


def test_after_three_listed_addresses_the_request_ends_with_the_evidence(making: Making, node_id: UUID) -> None:
    making.dirty = {f"127.77.{third}.{last}": "zen.spamhaus.org" for third in range(4) for last in range(256)}
    action = making.provision_until_over(node_id)
    assert action.status == "failed"
    assert "3 addresses in dallas were listed" in action.outcome
    assert "by zen.spamhaus.org" in action.outcome
    making.release(node_id)
    assert making.instances(node_id) == []
    assert making.node(node_id).status is NodeStatus.DECOMMISSIONED


def test_a_list_that_does_not_answer_neither_condemns_an_address_nor_holds_it_up_for_ever(
    making: Making, node_id: UUID
) -> None:
    making.unanswered = ("dnsbl.example",)
    making.provision(node_id)
    assert making.node(node_id).status is NodeStatus.WARMING
    assert making.steps(node_id)["screen_address"].result["unanswered"] == ["dnsbl.example"]
    assert any("dnsbl.example" in line and "left to the sweeps" in line for line in making.said)


def test_a_name_that_somebody_else_holds_is_neither_taken_nor_harmed(making: Making, lab_dns: DnsProcess) -> None:
    label = next(_labels)
    theirs = Record(f"{label}.{ZONE}", "A", "192.0.2.7")
    publisher_of(lab_dns).publish([theirs])
    node_id = making.request(label)
    action = making.provision_until_over(node_id)
    assert (action.status, action.attempt) == ("failed", 1)
    assert "192.0.2.7" in action.outcome
    making.release(node_id)
    assert publisher_of(lab_dns).read(theirs.name, "A") == {"192.0.2.7"}
    assert making.instances(node_id) == []


def test_a_dns_server_that_is_down_is_tried_again_and_the_request_cleared_when_it_stays_so(
    making: Making, node_id: UUID
) -> None:
    nobody = DynamicUpdatePublisher(
        zone=ZONE,
        server=f"127.0.0.1:{free_port()}",
        key_name=None,
        key_secret=None,
        key_algorithm="hmac-sha256",
        attempts=1,
    )
    making.parts = replace(making.parts, dns=nobody)
    action = making.provision_until_over(node_id)
    assert (action.status, action.attempt) == ("failed", 3)
    assert action.outcome.startswith("publish_dns: ")
    assert making.node(node_id).status is NodeStatus.PROVISIONING


def test_a_reverse_name_that_never_shows_ends_the_request_and_says_which_limit_is_too_short(
    making: Making, node_id: UUID
) -> None:
    making.parts = replace(making.parts, names=_NoReverse(making.parts.names))
    action = making.provision_until_over(node_id)
    assert (action.status, action.attempt) == ("failed", 1)
    assert "is named nothing" in action.outcome
    assert "dns_timeout_minutes" in action.outcome


@dataclass(frozen=True)
class _NoReverse:
    """The world's names, but for an address's, which its zone does not show yet."""

    inner: Names

    def reverse_names(self, ip_address: IPv4Address) -> frozenset[str]:
        return frozenset()

    def addresses(self, name: str) -> frozenset[str]:
        return self.inner.addresses(name)

    def values(self, name: str, rdtype: str) -> Sequence[str]:
        return self.inner.values(name, rdtype)


def test_a_host_that_is_not_up_yet_is_waited_for(making: Making, node_id: UUID) -> None:
    making.installer.failures = list(unreachable(3))
    making.provision(node_id)
    assert making.node(node_id).status is NodeStatus.WARMING
    assert making.action(node_id, ActionKind.PROVISION).attempt == 1


def test_a_host_that_stays_away_ends_the_attempt_with_how_long_it_was_tried(making: Making, node_id: UUID) -> None:
    making.installer.failures = list(unreachable(10_000))
    with pytest.raises(StepError, match="tried for 1800 s"):
        making.provision(node_id)
    assert making.action(node_id, ActionKind.PROVISION).status == "planned"


def test_an_installation_that_failed_is_repeated_and_the_steps_before_it_are_not(making: Making, node_id: UUID) -> None:
    making.installer.failures = [InstallFailed("postfix: Install: no space left")]
    with pytest.raises(InstallFailed):
        making.provision(node_id)
    before = making.steps(node_id)["publish_dns"]
    assert making.steps(node_id)["install_node"].error == "postfix: Install: no space left"
    making.provision(node_id)
    assert making.steps(node_id)["publish_dns"] == before
    assert making.node(node_id).status is NodeStatus.WARMING


def test_the_key_of_the_first_contact_is_pinned_before_anything_is_installed(making: Making, node_id: UUID) -> None:
    making.installer.failures = [InstallFailed("apt is locked")]
    with pytest.raises(InstallFailed):
        making.provision(node_id)
    assert making.node(node_id).host_key == "ssh-ed25519 AAAA"
    making.provision(node_id)
    assert [order.host.host_key for order in making.installer.installations] == ["ssh-ed25519 AAAA"]


def test_a_host_with_another_key_is_given_up_at_once(making: Making, node_id: UUID) -> None:
    making.installer.failures = [HostKeyChanged("SHA256:other")]
    action = making.provision_until_over(node_id)
    assert (action.status, action.attempt) == ("failed", 1)


def test_a_mail_that_does_not_arrive_is_a_finding_with_its_remedy_and_no_node_is_admitted(
    making: Making, node_id: UUID
) -> None:
    making.installer.is_mail_lost = True
    action = making.provision_until_over(node_id)
    assert (action.status, action.attempt) == ("failed", 3)
    with making.engine.connect() as connection:
        (finding,) = verifications.list_findings(connection, node_id)
    assert (finding.check_name, finding.is_ok) == ("arrived", False)
    assert "1 mails wait" in finding.detail
    assert "port 25" in finding.remedy
    assert making.node(node_id).status is NodeStatus.PROVISIONING


def test_a_mail_that_comes_at_the_second_attempt_is_enough(making: Making, node_id: UUID) -> None:
    making.installer.is_mail_lost = True
    with pytest.raises(StepError):
        making.provision(node_id)
    making.installer.is_mail_lost = False
    making.provision(node_id)
    assert making.node(node_id).status is NodeStatus.WARMING


def test_a_wrong_helo_keeps_a_node_out_and_is_named(making: Making, node_id: UUID) -> None:
    making.installer.helo = "localhost.localdomain"
    with pytest.raises(StepError, match=r"helo: said HELO localhost.localdomain. To mend it: Postfix's `myhostname`"):
        making.provision(node_id)


def test_a_node_whose_agent_is_silent_is_not_admitted(making: Making, node_id: UUID) -> None:
    making.installer.is_silent = True
    with pytest.raises(StepError, match="no heartbeat of"):
        making.provision(node_id)
    assert making.node(node_id).status is NodeStatus.PROVISIONING


def test_a_heartbeat_from_before_the_installation_admits_nobody(making: Making, node_id: UUID) -> None:
    beat(making.engine, [node_id], at=making.at - timedelta(minutes=1))
    making.installer.is_silent = True
    with pytest.raises(StepError, match="no heartbeat of"):
        making.provision(node_id)


def test_a_failed_request_is_taken_away_in_reverse_and_nothing_of_it_is_left(
    making: Making, node_id: UUID, lab_dns: DnsProcess
) -> None:
    making.installer.is_mail_lost = True
    making.provision_until_over(node_id)
    hostname = making.node(node_id).hostname
    assert hostname is not None
    making.release(node_id)
    assert making.instances(node_id) == []
    assert making.records(node_id) == []
    publisher = publisher_of(lab_dns)
    names = [(hostname, "A"), (hostname, "TXT"), (f"penguin._domainkey.{hostname}", "TXT")]
    assert [publisher.read(name, rdtype) for name, rdtype in names] == [frozenset()] * 3  # type: ignore[arg-type]
    with making.engine.connect() as connection:
        tokens = text("SELECT count(*) FROM fleet.agent_tokens WHERE revoked_at IS NULL OR revoked_at > :now")
        assert connection.scalar(tokens, {"now": making.at}) == 0
    steps = making.steps(node_id)
    order = ["revoke_access", "remove_records", "destroy_instance", "close_request"]
    assert sorted(order, key=lambda step: steps[step].started_at) == order
    assert making.node(node_id).status is NodeStatus.DECOMMISSIONED


def test_a_release_takes_only_what_a_living_node_does_not_hold(making: Making, node_id: UUID) -> None:
    making.provision(node_id)
    node, records = making.node(node_id), making.records(node_id)
    surplus = making.simulator.ask(
        "POST",
        "/instances",
        body={"label": f"making-{node.label}-t9-{node_id.hex[:8]}", "region": "dallas", "plan": "ssd-1",
              "image": "ubuntu-22.04", "ssh_keys": []},
        headers={"Idempotency-Key": str(node_id)},
    ).json()["id"]  # fmt: skip
    assert sorted(making.instances(node_id)) == sorted([node.provider_id, surplus])
    making.release(node_id)
    assert making.instances(node_id) == [node.provider_id]
    assert making.records(node_id) == records
    assert making.node(node_id) == node
    assert rotation(making.engine) == {node_id}


def test_a_reinstallation_goes_through_every_check_and_changes_no_status(making: Making, node_id: UUID) -> None:
    making.provision(node_id)
    making.at += timedelta(minutes=1)
    making.reinstall(node_id)
    assert making.node(node_id).status is NodeStatus.WARMING
    assert len(making.installer.installations) == 2
    assert making.installer.installations[1].host.host_key == "ssh-ed25519 AAAA"


def test_what_waits_on_a_held_node_does_not_speak_against_its_reinstallation(making: Making, node_id: UUID) -> None:
    making.provision(node_id)
    with making.engine.begin() as connection:
        nodes.apply_event(
            connection, node_id, NodeEvent.PAUSED, reason="test", requested_by="person:test", now=making.at
        )
    making.installer.queued = 3
    making.reinstall(node_id)
    assert making.node(node_id).status is NodeStatus.PAUSED
    with making.engine.connect() as connection:
        told = {row.check_name: row.detail for row in verifications.list_findings(connection, node_id)}
    assert told["queue_empty"] == "3 mails wait: the node is held"


def test_a_node_that_is_being_installed_again_is_out_of_the_rotation_meanwhile(making: Making, node_id: UUID) -> None:
    making.provision(node_id)
    seen: list[set[UUID]] = []
    making.installer.around = lambda _where: seen.append(rotation(making.engine))
    making.at += timedelta(minutes=1)
    making.reinstall(node_id)
    assert seen
    assert all(node_id not in each for each in seen)
    assert node_id in rotation(making.engine)


def test_a_reinstallation_that_fails_leaves_the_node_as_it_was(making: Making, node_id: UUID) -> None:
    making.provision(node_id)
    making.installer.failures = [InstallFailed("base: apt is broken")]
    with pytest.raises(InstallFailed):
        making.reinstall(node_id)
    assert making.node(node_id).status is NodeStatus.WARMING
    assert node_id in rotation(making.engine)


def test_a_node_at_another_address_gets_its_names_there_and_comes_back_through_warm_up(
    making: Making, node_id: UUID, lab_dns: DnsProcess
) -> None:
    making.provision(node_id)
    node = making.node(node_id)
    with making.engine.begin() as connection:
        # As if the provider had moved it: what the registry believed is history.
        connection.execute(
            text("UPDATE fleet.sending_nodes SET ip_address = '127.77.200.1', status = 'active' WHERE id = :id"),
            {"id": node_id},
        )
        connection.execute(
            text("UPDATE fleet.ip_tenures SET ip_address = '127.77.200.1' WHERE node_id = :id"), {"id": node_id}
        )
    making.reinstall(node_id)
    moved = making.node(node_id)
    assert (moved.ip_address, moved.status) == (node.ip_address, NodeStatus.WARMING)
    assert publisher_of(lab_dns).read(str(moved.hostname), "A") == {str(node.ip_address)}


def test_a_request_under_way_is_not_installed_again(making: Making, node_id: UUID) -> None:
    with pytest.raises(StepImpossible, match="is provisioning; only a node in service or held"):
        making.reinstall(node_id)
