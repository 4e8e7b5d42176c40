"""A day's allowance over its hours: never in a clump, never more than the day's, and never nothing for good."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penguin_infra.domain.sending_allowance import SendingAllowance, allowance_now

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)


def send_all_day(daily: int, demands: list[int]) -> list[int]:
    """What leaves in each hour, if so much wants to."""
    left: list[int] = []
    for hour, demand in enumerate(demands):
        allowance = allowance_now(daily, sum(left), 0, MIDNIGHT + timedelta(hours=hour))
        left.append(min(demand, allowance.hour))
    return left


def test_a_day_is_spread_evenly_where_there_is_mail_all_day() -> None:
    assert send_all_day(2_400, [1_000] * 24) == [100] * 24


def test_a_few_messages_leave_one_an_hour_the_first_at_once() -> None:
    assert send_all_day(6, [9] * 24) == [1, 0, 0, 0] * 6
    assert sum(send_all_day(50, [9] * 24)) == 50
    assert send_all_day(1, [9] * 24)[0] == 1


def test_what_an_hour_left_over_may_leave_later_but_twice_an_hours_worth_at_most() -> None:
    assert send_all_day(2_400, [0, 0, 0, *[1_000] * 21])[:8] == [0, 0, 0, 200, 200, 200, 100, 100]
    assert allowance_now(2_400, 0, 0, MIDNIGHT + timedelta(hours=23)) == SendingAllowance(hour=200, day=2_400)


def test_the_allowance_of_an_hour_stays_the_same_while_it_is_used_up() -> None:
    at = MIDNIGHT + timedelta(hours=5, minutes=20)
    assert {allowance_now(2_400, 500 + sent, sent, at).hour for sent in (0, 1, 50, 100)} == {100}


def test_a_reduced_day_that_is_used_up_already_lets_nothing_out() -> None:
    assert allowance_now(100, 400, 10, MIDNIGHT + timedelta(hours=10)) == SendingAllowance(hour=0, day=100)
    assert allowance_now(0, 0, 0, MIDNIGHT) == SendingAllowance(hour=0, day=0)
    assert allowance_now(-5, 0, 0, MIDNIGHT) == SendingAllowance(hour=0, day=0)


def test_hours_are_utcs_whatever_the_clocks_zone() -> None:
    at = datetime(2026, 3, 2, 1, 30, tzinfo=timezone(timedelta(hours=5)))
    assert allowance_now(2_400, 2_300, 0, at) == allowance_now(2_400, 2_300, 0, MIDNIGHT - timedelta(hours=4))
    assert allowance_now(2_400, 2_000, 0, at).hour == 100


@pytest.mark.parametrize("daily", [1, 5, 23, 24, 25, 50, 999, 55_000])
def test_a_day_full_of_mail_uses_its_whole_allowance(daily: int) -> None:
    assert sum(send_all_day(daily, [daily] * 24)) == daily


@settings(max_examples=100, deadline=None)
@given(daily=st.integers(0, 500_000), demands=st.lists(st.integers(0, 100_000), min_size=24, max_size=24))
def test_no_demand_makes_a_day_more_than_its_allowance_or_an_hour_a_clump(daily: int, demands: list[int]) -> None:
    left = send_all_day(daily, demands)
    assert sum(left) <= daily
    assert max(left) <= 2 * (daily // 24 + 1)
