"""What becomes of an action whose attempt ended badly."""

from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.actions import (
    ActionKind,
    ActionStatus,
    PlannedAction,
    RetryLimits,
    Verdict,
    after_death,
    after_failure,
)
from penguin_infra_tests.fleets import NOW

LIMITS = RetryLimits(max_attempts=3, rest_seconds=(60, 300))
FAILED = Verdict(ActionStatus.FAILED, None)


@pytest.mark.parametrize(("attempt", "rest_seconds"), [(1, 60), (2, 300)])
def test_an_attempt_that_failed_is_tried_again_after_its_rest(attempt: int, rest_seconds: int) -> None:
    verdict = after_failure(attempt, is_final=False, limits=LIMITS, now=NOW)
    assert verdict == Verdict(ActionStatus.PLANNED, NOW + timedelta(seconds=rest_seconds))


def test_the_last_attempt_that_fails_closes_the_action() -> None:
    assert after_failure(3, is_final=False, limits=LIMITS, now=NOW) == FAILED


def test_a_failure_that_a_repeat_cannot_help_closes_the_action_at_once() -> None:
    assert after_failure(1, is_final=True, limits=LIMITS, now=NOW) == FAILED


@pytest.mark.parametrize("attempt", [1, 2])
def test_an_attempt_whose_run_died_is_tried_again_without_a_rest(attempt: int) -> None:
    assert after_death(attempt, limits=LIMITS, now=NOW) == Verdict(ActionStatus.PLANNED, NOW)


def test_the_third_death_closes_the_action() -> None:
    assert after_death(3, limits=LIMITS, now=NOW) == FAILED


def test_the_last_rest_serves_all_later_attempts() -> None:
    limits = RetryLimits(max_attempts=9, rest_seconds=(60, 300))
    assert [limits.rest_after(attempt).total_seconds() for attempt in (1, 2, 3, 8)] == [60, 300, 300, 300]


def test_without_rests_an_action_is_tried_again_at_once() -> None:
    verdict = after_failure(1, is_final=False, limits=RetryLimits(rest_seconds=()), now=NOW)
    assert verdict == Verdict(ActionStatus.PLANNED, NOW)


@given(
    max_attempts=st.integers(1, 20),
    rests=st.lists(st.integers(0, 3600), max_size=5),
    deaths=st.lists(st.booleans(), min_size=20, max_size=20),
)
def test_no_mixture_of_failures_and_deaths_tries_more_often_than_allowed(
    max_attempts: int, rests: list[int], deaths: list[bool]
) -> None:
    limits = RetryLimits(max_attempts, tuple(rests))
    for attempt, is_death in enumerate(deaths, start=1):
        if is_death:
            verdict = after_death(attempt, limits=limits, now=NOW)
        else:
            verdict = after_failure(attempt, is_final=False, limits=limits, now=NOW)
        assert verdict.retry_at is None or verdict.retry_at >= NOW
        if verdict.status is ActionStatus.FAILED:
            break
    assert attempt == max_attempts


@pytest.mark.parametrize(
    ("requested_by", "is_by_person"),
    [("person:ada", True), ("policy:pause_listed", False), ("system:lab", False), ("a person:ada", False)],
)
def test_only_a_person_by_name_counts_as_a_person(requested_by: str, is_by_person: bool) -> None:
    assert PlannedAction(uuid4(), ActionKind.PAUSE, "test", requested_by).is_by_person is is_by_person
