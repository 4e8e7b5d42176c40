"""The report's section of costs: what each day cost and for what, what the month will cost, and what may be saved."""

from collections import defaultdict
from datetime import date
from decimal import Decimal

from penguin_infra.analytics.report_charts import layout, stacked_days
from penguin_infra.analytics.report_parts import (
    NOT_KNOWN,
    Chart,
    Column,
    Figure,
    Figures,
    Note,
    Part,
    Section,
    Table,
    counted,
    number,
    on,
    percent,
    ratio,
    table_of,
    usd,
)
from penguin_infra.store.cost_summaries import MonthOutlook
from penguin_infra.store.report_costs import CostFacts, RegionThousand

# From what brings mail to what brings none.
_USAGES = {
    "active": "1",
    "warming": "2",
    "provisioning": "3",
    "maintenance": "4",
    "paused": "5",
    "orphan": "6",
    "foreign": "7",
    "ghost": "8",
}

_MOST_PLANS, _MOST_SAVINGS = 25, 25


def cost_section(facts: CostFacts, day: date, *, is_now: bool) -> Section:
    """What the fleet costs."""
    month = f"{day:%B %Y}, until {on(day)}"
    saved = sum((saving.saving_monthly_usd for saving in facts.savings_now), Decimal(0))
    figures = list(cost_figures(facts, day))
    if is_now:
        figures.append(Figure("Savings worth making", usd(saved), "a month; each waits for a person"))
    parts: list[Part] = [Figures(tuple(figures))]
    if facts.days:
        parts += [_daily_chart(facts), _plans(facts, month), _waste(facts, month), _thousands(facts)]
    else:
        parts.append(Note("No day's costs are summed up yet: the hourly report job fills them in."))
    if is_now:
        parts.append(_savings(facts))
    forecast = facts.forecast
    return Section(
        "cost",
        "Cost",
        "What the provider bills, by the hours of each instance and the prices of the day, in US dollars.",
        tuple(parts),
        {
            "month_to_date_usd": float(forecast.month_to_date_usd if forecast else facts.waste.amount_usd),
            "recommendations": len(facts.savings_now),
            "recommended_saving_monthly_usd": float(saved),
            **({"forecast_usd": float(forecast.forecast_usd)} if forecast else {}),
        },
    )


def cost_figures(facts: CostFacts, day: date) -> tuple[Figure, ...]:
    """The month so far, its forecast, and what a thousand mails cost."""
    spent = facts.forecast.month_to_date_usd if facts.forecast else facts.waste.amount_usd
    return (
        Figure("Cost this month", usd(spent if facts.days else None), f"{day:%B %Y}, until {on(day)}"),
        Figure("Forecast of the month", *_forecast(facts.forecast)),
        Figure("Cost per 1,000 delivered", usd(thousand_usd(facts.thousands), places=4), f"30 days until {on(day)}"),
    )


def thousand_usd(thousands: tuple[RegionThousand, ...]) -> Decimal | None:
    """What a thousand delivered mails cost; None where none were."""
    delivered = sum(one.delivered for one in thousands)
    spent = sum((one.amount_usd for one in thousands), Decimal(0))
    return spent * 1000 / delivered if delivered else None


def _forecast(forecast: MonthOutlook | None) -> tuple[str, str]:
    if forecast is None:
        return NOT_KNOWN, "no forecast of this month was made yet"
    interval = f"80 % between {usd(forecast.lower_usd)} and {usd(forecast.upper_usd)}"
    if forecast.budget_usd is None:
        return usd(forecast.forecast_usd), f"{interval}; no budget is set; as of {on(forecast.day)}"
    used = percent(float(forecast.forecast_usd / forecast.budget_usd))
    return usd(
        forecast.forecast_usd
    ), f"{interval}; {used} of {usd(forecast.budget_usd)} budget; as of {on(forecast.day)}"


