"""Alerts' memory: at most one open a rule and subject, whatever number of processes finds it at once.

Which alerts there should be is the rules'; who is told, the notifiers'.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, String, cast, func, select, text

from penguin_infra.domain.alerts import Alert, AlertSeverity
from penguin_infra.store.tables import AnyRow, sending_nodes
from penguin_infra.store.telemetry_tables import alerts

a = alerts.c

# What moves an alert is what people read of it: one that is found again unchanged is not written again.
_SAVE = text(
    """
    WITH given AS (
        SELECT * FROM jsonb_to_recordset(CAST(:given AS jsonb))
            AS one (subject text, severity text, summary text, evidence jsonb, node_id uuid)
    ), resolved AS (
        UPDATE fleet.alerts AS alert SET resolved_at = :now, updated_at = :now, resolution = :resolution
        WHERE alert.rule = :rule AND alert.resolved_at IS NULL
          AND NOT EXISTS (SELECT FROM given WHERE given.subject = alert.subject)
        RETURNING alert.subject
    ), saved AS (
        INSERT INTO fleet.alerts AS alert
            (rule, subject, severity, summary, evidence, node_id, run_id, opened_at, updated_at)
        SELECT :rule, subject, severity, summary, evidence, node_id, :run_id, :now, :now FROM given
        ON CONFLICT (rule, subject) WHERE resolved_at IS NULL DO UPDATE
        SET severity = excluded.severity, summary = excluded.summary, evidence = excluded.evidence,
            node_id = excluded.node_id, run_id = excluded.run_id, updated_at = excluded.updated_at
        WHERE (alert.severity, alert.summary, alert.evidence, alert.node_id)
            IS DISTINCT FROM (excluded.severity, excluded.summary, excluded.evidence, excluded.node_id)
        RETURNING alert.subject, alert.xmax = 0 AS is_new
    )
    SELECT subject, 'resolved' AS change FROM resolved
    UNION ALL SELECT subject, CASE WHEN is_new THEN 'opened' ELSE 'updated' END FROM saved
    ORDER BY subject
    """
)


@dataclass(frozen=True, slots=True)
class AlertChanges:
    """The subjects whose alerts were opened, now say something else, or were resolved."""

    opened: tuple[str, ...]
    updated: tuple[str, ...]
    resolved: tuple[str, ...]


def lock_rule(connection: Connection, rule: str) -> None:
    """Hold a rule's alerts to this transaction: two that wrote them in another order would lock each other out.

    Whoever locks nodes too, or several rules, takes these first, and the rules by name.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('fleet.alerts ' || :rule))"), {"rule": rule})


def save_alerts(
    connection: Connection, rule: str, found: Iterable[Alert], *, now: datetime, run_id: str | None, resolution: str
) -> AlertChanges:
    """Make the rule's open alerts exactly these, in one statement; of two for one subject the graver counts."""
    lock_rule(connection, rule)
    gravity = list(AlertSeverity)
    by_subject = {
        alert.subject: alert for alert in sorted(found, key=lambda one: gravity.index(one.severity), reverse=True)
    }
    rows = connection.execute(
        _SAVE,
        {
            "given": json.dumps([_row(alert) for alert in by_subject.values()]),
            "rule": rule,
            "now": now,
            "run_id": run_id,
            "resolution": resolution,
        },
    ).all()
    changed = {change: tuple(row.subject for row in rows if row.change == change) for change in _CHANGES}
    return AlertChanges(**changed)


def open_alerts(connection: Connection, rule: str) -> dict[str, Alert]:
    """The rule's open alerts as they were told last, by subject."""
    rows = connection.execute(select(alerts).where(a.rule == rule, a.resolved_at.is_(None)))
    return {
        row.subject: Alert(rule, row.subject, AlertSeverity(row.severity), row.summary, row.evidence, row.node_id)
        for row in rows
    }


def list_alerts(
    connection: Connection,
    *,
    severity: AlertSeverity | None = None,
    node_id: UUID | None = None,
    with_resolved: bool = False,
    limit: int | None = None,
) -> Sequence[AnyRow]:
    """Alerts with their node's label: open ones before resolved ones, the gravest first, then the newest."""
    gravity = func.array_position([one.value for one in AlertSeverity], cast(a.severity, String))
    query = select(alerts, sending_nodes.c.label).join_from(alerts, sending_nodes, isouter=True)
    if severity is not None:
        query = query.where(a.severity == severity)
    if node_id is not None:
        query = query.where(a.node_id == node_id)
    if not with_resolved:
        query = query.where(a.resolved_at.is_(None))
    order = (a.resolved_at.is_not(None), gravity, a.opened_at.desc(), a.rule, a.subject)
    return connection.execute(query.order_by(*order).limit(limit)).all()


def find_alerts(connection: Connection, id_prefix: str) -> Sequence[AnyRow]:
    """Whole rows of the alerts whose id begins so; two at most."""
    return connection.execute(
        select(alerts, sending_nodes.c.label)
        .join_from(alerts, sending_nodes, isouter=True)
        .where(cast(a.id, String).startswith(id_prefix.lower(), autoescape=True))
        .limit(2)
    ).all()


_CHANGES = ("opened", "updated", "resolved")


def _row(alert: Alert) -> dict[str, object]:
    return {
        "subject": alert.subject,
        "severity": alert.severity,
        "summary": alert.summary,
        "evidence": dict(alert.evidence),
        "node_id": str(alert.node_id) if alert.node_id else None,
    }
