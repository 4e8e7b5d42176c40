"""Savings that were recommended, and the actions that persons made of them.

The ledger holds what was made of a saving, in the action's evidence: the analysts' table is replaced every day. Which
savings there are is `domain/policies/save_costs.py`'s.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, String, Uuid, cast, select, update
from sqlalchemy.dialects.postgresql import distinct_on

from penguin_infra.domain.savings import SAVING_ID
from penguin_infra.store.analytics_tables import cost_optimisation
from penguin_infra.store.tables import AnyRow, node_actions, sending_nodes

a = node_actions.c
o = cost_optimisation.c

_made_of = a.evidence[SAVING_ID].astext


def made_actions(connection: Connection) -> dict[UUID, UUID]:
    """The newest action that each saving was made into, by the saving's id."""
    made_of = cast(_made_of, Uuid).label("made_of")
    rows = connection.execute(
        select(made_of, a.id)
        .where(a.evidence.has_key(SAVING_ID))
        .ext(distinct_on(made_of))
        .order_by(made_of, a.planned_at.desc(), a.id)
    )
    return {row.made_of: row.id for row in rows}


def newest_action(connection: Connection, id_prefix: str) -> AnyRow | None:
    """The newest action that a saving was made into whose id begins so, with its node's label."""
    return connection.execute(
        select(node_actions, sending_nodes.c.label)
        .join_from(node_actions, sending_nodes)
        .where(_made_of.startswith(id_prefix, autoescape=True))
        .order_by(a.planned_at.desc(), a.id)
        .limit(1)
    ).one_or_none()


def listed(connection: Connection, id_prefix: str) -> Sequence[AnyRow]:
    """The savings of the last list whose id begins so, two at most; with the status of the node as it is now."""
    return connection.execute(
        select(o.id, o.kind, o.label, o.made_at, o.node_id, sending_nodes.c.status)
        .outerjoin_from(cost_optimisation, sending_nodes, sending_nodes.c.id == o.node_id)
        .where(cast(o.id, String).startswith(id_prefix.lower(), autoescape=True))
        .limit(2)
    ).all()


def record_action(connection: Connection, saving_id: UUID, action_id: UUID) -> None:
    """Show with the recommendation, where it is listed, what it was made into."""
    connection.execute(update(cost_optimisation).where(o.id == saving_id).values(action_id=action_id))
