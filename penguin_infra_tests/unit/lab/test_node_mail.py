"""What a lab node's mail log tells: as much mail as its mood says, ended as its mood says, none while it is held."""

import email
import time
from datetime import UTC, datetime, timedelta
from email import policy
from pathlib import Path

import pytest

from penguin_infra.agent.log_lines import Delivery, LineReader
from penguin_infra.lab import node_mail
from penguin_infra.lab.complaint_mail import feedback_report
from penguin_infra.lab.history import HISTORY_HOURS, history_batches
from penguin_infra.lab.node_mail import NodeMail
from penguin_infra.lab.node_moods import USUAL, Scenario, mood_of
from penguin_infra.lab.node_postbox import Attempt
from penguin_infra.lab.node_simulation import SimulatedNode
from penguin_infra.messages.telemetry import Probes

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def mail(tmp_path: Path) -> NodeMail:
    return NodeMail(tmp_path / "mail.log", seed=7)


def test_a_node_writes_as_much_mail_as_its_mood_says_however_time_passes(mail: NodeMail) -> None:
    for _ in range(600):
        mail.pass_time(1.0, USUAL, is_held=False, now=NOW)
    ended = [line for line in mail.log.read_text().splitlines() if "status=deferred" not in line]
    assert len(ended) == 120


def test_a_bounce_storm_bounces_half_of_the_mails(mail: NodeMail) -> None:
    mail.pass_time(600, mood_of(Scenario.BOUNCE_STORM), is_held=False, now=NOW)
    text = mail.log.read_text()
    share = text.count("dsn=5.1.1") / (text.count("status=sent") + text.count("status=bounced"))
    assert share == pytest.approx(0.5, abs=0.05)


def test_a_held_transport_sends_nothing_and_its_queue_grows(mail: NodeMail) -> None:
    mail.pass_time(600, USUAL, is_held=True, now=NOW)
    assert (mail.log.read_text(), mail.queue) == ("", 120)


def test_a_full_log_is_moved_away_as_logrotate_does(mail: NodeMail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_mail, "_LONGEST_LOG_BYTES", 100)
    mail.pass_time(60, USUAL, is_held=False, now=NOW)
    first = mail.log.read_text()
    mail.pass_time(60, USUAL, is_held=False, now=NOW)
    assert mail.log.with_suffix(".log.1").read_text() == first
    assert mail.log.read_text() != first


def seen(node: SimulatedNode, *, minutes: float = 1) -> Probes:
    node.pass_time(60 * minutes, NOW)
    return node.read()


def test_a_flood_waits_for_the_nodes_own_cpu_and_uses_up_no_allowance(tmp_path: Path) -> None:
    node = SimulatedNode(tmp_path, seed=1, scenario=Scenario.FLOOD)
    probes = seen(node)
    assert (probes.mta.active, probes.mta.deferred) == (2_000, 0)
    assert probes.cpu_percent is not None
    assert 95 <= probes.cpu_percent <= 99
    assert (probes.mta.oldest_age_seconds or 0) >= 900
    text = node.mail.log.read_text()
    assert text.count("status=sent") + text.count("status=bounced") == USUAL.messages_per_minute
    assert text.count("status=deferred") <= 2


def test_mail_that_remote_hosts_put_off_is_deferred_and_keeps_no_cpu_busy(tmp_path: Path) -> None:
    node = SimulatedNode(tmp_path, seed=1, scenario=Scenario.DEFERRALS)
    probes = seen(node)
    assert (probes.mta.active, probes.mta.deferred) == (0, 2_000)
    assert (probes.cpu_percent or 0) < 20
    assert [reason.count for reason in probes.mta.delay_reasons] == [2_000]
    assert node.mail.log.read_text().count("status=deferred") >= 8


def test_no_mail_is_counted_twice(tmp_path: Path) -> None:
    node = SimulatedNode(tmp_path, seed=1, scenario=Scenario.FLOOD)
    seen(node)
    node.play(Scenario.DEFERRALS)
    mta = seen(node).mta
    assert (mta.active, mta.deferred, node.queued) == (2_000, 2_000, 4_000)


