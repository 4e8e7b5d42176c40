"""An installation that meets with misfortune says what it was, and a repeat completes it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from penguin_infra.installer.installer import HostKeyChanged, HostUnreachable, InstallFailed
from penguin_infra_tests.hosts.host import Host
from penguin_infra_tests.hosts.ssh_access import key_pair
from penguin_infra_tests.installer.nodes import ALL_ACTIVE, TOKEN, Node, states, wait_until
from penguin_infra_tests.installer.surroundings import surroundings


@pytest.fixture
def bare_node(bare_host: Host, tmp_path: Path) -> Iterator[Node]:
    with surroundings(bare_host.gateway, tmp_path) as around:
        yield Node(bare_host, around, tmp_path / "work")


def test_another_host_key_is_refused_and_nothing_is_sent(bare_node: Node) -> None:
    shown = " ".join(bare_node.host.run("cat /etc/ssh/ssh_host_ed25519_key.pub").split()[:2])
    bare_node.host_key = shown
    bare_node.host.replace_host_key()
    with pytest.raises(HostKeyChanged, match=r"SHA256:.*SHA256:.*console") as raised:
        bare_node.install()
    with pytest.raises(HostKeyChanged):
        bare_node.queued()
    assert "s3cret" not in str(raised.value)
    assert "authorized" not in bare_node.host.run_inside("journalctl -u ssh --no-pager | grep -c Accepted; true")
    assert not bare_node.host.run_inside("ls -A /root/.ansible 2>/dev/null; true")


def test_a_full_disk_is_called_so(bare_node: Node) -> None:
    bare_node.host.fill_disk()
    with pytest.raises(InstallFailed, match="disk is full"):
        bare_node.install()
    bare_node.host.free_disk()


INSTALL = """
import sys
from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID
from penguin_infra.installer.ansible_installer import AnsibleInstaller
from penguin_infra.installer.installer import Host, Installation
key, work, authority, label, address, hostname, url, token = sys.argv[1:]
installer = AnsibleInstaller(
    ssh_key_file=Path(key), ssh_user="root", work_folder=Path(work), worker_artifact=None, sink_domain=None,
    sink_route=None, gateway_ca_file=Path(authority), timeout_seconds=600,
)
host = Host(UUID(int=1), label, IPv4Address(address), hostname, None)
installer.install(Installation(host, url, token), print)
"""


def start_to_install(node: Node) -> "subprocess.Popen[bytes]":
    """The same installation, by a process of its own."""
    known, around = node.known, node.around
    files = [str(key_pair()[0]), str(node.work_folder), str(around.authority)]
    host = [known.label, str(known.ip_address), known.hostname, around.gateway_url, TOKEN]
    return subprocess.Popen([sys.executable, "-c", INSTALL, *files, *host], stdout=subprocess.DEVNULL)


def test_an_installation_that_was_killed_and_then_cut_off_is_completed_by_a_repeat(bare_node: Node) -> None:
    host = bare_node.host
    killed = start_to_install(bare_node)
    try:
        # Something is unpacked and not yet configured.
        wait_until(lambda: "redis" in host.run_inside("dpkg --audit", check=False), seconds=300)
    finally:
        killed.kill()
        killed.wait()
    # As a machine's own crash does it: in the middle of a package.
    host.run_inside("for pid in $(pgrep -x dpkg); do kill -9 $pid; done", check=False)
    wait_until(lambda: not list(bare_node.work_folder.glob("run-*")))

    def cut(line: str) -> None:
        bare_node.said.append(line)
        if line == "postfix begins":
            host.cut_network()

    with pytest.raises(HostUnreachable, match="postfix"):
        bare_node.install(say=cut)
    assert "base: Finish interrupted installations (changed)" in bare_node.said
    host.mend_network()

    assert bare_node.install().changed > 0
    assert states(host) == ALL_ACTIVE
