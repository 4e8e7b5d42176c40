"""Which days the analysts' tables hold already, and which are to be summed up. What the sums are, their assets say."""

from datetime import date, datetime, timedelta

from sqlalchemy import Connection, exists, func, select

from penguin_infra.store.analytics_tables import instance_spells, node_costs, reputation_history
from penguin_infra.store.tables import ip_tenures

# The gateway takes an agent's word for as long: what is older changes no more.
_SETTLED_AFTER = timedelta(days=8)


def days_to_report(connection: Connection, now: datetime, *, first_day: date) -> tuple[date, date] | None:
    """The first and the last day to sum up at `now`; None where the provider never billed anything.

    Today so far, and all days since the last one that was summed up, whose sum may be half a day's. In the day's first
    hour also those that late agents may still have changed.
    """
    today = now.date()
    began_at = connection.scalar(select(func.min(instance_spells.c.began_at)))
    if began_at is None:
        return None
    earliest = max(first_day, began_at.date())
    last_reported = _last_reported(connection)
    if last_reported is None:
        return min(earliest, today), today
    since = min(last_reported, today - _SETTLED_AFTER if now.hour == 0 else today)
    return min(max(since, earliest), today), today


def _last_reported(connection: Connection) -> date | None:
    """The last day that both costs and reputation are summed up to: one may have failed where the other did not."""
    costs: date | None = connection.scalar(select(func.max(node_costs.c.day)))
    history: date | None = connection.scalar(select(func.max(reputation_history.c.day)))
    if costs is None or (history is None and connection.scalar(select(exists().where(ip_tenures.c.id.is_not(None))))):
        return None
    return costs if history is None else min(costs, history)
