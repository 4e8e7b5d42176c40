"""How much a rate can be trusted: the interval's known values, and what holds of it for every count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.reputation import Rate, wilson_interval

rates = st.integers(0, 10**7).flatmap(lambda attempted: st.builds(Rate, st.integers(0, attempted), st.just(attempted)))


@pytest.mark.parametrize(
    ("count", "attempted", "lower", "upper"),
    [
        # Published values: one bounce in twenty is no evidence; no complaint in 3,840 shows less than 0.1 %.
        (1, 20, 0.0089, 0.2361),
        (0, 3840, 0.0, 0.0010),
        (3, 3, 0.4385, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_the_interval_has_its_known_values(count: int, attempted: int, lower: float, upper: float) -> None:
    assert wilson_interval(count, attempted) == pytest.approx((lower, upper), abs=5e-5)


@pytest.mark.parametrize(("count", "attempted"), [(-1, 10), (11, 10)])
def test_what_is_no_proportion_has_no_interval(count: int, attempted: int) -> None:
    with pytest.raises(ValueError, match="is no proportion"):
        wilson_interval(count, attempted)


@given(rates)
def test_the_bounds_hold_the_point_and_stay_within_nought_and_one(rate: Rate) -> None:
    assert 0 <= rate.lower <= rate.point <= rate.upper <= 1


@given(rates.filter(lambda rate: rate.attempted > 0), st.integers(2, 50))
def test_more_mail_at_the_same_rate_narrows_the_interval(rate: Rate, times: int) -> None:
    more = Rate(rate.count * times, rate.attempted * times)
    assert more.upper - more.lower < rate.upper - rate.lower
    assert more.lower >= rate.lower
    assert more.upper <= rate.upper


@given(rates.filter(lambda rate: rate.count < rate.attempted))
def test_one_more_bounce_raises_both_bounds(rate: Rate) -> None:
    worse = Rate(rate.count + 1, rate.attempted)
    assert worse.lower >= rate.lower
    assert worse.upper >= rate.upper
    assert worse.point > rate.point


def test_a_rate_says_its_numbers() -> None:
    assert str(Rate(1, 20)) == "5.00% (1 of 20; 95 %: 0.89% to 23.61%)"