def test_a_larger_plan_ends_a_flood_and_nothing_else(tmp_path: Path) -> None:
    flooded = SimulatedNode(tmp_path / "flooded", seed=1, scenario=Scenario.FLOOD)
    put_off = SimulatedNode(tmp_path / "put-off", seed=1, scenario=Scenario.DEFERRALS)
    for node in (flooded, put_off):
        seen(node)
        before = node.boot_id()
        node.resize()
        assert node.boot_id() != before
    assert (flooded.scenario, flooded.queued) == (Scenario.CALM, 0)
    assert (put_off.scenario, put_off.queued) == (Scenario.DEFERRALS, 2_000)


def test_a_queue_is_delivered_once_the_node_may_send_again(mail: NodeMail) -> None:
    mail.pass_time(600, USUAL, is_held=True, now=NOW)
    mail.pass_time(300, USUAL, is_held=False, now=NOW)
    assert mail.queue == 60


def test_the_same_seed_writes_the_same_mail(tmp_path: Path) -> None:
    logs = [NodeMail(tmp_path / name / "mail.log", seed=3) for name in ("one", "other")]
    for each in logs:
        each.pass_time(300, USUAL, is_held=False, now=NOW)
    assert logs[0].log.read_text() == logs[1].log.read_text() != ""


def test_a_reboot_ends_silence_and_changes_the_boot_id(tmp_path: Path) -> None:
    node = SimulatedNode(tmp_path, seed=1, scenario=Scenario.SILENCE)
    before = node.boot_id()
    node.reboot()
    assert (node.scenario, node.mood.is_silent, node.reboots) == (Scenario.CALM, False, 1)
    assert node.boot_id() != before


def test_a_restart_of_the_mail_server_ends_its_outage(tmp_path: Path) -> None:
    node = SimulatedNode(tmp_path, seed=1, scenario=Scenario.MTA_DOWN)
    assert node.read().mta.state == "down"
    assert node.restart()
    assert node.read().mta.state == "up"


def test_a_complaint_is_a_feedback_report_about_its_address() -> None:
    report = email.message_from_bytes(feedback_report("127.77.0.9", NOW), policy=policy.default)
    assert (report.get_content_type(), report.get_param("report-type")) == ("multipart/report", "feedback-report")
    (part,) = [each for each in report.walk() if each.get_content_type() == "message/feedback-report"]
    assert "Source-IP: 127.77.0.9" in part.as_string()
    assert "Arrival-Date: Tue, 24 Nov 2026 12:00:00 +0000" in part.as_string()


def test_a_nodes_history_is_the_same_whenever_it_is_told() -> None:
    told = list(history_batches("a-node", now=NOW, seed=5))
    again = list(history_batches("a-node", now=NOW + timedelta(hours=1, minutes=7), seed=5))
    assert len(told) == HISTORY_HOURS
    assert told[1:] == again[:-1]
    assert {count.bucket_at for count in told[-1].counts} == {"2026-11-24T11:00:00+00:00"}


@pytest.mark.parametrize(
    ("status", "dsn", "reply", "result"),
    [
        ("sent", "2.0.0", "250 2.0.0 OK", "sent"),
        ("deferred", "4.4.1", "ConnectionRefusedError: [Errno 111] Connection refused", "deferred"),
        ("bounced", "5.1.1", "host said: 550 5.1.1 not\nhere", "hard_bounce"),
        ("bounced", "5.0.0", "host said: 554 no", "policy_rejection"),
    ],
)
def test_an_attempt_at_a_real_mail_is_a_line_that_the_agent_counts(
    mail: NodeMail, status: str, dsn: str, reply: str, result: str
) -> None:
    attempt = Attempt(time.time_ns(), "verify@sink.lab.test", status, dsn, reply)
    mail.tell(attempt, "sink[127.0.0.1]:4272", now=NOW)
    (line,) = mail.log.read_bytes().splitlines()
    delivery = LineReader().read(line, NOW.timestamp())
    assert isinstance(delivery, Delivery)
    assert (delivery.result, delivery.mailbox_provider, delivery.is_outgoing) == (result, "other", True)
