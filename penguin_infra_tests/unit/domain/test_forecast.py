"""Demand carried forward: seasons and drift are found, absurd samples are not followed, and little data is admitted."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penguin_infra.domain.forecast import Forecast, NoForecast, forecast_demand

WEEK = (1.0, 1.1, 1.05, 1.0, 0.95, 0.4, 0.3)


def demand(day: int, *, growth: float = 6) -> float:
    return (600 + growth * day) * WEEK[day % 7]


def history(days: int, *, growth: float = 6, noise: float = 0.0, seed: int = 1) -> list[float | None]:
    random = Random(seed)
    return [demand(day, growth=growth) * (1 + random.gauss(0, noise)) for day in range(days)]


def made(samples: list[float | None], *, ahead: int = 42, season: int = 7) -> Forecast:
    forecast = forecast_demand(samples, ahead=ahead, season=season)
    assert isinstance(forecast, Forecast), forecast
    return forecast


@pytest.mark.parametrize("days", [21, 22, 27, 60, 300])
@pytest.mark.parametrize("growth", [-1, 0, 6])
def test_a_week_and_a_trend_are_carried_six_weeks_forward(days: int, growth: float) -> None:
    values = made(history(days, growth=growth)).values
    assert values == pytest.approx([demand(days + step, growth=growth) for step in range(42)], rel=0.08)


def test_a_straight_line_is_carried_on_exactly() -> None:
    line: list[float | None] = [1_000.0 + 10 * day for day in range(35)]
    assert made(line).values == pytest.approx([1_000 + 10 * (35 + step) for step in range(42)])


def test_noise_hides_neither() -> None:
    values = made(history(60, noise=0.05)).values
    assert values == pytest.approx([demand(60 + step) for step in range(42)], rel=0.12)


def test_hours_have_a_weekly_season_too() -> None:
    hours: list[float | None] = [100.0 + 90 * (hour % 24 > 8) + 5 * (hour % 168 < 48) for hour in range(168 * 4)]
    assert made(hours, ahead=168, season=168).values == pytest.approx(hours[:168], rel=0.01)


def test_the_error_of_the_past_is_told_and_beats_repeating_last_week() -> None:
    forecast = made(history(60, noise=0.03))
    assert forecast.scaled_error is not None
    assert 0 < forecast.scaled_error < 1
    assert forecast.trials == 4
    assert 5 < forecast.typical_error < 50
    assert "4 seasons tried" in str(forecast)


def test_what_cannot_be_foreseen_shows_as_an_error() -> None:
    random = Random(3)
    level, wandering = 1_000.0, list[float | None]()
    for _ in range(84):
        level = max(50.0, level * (1 + random.gauss(0, 0.3)))
        wandering.append(level)
    error = made(wandering).scaled_error
    assert error is not None
    assert error > 0.8


def test_a_history_that_never_varied_has_nothing_to_scale_an_error_by() -> None:
    forecast = made([500.0] * 28)
    assert (forecast.scaled_error, forecast.typical_error, forecast.drift) == (None, 0, 0)
    assert set(forecast.values) == {500}


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 55), st.sampled_from([0.0, 1e15, -1e9, float("nan"), float("inf"), None]))
def test_one_absurd_sample_moves_it_little_and_does_not_discredit_it(day: int, absurd: float | None) -> None:
    sound = history(56, noise=0.03)
    lying = [*sound[:day], absurd, *sound[day + 1 :]]
    expected, forecast = made(sound), made(lying)
    assert forecast.values == pytest.approx(expected.values, rel=0.1)
    assert forecast.scaled_error == pytest.approx(expected.scaled_error, abs=0.4)


def test_a_lasting_step_is_followed_within_a_week() -> None:
    stepped = [None if value is None else value * 1.6 for value in history(7, growth=0)]
    values = made(history(56, growth=0) + stepped, ahead=7).values
    assert values == pytest.approx([demand(day, growth=0) * 1.6 for day in range(7)], rel=0.1)


def test_demand_never_falls_below_nothing() -> None:
    falling: list[float | None] = [max(1.0, 1_000 - 15 * day) for day in range(63)]
    assert min(made(falling, ahead=120).values) == 0


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        ([], "0 periods are 0 whole seasons of 7; it takes 3"),
        ([1.0] * 20, "20 periods are 2 whole seasons of 7; it takes 3"),
        ([1.0, None, None, None, None, 1.0, 1.0] * 4, "4 of 4 seasons were measured for half of their periods or less"),
        ([-1.0, -1.0, -1.0, -1.0, 5.0, 5.0, 5.0] * 4, "4 of 4 seasons were measured for half of their periods or less"),
        ([0.0] * 28, "in 4 of 4 seasons most periods carry nothing"),
        ([None, None, None, None, 5.0, 5.0, 5.0] * 2 + [5.0] * 7, "2 of 3 seasons were measured for half"),
    ],
)
def test_too_little_is_admitted_with_its_reason(samples: list[float | None], reason: str) -> None:
    said = forecast_demand(samples, ahead=7)
    assert isinstance(said, NoForecast)
    assert reason in said.reason


def test_a_gap_is_not_taken_for_a_day_without_mail() -> None:
    gapped = [value if day % 9 else None for day, value in enumerate(history(63))]
    assert made(gapped).values == pytest.approx(made(history(63)).values, rel=0.08)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=80), st.integers(1, 60))
def test_whatever_was_measured_the_answer_is_sound_and_always_the_same(samples: list[float | None], ahead: int) -> None:
    said = forecast_demand(samples, ahead=ahead)
    assert said == forecast_demand(samples, ahead=ahead)
    if isinstance(said, Forecast):
        assert len(said.values) == ahead
        assert all(value >= 0 for value in said.values)
