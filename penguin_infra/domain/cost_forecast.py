"""What a month will have cost, as it looks on one of its days, and how far that may be off. Who is told is elsewhere.

What is still to come is taken to cost as much a day as the last whole day did; how much days differ from each other
says how far that may be off (a random walk).
"""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

# Four weeks tell of the fleet as it is; the week is the least that shows how much its days differ.
CHANGES_TAKEN = 28
FEWEST_CHANGES = 6

# Of a normal distribution: a tenth is above it, and a tenth below its negative.
_EIGHTY_PERCENT = Decimal("1.2816")
_PLACES = Decimal("0.00000001")
_DAY = timedelta(days=1)
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class CostForecast:
    """The month's sum until a day's end, and what it will be at the month's; `lower` to `upper` holds 80 of 100."""

    day: date
    month: date
    month_to_date_usd: Decimal
    forecast_usd: Decimal
    lower_usd: Decimal
    upper_usd: Decimal
    method: str


def forecast_month(costs: Mapping[date, Decimal], day: date, *, is_whole: bool) -> CostForecast | None:
    """Forecast the month that holds a day, by the costs until that day's end; None where none is known.

    `costs`: of each day that any instance was billed in. `is_whole`: the day is over; else its sum is taken as it is so
    far, and the rest of it is still to come.
    """
    known = {then: cost for then, cost in costs.items() if then <= day}
    if not known:
        return None
    month = day.replace(day=1)
    to_date = sum((cost for then, cost in known.items() if then >= month), _NOTHING)
    last_whole = day if is_whole else day - _DAY
    whole = _whole_days(known, last_whole)
    ahead = (date(day.year, day.month, monthrange(day.year, day.month)[1]) - last_whole).days
    if not whole:
        # The first day so far is all there is: nothing less is sure.
        return CostForecast(day, month, to_date, to_date, to_date, to_date, "the day so far; no day is over yet")
    until_whole = sum((cost for then, cost in known.items() if month <= then <= last_whole), _NOTHING)
    expected = until_whole + ahead * whole[-1]
    forecast = max(to_date, expected)
    changes = [later - earlier for earlier, later in pairwise(whole)][-CHANGES_TAKEN:]
    said = f"the month so far, and {ahead} days at {whole[-1]:.2f} USD, the last whole day's cost"
    if len(changes) < FEWEST_CHANGES:
        upper = max(to_date, until_whole + 2 * ahead * whole[-1])
        method = (
            f"{said}; {len(whole)} whole days tell of no spread yet, so the interval is wide: from nothing more to "
            "twice as much a day"
        )
        return CostForecast(day, month, to_date, forecast, to_date, upper, method)
    off = (_EIGHTY_PERCENT * _spread(changes, ahead)).quantize(_PLACES)
    method = f"{said}; 80 % interval by the changes from day to day of {len(changes) + 1} days"
    return CostForecast(
        day, month, to_date, forecast, max(to_date, expected - off), max(forecast, expected + off), method
    )


def _whole_days(known: Mapping[date, Decimal], last: date) -> list[Decimal]:
    """Every day's cost from the first known to the last whole one; a day between without instances cost nothing."""
    first = max(min(known), last - (CHANGES_TAKEN * _DAY))
    return [known.get(first + number * _DAY, _NOTHING) for number in range((last - first).days + 1)]


def _spread(changes: list[Decimal], ahead: int) -> Decimal:
    """The standard deviation of the sum of the days ahead, where each day's cost is the last one's and a step.

    The first step is in all of them, the last in one: s² (1² + 2² + ... + k²).
    """
    variance = sum((change * change for change in changes), _NOTHING) / len(changes)
    return (variance * (ahead * (ahead + 1) * (2 * ahead + 1)) / 6).sqrt()
