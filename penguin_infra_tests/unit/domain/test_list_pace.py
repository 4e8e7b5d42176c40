"""How a list's allowance is spent: evenly, from a reserve where it matters, and never more than it holds."""

from collections import deque
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.list_budget import (
    Allowance,
    BudgetLimits,
    ListTerms,
    Turns,
    allowance_of,
    most_sent,
    plan_turns,
)
from penguin_infra.domain.list_pace import (
    Pace,
    Spent,
    fill,
    is_resting,
    most_routine,
    most_suspects,
    rest,
    resume,
    room,
    spend,
)

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(hours=24)
MONTH = timedelta(days=30)
HUNDRED_THOUSAND = allowance_of(ListTerms("list.test"), BudgetLimits())


def turns(allowance: Allowance = HUNDRED_THOUSAND, count: int = 10_000) -> Turns:
    return plan_turns(allowance, address_count=count, test_points=3, sweep_seconds=300)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_a_list_that_was_never_asked_begins_with_an_hours_worth() -> None:
    pace = fill(None, turns(), START)
    assert pace.tokens == pytest.approx(95_000 / 24)


def test_the_bucket_fills_evenly_and_not_beyond_an_hours_worth() -> None:
    plan = turns()
    assert fill(Pace(0, START), plan, after(300)).tokens == pytest.approx(95_000 / 288)
    assert fill(Pace(0, START), plan, after(86_400)).tokens == pytest.approx(95_000 / 24)


def test_a_clock_that_was_set_back_fills_nothing_and_takes_nothing() -> None:
    pace = fill(Pace(7, START), turns(), after(-3600))
    assert (pace.tokens, pace.filled_at) == (7, START)


def test_the_routine_leaves_the_test_points_their_share() -> None:
    assert most_routine(Pace(500, START), HUNDRED_THOUSAND, Spent(), turns()) == 497


def test_fewer_than_are_worth_the_test_points_are_not_asked() -> None:
    assert most_routine(Pace(33, START), HUNDRED_THOUSAND, Spent(), turns()) == 30
    assert most_routine(Pace(32, START), HUNDRED_THOUSAND, Spent(), turns()) == 0


def test_the_hard_stop_holds_whatever_the_bucket_says() -> None:
    assert most_routine(Pace(3_000, START), HUNDRED_THOUSAND, Spent(99_000), turns()) == 0
    assert most_suspects(HUNDRED_THOUSAND, Spent(99_990), turns()) == 0


def test_thirty_days_count_where_the_terms_count_them() -> None:
    allowance = allowance_of(ListTerms("list.test", per_30_days=10_000), BudgetLimits())
    assert room(allowance, Spent(10, 9_900)) == 100
    assert room(allowance, Spent(333, 400)) == 0


def test_suspects_are_asked_about_when_the_routine_has_nothing_left() -> None:
    spent = Spent(97_600)
    assert most_routine(Pace(3_000, START), HUNDRED_THOUSAND, spent, turns()) == 0
    assert most_suspects(HUNDRED_THOUSAND, spent, turns()) > 1_000


def test_suspects_cost_the_bucket_nothing() -> None:
    pace = Pace(100, START)
    assert spend(pace, turns(), sent=23, suspects=20, routine=0) == pace
    assert spend(pace, turns(), sent=73, suspects=20, routine=50).tokens == 47


def test_a_list_that_fails_at_its_test_points_costs_a_batch_all_the_same() -> None:
    assert spend(Pace(100, START), turns(), sent=3, suspects=0, routine=50).tokens == 67


def test_rests_double_up_to_a_day_and_an_answer_ends_them() -> None:
    pace, rests = Pace(0, START), []
    for _ in range(11):
        pace = rest(pace, START)
        assert pace.rests_until is not None
        rests.append((pace.rests_until - START) / timedelta(minutes=1))
    assert rests == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440]
    assert is_resting(pace, after(86_399))
    assert not is_resting(pace, after(86_400))
    pace = rest(resume(pace), START)
    assert pace.rests_until == after(300)


BUDGETS = st.one_of(
    st.builds(lambda n: ListTerms("list.test", per_day=n), st.integers(1, 400_000)),
    st.builds(lambda n: ListTerms("list.test", per_30_days=n), st.integers(30, 100_000)),
    st.builds(lambda n, m: ListTerms("list.test", n, m), st.integers(1, 5_000), st.integers(30, 100_000)),
)
SWEEPS = st.lists(
    st.tuples(
        st.one_of(st.integers(1, 900), st.integers(1, 100_000)),  # seconds since the sweep before
        st.integers(0, 20_000),  # the fleet's size
        st.integers(0, 500),  # suspects that wait
        st.floats(0, 1),  # how much of the worst case was really sent
        st.booleans(),  # whether the process died with its reservation open and its bucket lost
    ),
    min_size=1,
    max_size=120,
)


@given(BUDGETS, SWEEPS, st.integers(1, 12))
def test_whatever_the_gaps_the_fleet_and_the_deaths_no_24_hours_and_no_30_days_hold_more_than_their_budget(
    terms: ListTerms, sweeps: list[tuple[int, int, int, float, bool]], test_points: int
) -> None:
    allowance = allowance_of(terms, BudgetLimits())
    ledger: deque[tuple[datetime, int]] = deque()
    at, pace = START, None
    for gap, fleet, waiting, share, dies in sweeps:
        at += timedelta(seconds=gap)
        plan = plan_turns(allowance, address_count=fleet, test_points=test_points, sweep_seconds=300)
        spent = Spent(_within(ledger, at, DAY), _within(ledger, at, MONTH))
        filled = fill(pace, plan, at)
        suspects = min(waiting, most_suspects(allowance, spent, plan))
        routine = min(fleet, most_routine(filled, allowance, spent, plan, suspects=suspects))
        if not suspects and not routine:
            continue
        worst = most_sent(suspects + routine, test_points)
        sent = worst if dies else int(worst * share)
        ledger.append((at, sent))
        pace = None if dies else spend(filled, plan, sent=sent, suspects=suspects, routine=routine)
        assert _within(ledger, at, DAY) <= allowance.per_day
        if allowance.per_30_days is not None:
            assert _within(ledger, at, MONTH) <= allowance.per_30_days


def _within(ledger: deque[tuple[datetime, int]], at: datetime, window: timedelta) -> int:
    return sum(count for asked_at, count in ledger if asked_at > at - window)


@given(st.integers(50, 400_000), st.integers(1, 20_000), st.lists(st.integers(60, 5400), min_size=5, max_size=60))
def test_the_routine_asks_no_more_over_a_span_than_the_bucket_filled_by_then(
    per_day: int, fleet: int, gaps: list[int]
) -> None:
    allowance = allowance_of(ListTerms("list.test", per_day=per_day), BudgetLimits())
    plan = plan_turns(allowance, address_count=fleet, test_points=3, sweep_seconds=300)
    at, pace, asked = START, fill(None, plan, START), 0
    for gap in gaps:
        at += timedelta(seconds=gap)
        pace = fill(pace, plan, at)
        routine = most_routine(pace, allowance, Spent(), plan)
        if routine:
            asked += routine + 3
            pace = spend(pace, plan, sent=routine + 3, suspects=0, routine=routine)
    assert asked <= plan.capacity + sum(gaps) * plan.per_second + 1
