"""A fleet with rows in every table that analysts read, and what is rare: an address that changed hands, orphans."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Engine, insert, update

from penguin_infra.store.analytics_tables import node_costs, reputation_history
from penguin_infra_tests.reported_fleet import add_reported_fleet

FIRST_TENURE = UUID(int=71)


def add_analysts_fleet(engine: Engine, now: datetime) -> None:
    """The report's fleet, whose first address was another node's until thirty days ago, and two orphans."""
    node_ids = add_reported_fleet(engine, now)
    handed_over_on = now.date() - timedelta(days=30)
    history = reputation_history.c
    with engine.begin() as connection:
        connection.execute(
            update(reputation_history)
            .where(history.node_id == node_ids[0], history.day < handed_over_on)
            .values(tenure_id=FIRST_TENURE, node_id=node_ids[-1], label="node-021", score_last=55, score_lowest=51)
        )
        connection.execute(insert(node_costs), [
            {
                "day": now.date() - timedelta(days=ago), "provider_id": provider_id, "plan": "ssd-1", "charge": "plan",
                "usage": usage, "node_id": None, "label": label, "region": "dallas", "hours": 24, "unhealthy_hours": 0,
                "idle_hours": 0, "amount_usd": Decimal("0.16634400"), "price_source": "provider",
            }
            for provider_id, usage, label in (("hw-901", "orphan", "penguin-lost"), ("hw-902", "foreign", "a-website"))
            for ago in range(12)
        ])  # fmt: skip
