"""What the daily report tells of costs, summed up from the tables that analysts read. Exact; US dollars.

How the sums came to be is their assets' business; how they are said, `analytics/`'s.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection, text

from penguin_infra.store.cost_summaries import MonthOutlook, month_outlooks

_DAYS = text("""
SELECT day, usage, sum(amount_usd) AS amount_usd FROM analytics.node_costs
WHERE day BETWEEN :since AND :day GROUP BY day, usage ORDER BY day, usage
""")

_PLANS = text("""
SELECT region, plan, count(DISTINCT provider_id) AS instances, sum(hours)::bigint AS hours,
    sum(amount_usd) AS amount_usd
FROM analytics.node_costs WHERE day BETWEEN :month AND :day
GROUP BY region, plan ORDER BY sum(amount_usd) DESC, region, plan
""")

_WASTE = text("""
SELECT coalesce(sum(amount_usd), 0) AS amount_usd, coalesce(sum(held_usd), 0) AS held_usd,
    coalesce(sum(unhealthy_usd), 0) AS unhealthy_usd, coalesce(sum(idle_usd), 0) AS idle_usd,
    coalesce(sum(unowned_usd), 0) AS unowned_usd, coalesce(sum(provisioning_usd), 0) AS provisioning_usd
FROM analytics.costs_by_day WHERE day BETWEEN :month AND :day
""")

# Not by the view of days and regions: a span's days would be joined to the mail of all days there ever were. A region
# of orphans alone delivers nothing.
_THOUSANDS = text("""
SELECT region, coalesce(amount_usd, 0) AS amount_usd, coalesce(delivered, 0)::bigint AS delivered
FROM (
    SELECT region, sum(amount_usd) AS amount_usd FROM analytics.node_costs
    WHERE day BETWEEN :since AND :day GROUP BY region
) AS cost
FULL JOIN (
    SELECT region, sum(delivered) AS delivered FROM analytics.delivered_by_day
    WHERE day BETWEEN :since AND :day GROUP BY region
) AS mail USING (region)
ORDER BY amount_usd DESC, region
""")

_SAVINGS = text("""
SELECT made_at, kind, label, saving_monthly_usd, reason, risk, command
FROM analytics.cost_optimisation ORDER BY saving_monthly_usd DESC, label, id
""")


@dataclass(frozen=True, slots=True)
class UsageCost:
    """What a day's hours of one usage cost."""

    day: date
    usage: str
    amount_usd: Decimal


@dataclass(frozen=True, slots=True)
class PlanCost:
    """What a plan cost in a region, this month so far."""

    region: str
    plan: str
    instances: int
    hours: int
    amount_usd: Decimal


@dataclass(frozen=True, slots=True)
class Waste:
    """Of the month's costs so far, what brought no mail. The parts overlap: a paused node may be unhealthy too."""

    amount_usd: Decimal
    held_usd: Decimal
    unhealthy_usd: Decimal
    idle_usd: Decimal
    unowned_usd: Decimal
    provisioning_usd: Decimal


@dataclass(frozen=True, slots=True)
class RegionThousand:
    """What a region cost and delivered in the same days."""

    region: str
    amount_usd: Decimal
    delivered: int


@dataclass(frozen=True, slots=True)
class Saving:
    """A recommendation, with the command that proposes it."""

    made_at: datetime
    kind: str
    label: str
    saving_monthly_usd: Decimal
    reason: str
    risk: str
    command: str


@dataclass(frozen=True, slots=True)
class CostFacts:
    """Costs on a day. `savings_now`: nobody wrote down those of a past day."""

    days: tuple[UsageCost, ...]
    plans: tuple[PlanCost, ...]
    waste: Waste
    thousands: tuple[RegionThousand, ...]
    forecast: MonthOutlook | None
    savings_now: tuple[Saving, ...] = ()


def read_cost_facts(
    connection: Connection, day: date, *, days: int, days_of_mail: int, with_savings: bool
) -> CostFacts:
    """The costs of so many days up to `day`, of its month so far, and of the days that mail is told of."""
    month = {"month": day.replace(day=1), "day": day}
    since = {"since": day - timedelta(days=days - 1), "day": day}
    of_mail = {"since": day - timedelta(days=days_of_mail - 1), "day": day}
    outlooks = month_outlooks(connection, first_day=day.replace(day=1), last_day=day)
    return CostFacts(
        days=tuple(UsageCost(*row) for row in connection.execute(_DAYS, since)),
        plans=tuple(PlanCost(*row) for row in connection.execute(_PLANS, month)),
        waste=Waste(*connection.execute(_WASTE, month).one()),
        thousands=tuple(RegionThousand(*row) for row in connection.execute(_THOUSANDS, of_mail)),
        forecast=outlooks[-1] if outlooks else None,
        savings_now=tuple(Saving(*row) for row in connection.execute(_SAVINGS)) if with_savings else (),
    )
