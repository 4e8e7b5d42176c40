"""Record one complaint that a mailbox provider reported, and lay it to the node whose mail it is about."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from penguin_infra.domain.complaint import FeedbackReport, read_feedback
from penguin_infra.store.complaints import holder_of, keep_complaint


@dataclass(frozen=True, slots=True)
class RecordedComplaint:
    """`attribution`: attributed, or why not: no_source_ip, no_arrival_date, unknown_address."""

    attribution: str
    is_new: bool
    node_id: UUID | None


def record_complaint(connection: Connection, raw: bytes, now: datetime) -> RecordedComplaint:
    """Keep a feedback report (ARF), once however often it is told. Raises `NotFeedback` for any other mail.

    One that cannot be laid to a node is kept and counted too: many of them mean that something is not understood.
    """
    report = read_feedback(raw)
    attribution, node_id = _attribute(connection, report)
    kept = keep_complaint(connection, report, attribution=attribution, node_id=node_id, now=now)
    return RecordedComplaint(kept.attribution, kept.is_new, kept.node_id)


def _attribute(connection: Connection, report: FeedbackReport) -> tuple[str, UUID | None]:
    if report.source_ip is None:
        return "no_source_ip", None
    if report.arrived_at is None:
        return "no_arrival_date", None
    node_id = holder_of(connection, report.source_ip, report.arrived_at)
    return ("attributed" if node_id else "unknown_address"), node_id
