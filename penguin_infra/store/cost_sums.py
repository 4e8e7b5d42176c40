"""Sums of what was reckoned: the days' costs. What they are reckoned from is `cost_facts.py`'s."""

from datetime import date
from decimal import Decimal

from sqlalchemy import Connection, func, select

from penguin_infra.domain.cost_usage import Usage
from penguin_infra.store.analytics_tables import node_costs

c = node_costs.c


def daily_costs(connection: Connection, first_day: date, last_day: date) -> dict[date, Decimal]:
    """What each day cost that any instance was billed in."""
    rows = connection.execute(
        select(c.day, func.sum(c.amount_usd)).where(c.day.between(first_day, last_day)).group_by(c.day)
    )
    return {row.day: row.sum for row in rows}


def costs_by_instance(connection: Connection, first_day: date, last_day: date) -> dict[str, Decimal]:
    """What each instance cost in some days, by its id at the provider; nothing of those that are ghosts alone."""
    rows = connection.execute(
        select(c.provider_id, func.sum(c.amount_usd))
        .where(c.day.between(first_day, last_day), c.usage != Usage.GHOST)
        .group_by(c.provider_id)
    )
    return {row.provider_id: row.sum for row in rows}
