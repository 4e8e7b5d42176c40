"""Which steps of warm-up the last measurement leads to: for the sensor that plans them. It judges nothing anew.

Holding the node while one mailbox provider steps by itself is a step too. Being stuck is none: people are told of it.
"""

from datetime import datetime

from sqlalchemy import Connection

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.store.warmup_progress import wanted_steps

NAME = "policy:advance_warmup"

# Trouble first.
_BACK, _ON = 0, 1


def want_warmups(connection: Connection, now: datetime) -> list[PlannedAction]:
    """An action for each node in service whose fresh measurement leads to a step, with its reasons."""
    return [
        PlannedAction(
            row.node_id,
            ActionKind.ADVANCE_WARMUP,
            " ".join(row.reasons),
            NAME,
            {"decision": row.decision, "from": row.daily, "to": row.next_daily, "stage": row.stage},
            urgency=_BACK if row.next_daily < row.daily else _ON,
        )
        for row in wanted_steps(connection, now)
    ]
