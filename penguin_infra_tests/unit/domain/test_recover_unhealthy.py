"""Who is recovered: ill nodes, few at once, one while many are silent, and nobody while nobody listens."""

import json
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.heartbeat import Fault
from penguin_infra.domain.policies.recover_unhealthy import (
    FleetHealth,
    HealthLimits,
    IllNode,
    is_flapping,
    plan_recoveries,
)
from penguin_infra_tests.fleets import NOW

LIMITS = HealthLimits()


def ill(
    number: int, *, falls: int = 1, recovered_minutes_ago: float | None = None, fault: Fault = Fault.SILENT
) -> IllNode:
    recovered_at = None if recovered_minutes_ago is None else NOW - timedelta(minutes=recovered_minutes_ago)
    since = NOW - timedelta(minutes=number)
    return IllNode(UUID(int=number), f"node-{number:03}", fault, "silent", since, falls, recovered_at)


def fleet(*nodes: IllNode, speaking: int = 100, is_alive: bool = True, recovering: int = 0) -> FleetHealth:
    silent = sum(node.fault is Fault.SILENT for node in nodes)
    busy = frozenset(node.node_id for node in nodes[:recovering])
    return FleetHealth(is_alive, speaking, silent, nodes, busy)


def planned(facts: FleetHealth, limits: HealthLimits = LIMITS) -> list[int]:
    return [action.node_id.int for action in plan_recoveries(facts, limits, NOW)]


def test_an_ill_node_is_recovered_with_its_fault_as_evidence() -> None:
    (action,) = plan_recoveries(fleet(ill(1)), LIMITS, NOW)
    assert (action.kind, action.is_by_person) == (ActionKind.RECOVER, False)
    assert action.reason == "node-001 is unhealthy: silent"
    assert action.evidence == {
        "fault": "silent", "since": "2026-11-24T11:59:00+00:00", "falls_last_hour": 1, "silent": 1, "speaking": 100,
        "is_probe": False,
    }  # fmt: skip
    assert json.loads(json.dumps(action.evidence)) == action.evidence


def test_a_healthy_fleet_needs_nothing() -> None:
    assert planned(fleet()) == []


def test_whoever_is_ill_longest_comes_first_and_not_all_at_once() -> None:
    assert planned(fleet(*(ill(number) for number in range(1, 8)))) == [7, 6, 5, 4]


def test_those_under_way_take_their_place() -> None:
    assert planned(fleet(*(ill(number) for number in range(1, 8)), recovering=3)) == [7]


def test_while_nobody_listens_nobody_is_recovered() -> None:
    assert planned(fleet(ill(1), is_alive=False)) == []


def test_while_many_are_silent_together_one_is_probed() -> None:
    nodes = [ill(number) for number in range(1, 5)]
    assert planned(fleet(*nodes, speaking=10)) == [4]
    assert planned(fleet(*nodes, speaking=10, recovering=1)) == []
    assert len(planned(fleet(*nodes, speaking=14))) == 4


def test_a_probe_says_that_it_is_one() -> None:
    (action,) = plan_recoveries(fleet(*(ill(number) for number in range(1, 5)), speaking=10), LIMITS, NOW)
    assert action.reason.endswith("; a probe: 4 of 10 nodes are silent together")
    assert action.evidence["is_probe"] is True


def test_nodes_whose_mta_is_down_raise_no_suspicion_of_the_observer() -> None:
    nodes = [ill(number, fault=Fault.MTA_DOWN) for number in range(1, 5)]
    assert len(planned(fleet(*nodes, speaking=5))) == 4


@pytest.mark.parametrize(("minutes", "is_planned"), [(0, False), (9.9, False), (10, True), (60, True)])
def test_a_node_that_was_just_recovered_rests_first(minutes: float, is_planned: bool) -> None:
    assert bool(planned(fleet(ill(1, falls=2, recovered_minutes_ago=minutes)))) is is_planned


def test_a_node_that_falls_a_third_time_is_not_left_to_rest() -> None:
    (action,) = plan_recoveries(fleet(ill(1, falls=3, recovered_minutes_ago=1)), LIMITS, NOW)
    assert action.reason == "node-001 fell ill 3 times in an hour, now: silent"


@pytest.mark.parametrize(("falls", "flaps"), [(0, False), (2, False), (3, True), (9, True)])
def test_three_falls_in_an_hour_are_flapping(falls: int, flaps: bool) -> None:
    assert is_flapping(falls, LIMITS) is flaps


@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(Fault)), max_size=12),
    st.integers(0, 40),
    st.integers(0, 6),
    st.integers(1, 5),
)
def test_no_more_than_the_limit_are_ever_under_way(
    told: list[tuple[int, Fault]], others: int, recovering: int, most: int
) -> None:
    nodes = [ill(number, falls=falls, fault=fault) for number, (falls, fault) in enumerate(told)]
    facts = fleet(*nodes, speaking=len(nodes) + others, recovering=recovering)
    limits = HealthLimits(most_at_once=most)
    wanted = planned(facts, limits)
    assert len(set(wanted)) == len(wanted)
    assert not {UUID(int=number) for number in wanted} & facts.recovering
    allowed = 1 if facts.are_many_silent(limits.silence) else most
    assert len(wanted) == max(0, min(allowed - len(facts.recovering), len(nodes) - len(facts.recovering)))
