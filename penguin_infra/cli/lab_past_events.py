"""What befell a lab's former nodes: listings, silence, complaints, drift, and the alerts of it, all of them over.

Rows of tables by their columns' names, as in `lab_past_rows.py`.
"""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import sha256

from penguin_infra.cli.lab_past_rows import Names, Rows, address, provider_id
from penguin_infra.domain.heartbeat import Health
from penguin_infra.domain.listing_alerts import LISTED
from penguin_infra.domain.node_alerts import PAUSED, PROVISION_FAILED
from penguin_infra.domain.policies.alert_bounces import RULE as BOUNCE_RATE
from penguin_infra.domain.policies.alert_complaints import RULE as COMPLAINT_RATE
from penguin_infra.lab.past import Past, PastNode, Span

_SILENT_AFTER = timedelta(seconds=90)
_CONFIRMED_AFTER = timedelta(minutes=4)
_NO_HEARTBEAT = "no heartbeat for 90 s"

# In a wave of complaints: one in 150 mails. Else one in two days of a busy node.
_MINUTES_BETWEEN_COMPLAINTS = 9
_DAYS_BETWEEN_COMPLAINTS = 2


def health_rows(past: Past) -> Rows:
    """Every change of health, in order: the table numbers them as they come."""
    changes = [change for node in past.nodes for change in _health_changes(node)]
    for happened_at, node, health, reason in sorted(changes, key=lambda change: change[0]):
        yield {"node_id": node.node_id, "health": health.value, "reason": reason, "happened_at": happened_at}


def listing_rows(past: Past) -> Rows:
    """The listings of the nodes' addresses."""
    for node in past.nodes:
        for listing in node.listings:
            yield {
                "node_id": node.node_id,
                "blacklist_provider": listing.name,
                "listed_at": listing.listed_at,
                "delisted_at": listing.delisted_at,
                "details": f"A {listing.code}",
                "ip_address": address(node.instances[-1]),
                "zone": listing.zone,
                "codes": [listing.code],
                "reason": None,
                "severity": listing.severity,
                "suspected_at": listing.listed_at - _CONFIRMED_AFTER,
                "operator": listing.operator,
            }


def rejection_rows(past: Past) -> Rows:
    """Addresses that were listed before their node came to send, and were given back."""
    for node in past.nodes:
        if node.rejected_by is not None:
            rejected = node.instances[0]
            yield {
                "node_id": node.node_id,
                "instance_try": 1,
                "provider_id": provider_id(rejected),
                "ip_address": address(rejected),
                "zone": node.rejected_by.zone,
                "codes": [node.rejected_by.code],
                "reason": None,
                "rejected_at": rejected.deleted_at,
            }


def complaint_rows(past: Past) -> Rows:
    """Complaints that came in about the nodes' mail."""
    for node in past.nodes:
        source = random.Random(node.label)  # noqa: S311 - a lab's chance
        for arrived_at in _complained_at(node):
            yield {
                "node_id": node.node_id,
                "attribution": "attributed",
                "source_ip": address(node.instances[-1]),
                "arrived_at": arrived_at,
                "received_at": arrived_at + timedelta(minutes=40),
                "feedback_type": "abuse",
                "mailbox_provider": source.choice(("yahoo", "microsoft")),
                "incidents": 1,
                "digest": sha256(f"{node.node_id} {arrived_at.isoformat()}".encode()).digest(),
            }


def drift_rows(names: Names) -> Rows:
    """The instance that nobody had asked for, until a person had it destroyed."""
    orphan = names.past.orphan
    yield {
        "kind": "orphan",
        "node_id": None,
        "provider_id": provider_id(orphan),
        "detail": f"{names.labels[orphan.number]} is billed at the provider, but no node of the registry asked for it",
        "first_seen_at": orphan.created_at + timedelta(minutes=4),
        "last_seen_at": orphan.deleted_at,
        "resolved_at": orphan.deleted_at,
    }


def alert_rows(past: Past) -> Rows:
    """What people were told of, with how it ended."""
    for node in past.nodes:
        for listing in node.listings:
            grave = "medium" if listing.severity == "medium" else "high"
            words = f"{node.label}: its address is listed by {listing.zone} ({listing.severity}: {listing.code})"
            yield _alert(node, LISTED, grave, words, Span(listing.listed_at, listing.delisted_at))
        for storm in node.storms:
            words = f"{node.label}: bounces are above 3 % of its mail"
            yield _alert(node, BOUNCE_RATE, "high", words, Span(storm.begin_at + timedelta(minutes=9), storm.end_at))
        for wave in node.complaints:
            words = f"{node.label}: complaints are above 0.1 % of its mail"
            ended = Span(wave.begin_at + timedelta(minutes=50), wave.end_at + timedelta(hours=14))
            yield _alert(node, COMPLAINT_RATE, "medium", words, ended)
        for pause in _pauses(node):
            yield _alert(node, PAUSED, "high", f"{node.label} is paused", pause)
        if failed := next((action for action in node.actions if action.is_failed), None):
            span = Span(failed.finished_at, failed.finished_at + timedelta(days=1))
            yield _alert(node, PROVISION_FAILED, "medium", f"{node.label}: {failed.outcome}", span)


def _alert(node: PastNode, rule: str, severity: str, summary: str, span: Span) -> dict[str, object]:
    return {
        "rule": rule,
        "subject": node.label,
        "severity": severity,
        "summary": summary,
        "evidence": {},
        "node_id": node.node_id,
        "opened_at": span.begin_at,
        "updated_at": span.end_at,
        "resolved_at": span.end_at,
        "resolution": "its cause is gone",
    }


def _pauses(node: PastNode) -> Iterator[Span]:
    paused_at: datetime | None = None
    for action in node.actions:
        if action.event == "paused":
            paused_at = action.finished_at
        elif action.event is not None and paused_at is not None:
            yield Span(paused_at, action.finished_at)
            paused_at = None


def _health_changes(node: PastNode) -> Iterator[tuple[datetime, PastNode, Health, str]]:
    admitted_at = node.event_at("admitted")
    if admitted_at is None:
        return
    yield admitted_at, node, Health.HEALTHY, "its heartbeats come in"
    for silence in node.silences:
        yield silence.begin_at + _SILENT_AFTER, node, Health.UNHEALTHY, _NO_HEARTBEAT
        yield silence.end_at, node, Health.HEALTHY, "its heartbeats come in"


def _complained_at(node: PastNode) -> Iterator[datetime]:
    for wave in node.complaints:
        arrived_at = wave.begin_at
        while arrived_at < wave.end_at:
            yield arrived_at
            arrived_at += timedelta(minutes=_MINUTES_BETWEEN_COMPLAINTS)
    warmed_at = node.event_at("warmed_up")
    while warmed_at is not None and warmed_at < (node.idle_since or node.ended_at):
        yield warmed_at
        warmed_at += timedelta(days=_DAYS_BETWEEN_COMPLAINTS)
