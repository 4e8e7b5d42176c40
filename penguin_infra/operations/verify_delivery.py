"""Verify a node by a real mail: sent through its own mail server, received by the sink, and judged as receivers do.

What makes a finding is `domain/verification.py`'s. A node with a finding that is not well is not admitted.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from penguin_infra.domain.node import Node, NodeStatus
from penguin_infra.domain.verification import (
    Finding,
    judge_absence,
    judge_mail,
    judge_outside,
    judge_queue,
    judge_reverse_name,
)
from penguin_infra.installer.installer import Host, TestMail
from penguin_infra.operations.install_node import host_of
from penguin_infra.operations.node_steps import Done, StepError, do_step, in_seconds, say_progress, wait
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.operations.provision_node import VERIFY_DELIVERY
from penguin_infra.operations.provision_parts import ProvisionParts
from penguin_infra.store import verifications
from penguin_infra.store.sink import SinkMessage, find_messages

# What is installed again while it is held keeps its customers' mail.
_HELD = frozenset({NodeStatus.PAUSED, NodeStatus.MAINTENANCE})

# A mail that was taken is off the queue within a moment.
_QUEUE_EMPTIES_WITHIN = timedelta(seconds=30)


def verify_delivery(work: NodeWork, parts: ProvisionParts) -> None:
    """Send a mail to the sink and look at everything; raises `StepError` with what is wrong and how to mend it."""

    def act(node: Node, _since: datetime) -> Done:
        host = host_of(node)
        correlation_id = uuid4().hex
        parts.installer.send_mail(host, TestMail(f"verify@{host.hostname}", parts.sink_mailbox, correlation_id))
        mail = _await_mail(work, correlation_id)
        findings = (
            _look(work, parts, node, mail)
            if mail
            else [judge_absence(work.limits.mail_timeout_minutes * 60, parts.installer.count_queued(host))]
        )
        work.lock.check()
        with work.engine.begin() as connection:
            verifications.replace_findings(
                connection, node.node_id, findings, action_id=work.action.action_id, now=work.clock.now()
            )
        for finding in findings:
            work.say(f"{finding.check}: {'well' if finding.is_ok else 'NOT WELL'}: {finding.detail}")
        if wrong := [finding for finding in findings if not finding.is_ok]:
            raise StepError("; ".join(f"{one.check}: {one.detail}. To mend it: {one.remedy}" for one in wrong))
        return Done({"correlation_id": correlation_id, "checks": len(findings)})

    do_step(work, VERIFY_DELIVERY, act)


def _await_mail(work: NodeWork, correlation_id: str) -> SinkMessage | None:
    sent_at = work.clock.now()
    deadline_at = sent_at + timedelta(minutes=work.limits.mail_timeout_minutes)
    while True:
        with work.engine.connect() as connection:
            found = find_messages(connection, correlation_id)
        if found:
            return found[0]
        if work.clock.now() >= deadline_at:
            return None
        waited = in_seconds(work.clock.now() - sent_at)
        wait(work, VERIFY_DELIVERY, f"mail {correlation_id} is not at the sink yet; waited {waited}")


def _look(work: NodeWork, parts: ProvisionParts, node: Node, sunk: SinkMessage) -> Sequence[Finding]:
    # Libraries that no sensor needs, and that take a while to import.
    from penguin_infra.verification.message import check_dkim, check_spf  # noqa: PLC0415

    mail, host = sunk.mail, host_of(node)
    say_progress(work, VERIFY_DELIVERY, "the mail arrived; checking it, and the node from outside")
    received = judge_mail(
        mail,
        ip_address=host.ip_address,
        hostname=host.hostname,
        is_tls_offered=True,
        spf=check_spf(mail.peer_address, helo=mail.helo, mail_from=mail.mail_from, resolve=parts.names.values),
        dkim=check_dkim(sunk.content, hostname=host.hostname, resolve=parts.names.values),
    )
    reverse = judge_reverse_name(
        parts.names.reverse_names(host.ip_address),
        parts.names.addresses(host.hostname),
        ip=host.ip_address,
        host=host.hostname,
    )
    is_held = node.status in _HELD
    queued = parts.installer.count_queued(host) if is_held else _count_queued(work, parts, host)
    return [
        *received,
        reverse,
        judge_queue(queued, is_held=is_held),
        *judge_outside(parts.look_from_outside(host.ip_address)),
    ]


def _count_queued(work: NodeWork, parts: ProvisionParts, host: Host) -> int:
    deadline_at = work.clock.now() + _QUEUE_EMPTIES_WITHIN
    while (queued := parts.installer.count_queued(host)) and work.clock.now() < deadline_at:
        wait(work, VERIFY_DELIVERY, f"{queued} mails are still in the node's queue")
    return queued
