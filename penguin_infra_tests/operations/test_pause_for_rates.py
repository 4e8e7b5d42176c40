"""A bouncing node from its counts to its pause, and back into service a day later, by the fleet itself."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine

from penguin_infra.domain.actions import ActionStatus, PlannedAction
from penguin_infra.domain.delivery_limits import DEFAULT_LIMITS
from penguin_infra.domain.guardrails import GuardrailLimits
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies import pause_bouncing, pause_listed, resume_recovered
from penguin_infra.operations.plan_actions import Plan, plan_actions
from penguin_infra.operations.want_pauses import want_pauses, want_resumes
from penguin_infra.store import nodes
from penguin_infra_tests.deliveries import add_counts, measure_rates
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, list_address, plan, rotation, status_of
from penguin_infra_tests.operations.runs import run_pauses, run_resumes

DAY_LATER = NOW + timedelta(days=1)


def bounce(engine: Engine, node_id: UUID, at: datetime = NOW) -> None:
    add_counts(engine, node_id, at=at - timedelta(minutes=5), sent=500, hard_bounce=500)
    measure_rates(engine, at)


def wanted(engine: Engine, now: datetime = NOW) -> list[PlannedAction]:
    with engine.connect() as connection:
        return want_pauses(connection, DEFAULT_LIMITS, now)


def resumable(engine: Engine, now: datetime = DAY_LATER) -> list[UUID]:
    with engine.connect() as connection:
        return [action.node_id for action in want_resumes(connection, DEFAULT_LIMITS, now)]


def plan_wanted(engine: Engine, now: datetime, *, share: float = 1.0) -> Plan:
    return plan_actions(
        engine,
        lambda connection: [
            *want_pauses(connection, DEFAULT_LIMITS, now), *want_resumes(connection, DEFAULT_LIMITS, now)
        ],
        limits=GuardrailLimits(share),
        now=now,
    )  # fmt: skip


@pytest.fixture
def paused(engine: Engine) -> UUID:
    """A node that the fleet paused for its bounces."""
    node_id = add_node(engine, status=NodeStatus.ACTIVE)
    bounce(engine, node_id)
    plan_wanted(engine, NOW)
    run_pauses(engine)
    assert status_of(engine, node_id) is NodeStatus.PAUSED
    return node_id


def test_a_bouncing_node_is_paused_with_its_numbers_and_leaves_the_rotation(engine: Engine) -> None:
    bad, good = add_nodes(engine, 2)
    add_counts(engine, good, sent=1000, hard_bounce=20)
    bounce(engine, bad)
    plan_wanted(engine, NOW)
    (outcome,) = run_pauses(engine)
    assert outcome.text == "node-001 went from warming to paused"
    assert rotation(engine) == {good}
    with engine.connect() as connection:
        assert "50.00% (500 of 1000; 95 %: 46.91% to 53.09%)" in str(nodes.get_node(connection, bad).hold_reason)


def test_a_node_that_is_listed_and_bounces_is_paused_once_for_its_listing(engine: Engine) -> None:
    node_id = add_node(engine)
    list_address(engine, node_id)
    bounce(engine, node_id)
    assert [action.requested_by for action in wanted(engine)] == [pause_listed.NAME]


def test_the_disruption_budget_holds_for_rates_too(engine: Engine) -> None:
    for node_id in add_nodes(engine, 3):
        add_counts(engine, node_id, hard_bounce=500)
    measure_rates(engine)
    planned = plan_wanted(engine, NOW, share=0.1)
    assert (len(planned.planned), len(planned.refused)) == (1, 2)


def test_rates_that_bettered_themselves_before_the_pause_pause_nobody(engine: Engine) -> None:
    node_id = add_node(engine)
    bounce(engine, node_id)
    plan_wanted(engine, NOW)
    add_counts(engine, node_id, provider="yahoo", sent=100_000)
    measure_rates(engine)
    (outcome,) = run_pauses(engine)
    assert outcome.status is ActionStatus.SUCCEEDED
    assert outcome.text == (
        "no rate of node-001 that was measured lately asks for the pause any more; node-001 stays warming"
    )
    assert status_of(engine, node_id) is NodeStatus.WARMING


def test_rates_that_nobody_measures_any_more_pause_nobody(engine: Engine) -> None:
    node_id = add_node(engine)
    bounce(engine, node_id, NOW - timedelta(minutes=11))
    assert wanted(engine) == []
    plan(engine, [node_id], by=pause_bouncing.NAME)
    run_pauses(engine)
    assert status_of(engine, node_id) is NodeStatus.WARMING


def test_a_node_returns_after_its_day_and_is_not_paused_for_the_same_again(engine: Engine, paused: UUID) -> None:
    assert resumable(engine, DAY_LATER - timedelta(minutes=1)) == []
    plan_wanted(engine, DAY_LATER)
    (outcome,) = run_resumes(engine, DAY_LATER)
    assert outcome.text == "node-001 is active again"
    measure_rates(engine, DAY_LATER + timedelta(minutes=1))
    assert wanted(engine, DAY_LATER + timedelta(minutes=1)) == []


def test_a_node_that_bounces_again_after_its_return_is_paused_again(engine: Engine, paused: UUID) -> None:
    plan_wanted(engine, DAY_LATER)
    run_resumes(engine, DAY_LATER)
    later = DAY_LATER + timedelta(hours=1)
    bounce(engine, paused, later)
    assert [action.node_id for action in wanted(engine, later)] == [paused]


def test_a_node_that_is_listed_meanwhile_stays_paused(engine: Engine, paused: UUID) -> None:
    list_address(engine, paused)
    assert resumable(engine) == []


def test_a_node_that_a_person_paused_too_stays_so(engine: Engine, paused: UUID) -> None:
    plan(engine, [paused], by="person:ada", at=NOW + timedelta(hours=1))
    assert resumable(engine) == []
    run_pauses(engine)
    assert resumable(engine) == []


@pytest.mark.parametrize("by", ["person:ada", pause_listed.NAME])
def test_pauses_of_another_kind_do_not_end_by_themselves(engine: Engine, by: str) -> None:
    node_id = add_node(engine)
    list_address(engine, node_id)
    plan(engine, [node_id], by=by)
    run_pauses(engine)
    assert status_of(engine, node_id) is NodeStatus.PAUSED
    assert resumable(engine, NOW + timedelta(days=30)) == []


def test_a_resumption_looks_again_before_it_acts(engine: Engine, paused: UUID) -> None:
    plan_wanted(engine, DAY_LATER)
    plan(engine, [paused], by="person:ada", at=NOW + timedelta(hours=1))
    (outcome,) = run_resumes(engine, DAY_LATER)
    assert outcome.text == "the pause of node-001 is no longer one that ends by itself; it stays paused"
    assert status_of(engine, paused) is NodeStatus.PAUSED


def test_a_node_that_went_into_maintenance_meanwhile_stays_there(engine: Engine, paused: UUID) -> None:
    plan_wanted(engine, DAY_LATER)
    with engine.begin() as connection:
        event = NodeEvent.MAINTENANCE_BEGUN
        nodes.apply_event(connection, paused, event, reason="test", requested_by="person:ada", now=NOW)
    (outcome,) = run_resumes(engine, DAY_LATER)
    assert outcome.action.requested_by == resume_recovered.NAME
    assert status_of(engine, paused) is NodeStatus.MAINTENANCE
