"""A lab node's real mail: signed, over real SMTP from its own address, kept as a node's queue is."""

import email
from email import policy
from pathlib import Path

import dkim

from penguin_infra.domain.node import NodeStatus
from penguin_infra_tests.contract.nodes.conftest import Lab, LabHost
from penguin_infra_tests.mail_catcher import CaughtMail, MailCatcher, catching_mail
from penguin_infra_tests.waiting import until

DEFERRED = (
    "SELECT queue_deferred FROM fleet.heartbeats WHERE node_id = :node_id ORDER BY received_at DESC, ctid DESC LIMIT 1"
)


def post(lab: Lab, host: LabHost, correlation_id: str) -> None:
    mail = {
        "sender": f"verify@{host.hostname}",
        "recipient": "verify@sink.lab.test",
        "correlation_id": correlation_id,
    }
    assert lab.nodes.ask("POST", f"/hosts/{host.label}/mail", mail).status_code == 202


def find(catcher: MailCatcher, correlation_id: str) -> CaughtMail | None:
    return next((mail for mail in catcher.caught if correlation_id.encode() in mail.content), None)


def await_mail(catcher: MailCatcher, correlation_id: str) -> CaughtMail:
    return until(f"{correlation_id} arrives", lambda: find(catcher, correlation_id))


def await_transport(lab: Lab, host: LabHost, state: str) -> None:
    until(f"the transport is {state}", lambda: lab.nodes.nodes()[host.label]["transport"] == state)


def test_a_mail_comes_from_the_nodes_own_address_under_its_name_and_encrypted(lab: Lab, tmp_path: Path) -> None:
    host = lab.installed()
    with catching_mail(lab.sink_port, tmp_path) as catcher:
        post(lab, host, "way-1")
        mail = await_mail(catcher, "way-1")
    assert (mail.peer, mail.helo, mail.is_encrypted) == (host.ip_address, host.hostname, True)
    assert (mail.mail_from, mail.rcpt_to) == (f"verify@{host.hostname}", "verify@sink.lab.test")
    read = email.message_from_bytes(mail.content, policy=policy.default)
    assert read["X-Penguin-Correlation"] == "way-1"
    assert read["From"] == f"verify@{host.hostname}"
    assert "way-1" in read.get_content()
    until("the queue is empty", lambda: lab.nodes.queued(host.label) == 0)


def test_a_server_that_offers_no_encryption_gets_the_mail_all_the_same(lab: Lab, tmp_path: Path) -> None:
    host = lab.installed()
    with catching_mail(lab.sink_port, tmp_path, has_tls=False) as catcher:
        post(lab, host, "clear-1")
        assert not await_mail(catcher, "clear-1").is_encrypted


def test_a_mail_is_signed_by_the_key_that_the_installation_told(lab: Lab, tmp_path: Path) -> None:
    host = lab.host(NodeStatus.WARMING)
    installed = lab.install(host)
    published = {
        f"{installed['dkim_selector']}._domainkey.{host.hostname}.".encode(): (
            f"v=DKIM1; k=rsa; p={installed['dkim_public_key']}".encode()
        )
    }

    def look_up(name: bytes, timeout: int = 5) -> bytes | None:
        return published.get(name)

    with catching_mail(lab.sink_port, tmp_path) as catcher:
        post(lab, host, "signed-1")
        content = await_mail(catcher, "signed-1").content
    assert dkim.verify(content, dnsfunc=look_up, minkey=2048)
    assert not dkim.verify(content.replace(b"signed-1", b"signed-2"), dnsfunc=look_up)


def test_a_mail_waits_for_a_server_that_is_away_also_over_a_restart(lab: Lab, tmp_path: Path) -> None:
    host = lab.installed()
    post(lab, host, "late-1")
    until("the gateway is told", lambda: lab.scalar(DEFERRED, host) == 1)
    log = lab.folder / "nodes" / host.label / "mail.log"
    until("an attempt is in the log", lambda: "status=deferred (ConnectionRefusedError" in log.read_text())
    assert lab.nodes.queued(host.label) == 1
    lab.nodes.kill()
    lab.nodes.start()
    assert lab.nodes.queued(host.label) == 1
    with catching_mail(lab.sink_port, tmp_path) as catcher:
        await_mail(catcher, "late-1")
        until("the queue is empty", lambda: lab.nodes.queued(host.label) == 0)
        assert len(catcher.caught) == 1
    until("the gateway is told", lambda: lab.scalar(DEFERRED, host) == 0)


def test_a_held_node_lets_its_verification_mail_out(lab: Lab, tmp_path: Path) -> None:
    # As it is before it is admitted, and while it is paused.
    held = lab.installed(NodeStatus.PROVISIONING)
    await_transport(lab, held, "held")
    with catching_mail(lab.sink_port, tmp_path) as catcher:
        post(lab, held, "held-1")
        await_mail(catcher, "held-1")
    until("the queue is empty", lambda: lab.nodes.queued(held.label) == 0)
    assert lab.nodes.nodes()[held.label]["transport"] == "held"


def test_a_hold_outlives_the_process(lab: Lab, tmp_path: Path) -> None:
    held = lab.installed(NodeStatus.PAUSED)
    await_transport(lab, held, "held")
    lab.nodes.kill()
    lab.nodes.start()
    assert lab.nodes.nodes()[held.label]["transport"] == "held"


def test_a_mail_waits_for_a_mail_server_that_is_down(lab: Lab, tmp_path: Path) -> None:
    host = lab.installed()
    lab.nodes.ask("POST", f"/nodes/{host.label}/scenario", {"scenario": "mta-down"})
    with catching_mail(lab.sink_port, tmp_path) as catcher:
        post(lab, host, "down-1")
        assert lab.nodes.queued(host.label) >= 1
        lab.nodes.ask("POST", f"/hosts/{host.label}/restart")
        await_mail(catcher, "down-1")


def test_a_mail_that_is_refused_for_good_leaves_the_queue_as_a_bounce(lab: Lab, tmp_path: Path) -> None:
    host = lab.installed()
    with catching_mail(lab.sink_port, tmp_path, refusal="550 5.1.1 no such mailbox"):
        post(lab, host, "bounced-1")
        until("the queue is empty", lambda: lab.nodes.queued(host.label) == 0)
    log = (lab.folder / "nodes" / host.label / "mail.log").read_text()
    assert "to=<verify@sink.lab.test>" in log
    assert "dsn=5.1.1, status=bounced (host said: 550 5.1.1 no such mailbox)" in log


def test_a_mail_that_cannot_be_is_refused(lab: Lab) -> None:
    host = lab.installed()
    good = {"sender": "a@n.test", "recipient": "b@sink.test", "correlation_id": "c-1"}
    for name, value in (("sender", "nobody"), ("recipient", "a@b\r\nBcc: c@d"), ("correlation_id", "a b")):
        answer = lab.nodes.ask("POST", f"/hosts/{host.label}/mail", good | {name: value})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert lab.nodes.queued(host.label) == 0
