"""Costs summed up for people: by day, region, plan, usage or node, with the mail that they paid for. Exact; US dollars.

What each hour cost is `node_costs`'; how the sums are shown is the command's.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, MetaData, Numeric, Table, Text, select, text

from penguin_infra.store.analytics_tables import ANALYTICS_SCHEMA, cost_optimisation


class CostsBy(StrEnum):
    """What costs may be summed up by."""

    DAY = "day"
    REGION = "region"
    PLAN = "plan"
    USAGE = "usage"
    NODE = "node"


# What a query here gives, described as the tables are that it reads.
COST_SUMS = Table(
    "cost_sums",
    MetaData(schema=ANALYTICS_SCHEMA),
    Column("name", Text, primary_key=True, comment="the day, region, plan, usage or node"),
    Column("amount_usd", Numeric(18, 8), nullable=False, comment="what it cost, US dollars"),
    Column("in_service_usd", Numeric(18, 8), nullable=False, comment="while it was warming or active, US dollars"),
    Column(
        "wasted_usd",
        Numeric(18, 8),
        nullable=False,
        comment="what brought no mail, each dollar once: held, in service without sending, owned by no node, or paid "
        "ahead and lost; US dollars",
    ),
    Column("warmed_slot_days", Numeric(18, 8), nullable=False, comment="days that a node was active"),
    Column("delivered", BigInteger, comment="messages that were accepted; null where mail is not told apart by it"),
    comment="What the days cost, summed up.",
)

_KEYS = {
    CostsBy.DAY: "day::text",
    CostsBy.REGION: "region",
    CostsBy.PLAN: "plan",
    CostsBy.USAGE: "usage",
    # An instance that no node holds is told by its own name.
    CostsBy.NODE: "coalesce(node_id::text, provider_id)",
}

_MAIL_KEYS = {CostsBy.DAY: "day::text", CostsBy.REGION: "region", CostsBy.NODE: "node_id::text"}

_SUMS = """
WITH costs AS (
    SELECT {key} AS key, max(label) AS label, sum(amount_usd) AS amount_usd,
        coalesce(sum(amount_usd) FILTER (WHERE usage IN ('warming', 'active')), 0) AS in_service_usd,
        sum(CASE
            WHEN charge = 'unused_month' THEN amount_usd
            WHEN usage IN ('warming', 'active') THEN coalesce(amount_usd * idle_hours / nullif(hours, 0), 0)
            WHEN usage = 'provisioning' THEN 0
            ELSE amount_usd
        END) AS wasted_usd,
        coalesce(sum(hours) FILTER (WHERE charge = 'plan' AND usage = 'active'), 0) / 24.0 AS warmed_slot_days
    FROM analytics.node_costs WHERE day BETWEEN :first_day AND :last_day GROUP BY 1
), mail AS (
    SELECT {mail_key} AS key, sum(sent)::bigint AS delivered
    FROM analytics.reputation_history WHERE day BETWEEN :first_day AND :last_day GROUP BY 1
)
SELECT {name}, amount_usd, in_service_usd, round(wasted_usd, 8), round(warmed_slot_days, 8), {delivered}
FROM costs LEFT JOIN mail USING (key)
ORDER BY {order}
"""

_OUTLOOKS = text("""
SELECT day, month, month_to_date_usd, forecast_usd, lower_usd, upper_usd, budget_usd, method
FROM analytics.cost_forecasts WHERE day BETWEEN :first_day AND :last_day ORDER BY day
""")

_SAVINGS = select(cost_optimisation).order_by(
    cost_optimisation.c.saving_monthly_usd.desc(), cost_optimisation.c.label, cost_optimisation.c.id
)


@dataclass(frozen=True, slots=True)
class CostSum:
    """A row of `COST_SUMS`."""

    name: str
    amount_usd: Decimal
    in_service_usd: Decimal
    wasted_usd: Decimal
    warmed_slot_days: Decimal
    delivered: int | None

    @property
    def usd_per_thousand(self) -> Decimal | None:
        """What 1,000 accepted messages cost; None where none was, or nobody knows."""
        return self.amount_usd * 1000 / self.delivered if self.delivered else None

    @property
    def usd_per_slot_day(self) -> Decimal | None:
        """What a warmed-up node cost a day, all that is not warmed up paid by it; None where there was none."""
        return self.amount_usd / self.warmed_slot_days if self.warmed_slot_days else None


@dataclass(frozen=True, slots=True)
class MonthOutlook:
    """A row of `analytics.cost_forecasts`: what the month will cost, as it looked at the end of `day`."""

    day: date
    month: date
    month_to_date_usd: Decimal
    forecast_usd: Decimal
    lower_usd: Decimal
    upper_usd: Decimal
    budget_usd: Decimal | None
    method: str


def sum_costs(connection: Connection, by: CostsBy, *, first_day: date, last_day: date) -> list[CostSum]:
    """The costs of the days from the first to the last one: days in order, all else the most expensive first."""
    query = _SUMS.format(
        key=_KEYS[by],
        mail_key=_MAIL_KEYS.get(by, "''"),
        name="label" if by is CostsBy.NODE else "key",
        delivered="coalesce(delivered, 0)" if by in _MAIL_KEYS else "NULL",
        order="key" if by is CostsBy.DAY else "amount_usd DESC, key",
    )
    rows = connection.execute(text(query), {"first_day": first_day, "last_day": last_day})
    return [CostSum(*row) for row in rows]


def add_up(sums: list[CostSum], *, name: str) -> CostSum:
    """All of them in one."""
    known = [one.delivered for one in sums if one.delivered is not None]
    return CostSum(
        name,
        sum((one.amount_usd for one in sums), Decimal()),
        sum((one.in_service_usd for one in sums), Decimal()),
        sum((one.wasted_usd for one in sums), Decimal()),
        sum((one.warmed_slot_days for one in sums), Decimal()),
        sum(known) if known else None,
    )


def month_outlooks(connection: Connection, *, first_day: date, last_day: date) -> list[MonthOutlook]:
    """What the months would cost, as it looked at the end of each of the days."""
    rows = connection.execute(_OUTLOOKS, {"first_day": first_day, "last_day": last_day})
    return [MonthOutlook(*row) for row in rows]


def list_savings(connection: Connection) -> list[dict[str, Any]]:
    """The rows of `analytics.cost_optimisation`, the greatest saving first."""
    return [dict(row._mapping) for row in connection.execute(_SAVINGS)]
