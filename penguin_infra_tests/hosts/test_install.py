"""Real hosts are installed by the real Ansible project, and then do what a sending node has to do.

One host is installed for the whole file, and shared; what breaks a host takes the kept bare one.
"""

import json
import re
import smtplib
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, replace

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from penguin_infra.installer.installer import Installed
from penguin_infra_tests.hosts.pool import HostPool
from penguin_infra_tests.installer.nodes import ALL_ACTIVE, NEXT_TOKEN, TOKEN, Node, states, wait_until
from penguin_infra_tests.installer.strangers import guess_at_ssh, takes_connections, try_to_relay
from penguin_infra_tests.installer.surroundings import SINK_DOMAIN, surroundings


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


def test_whoever_tries_to_relay_is_banned_from_mail_until_unbanned(node: Node) -> None:
    us = str(node.host.gateway)
    try:
        for _ in range(4):
            try_to_relay(node.host, times=5)
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
            guess_at_ssh(node.host)
        wait_until(lambda: us in node.host.run_inside("fail2ban-client get sshd banip"))
        wait_until(lambda: not takes_connections(node.host, 22))
        assert takes_connections(node.host, 25)
    finally:
        node.host.run_inside(f"fail2ban-client unban {us}")
    wait_until(lambda: takes_connections(node.host, 22))


def test_postfix_is_no_open_relay_and_takes_its_own_bounces(node: Node) -> None:
    assert try_to_relay(node.host, times=1) == [554]
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
    mta = beat["probes"]["mta"]
    assert (mta["state"], mta["deferred"]) == ("up", 0)
    assert set(node.around.gateway.tokens) == {TOKEN}


def test_the_agent_counts_what_the_log_tells_also_over_a_rotation(node: Node) -> None:
    node.host.run("logrotate --force /etc/logrotate.d/penguin-mail")
    before = node.around.gateway.total()
    node.arrival(node.send().correlation_id)
    node.beat()
    wait_until(lambda: node.around.gateway.total() > before)
    assert node.host.run("stat -c '%U:%G %a' /var/log/mail.log /var/log/mail.log.1").split() == ["root:adm", "640"] * 2


def test_a_second_installation_changes_nothing_and_lets_no_held_mail_go(outcome: Outcome) -> None:
    node = outcome.node
    node.tell(transport="hold")
    try:
        node.beat(lambda beat: beat["transport"] == "held")
        held = node.send(to=node.stranger)
        wait_until(lambda: node.queued() == 1)

        second = node.install(token=None)

        assert second == replace(outcome.first, changed=0)
        assert node.host.run("postconf -h defer_transports").strip() == "smtp"
        assert node.queued() == 1
        node.beat(lambda beat: beat["probes"]["mta"]["deferred"] == 1)
        assert node.host.run("cat /etc/penguin-agent/token").strip() == TOKEN
        # The mail that verifies a node has a way of its own.
        node.arrival(node.send().correlation_id)
    finally:
        node.tell(transport="release")
    node.beat(lambda beat: beat["transport"] == "released")
    node.arrival(held.correlation_id)
    wait_until(lambda: node.queued() == 0)


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


def test_settings_that_cannot_be_used_end_the_agent_until_an_installation_mends_them(node: Node) -> None:
    node.host.run("sed -i s/node_id/no_such_id/ /etc/penguin-agent/config.json; systemctl restart penguin-agent")
    wait_until(lambda: states(node.host)["penguin-agent"] == "failed")
    assert node.host.run("systemctl show -P ExecMainStatus penguin-agent").strip() == "78"
    assert node.host.run("systemctl show -P NRestarts penguin-agent").strip() == "0"

    # The token, the settings, the service's start and its restart.
    assert node.install(NEXT_TOKEN).changed == 4

    assert states(node.host) == ALL_ACTIVE
    wait_until(lambda: node.around.gateway.tokens[-1] == NEXT_TOKEN)


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
    units = "opendkim redis-server penguin-worker penguin-agent"
    node.tell(transport="hold")
    node.beat(lambda beat: beat["transport"] == "held")
    before = node.host.run(f"systemctl show -P MainPID {units}").split()
    node.host.run("postconf -e mynetworks=0.0.0.0/0; ufw allow 8080/tcp; ufw deny from 10.9.9.9")
    node.host.run("rm /etc/systemd/system/penguin-worker.service; ufw disable")
    # Ubuntu has it from the beginning: it writes and rotates the same log.
    node.host.run("apt-get install --yes --no-install-recommends rsyslog", timeout=300)
    assert "duplicate log entry" in node.host.run("logrotate --debug /etc/logrotate.conf 2>&1", check=False)

    node.installer.restart_services(node.known, node.said.append)

    assert not set(before) & set(node.host.run(f"systemctl show -P MainPID {units}").split())
    assert node.host.run("postconf -h mynetworks defer_transports").splitlines() == ["127.0.0.0/8 [::1]/128", "smtp"]
    firewall = node.host.run("ufw status")
    assert "Status: active" in firewall
    assert "8080" not in firewall
    assert "10.9.9.9" not in firewall
    assert "error" not in node.host.run("logrotate --debug /etc/logrotate.conf 2>&1")
    node.host.run("logger -p mail.info from-another-program; sleep 1")
    assert "from-another-program" not in node.host.run("cat /var/log/mail.log")
    assert states(node.host) == ALL_ACTIVE
    node.tell(transport="release")
    node.beat(lambda beat: beat["transport"] == "released")


def test_everything_is_active_after_a_reboot(node: Node) -> None:
    before = len(node.around.gateway.heartbeats)
    node.host.reboot()
    wait_until(lambda: states(node.host) == ALL_ACTIVE)
    assert "Status: active" in node.host.run("ufw status")
    assert node.host.run("fail2ban-client ping").strip() == "Server replied: pong"
    wait_until(lambda: len(node.around.gateway.heartbeats) > before)
    node.arrival(node.send().correlation_id)
