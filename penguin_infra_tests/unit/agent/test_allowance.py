"""How much may leave in this hour and this day, and when a node has to hold."""

from dataclasses import replace

import pytest

from penguin_infra.agent.allowance import hold_reason, present_allowance
from penguin_infra.messages.telemetry import Directive

HOUR = 490_008  # divisible by 24: the day's first hour
NOW = HOUR * 3600 + 5 * 3600 + 10.0
PLAIN = Directive(version=1, transport="release", hourly_allowance=100, daily_allowance=300, expires_in_seconds=900)


@pytest.mark.parametrize(
    ("allowance", "age_seconds", "present"),
    [(100, 0, 100), (100, 899, 100), (100, 900, 50), (100, 1800, 25), (100, 900 * 7, 0), (100, 10**9, 0),
     (100, -50, 100), (None, 10**9, None), (0, 0, 0)],
)  # fmt: skip
def test_an_allowance_that_is_not_renewed_halves(
    allowance: int | None, age_seconds: float, present: int | None
) -> None:
    assert present_allowance(allowance, age_seconds, 900) == present


@pytest.mark.parametrize(
    ("sent", "is_held"),
    [
        ({}, False),
        ({HOUR + 5: 99}, False),
        ({HOUR + 5: 100}, True),
        ({HOUR + 4: 100}, False),
        ({HOUR + 1: 100, HOUR + 2: 100, HOUR + 3: 100}, True),
        ({HOUR - 1: 1000}, False),
    ],
)
def test_the_hours_and_the_days_allowance_hold_until_the_next(sent: dict[int, int], *, is_held: bool) -> None:
    assert (hold_reason(PLAIN, 0, sent, NOW) is not None) == is_held


def test_the_platforms_hold_holds_whatever_is_left() -> None:
    assert hold_reason(replace(PLAIN, transport="hold"), 0, {}, NOW) == "held by the platform"


def test_no_limit_never_holds() -> None:
    assert (
        hold_reason(replace(PLAIN, hourly_allowance=None, daily_allowance=None), 10**9, {HOUR + 5: 10**9}, NOW) is None
    )


def test_a_silent_platform_ends_in_a_hold() -> None:
    assert hold_reason(PLAIN, 900 * 9, {}, NOW) is not None
