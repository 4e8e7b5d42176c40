"""Which pauses and resumptions the facts ask for now: for the sensors that plan them, and for the jobs that look again.

Facts and policies meet here; whether one may be carried out is the guardrails'.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from penguin_infra.domain.actions import PlannedAction
from penguin_infra.domain.delivery_limits import DeliveryLimits
from penguin_infra.domain.policies import pause_bouncing, pause_listed, resume_recovered
from penguin_infra.store.delivery import alarming_nodes
from penguin_infra.store.listings import listed_nodes
from penguin_infra.store.pauses import paused_nodes


def want_pauses(
    connection: Connection, limits: DeliveryLimits, now: datetime, node_id: UUID | None = None
) -> list[PlannedAction]:
    """Pauses of listed nodes, and of those whose rates are proven too high; a node that is both is paused once."""
    listed = pause_listed.plan_pauses(listed_nodes(connection, node_id))
    alarming = alarming_nodes(
        connection,
        now,
        above_bounce_rate=limits.bounce_pause_rate,
        above_complaint_rate=limits.complaint_pause_rate,
        node_id=node_id,
    )
    taken = {action.node_id for action in listed}
    return [*listed, *pause_bouncing.plan_pauses((each for each in alarming if each.node_id not in taken), limits, now)]


def want_resumes(
    connection: Connection, limits: DeliveryLimits, now: datetime, node_id: UUID | None = None
) -> list[PlannedAction]:
    """Resumptions of nodes whose pause for their rates has lasted long enough."""
    return list(resume_recovered.plan_resumes(paused_nodes(connection, node_id), limits, now))
