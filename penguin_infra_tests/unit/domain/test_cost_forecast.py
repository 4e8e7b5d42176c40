"""What a month will cost, how far that may be off, and when it is too much."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from penguin_infra.domain.alerts import AlertSeverity
from penguin_infra.domain.cost_alerts import budget_alerts
from penguin_infra.domain.cost_forecast import CostForecast, forecast_month
from penguin_infra.domain.pricing import CostLimits

FIRST = date(2026, 4, 1)


def costs(*amounts: int, first: date = FIRST) -> dict[date, Decimal]:
    return {first + timedelta(days=number): Decimal(amount) for number, amount in enumerate(amounts)}


def usd(*amounts: int) -> tuple[Decimal, ...]:
    return tuple(map(Decimal, amounts))


def forecast(known: dict[date, Decimal], day: date, *, is_whole: bool = True) -> CostForecast:
    found = forecast_month(known, day, is_whole=is_whole)
    assert found is not None
    return found


def test_days_to_come_cost_what_the_last_whole_day_did() -> None:
    found = forecast(costs(*[10] * 10), date(2026, 4, 10))
    assert (found.month_to_date_usd, found.forecast_usd) == usd(100, 300)
    # Days that do not differ leave nothing open.
    assert (found.lower_usd, found.upper_usd) == usd(300, 300)


def test_the_day_so_far_is_in_the_sum_and_not_taken_for_a_whole_one() -> None:
    found = forecast(costs(*[10] * 10, 3), date(2026, 4, 11), is_whole=False)
    assert (found.month_to_date_usd, found.forecast_usd) == usd(103, 300)
    assert found.day == date(2026, 4, 11)


def test_the_more_days_differ_and_are_left_the_wider_is_the_interval() -> None:
    calm, wild = costs(*[10, 11] * 8), costs(*[5, 16] * 8)
    widths = [
        found.upper_usd - found.lower_usd
        for known, day in ((calm, 16), (wild, 16), (wild, 12))
        for found in [forecast(known, date(2026, 4, day))]
    ]
    assert widths == sorted(widths)
    assert len(set(widths)) == 3
    # Changes of 1 a day over 14 days: 1.2816 * sqrt(14 * 15 * 29 / 6).
    found = forecast(calm, date(2026, 4, 16))
    assert round(found.upper_usd - found.forecast_usd, 2) == Decimal("40.83")


def test_what_was_paid_already_is_the_least_that_it_will_be() -> None:
    found = forecast(costs(*[1, 40] * 5), date(2026, 4, 10))
    assert found.lower_usd == found.month_to_date_usd == 205


def test_few_days_give_a_wide_interval_that_says_so() -> None:
    found = forecast(costs(10, 10), date(2026, 4, 2))
    assert (found.lower_usd, found.forecast_usd, found.upper_usd) == usd(20, 300, 20 + 28 * 20)
    assert "so the interval is wide: from nothing more to twice as much a day" in found.method


def test_a_month_begins_at_nothing_but_knows_the_days_before() -> None:
    known = costs(*[10] * 31, first=date(2026, 3, 1)) | costs(10)
    found = forecast(known, FIRST)
    assert (found.month, found.month_to_date_usd, found.forecast_usd) == (FIRST, *usd(10, 300))
    assert "28 days" in found.method or "29 days" in found.method


def test_nothing_billed_is_no_forecast_and_a_first_day_alone_is_all_there_is() -> None:
    assert forecast_month({}, FIRST, is_whole=True) is None
    found = forecast(costs(7), FIRST, is_whole=False)
    assert (found.lower_usd, found.forecast_usd, found.upper_usd) == usd(7, 7, 7)


LIMITS = CostLimits(monthly_budget_usd=Decimal(290))


@pytest.mark.parametrize(
    ("limits", "day", "severity"),
    [
        (LIMITS, 10, AlertSeverity.MEDIUM),
        (LIMITS, 30, AlertSeverity.HIGH),
        (CostLimits(monthly_budget_usd=Decimal(300)), 10, None),
        (CostLimits(monthly_budget_usd=Decimal(310), budget_alert_share=0.9), 10, AlertSeverity.MEDIUM),
        (CostLimits(), 30, None),
    ],
)
def test_the_budget_alerts_before_it_is_spent_and_more_urgently_once_it_is(
    limits: CostLimits, day: int, severity: AlertSeverity | None
) -> None:
    found = budget_alerts(forecast(costs(*[10] * 30), date(2026, 4, day)), limits)
    assert [alert.severity for alert in found] == ([severity] if severity else [])
    if found:
        assert (found[0].rule, found[0].subject) == ("budget", "2026-04")
        assert "April 2026 has cost " in found[0].summary
        assert "raise `[cost] monthly_budget_usd`" in found[0].summary
