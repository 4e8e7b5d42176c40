"""The Ansible installer where no host answers: each error comes soon, and says what was tried and what to do."""

import email
import socket
from collections.abc import Iterator
from dataclasses import replace
from email import policy
from pathlib import Path
from typing import Any

import pytest

from penguin_infra.installer.ansible_installer import AnsibleInstaller, compose
from penguin_infra.installer.host_keys import fingerprint, known_hosts_line
from penguin_infra.installer.installer import Host, HostUnreachable, Installation, InstallFailed, TestMail
from penguin_infra_tests.installer.conftest import HOST_KEY

TOKEN = "s3cret-token"
MAIL = TestMail("probe@node-test-001.nodes.test", "postbox@sink.test", "corr-1")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of loopback where nobody listens, and nobody else will meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.touch(mode=0o600)
    return file


def installer(key_file: Path, port: int, **changes: Any) -> AnsibleInstaller:
    settings: dict[str, Any] = {
        "ssh_key_file": key_file, "ssh_user": "root", "work_folder": key_file.parent / "work", "worker_artifact": None,
        "sink_domain": None, "sink_route": None, "gateway_ca_file": None, "timeout_seconds": 30, "ssh_port": port,
        "patience_seconds": 0.5,
    }  # fmt: skip
    return AnsibleInstaller(**{**settings, **changes})


@pytest.mark.parametrize("host_key", [None, HOST_KEY])
def test_a_host_without_sshd_is_unreachable(
    host: Host, host_key: str | None, key_file: Path, closed_port: int, said: list[str]
) -> None:
    order = Installation(replace(host, host_key=host_key), "https://gateway.test", TOKEN)
    with pytest.raises(HostUnreachable, match=f"no sshd answered at 127.0.0.1 port {closed_port}") as raised:
        installer(key_file, closed_port).install(order, said.append)
    assert TOKEN not in str(raised.value)
    assert TOKEN not in repr(order)


def test_restart_mail_and_queue_say_so_as_well(host: Host, key_file: Path, closed_port: int) -> None:
    made = installer(key_file, closed_port)
    with pytest.raises(HostUnreachable, match="no sshd answered"):
        made.restart_services(host, lambda _: None)
    with pytest.raises(HostUnreachable, match=r"no way into node-test-001.*refused"):
        made.send_mail(host, MAIL)
    with pytest.raises(HostUnreachable, match="no way into node-test-001"):
        made.count_queued(host)
    assert not list((key_file.parent / "work").glob("*-*"))


def test_a_host_that_was_never_seen_gets_no_mail(host: Host, key_file: Path, closed_port: int) -> None:
    with pytest.raises(InstallFailed, match="install it first"):
        installer(key_file, closed_port).send_mail(replace(host, host_key=None), MAIL)


@pytest.mark.parametrize("name", ["ssh_key_file", "worker_artifact", "gateway_ca_file"])
def test_a_file_that_is_missing_here_is_named_at_once(
    host: Host, name: str, key_file: Path, closed_port: int, tmp_path: Path
) -> None:
    made = installer(key_file, closed_port, **{name: tmp_path / "missing"})
    with pytest.raises(InstallFailed, match="missing"):
        made.install(Installation(host, "https://gateway.test", TOKEN), lambda _: None)


def test_a_wait_for_sshd_ends_when_whoever_listens_wants_it(host: Host, key_file: Path, closed_port: int) -> None:
    def refuse(_: str) -> None:
        raise KeyError("the lock is lost")

    with pytest.raises(KeyError):
        installer(key_file, closed_port, patience_seconds=60).restart_services(host, refuse)


def test_the_test_mail_carries_what_the_sink_looks_for() -> None:
    mail = email.message_from_bytes(compose(MAIL), policy=policy.default)
    assert (mail["From"], mail["To"]) == (MAIL.sender, MAIL.recipient)
    assert mail["X-Penguin-Correlation"] == "corr-1"
    assert mail["Message-ID"].endswith("@node-test-001.nodes.test>")
    assert mail["Date"]
    assert mail["Subject"]
    assert "corr-1" in mail.get_content()


def test_a_fingerprint_is_the_one_that_ssh_keygen_shows() -> None:
    assert fingerprint(HOST_KEY) == "ssh-ed25519 SHA256:UYh6CMgKf1U28obBB5jDs8w2vU1S9H8MkkGTsKxCC9Q"


def test_a_port_of_its_own_is_part_of_the_hosts_name(host: Host) -> None:
    assert known_hosts_line(host.ip_address, 22, "type key") == "127.0.0.1 type key\n"
    assert known_hosts_line(host.ip_address, 2222, "type key") == "[127.0.0.1]:2222 type key\n"
