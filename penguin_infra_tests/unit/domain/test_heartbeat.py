"""Health by the newest heartbeat, and the point from which silence is nobody's own."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.heartbeat import (
    Fault,
    Health,
    Pulse,
    SilenceLimits,
    are_many_silent,
    is_observer_alive,
    judge_pulse,
)
from penguin_infra_tests.fleets import NOW


@pytest.mark.parametrize(
    ("silent_seconds", "mta_state", "health", "fault"),
    [
        (0, "up", Health.HEALTHY, None),
        (90, "up", Health.HEALTHY, None),
        (90, "absent", Health.HEALTHY, None),
        (0, "down", Health.UNHEALTHY, Fault.MTA_DOWN),
        (90, "down", Health.UNHEALTHY, Fault.MTA_DOWN),
        (90.1, "up", Health.UNHEALTHY, Fault.SILENT),
        (90.1, "down", Health.UNHEALTHY, Fault.SILENT),
        (3600, "absent", Health.UNHEALTHY, Fault.SILENT),
    ],
)
def test_a_node_is_as_well_as_its_newest_heartbeat(
    silent_seconds: float, mta_state: str, health: Health, fault: Fault | None
) -> None:
    verdict = judge_pulse(Pulse(silent_seconds, mta_state))
    assert (verdict.health, verdict.fault) == (health, fault)
    assert verdict.reason


def test_a_node_that_never_spoke_is_unknown_and_has_no_fault() -> None:
    verdict = judge_pulse(None)
    assert (verdict.health, verdict.fault) == (Health.UNKNOWN, None)


@given(st.floats(min_value=0, max_value=1e6), st.sampled_from(["up", "down", "absent"]))
def test_a_fault_is_named_exactly_for_the_unhealthy(silent_seconds: float, mta_state: str) -> None:
    verdict = judge_pulse(Pulse(silent_seconds, mta_state))
    assert (verdict.fault is not None) == (verdict.health is Health.UNHEALTHY)
    assert (verdict.fault is Fault.SILENT) == (silent_seconds > 90)


@pytest.mark.parametrize(("seconds", "is_alive"), [(-5, True), (0, True), (60, True), (60.5, False), (3600, False)])
def test_the_observer_lives_while_its_clock_ticked_within_a_minute(seconds: float, is_alive: bool) -> None:
    assert is_observer_alive(NOW - timedelta(seconds=seconds), NOW) is is_alive


@pytest.mark.parametrize(
    ("silent", "speaking", "are_many"),
    [(0, 0, False), (1, 1, False), (2, 2, False), (3, 3, True), (3, 9, True), (3, 10, False), (4, 10, True),
     (30, 100, False), (31, 100, True), (3000, 10_000, False), (3001, 10_000, True)],
)  # fmt: skip
def test_three_nodes_and_more_than_thirty_percent_are_too_many(silent: int, speaking: int, are_many: bool) -> None:
    assert are_many_silent(silent_count=silent, speaking_count=speaking, limits=SilenceLimits()) is are_many
