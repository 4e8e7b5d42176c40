"""Sums of what was reckoned: the days' costs. What they are reckoned from is `cost_facts.py`'s."""

from datetime import date
from decimal import Decimal

from sqlalchemy import Connection, func, select

from penguin_infra.store.analytics_tables import node_costs

c = node_costs.c


def daily_costs(connection: Connection, first_day: date, last_day: date) -> dict[date, Decimal]:
    """What each day cost that any instance was billed in."""
    rows = connection.execute(
        select(c.day, func.sum(c.amount_usd)).where(c.day.between(first_day, last_day)).group_by(c.day)
    )
    return {row.day: row.sum for row in rows}
