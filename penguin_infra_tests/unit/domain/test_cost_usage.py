"""What billed hours went to is judged as each begins: status, health, and whether anything was sent."""

from datetime import UTC, date, datetime, timedelta

import pytest

from penguin_infra.domain.cost_usage import NodeDays, Usage, UsedHours, usage_of_stranger, used_hours
from penguin_infra.domain.heartbeat import Health
from penguin_infra.domain.node import NodeStatus

DAY = date(2026, 3, 4)
FIRST = datetime(2026, 3, 4, 0, 20, tzinfo=UTC)
LONG_AGO = FIRST - timedelta(days=9)
ALL_DAY = (1 << 24) - 1


def at(hour: int, minute: int = 0) -> datetime:
    return FIRST.replace(hour=hour, minute=minute)


def test_an_hour_goes_to_the_status_in_which_it_began() -> None:
    node = NodeDays(
        [(LONG_AGO, NodeStatus.WARMING), (at(5, 20), NodeStatus.ACTIVE), (at(9, 21), NodeStatus.PAUSED)],
        [],
        {DAY: ALL_DAY},
    )
    found = list(used_hours(node, FIRST, 24))
    assert [(one.usage, one.hours) for one in found] == [(Usage.WARMING, 5), (Usage.ACTIVE, 5), (Usage.PAUSED, 14)]


def test_before_its_first_status_a_node_is_provisioned_and_after_its_end_its_instance_is_an_orphan() -> None:
    node = NodeDays([(at(2), NodeStatus.PROVISIONING), (at(3), NodeStatus.DECOMMISSIONED)], [], {})
    assert list(used_hours(node, FIRST, 5)) == [
        UsedHours(Usage.PROVISIONING, 2, 0, 0),
        UsedHours(Usage.PROVISIONING, 1, 0, 0),
        UsedHours(Usage.ORPHAN, 2, 0, 0),
    ]


def test_unhealthy_hours_are_those_that_begin_so() -> None:
    healths = [(LONG_AGO, Health.UNHEALTHY), (at(1, 30), Health.HEALTHY), (at(6), Health.UNHEALTHY)]
    node = NodeDays([(LONG_AGO, NodeStatus.ACTIVE)], healths, {DAY: ALL_DAY})
    assert [one.unhealthy for one in used_hours(node, FIRST, 24)] == [2 + 18]


def test_idle_hours_are_those_in_service_in_whose_clock_hour_nothing_was_sent() -> None:
    sent = sum(1 << hour for hour in (0, 1, 5, 23))
    node = NodeDays([(LONG_AGO, NodeStatus.ACTIVE), (at(20), NodeStatus.PAUSED)], [], {DAY: sent})
    assert [one.idle for one in used_hours(node, at(1, 20), 23)] == [19 - 2, 0]


@pytest.mark.parametrize(
    ("label", "usage"),
    [
        ("fleet-node-001-0a1b2c3d", Usage.ORPHAN),
        ("other-node-001-0a1b2c3d", Usage.FOREIGN),
        ("somebody-elses", Usage.FOREIGN),
    ],
)
def test_a_stranger_is_ours_by_its_name(label: str, usage: Usage) -> None:
    assert usage_of_stranger(label, fleet_name="fleet") is usage
