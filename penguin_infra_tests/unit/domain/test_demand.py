"""Demand's sums over hours with gaps and nonsense in them: never below nothing, and in a time that grows with them."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.capacity import Load
from penguin_infra.domain.demand import DemandHour, daily_history, load_until, recent_demand
from penguin_infra_tests.fleets import NOW

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MIDNIGHT = NOW.replace(hour=0)


def hours(count: int, ended: int = 10) -> list[DemandHour]:
    """So many hours before now, the oldest first."""
    return [DemandHour(NOW - back * HOUR, ended) for back in range(count, 0, -1)]


def whole_day(days_ago: int, ended: int = 10) -> list[DemandHour]:
    return [DemandHour(MIDNIGHT - days_ago * DAY + hour * HOUR, ended) for hour in range(24)]


def test_a_load_is_of_the_24_hours_before_and_of_no_other() -> None:
    assert load_until(hours(30), NOW) == Load(ended=240)
    assert load_until([*hours(24), DemandHour(NOW, 1_000)], NOW) == Load(ended=240)


def test_queues_count_by_what_they_grew_and_refusals_in_full() -> None:
    known = [
        DemandHour(NOW - 25 * HOUR, 0, queue_depth=100),
        DemandHour(NOW - 2 * HOUR, 10, refused=5, queue_depth=900),
        DemandHour(NOW - HOUR, 10, queue_depth=None),
    ]
    assert load_until(known, NOW) == Load(ended=20, queue_growth=800, refused=5)


def test_of_a_day_that_nobody_measured_there_is_no_load() -> None:
    assert load_until(hours(3), NOW - 30 * HOUR) is None
    assert load_until([], NOW) is None
    assert recent_demand([], NOW) == ()


def test_recent_sums_end_at_full_hours_and_leave_the_present_one_out() -> None:
    known = [*hours(40), DemandHour(NOW, 999_999)]
    assert recent_demand(known, NOW + timedelta(minutes=59)) == (240.0,) * 5


def test_history_is_of_whole_days_up_to_yesterday() -> None:
    known = [*whole_day(2), *whole_day(1, 20), *[DemandHour(MIDNIGHT + hour * HOUR, 99) for hour in range(12)]]
    assert daily_history(known, NOW) == (240.0, 480.0)


def test_a_day_that_is_missing_or_measured_in_part_is_not_known() -> None:
    known = [*whole_day(5), *whole_day(3)[:23], *whole_day(1)]
    assert daily_history(known, NOW) == (240.0, None, None, None, 240.0)


def test_without_a_past_day_there_is_no_history() -> None:
    assert daily_history([], NOW) == ()
    assert daily_history([DemandHour(NOW, 5)], NOW) == ()


anything = st.lists(
    st.builds(
        DemandHour,
        st.integers(-24 * 20, 24 * 2).map(lambda hour: NOW + hour * HOUR),
        st.integers(0, 10**12),
        st.integers(0, 10**12),
        st.none() | st.integers(0, 10**12),
    ),
    max_size=60,
    unique_by=lambda hour: hour.hour_at,
).map(lambda known: sorted(known, key=lambda hour: hour.hour_at))


@given(anything)
def test_no_sum_is_ever_below_nothing(known: list[DemandHour]) -> None:
    assert all(demand >= 0 for demand in recent_demand(known, NOW))
    assert all(demand is None or demand >= 0 for demand in daily_history(known, NOW))


class CountedHour(DemandHour):
    """An hour that knows how often any of them was looked at."""

    looks = 0

    def __getattribute__(self, name: str) -> Any:
        CountedHour.looks += 1
        return super().__getattribute__(name)


def looks_at(days: int) -> int:
    known = [CountedHour(hour.hour_at, hour.ended) for day in range(days, 0, -1) for hour in whole_day(day)]
    CountedHour.looks = 0
    assert daily_history(known, NOW) == (240.0,) * days
    return CountedHour.looks


def test_a_history_four_times_as_long_takes_four_times_as_many_looks() -> None:
    assert looks_at(800) <= 4.1 * looks_at(200)
