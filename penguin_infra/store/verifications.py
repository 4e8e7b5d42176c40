"""What the last verification of each node found, one row a check."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, case, delete, insert, select

from penguin_infra.domain.verification import Check, Finding
from penguin_infra.store.installation_tables import verification_findings
from penguin_infra.store.tables import AnyRow

f = verification_findings.c


def replace_findings(
    connection: Connection, node_id: UUID, findings: Iterable[Finding], *, action_id: UUID, now: datetime
) -> None:
    """Keep these in place of the last ones."""
    rows = [
        {
            "node_id": node_id,
            "check_name": finding.check,
            "is_ok": finding.is_ok,
            "detail": finding.detail,
            "remedy": finding.remedy,
            "action_id": action_id,
            "found_at": now,
        }
        for finding in findings
    ]
    connection.execute(delete(verification_findings).where(f.node_id == node_id))
    if rows:
        connection.execute(insert(verification_findings), rows)


def list_findings(connection: Connection, node_id: UUID) -> list[AnyRow]:
    """A node's findings, in the order in which a person would look."""
    position = case({check.value: index for index, check in enumerate(Check)}, value=f.check_name, else_=len(Check))
    return list(connection.execute(select(verification_findings).where(f.node_id == node_id).order_by(position)))
