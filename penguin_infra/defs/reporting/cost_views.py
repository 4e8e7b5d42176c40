"""Costs as figures, tables and charts in the UI. What they are is reckoned elsewhere."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import dagster as dg

from penguin_infra.defs.column_lineage import column_lineage
from penguin_infra.defs.tables import bars, lines_over_time, markdown_table
from penguin_infra.domain.cost_forecast import CostForecast
from penguin_infra.domain.cost_usage import Usage
from penguin_infra.domain.pricing import Charge
from penguin_infra.operations.cost_lines import CostLine
from penguin_infra.operations.measure_costs import CostReport

if TYPE_CHECKING:
    from datetime import date

_CENTS = 100

_OF_USAGE = {
    "in_service": {Usage.WARMING, Usage.ACTIVE},
    "held": {Usage.PAUSED, Usage.MAINTENANCE},
    "provisioning": {Usage.PROVISIONING},
    "unowned": {Usage.ORPHAN, Usage.FOREIGN},
}

Figures = dict[str, int | float | dg.MarkdownMetadataValue]


_TIMES = ["provider_instances.created_at", "provider_instances.seen_at"]
_STATUS = ["node_inventory.kind"]

COST_LINEAGE = column_lineage(
    {
        "day": _TIMES,
        "provider_id": ["provider_instances.provider_id"],
        "plan": ["provider_instances.plan"],
        "charge": ["provider_instances.extra_addresses"],
        "usage": ["provider_instances.label", *_STATUS],
        "node_id": ["node_inventory.node_id"],
        "label": ["provider_instances.label"],
        "region": ["provider_instances.region"],
        "hours": _TIMES,
        "unhealthy_hours": ["node_health.health", *_TIMES],
        "idle_hours": ["delivery_rates.sent", *_TIMES],
        "amount_usd": [
            "plan_prices.hourly_usd",
            "plan_prices.monthly_usd",
            "plan_prices.seen_at",
            *_TIMES,
        ],
    }
)

FORECAST_LINEAGE = column_lineage(
    {
        column: ["node_costs.day"] if column in {"day", "month"} else ["node_costs.amount_usd", "node_costs.day"]
        for column in ("day", "month", "month_to_date_usd", "forecast_usd", "lower_usd", "upper_usd")
    }
)


def cost_metadata(report: CostReport) -> Figures:
    """The days' costs for the UI."""
    lines = report.lines
    by_day: dict[date, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    by_plan: dict[str, Decimal] = defaultdict(Decimal)
    by_instance: dict[str, tuple[Decimal, CostLine]] = {}
    for line in lines:
        by_day[line.day][_kind(line)] += line.amount_usd
        by_plan[f"{line.plan} in {line.region}, US cents"] += line.amount_usd
        cost, _ = by_instance.get(line.provider_id, (Decimal(0), line))
        by_instance[line.provider_id] = (cost + line.amount_usd, line)
    kinds = [*_OF_USAGE, "unused"]
    days = sorted(by_day)
    costliest = sorted(by_instance.items(), key=lambda item: (-item[1][0], item[0]))
    return {
        "dagster/row_count": len(lines),
        "days": len(days),
        "instances": len(by_instance),
        "hours": report.billed_hours,
        "total_usd": float(report.total_usd),
        "last_day_usd": float(sum(by_day[days[-1]].values())) if days else 0.0,
        **{f"{kind}_usd": float(sum(by_day[day][kind] for day in days)) for kind in kinds},
        "unhealthy_usd": float(sum(_share(line, line.unhealthy_hours) for line in lines)),
        "idle_usd": float(sum(_share(line, line.idle_hours) for line in lines)),
        "ghosts": len({line.provider_id for line in lines if line.usage == Usage.GHOST}),
        "cents_a_day": lines_over_time({kind: [int(by_day[day][kind] * _CENTS) for day in days] for kind in kinds})
        if days
        else dg.MetadataValue.md("nothing to show"),
        "by_plan": bars({name: int(cost * _CENTS) for name, cost in sorted(by_plan.items())}),
        "costliest_instances": markdown_table(
            ["instance", "node or name", "region", "plan", "went to", "USD"],
            [
                (name, line.label, line.region, line.plan, line.usage, f"{cost:.4f}")
                for name, (cost, line) in costliest[:100]
            ],
        ),
    }


def forecast_metadata(forecasts: Sequence[CostForecast], budget_usd: Decimal | None) -> Figures:
    """The forecasts for the UI; figures are the last day's."""
    last = forecasts[-1] if forecasts else None
    cents: dict[str, list[int]] = {
        "month to date, US cents": [int(one.month_to_date_usd * _CENTS) for one in forecasts],
        "forecast, US cents": [int(one.forecast_usd * _CENTS) for one in forecasts],
    }
    return {
        "dagster/row_count": len(forecasts),
        "month_to_date_usd": float(last.month_to_date_usd) if last else 0.0,
        "forecast_usd": float(last.forecast_usd) if last else 0.0,
        "lower_usd": float(last.lower_usd) if last else 0.0,
        "upper_usd": float(last.upper_usd) if last else 0.0,
        **({} if budget_usd is None else {"budget_usd": float(budget_usd)}),
        "by_day": lines_over_time(cents) if last else dg.MetadataValue.md("nothing to show"),
        "method": dg.MetadataValue.md(last.method if last else "nothing was billed yet"),
        "last_forecasts": markdown_table(
            ["day", "month to date", "forecast", "from", "to"],
            [
                (
                    one.day, f"{one.month_to_date_usd:.2f}", f"{one.forecast_usd:.2f}", f"{one.lower_usd:.2f}",
                    f"{one.upper_usd:.2f}",
                )
                for one in reversed(forecasts)
            ],
        ),
    }  # fmt: skip


def _kind(line: CostLine) -> str:
    if line.charge == Charge.UNUSED_MONTH:
        return "unused"
    return next((kind for kind, usages in _OF_USAGE.items() if line.usage in usages), "in_service")


def _share(line: CostLine, hours: int) -> Decimal:
    return line.amount_usd * hours / line.hours if line.hours else Decimal(0)
