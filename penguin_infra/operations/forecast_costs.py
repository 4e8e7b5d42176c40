"""What the month will cost by the days that are summed up, and the alert on its budget. The caller writes the rows."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import Engine

from penguin_infra.domain.cost_alerts import BUDGET, budget_alerts
from penguin_infra.domain.cost_forecast import CHANGES_TAKEN, CostForecast, forecast_month
from penguin_infra.domain.pricing import CostLimits
from penguin_infra.operations.update_alerts import update_alerts
from penguin_infra.store import cost_sums
from penguin_infra.store.alerts import AlertChanges

_DAY = timedelta(days=1)


def forecast_costs(engine: Engine, *, first_day: date, last_day: date, now: datetime) -> tuple[CostForecast, ...]:
    """The month's forecast as it was at the end of each day; none of days before anything was billed."""
    since = min(first_day.replace(day=1), first_day - (CHANGES_TAKEN + 1) * _DAY)
    with engine.connect() as connection:
        costs = cost_sums.daily_costs(connection, since, last_day)
    days = [first_day + number * _DAY for number in range((last_day - first_day).days + 1)]
    found = [forecast_month(costs, day, is_whole=day < now.date()) for day in days]
    return tuple(forecast for forecast in found if forecast)


def tell_budget(
    engine: Engine, forecasts: Sequence[CostForecast], limits: CostLimits, *, now: datetime, run_id: str | None = None
) -> AlertChanges | None:
    """Open, change or resolve the budget's alert by today's forecast; by those of past days alone it stays as it is."""
    if not forecasts or forecasts[-1].day != now.date():
        return None
    return update_alerts(engine, BUDGET, budget_alerts(forecasts[-1], limits), now=now, run_id=run_id)
