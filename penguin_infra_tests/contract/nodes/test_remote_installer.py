"""The product's own installer client against the lab's service: the two ends of one wire contract."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from penguin_infra.domain.node import NodeStatus
from penguin_infra.installer.installer import (
    Host,
    HostKeyChanged,
    HostUnreachable,
    Installation,
    InstallFailed,
    TestMail,
)
from penguin_infra.installer.remote_installer import RemoteInstaller
from penguin_infra_tests.contract.nodes.conftest import Lab, LabHost
from penguin_infra_tests.waiting import until


@pytest.fixture
def installer(lab: Lab) -> Iterator[RemoteInstaller]:
    with connect(lab, lab.nodes.api_key) as connected:
        yield connected


def connect(lab: Lab, api_key: str) -> RemoteInstaller:
    url = f"http://127.0.0.1:{lab.nodes.port}"
    return RemoteInstaller(url=url, api_key=api_key, timeout_seconds=30, first_wait_seconds=0.01)


def order(lab: Lab, host: LabHost, *, host_key: str | None = None) -> Installation:
    known = Host(host.node_id, host.label, IPv4Address(host.ip_address), host.hostname, host_key)
    return Installation(known, lab.gateway.url, host.token)


def hear(_line: str) -> None:
    pass


def test_a_host_is_installed_once_and_found_unchanged_by_its_pinned_key(lab: Lab, installer: RemoteInstaller) -> None:
    host = lab.host()
    first = installer.install(order(lab, host), hear)
    again = installer.install(order(lab, host, host_key=first.host_key), hear)
    assert (first.changed > 0, again) == (True, replace(first, changed=0))
    lab.await_heartbeat(host)


def test_a_host_with_another_key_than_the_pinned_one_is_left_to_a_person(lab: Lab, installer: RemoteInstaller) -> None:
    with pytest.raises(HostKeyChanged):
        installer.install(order(lab, lab.host(), host_key="ssh-ed25519 AAAAelse"), hear)


def test_a_mail_is_queued_and_the_services_are_restarted(lab: Lab, installer: RemoteInstaller) -> None:
    host = lab.installed(NodeStatus.WARMING)
    known = order(lab, host).host
    installer.send_mail(known, TestMail(f"verify@{host.hostname}", "verify@sink.lab.test", "remote-1"))
    assert installer.count_queued(known) == 1
    installer.restart_services(known, hear)
    assert installer.count_queued(known) == 1
    until("it speaks again", lambda: lab.nodes.nodes()[host.label]["is_speaking"])


def test_a_host_that_was_never_installed_is_not_there_yet(lab: Lab, installer: RemoteInstaller) -> None:
    with pytest.raises(HostUnreachable):
        installer.count_queued(order(lab, lab.host()).host)


def test_a_wrong_key_is_not_a_matter_of_patience(lab: Lab) -> None:
    with connect(lab, "wrong") as stranger, pytest.raises(InstallFailed, match="401"):
        stranger.install(order(lab, lab.host()), hear)
