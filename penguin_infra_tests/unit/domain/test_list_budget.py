"""What a list may be asked: whose number counts, how often turns come, and who is refused with which sum."""

from dataclasses import replace

import pytest

from penguin_infra.domain.list_budget import (
    BudgetLimits,
    ListTerms,
    Turns,
    allowance_of,
    plan_turns,
    sweep_seconds_of,
    why_refused,
)

LIMITS = BudgetLimits()
ZONE = "list.test"
SCORE = ListTerms("bl.score.senderscore.com", per_30_days=10_000)


def turns(terms: ListTerms, count: int, *, urgent_count: int = 0, limits: BudgetLimits = LIMITS) -> Turns:
    """Three test points, a sweep each five minutes."""
    allowance = allowance_of(terms, limits)
    return plan_turns(allowance, address_count=count, test_points=3, sweep_seconds=300, urgent_count=urgent_count)


def refusal(terms: ListTerms, count: int, limits: BudgetLimits = LIMITS) -> str | None:
    allowance = allowance_of(terms, limits)
    return why_refused(allowance, limits, address_count=count, test_points=3, sweep_seconds=300)


@pytest.mark.parametrize(
    ("terms", "own", "per_day"),
    [
        (ListTerms(ZONE), None, 100_000),
        (ListTerms(ZONE), 250_000, 250_000),
        (ListTerms(ZONE, per_day=300_000), None, 300_000),
        (ListTerms(ZONE, per_day=300_000), 50_000, 50_000),
        (ListTerms(ZONE, per_day=300_000), 500_000, 300_000),
        (ListTerms(ZONE, per_30_days=10_000), None, 333),
        (ListTerms(ZONE, per_day=5_000, per_30_days=300_000), None, 5_000),
    ],
)
def test_the_smallest_number_counts_and_the_default_only_where_there_is_none(
    terms: ListTerms, own: int | None, per_day: int
) -> None:
    own_numbers = {} if own is None else {ZONE: own}
    assert allowance_of(terms, BudgetLimits(own=own_numbers)).per_day == per_day


def test_a_twentieth_is_kept_for_second_looks() -> None:
    assert allowance_of(ListTerms(ZONE), LIMITS).reserve == 5_000
    assert allowance_of(SCORE, LIMITS).reserve == 17


def test_a_small_fleet_is_asked_about_in_every_sweep() -> None:
    assert turns(ListTerms(ZONE), 100).interval_seconds == 300
    assert turns(ListTerms(ZONE), 0).interval_seconds == 300


def test_a_large_fleet_is_asked_about_as_often_as_the_routines_share_lasts_for() -> None:
    bare = 10_000 * 86_400 / 95_000
    # The test points of each sweep come on top: a hundredth.
    assert bare < turns(ListTerms(ZONE), 10_000).interval_seconds < bare * 1.02


@pytest.mark.parametrize("count", [31, 100, 200, 210])
def test_a_list_with_a_small_budget_is_asked_in_batches_that_are_worth_their_test_points(count: int) -> None:
    plan = turns(SCORE, count)
    assert plan.batch >= 10 * plan.test_points
    assert plan.capacity >= plan.batch + plan.test_points
    assert plan.interval_seconds <= 86_400


def test_listed_addresses_are_looked_at_more_often_at_the_others_cost_up_to_a_third() -> None:
    plain = turns(ListTerms(ZONE), 10_000).interval_seconds
    assert turns(ListTerms(ZONE), 10_000, urgent_count=100).interval_seconds == pytest.approx(plain * 1.03)
    assert turns(ListTerms(ZONE), 10_000, urgent_count=9_000).interval_seconds == pytest.approx(plain * 4 / 3)


def test_a_list_that_cannot_see_the_fleet_once_a_day_is_refused_with_the_sum() -> None:
    assert refusal(SCORE, 10_000) == (
        "bl.score.senderscore.com: 10,000 addresses once in 24 h are 10,000 questions a day; its terms allow 10,000 in "
        "30 days, 333 a day. Leave it out of [blacklists] zones, or ask for fewer"
    )


def test_a_refusal_that_the_bare_sum_does_not_show_says_what_is_left_for_the_routine() -> None:
    assert refusal(SCORE, 210) is None
    assert "333 a day, 258 of them beside test points and second looks" in str(refusal(SCORE, 300))


def test_the_refusal_names_whose_number_it_is() -> None:
    own = replace(LIMITS, own={ZONE: 100})
    assert "the policy allows 100 a day" in str(refusal(ListTerms(ZONE), 10_000, own))
    assert "where no terms are published, 100,000 a day are taken" in str(refusal(ListTerms(ZONE), 200_000))


def test_an_operator_who_waits_longer_may_ask_about_more() -> None:
    assert refusal(SCORE, 1_000) is not None
    assert refusal(SCORE, 1_000, replace(LIMITS, longest_interval_hours=240)) is None


def test_a_budget_that_does_not_even_pay_for_test_points_refuses_everybody() -> None:
    assert refusal(ListTerms(ZONE, per_day=10), 1) is not None


@pytest.mark.parametrize(
    ("cron", "seconds"),
    [
        ("*/5 * * * *", 300),
        ("* * * * *", 60),
        ("0 * * * *", 3600),
        ("0,30 * * * *", 1800),
        ("0 6 * * *", 86_400),
        ("*/10 8-19 * * *", 1200),
        ("@hourly", 3600),
    ],
)
def test_a_schedules_pace_is_read_from_its_minutes_and_hours(cron: str, seconds: float) -> None:
    assert sweep_seconds_of(cron) == seconds
