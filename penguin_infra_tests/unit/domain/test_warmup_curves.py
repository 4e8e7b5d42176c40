"""The curves' own numbers, what is asked of an operator's, and how a curve meets a node's capacity."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penguin_infra.domain.warmup_curves import (
    CURVES,
    DEFAULT_CURVE,
    InvalidCurve,
    WarmupCurve,
    find_curve,
    plan_warmup,
)

GIVEN_DAYS = {
    "cautious": {1: 50, 2: 100, 3: 250, 5: 1_000, 7: 5_000, 10: 15_000, 14: 55_000},
    "standard": {1: 480, 2: 672, 3: 936, 5: 1_848, 7: 3_624, 10: 9_912, 14: 38_088, 21: 401_616},
    "fast": {1: 200, 2: 500, 3: 1_000, 5: 5_000, 7: 20_000, 10: 75_000, 14: 250_000, 21: 1_250_000},
}


@pytest.mark.parametrize("name", GIVEN_DAYS)
def test_a_curve_passes_through_its_sources_numbers(name: str) -> None:
    stages = CURVES[name].stages
    assert {day: stages[day - 1] for day in GIVEN_DAYS[name]} == GIVEN_DAYS[name]
    assert len(stages) == max(GIVEN_DAYS[name])


def test_between_the_given_days_it_grows_steadily() -> None:
    assert CURVES[DEFAULT_CURVE].stages == (
        *(50, 100, 250, 500, 1_000, 2_236, 5_000),
        *(7_211, 10_400, 15_000, 20_757, 28_723, 39_746, 55_000),
    )


def test_the_cautious_curve_is_the_slowest_in_the_days_that_count_the_most() -> None:
    cautious = CURVES["cautious"].stages[:5]
    for name in ("standard", "fast"):
        assert all(slow < quick for slow, quick in zip(cautious, CURVES[name].stages, strict=False))


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ((), "'own': stages is empty"),
        ((100, 300, 300), r"'own': stages\[2\] is 300, not above the 300"),
        ((100, 50), r"stages\[1\] is 50, not above"),
        ((0, 50), r"stages\[0\] is 0; give 1"),
        ((-5,), r"stages\[0\] is -5; give 1"),
        ((10, 20.5), r"stages\[1\] is 20.5; give a whole number"),
        ((True,), r"stages\[0\] is True; give a whole number"),
    ],
)
def test_an_own_curve_that_cannot_be_followed_is_refused_by_its_field(stages: tuple[int, ...], words: str) -> None:
    with pytest.raises(InvalidCurve, match=words):
        find_curve("own", {"own": stages})


def test_an_own_curve_is_found_by_its_name_and_never_passes_for_a_built_in_one() -> None:
    assert find_curve("own", {"own": [10, 20]}) == WarmupCurve("own", (10, 20))
    assert find_curve("fast", {"own": [10, 20]}) is CURVES["fast"]
    with pytest.raises(InvalidCurve, match="built in"):
        find_curve("fast", {"fast": [10, 20]})
    with pytest.raises(InvalidCurve, match="known: cautious, standard, fast, own"):
        find_curve("faster", {"own": [10, 20]})


def test_a_plan_ends_at_the_nodes_capacity() -> None:
    plan = plan_warmup(CURVES["cautious"], 3_000)
    assert plan.dailies == (50, 100, 250, 500, 1_000, 2_236, 3_000)
    assert plan_warmup(CURVES["cautious"], 2_236).dailies == (50, 100, 250, 500, 1_000, 2_236)
    assert plan_warmup(CURVES["cautious"], 20).dailies == (20,)


def test_a_curve_that_ends_below_the_capacity_goes_on_by_a_quarter_a_day() -> None:
    assert plan_warmup(CURVES["cautious"], 100_000).dailies[-4:] == (55_000, 68_750, 85_938, 100_000)


def test_beyond_its_end_a_curve_rises_from_the_smallest_number_and_meets_the_capacity_once() -> None:
    assert plan_warmup(WarmupCurve("own", (1,)), 6).dailies == (1, 2, 3, 4, 5, 6)
    assert plan_warmup(WarmupCurve("own", (100,)), 125).dailies == (100, 125)


def test_a_node_without_capacity_has_no_plan() -> None:
    with pytest.raises(InvalidCurve, match="full_daily is 0"):
        plan_warmup(CURVES["cautious"], 0)


@settings(max_examples=100, deadline=None)
@given(
    stages=st.sets(st.integers(1, 2_000_000), min_size=1, max_size=20),
    full_daily=st.integers(1, 10_000_000),
    daily=st.integers(0, 12_000_000),
)
def test_every_plan_rises_to_the_capacity_in_a_bounded_number_of_stages(
    stages: set[int], full_daily: int, daily: int
) -> None:
    plan = plan_warmup(WarmupCurve("own", tuple(sorted(stages))), full_daily)
    assert all(lower < higher for lower, higher in pairwise(plan.dailies))
    assert plan.full_daily == full_daily
    assert len(plan.dailies) <= len(stages) + 80
    found = plan.at_or_below(daily)
    assert found <= daily or found == plan.first_daily
    assert plan.after(found) > found or found == full_daily
