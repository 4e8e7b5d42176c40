"""Complaints' memory: each report once, laid to the node that held its address when the mail arrived.

How a report is read is `domain/complaint.py`'s; what complaints add up to, `delivery.py`'s.
"""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert as upsert

from penguin_infra.domain.complaint import FeedbackReport
from penguin_infra.store.tables import ip_tenures
from penguin_infra.store.telemetry_tables import complaints

c = complaints.c


@dataclass(frozen=True, slots=True)
class KeptComplaint:
    """How a report stands in the table, and whether it was put there just now."""

    attribution: str
    node_id: UUID | None
    is_new: bool


def holder_of(connection: Connection, address: IPv4Address | IPv6Address, at: datetime) -> UUID | None:
    """The node that held an address at a moment: addresses change hands."""
    t = ip_tenures.c
    return connection.scalar(
        select(t.node_id)
        .where(t.ip_address == str(address), t.began_at <= at, t.ended_at.is_(None) | (t.ended_at > at))
        .order_by(t.began_at.desc())
        .limit(1)
    )


def keep_complaint(
    connection: Connection, report: FeedbackReport, *, attribution: str, node_id: UUID | None, now: datetime
) -> KeptComplaint:
    """Write a report down, once; told again, it stands as it was first written."""
    written = connection.scalar(
        upsert(complaints)
        .values(
            node_id=node_id,
            attribution=attribution,
            source_ip=None if report.source_ip is None else str(report.source_ip),
            arrived_at=report.arrived_at,
            received_at=now,
            feedback_type=report.feedback_type,
            mailbox_provider=report.mailbox_provider,
            incidents=report.incidents,
            digest=report.digest,
        )
        .on_conflict_do_nothing(index_elements=[c.digest])
        .returning(c.id)
    )
    row = connection.execute(select(c.attribution, c.node_id).where(c.digest == report.digest)).one()
    return KeptComplaint(row.attribution, row.node_id, is_new=written is not None)
