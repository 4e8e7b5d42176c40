"""Hours of demand that no fleet can have had: each would stand in the sums of a whole day, and buy nodes."""

from dataclasses import replace
from datetime import timedelta

import pytest

from penguin_infra.domain.demand import DemandHour, daily_history, recent_demand
from penguin_infra_tests.fleets import NOW

THIS_HOUR = NOW.replace(minute=0, second=0, microsecond=0)
USUAL = 10_000


def hours(days: int = 10) -> list[DemandHour]:
    count = days * 24
    return [DemandHour(THIS_HOUR - timedelta(hours=count - number), USUAL, queue_depth=0) for number in range(count)]


@pytest.mark.parametrize("lie", [{"ended": 10**12}, {"refused": 10**10}, {"ended": -(10**9)}])
def test_an_absurd_hour_counts_as_a_usual_one(lie: dict[str, int]) -> None:
    told = hours()
    told[-6] = replace(told[-6], **lie)  # type: ignore[arg-type]
    assert set(recent_demand(told, NOW)) == {24.0 * USUAL}
    assert {day for day in daily_history(told, NOW) if day is not None} == {24.0 * USUAL}


def test_three_absurd_hours_of_a_week_are_still_known_for_what_they_are() -> None:
    told = hours()
    for back in (3, 30, 31):
        told[-back] = replace(told[-back], ended=10**12)
    assert max(recent_demand(told, NOW)) == 24.0 * USUAL


def test_a_spike_of_ten_times_the_usual_is_believed() -> None:
    told = hours()
    told[-3] = replace(told[-3], ended=10 * USUAL)
    assert recent_demand(told, NOW)[-1] == 33.0 * USUAL


def test_a_sender_who_mails_in_bursts_is_believed() -> None:
    told = [replace(hour, ended=1_000_000 if hour.hour_at.hour == 9 else 10) for hour in hours()]
    assert recent_demand(told, NOW)[-1] == 1_000_000 + 23 * 10


def test_a_fleet_in_its_first_day_is_believed() -> None:
    told = [*hours(1)[:-1], DemandHour(THIS_HOUR - timedelta(hours=1), 10**9)][-5:]
    assert recent_demand(told, NOW)[-1] == 10**9 + 4 * USUAL
