"""The alert on the budget: a month that will cost more than it may, or does already. Its sums come from elsewhere."""

from decimal import Decimal

from penguin_infra.domain.alerts import Alert, AlertSeverity
from penguin_infra.domain.cost_forecast import CostForecast
from penguin_infra.domain.pricing import CostLimits

BUDGET = "budget"


def budget_alerts(forecast: CostForecast, limits: CostLimits) -> list[Alert]:
    """One a month: Medium where the forecast reaches the policy's share of the budget, High once it is spent."""
    budget_usd = limits.monthly_budget_usd
    if budget_usd is None:
        return []
    is_spent = forecast.month_to_date_usd > budget_usd
    if not is_spent and forecast.forecast_usd <= budget_usd * Decimal(str(limits.budget_alert_share)):
        return []
    share = "" if limits.budget_alert_share == 1 else f"{limits.budget_alert_share:.0%} of "
    over = "the budget is spent" if is_spent else f"more than {share}the budget"
    return [
        Alert(
            BUDGET,
            f"{forecast.month:%Y-%m}",
            AlertSeverity.HIGH if is_spent else AlertSeverity.MEDIUM,
            f"{forecast.month:%B %Y} has cost {forecast.month_to_date_usd:,.2f} USD until {forecast.day} and will cost "
            f"{forecast.forecast_usd:,.2f} ({forecast.lower_usd:,.2f} to {forecast.upper_usd:,.2f}), of a budget of "
            f"{budget_usd:,.2f}: {over}. Take up the savings of `cost_optimisation`, hold growth "
            "(`[growth]` in the policy), or raise `[cost] monthly_budget_usd`",
            {
                "month_to_date_usd": f"{forecast.month_to_date_usd:.2f}",
                "forecast_usd": f"{forecast.forecast_usd:.2f}",
                "lower_usd": f"{forecast.lower_usd:.2f}",
                "upper_usd": f"{forecast.upper_usd:.2f}",
                "budget_usd": f"{budget_usd:.2f}",
            },
        )
    ]
