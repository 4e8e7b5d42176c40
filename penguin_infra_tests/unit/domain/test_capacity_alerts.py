"""Alerts on capacity at their edges: all windows, with a margin, and nothing from what is not known."""

from uuid import UUID

import pytest

from penguin_infra.domain.alerts import Alert, AlertSeverity
from penguin_infra.domain.capacity_alerts import BusyNode, RotationFacts, capacity_floor, cpu_high
from penguin_infra.domain.guardrails import GuardrailLimits

NODE = UUID(int=1)
OPEN = Alert("cpu_high", "node-001", AlertSeverity.LOW, "as it was told", {}, NODE)
FLOOR = Alert("capacity_floor", "fleet", AlertSeverity.HIGH, "as it was told", {})


def cpu(*percents: float | None, is_open: bool = False) -> list[Alert]:
    return cpu_high([BusyNode(NODE, "node-001", percents)], {"node-001": OPEN} if is_open else {})


@pytest.mark.parametrize(("percents", "is_found"), [
    ((85.1, 86, 99), True), ((85, 99, 99), False), ((99, 99, 84), False),
    ((10, 99, 99, 99), True), ((99, 99), False), ((99, None, 99), False), ((), False),
])  # fmt: skip
def test_a_cpu_is_busy_above_the_limit_in_all_of_its_last_windows(
    percents: tuple[float | None, ...], is_found: bool
) -> None:
    assert bool(cpu(*percents)) == is_found


@pytest.mark.parametrize(("percents", "stays"), [
    ((80, 80, 80), True), ((79.9, 79.9, 99), False), ((99, 60, 81), True), ((10, 10, 10), False),
])  # fmt: skip
def test_a_busy_cpu_is_calm_below_the_lower_limit(percents: tuple[float, ...], stays: bool) -> None:
    assert bool(cpu(*percents, is_open=True)) == stays


def test_of_a_node_that_is_not_known_the_alert_stays_word_for_word() -> None:
    assert cpu(10, None, 10, is_open=True) == [OPEN]
    assert cpu(is_open=True) == [OPEN]


def test_the_alert_of_a_node_that_is_gone_is_not_kept() -> None:
    assert cpu_high([], {"node-001": OPEN}) == []


def test_a_busy_node_is_told_with_its_figures() -> None:
    (found,) = cpu(90.4, 91, 92)
    assert (found.rule, found.severity, found.node_id) == ("cpu_high", AlertSeverity.LOW, NODE)
    assert found.evidence["cpu_percents"] == [90, 91, 92]


def floor(capacity: int | None, demand: float | None, *, is_open: bool = False) -> list[Alert]:
    return capacity_floor(RotationFacts(3, capacity, demand), {"fleet": FLOOR} if is_open else {}, GuardrailLimits())


@pytest.mark.parametrize(("capacity", "is_open", "is_found"), [
    (699, False, True), (700, False, False), (0, False, True), (734, True, True), (735, True, False),
])  # fmt: skip
def test_the_rotation_must_carry_seven_tenths_of_demand_and_a_little_more_to_be_well_again(
    capacity: int, is_open: bool, is_found: bool
) -> None:
    assert bool(floor(capacity, 1_000, is_open=is_open)) == is_found


@pytest.mark.parametrize(("capacity", "demand"), [(None, 1_000), (0, None), (None, None)])
def test_what_is_not_known_opens_nothing_and_resolves_nothing(capacity: int | None, demand: float | None) -> None:
    assert floor(capacity, demand) == []
    assert floor(capacity, demand, is_open=True) == [FLOOR]


def test_a_fleet_that_is_asked_for_nothing_needs_no_rotation() -> None:
    assert floor(0, 0) == []


def test_the_floors_alert_carries_its_sum() -> None:
    (found,) = floor(500, 1_000)
    assert found.severity is AlertSeverity.HIGH
    assert found.summary.startswith(
        "the 3 nodes in the rotation can send 500 < 700 messages a day (70% of the present demand of 1,000):"
    )