def _daily_chart(facts: CostFacts) -> Chart:
    by_usage: dict[str, dict[date, Decimal]] = defaultdict(dict)
    for cost in facts.days:
        by_usage[cost.usage][cost.day] = cost.amount_usd
    usages = [usage for usage in _USAGES if usage in by_usage]
    totals: dict[date, Decimal] = defaultdict(Decimal)
    for cost in facts.days:
        totals[cost.day] += cost.amount_usd
    newest, dearest = max(totals), max(totals, key=lambda day: totals[day])
    series = {usage: {day: float(amount) for day, amount in by_usage[usage].items()} for usage in usages}
    return Chart(
        "daily-cost",
        "Cost a day, by what the hours went to",
        f"{counted(len(totals), 'day')} until {on(newest)}: {usd(totals[newest])} on the last of them, "
        f"{usd(totals[dearest])} on the dearest ({on(dearest)}).",
        tuple(stacked_days(series, _USAGES, unit="USD")),
        layout(y="USD a day", is_stacked=True),
        Table(
            "Cost a day, US dollars, by the node's status",
            (Column("day (UTC)", "name"), *(Column(usage, "number") for usage in usages), Column("all", "number")),
            tuple(
                (
                    day.isoformat(),
                    *(usd(by_usage[usage].get(day, Decimal(0))) for usage in usages),
                    usd(totals[day]),
                )
                for day in sorted(totals, reverse=True)
            ),
            "",
        ),
    )


def _plans(facts: CostFacts, month: str) -> Table:
    columns = [
        Column("region", "name"),
        Column("plan", "name"),
        Column("instances", "number"),
        Column("hours", "number"),
        Column("cost", "number"),
        Column("share", "number"),
    ]
    whole = float(facts.waste.amount_usd)
    rows = [
        (one.region, one.plan, number(one.instances), number(one.hours), usd(one.amount_usd),
         percent(ratio(float(one.amount_usd), whole)))
        for one in facts.plans
    ]  # fmt: skip
    return table_of(f"By region and plan, {month}", columns, rows, empty="Nothing was billed.", most=_MOST_PLANS)


def _waste(facts: CostFacts, month: str) -> Table:
    waste = facts.waste
    whole = float(waste.amount_usd)
    parts = (
        ("paused or in maintenance", waste.held_usd, "out of the rotation, and billed all the same"),
        ("unhealthy", waste.unhealthy_usd, "hours at whose beginning the node was unhealthy"),
        ("idle", waste.idle_usd, "hours in service without a message sent"),
        ("provisioning", waste.provisioning_usd, "before the node may send"),
        ("orphans and foreign instances", waste.unowned_usd, "billed, and no node of this fleet holds them"),
    )
    rows = [
        (what, usd(amount), percent(ratio(float(amount), whole)), meaning) for what, amount, meaning in parts if amount
    ]
    columns = [Column("what", "name"), Column("cost", "number"), Column("share of all", "number"), Column("meaning")]
    return table_of(f"What brought no mail (parts may overlap), {month}", columns, rows, empty="Nothing was wasted.")


def _thousands(facts: CostFacts) -> Table:
    rows = [
        (one.region, usd(one.amount_usd), number(one.delivered), usd(thousand_usd((one,)), places=4))
        for one in facts.thousands
    ]
    columns = [
        Column("region", "name"),
        Column("cost", "number"),
        Column("delivered messages", "number"),
        Column("cost per 1,000", "number"),
    ]
    return table_of("Cost per 1,000 delivered messages, 30 days", columns, rows, empty="No region was billed.")


def _savings(facts: CostFacts) -> Table:
    rows = [
        (one.kind.replace("_", " "), one.label, usd(one.saving_monthly_usd), one.reason, one.risk, one.command)
        for one in facts.savings_now
    ]
    columns = [
        Column("what", "name"),
        Column("about", "name"),
        Column("saves a month", "number"),
        Column("why"),
        Column("risk"),
        Column("command", "command"),
    ]
    return table_of("Savings worth making", columns, rows, empty="No saving is worth making now.", most=_MOST_SAVINGS)
