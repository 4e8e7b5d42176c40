"""Who is ill by record and by heartbeat, read for the policy from a real database."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.guardrails import GuardrailLimits
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.recover_unhealthy import HealthLimits, plan_recoveries
from penguin_infra.operations.fleet_health import read_fleet_health
from penguin_infra.operations.judge_health import judge_health
from penguin_infra.operations.plan_actions import Plan, plan_actions
from penguin_infra.store import switches
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, plan
from penguin_infra_tests.pulses import beat, tick

LIMITS = HealthLimits()


def planned(engine: Engine, *, at_minute: float = 0) -> Plan:
    at = NOW + timedelta(minutes=at_minute)
    return plan_actions(
        engine,
        lambda connection: plan_recoveries(read_fleet_health(connection, limits=LIMITS, now=at), LIMITS, at),
        limits=GuardrailLimits(),
        now=at,
    )


def fall_silent(engine: Engine, count: int, of: int = 10) -> None:
    node_ids = add_nodes(engine, of)
    tick(engine)
    beat(engine, node_ids)
    beat(engine, node_ids[:count], silent_seconds=120)
    judge_health(engine, now=NOW)


@pytest.mark.parametrize("status", list(NodeStatus))
def test_only_nodes_in_service_are_recovered(engine: Engine, status: NodeStatus) -> None:
    node_id = add_node(engine, 1, status)
    tick(engine)
    beat(engine, [node_id], silent_seconds=120)
    judge_health(engine, now=NOW)
    wanted = [action.node_id for action in planned(engine).planned]
    assert wanted == ([node_id] if status in {"warming", "active", "paused"} else [])


def test_a_node_that_has_come_back_since_it_was_judged_needs_nothing(engine: Engine) -> None:
    node_id = add_node(engine)
    tick(engine)
    beat(engine, [node_id], silent_seconds=120)
    judge_health(engine, now=NOW)
    beat(engine, [node_id])
    assert planned(engine).planned == ()


def test_a_recovery_is_planned_once(engine: Engine) -> None:
    fall_silent(engine, 2)
    assert len(planned(engine).planned) == 2
    again = planned(engine)
    assert (again.planned, again.refused) == ((), ())


@pytest.mark.parametrize(("silent", "count"), [(3, 3), (4, 1), (10, 1)])
def test_when_too_many_are_silent_one_is_probed(engine: Engine, silent: int, count: int) -> None:
    fall_silent(engine, silent)
    assert len(planned(engine).planned) == count
    assert planned(engine).planned == ()


def test_an_outage_of_the_gateway_plans_nothing(engine: Engine) -> None:
    fall_silent(engine, 2)
    assert planned(engine, at_minute=60).planned == ()


def test_a_frozen_fleet_recovers_nobody(engine: Engine) -> None:
    fall_silent(engine, 1)
    with engine.begin() as connection:
        switches.freeze(connection, reason="test", requested_by="person:ada", now=NOW)
    plan = planned(engine)
    assert (plan.planned, [refusal.rule for refusal in plan.refused]) == ((), ["kill_switch"])


@pytest.mark.parametrize(("minute", "rules"), [(0.5, ["cool_down"]), (0.9, ["cool_down"])])
def test_a_recovery_that_failed_rests(engine: Engine, minute: float, rules: list[str]) -> None:
    fall_silent(engine, 1)
    end_recovery(engine, "failed")
    plan = planned(engine, at_minute=minute)
    assert (plan.planned, [refusal.rule for refusal in plan.refused]) == ((), rules)


def test_a_node_that_was_just_recovered_rests_and_is_recovered_again_after_it(engine: Engine) -> None:
    fall_silent(engine, 1)
    end_recovery(engine, "succeeded")
    assert planned(engine).planned == ()
    tick(engine, at=NOW + timedelta(minutes=10))
    assert len(planned(engine, at_minute=10).planned) == 1


def end_recovery(engine: Engine, status: str) -> None:
    """The one that is planned ended so, now."""
    (action_id,) = planned(engine).action_ids
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE fleet.node_actions SET status = :status, finished_at = :now WHERE id = :id"),
            {"status": status, "now": NOW, "id": action_id},
        )


def test_those_under_way_count_whoever_asked(engine: Engine) -> None:
    fall_silent(engine, 3, of=20)
    busy = [add_node(engine, number) for number in (21, 22, 23)]
    plan(engine, busy, ActionKind.RECOVER)
    assert len(planned(engine).planned) == 1
