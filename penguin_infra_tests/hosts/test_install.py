"""Real hosts are installed by the real Ansible project, and then do what a sending node has to do.

One host is installed for the whole file, and shared; what breaks a host takes the kept bare one.
"""

import json
import re
import smtplib
import socket
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from penguin_infra.installer.installer import HostKeyChanged, HostUnreachable, Installed, InstallFailed
from penguin_infra_tests.hosts.host import Host
from penguin_infra_tests.hosts.pool import HostPool
from penguin_infra_tests.hosts.ssh_access import key_pair
from penguin_infra_tests.installer.nodes import NEXT_TOKEN, TOKEN, Node, wait_until
from penguin_infra_tests.installer.surroundings import SINK_DOMAIN, surroundings

SERVICES = ("ufw", "fail2ban", "opendkim", "postfix@-", "redis-server", "penguin-worker", "penguin-agent", "ssh")


@dataclass(frozen=True)
class Outcome:
    """A host after its first installation."""

    node: Node
    first: Installed


@pytest.fixture(scope="module")
def outcome(host_pool: HostPool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    host = host_pool.start_host()
    with surroundings(host.gateway, tmp_path_factory.mktemp("around")) as around:
        # Longer than a socket's path may be.
        node = Node(host, around, tmp_path_factory.mktemp("work" * 30))
        yield Outcome(node, node.install())
    host_pool.release(host)


@pytest.fixture
def node(outcome: Outcome) -> Node:
    return outcome.node


@pytest.fixture
def bare_node(bare_host: Host, tmp_path: Path) -> Iterator[Node]:
    with surroundings(bare_host.gateway, tmp_path) as around:
        yield Node(bare_host, around, tmp_path / "work")


def states(host: Host) -> dict[str, str]:
    told = host.run(f"systemctl is-active {' '.join(SERVICES)}", check=False)
    return dict(zip(SERVICES, told.split(), strict=True))


ALL_ACTIVE = dict.fromkeys(SERVICES, "active")


def takes_connections(host: Host, port: int) -> bool:
    try:
        socket.create_connection((str(host.address), port), timeout=2).close()
    except OSError:
        return False
    return True


def test_a_bare_host_becomes_a_sending_node(outcome: Outcome) -> None:
    node, first = outcome.node, outcome.first
    assert first.changed > 20
    assert first.host_key == " ".join(node.host.run("cat /etc/ssh/ssh_host_ed25519_key.pub").split()[:2])
    assert first.dkim_selector == "penguin"
    key = load_der_public_key(b64decode(first.dkim_public_key))
    assert isinstance(key, RSAPublicKey)
    assert key.key_size == 2048
    assert states(node.host) == ALL_ACTIVE
    assert {line.removesuffix(" begins") for line in node.said if line.endswith(" begins")} > {"postfix", "agent"}


def test_a_second_installation_changes_nothing(outcome: Outcome) -> None:
    second = outcome.node.install()
    assert second.changed == 0
    assert second == Installed(outcome.first.host_key, "penguin", outcome.first.dkim_public_key, 0)


def test_the_host_knows_its_full_name(node: Node) -> None:
    assert node.host.run("hostname --fqdn").strip() == node.hostname
    assert node.host.run("cat /etc/hostname").strip() == node.host.name


def test_passwords_are_refused(node: Node) -> None:
    said = node.host.run("sshd -T")
    for line in ("passwordauthentication no", "kbdinteractiveauthentication no", "permitrootlogin without-password"):
        assert line in said


def test_security_updates_come_by_themselves(node: Node) -> None:
    told = node.host.run("apt-config dump; unattended-upgrade --dry-run --debug 2>&1 | grep -i 'allowed origins'")
    assert 'APT::Periodic::Unattended-Upgrade "1";' in told
    [allowed] = re.findall("Allowed origins are: (.*)", told)
    assert allowed.count("origin=") == 1
    assert "Debian-Security" in allowed
    assert node.host.run("systemctl is-enabled apt-daily-upgrade.timer").strip() == "enabled"


def test_the_firewall_lets_ssh_and_mail_in_and_nothing_else(node: Node) -> None:
    told = node.host.run("ufw status verbose")
    assert "Default: deny (incoming), allow (outgoing)" in told
    rules = {
        tuple(re.split(r"\s{2,}", line.strip())) for line in told.splitlines() if "ALLOW" in line or "DENY" in line
    }
    assert rules == {
        ("22/tcp", "ALLOW IN", "Anywhere"), ("25/tcp", "ALLOW IN", "Anywhere"),
        ("22/tcp (v6)", "ALLOW IN", "Anywhere (v6)"), ("25/tcp (v6)", "ALLOW IN", "Anywhere (v6)"),
    }  # fmt: skip
    node.host.run("python3 -m http.server 8080 >/dev/null 2>&1 & sleep 1; ss -ltn | grep 8080")
    assert {port for port in (22, 25, 6379, 8080, 8891) if takes_connections(node.host, port)} == {22, 25}


def test_a_rule_that_is_not_ours_goes_with_the_next_installation(node: Node) -> None:
    node.host.run("ufw allow 8080/tcp; ufw deny from 10.9.9.9")
    assert node.install().changed == 1
    assert "8080" not in node.host.run("ufw status")
    assert "10.9.9.9" not in node.host.run("ufw status")


def test_whoever_tries_to_relay_is_banned_from_mail_until_unbanned(node: Node) -> None:
    us = str(node.host.gateway)
    try:
        for _ in range(4):
            try_to_relay(node, times=5)
        wait_until(lambda: us in node.host.run("fail2ban-client get postfix banip"))
        wait_until(lambda: not takes_connections(node.host, 25))
        assert takes_connections(node.host, 22)
    finally:
        node.host.run_inside(f"fail2ban-client unban {us}")
    wait_until(lambda: takes_connections(node.host, 25))


def test_whoever_guesses_at_ssh_is_banned_from_it_until_unbanned(node: Node) -> None:
    us = str(node.host.gateway)
    try:
        for _ in range(5):
            guess_at_ssh(node)
        wait_until(lambda: us in node.host.run_inside("fail2ban-client get sshd banip"))
        wait_until(lambda: not takes_connections(node.host, 22))
        assert takes_connections(node.host, 25)
    finally:
        node.host.run_inside(f"fail2ban-client unban {us}")
    wait_until(lambda: takes_connections(node.host, 22))


def try_to_relay(node: Node, *, times: int) -> list[int]:
    codes = []
    try:
        with smtplib.SMTP(str(node.host.address), timeout=10) as client:
            client.ehlo("stranger.test")
            client.mail("somebody@stranger.test")
            codes = [client.rcpt(f"victim{number}@elsewhere.test")[0] for number in range(times)]
    except (OSError, smtplib.SMTPException):
        pass
    return codes


def guess_at_ssh(node: Node) -> None:
    options = ["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "ConnectTimeout=5"]
    known = ["-o", "UserKnownHostsFile=/dev/null", "-i", str(key_pair()[0])]
    command = ["ssh", *options, *known, f"admin@{node.host.address}"]
    # The ban cuts the connection that earned it: the client never hears of it.
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(command, capture_output=True, check=False, timeout=15, stdin=subprocess.DEVNULL)


def test_postfix_is_no_open_relay_and_takes_its_own_bounces(node: Node) -> None:
    assert try_to_relay(node, times=1) == [554]
    with smtplib.SMTP(str(node.host.address), timeout=10) as client:
        client.ehlo("stranger.test")
        client.mail("")
        assert client.rcpt(f"postmaster@{node.hostname}")[0] == 250


def test_a_mail_leaves_signed_encrypted_and_under_the_hosts_name(outcome: Outcome) -> None:
    node = outcome.node
    mail = node.send()
    came = node.arrival(mail.correlation_id)
    assert (came.peer, came.helo, came.is_encrypted) == (str(node.host.address), node.hostname, True)
    assert (came.sender, came.recipients) == (mail.sender, [mail.recipient])
    assert f"X-Penguin-Correlation: {mail.correlation_id}".encode() in came.content
    record = f"v=DKIM1; k=rsa; p={outcome.first.dkim_public_key}".encode()
    asked: list[bytes] = []

    def look_up(name: bytes, timeout: int = 5) -> bytes:
        asked.append(name)
        return record

    assert dkim.verify(came.content, dnsfunc=look_up)
    assert asked == [f"penguin._domainkey.{node.hostname}.".encode()]
    wait_until(lambda: node.queued() == 0)


def test_nothing_leaves_unsigned(node: Node) -> None:
    node.host.run("systemctl stop opendkim")
    try:
        mail = node.send()
        wait_until(lambda: "Milter" in node.host.run("tail -n 20 /var/log/mail.log"))
        assert not any(mail.correlation_id.encode() in came.content for came in node.around.mails)
    finally:
        node.host.run("systemctl start opendkim && postkick public pickup W")
    assert b"DKIM-Signature" in node.arrival(mail.correlation_id).content


def test_redis_listens_on_loopback_only_and_forgets_no_job(node: Node) -> None:
    listening = node.host.run("ss -Hltn 'sport = :6379'").split("\n")
    assert [line.split()[3] for line in listening if line] == ["127.0.0.1:6379"]
    told = node.host.run("redis-cli config get maxmemory-policy; redis-cli config get appendonly")
    assert told.split() == ["maxmemory-policy", "noeviction", "appendonly", "yes"]


def push(node: Node, job: str) -> None:
    node.host.run(f"redis-cli LPUSH penguin:jobs '{job}'")


def job(node: Node, word: str, **words: object) -> str:
    message = f"From: shop@{node.hostname}\nTo: you@{SINK_DOMAIN}\nSubject: {word}\n\nHello\n.\nthere\n"
    body = {"sender": f"shop@{node.hostname}", "recipients": [f"you@{SINK_DOMAIN}"], "message": message, **words}
    return json.dumps(body)


def test_the_worker_hands_jobs_to_postfix_and_sets_bad_ones_aside(node: Node) -> None:
    push(node, "no job at all")
    push(node, job(node, "word-1", recipients=["-oQ/tmp"]))
    push(node, job(node, "word-2"))
    came = node.arrival("word-2")
    assert came.recipients == [f"you@{SINK_DOMAIN}"]
    assert b"Hello\r\n.\r\nthere" in came.content
    assert b"DKIM-Signature" in came.content
    wait_until(lambda: node.host.run("redis-cli LLEN penguin:jobs:taken").strip() == "0")
    dead = node.host.run("redis-cli LRANGE penguin:jobs:dead 0 -1")
    assert "no job at all" in dead
    assert "word-1" in dead


def test_a_job_that_a_killed_worker_had_taken_is_not_lost(node: Node) -> None:
    node.host.run("systemctl stop penguin-worker")
    node.host.run(f"redis-cli LPUSH penguin:jobs:taken '{job(node, 'word-3')}'")
    node.host.run("systemctl start penguin-worker")
    node.arrival("word-3")
    assert node.host.run("systemctl show -P MainPID penguin-worker").strip() != "0"
    node.host.run("systemctl kill --signal=KILL penguin-worker")
    wait_until(lambda: states(node.host)["penguin-worker"] == "active")


def test_the_agent_speaks_to_the_gateway(node: Node) -> None:
    beat = node.beat(lambda beat: beat["transport"] == "released")
    assert beat["node_id"] == str(node.node_id)
    assert beat["boot_id"] == node.host.boot_id()
    probes = beat["probes"]
    assert isinstance(probes, dict)
    assert probes["mta"]["state"] == "up"
    assert probes["mta"]["deferred"] == 0
    assert set(node.around.gateway.tokens) == {TOKEN}


def test_the_agent_counts_what_the_log_tells_also_over_a_rotation(node: Node) -> None:
    node.host.run("logrotate --force /etc/logrotate.d/penguin-mail")
    before = node.around.gateway.total()
    node.arrival(node.send().correlation_id)
    wait_until(lambda: node.around.gateway.total() > before)
    assert node.host.run("stat -c '%U:%G %a' /var/log/mail.log /var/log/mail.log.1").split() == ["root:adm", "640"] * 2


def test_a_held_transport_stays_held_through_an_installation_and_a_restart(node: Node) -> None:
    node.tell(transport="hold")
    try:
        node.beat(lambda beat: beat["transport"] == "held")
        mail = node.send(to=node.stranger)
        wait_until(lambda: node.queued() == 1)

        assert node.install().changed == 0
        node.installer.restart_services(node.known, node.said.append)

        assert node.host.run("postconf -h defer_transports").strip() == "smtp"
        assert node.queued() == 1
    finally:
        node.tell(transport="release")
    node.beat(lambda beat: beat["transport"] == "released")
    node.arrival(mail.correlation_id)
    wait_until(lambda: node.queued() == 0)


def test_the_mail_that_verifies_a_held_node_goes_out_all_the_same(node: Node) -> None:
    node.tell(transport="hold")
    try:
        node.beat(lambda beat: beat["transport"] == "held")
        node.arrival(node.send().correlation_id)
    finally:
        node.tell(transport="release")
    node.beat(lambda beat: beat["transport"] == "released")


def test_the_agent_restarts_the_mta_when_told(node: Node) -> None:
    pid = node.host.run("cat /var/spool/postfix/pid/master.pid")
    node.tell(restart="mta", restart_id="restart-1")
    node.beat(lambda beat: beat["restart_done_id"] is None)
    wait_until(lambda: node.host.run("cat /var/spool/postfix/pid/master.pid", check=False) not in {pid, ""})
    wait_until(lambda: states(node.host) == ALL_ACTIVE)


def test_the_agent_comes_back_when_it_is_told_to_restart_itself(node: Node) -> None:
    node.beat()
    pid = node.host.run("systemctl show -P MainPID penguin-agent")
    node.tell(restart="agent", restart_id="restart-2")
    node.beat(lambda beat: beat["restart_done_id"] == "restart-2")
    wait_until(lambda: node.host.run("systemctl show -P MainPID penguin-agent") not in {pid, "0\n"})
    wait_until(lambda: states(node.host)["penguin-agent"] == "active")


def test_settings_that_cannot_be_used_end_the_agent_until_the_next_installation(node: Node) -> None:
    node.host.run("sed -i s/node_id/no_such_id/ /etc/penguin-agent/config.json; systemctl restart penguin-agent")
    wait_until(lambda: states(node.host)["penguin-agent"] == "failed")
    assert node.host.run("systemctl show -P ExecMainStatus penguin-agent").strip() == "78"
    assert node.host.run("systemctl show -P NRestarts penguin-agent").strip() == "0"
    assert node.install().changed == 3  # the file, the unit's start, and its restart
    assert states(node.host) == ALL_ACTIVE


def test_another_token_restarts_the_agent_and_none_leaves_it(node: Node) -> None:
    assert node.install(NEXT_TOKEN).changed == 2
    wait_until(lambda: node.around.gateway.tokens[-1] == NEXT_TOKEN)
    assert node.install(None).changed == 0
    assert node.host.run("cat /etc/penguin-agent/token").strip() == NEXT_TOKEN
    node.install(TOKEN)


def test_no_token_is_said_or_left_anywhere_but_in_its_file(node: Node) -> None:
    assert "s3cret" not in "".join(node.said)
    assert [file for file in node.work_folder.rglob("*") if file.is_file() and file.stat().st_size] == []
    found = node.host.run("grep -rlIs s3cret / --exclude-dir=proc --exclude-dir=sys; true").split()
    assert found == ["/etc/penguin-agent/token"]
    assert node.host.run("stat -c '%U %a' /etc/penguin-agent/token").split() == ["root", "600"]
    assert "s3cret" not in node.host.run("journalctl --no-pager")


def test_the_private_key_of_dkim_is_nobodys_but_opendkims(node: Node) -> None:
    told = node.host.run("stat -c '%n %U %a' /etc/dkimkeys /etc/dkimkeys/*.private").split("\n")
    assert told[:2] == ["/etc/dkimkeys opendkim 700", "/etc/dkimkeys/penguin.private opendkim 600"]


def test_a_restart_of_the_services_restarts_them_and_mends_what_was_changed(node: Node) -> None:
    before = node.host.run("systemctl show -P MainPID opendkim redis-server penguin-worker penguin-agent").split()
    node.host.run("postconf -e mynetworks=0.0.0.0/0; rm /etc/systemd/system/penguin-worker.service; ufw disable")
    node.installer.restart_services(node.known, node.said.append)
    after = node.host.run("systemctl show -P MainPID opendkim redis-server penguin-worker penguin-agent").split()
    assert not set(before) & set(after)
    assert "0.0.0.0" not in node.host.run("postconf mynetworks")
    assert "Status: active" in node.host.run("ufw status")
    assert states(node.host) == ALL_ACTIVE


def test_everything_is_active_after_a_reboot(node: Node) -> None:
    before = len(node.around.gateway.heartbeats)
    node.host.reboot()
    wait_until(lambda: states(node.host) == ALL_ACTIVE)
    assert "Status: active" in node.host.run("ufw status")
    assert node.host.run("fail2ban-client ping").strip() == "Server replied: pong"
    wait_until(lambda: len(node.around.gateway.heartbeats) > before)
    node.arrival(node.send().correlation_id)


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
    assert bare_node.install().changed == 0
