"""Steps of warm-up carried out: by fresh facts, once, all or nothing, and with the status that follows."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.actions import ActionKind, RetryLimits
from penguin_infra.domain.guardrails import GuardrailLimits
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.operations.advance_warmups import advance_node
from penguin_infra.operations.begin_warmups import WarmupRules
from penguin_infra.operations.carry_out_batch import carry_out_batch
from penguin_infra.operations.measure_warmups import measure_warmups
from penguin_infra.operations.plan_actions import Plan, plan_actions
from penguin_infra.operations.want_warmups import NAME, want_warmups
from penguin_infra.store import nodes, switches
from penguin_infra.store.actions import Action
from penguin_infra.store.warmup_progress import read_progress
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, plan, status_of
from penguin_infra_tests.warmups import add_day, stand_at, state_of

RULES = WarmupRules()
DAY = timedelta(days=1)
FULL = RULES.curve.stages[-1]


def carry_out(engine: Engine, now: datetime = NOW) -> list[str]:
    """One run of the job."""

    def advance(connection: object, action: Action, at: datetime) -> str:
        return advance_node(connection, action, at, rules=RULES)  # type: ignore[arg-type]

    outcomes = carry_out_batch(
        engine,
        ActionKind.ADVANCE_WARMUP,
        advance,
        run_id=str(uuid4()),
        clock=lambda: now,
        limits=RetryLimits(),
    )
    return [one.text for one in outcomes]


def ask(engine: Engine, *node_ids: UUID) -> None:
    plan(engine, node_ids, ActionKind.ADVANCE_WARMUP, by=NAME)


def measure_and_plan(engine: Engine, now: datetime = NOW) -> Plan:
    measure_warmups(engine, RULES, now=now)
    return plan_actions(engine, lambda connection: want_warmups(connection, now), limits=GuardrailLimits(), now=now)


@pytest.fixture
def earned(engine: Engine) -> UUID:
    node_id = add_node(engine)
    stand_at(engine, node_id, 50, NOW - DAY)
    add_day(engine, node_id, sent=3)
    return node_id


def test_a_node_takes_its_next_stage_once(engine: Engine, earned: UUID) -> None:
    ask(engine, earned)
    (said,) = carry_out(engine)
    assert said.startswith("node-001: advance. 50 messages a day were delivered: it goes on to 100")
    assert (state_of(engine, earned).daily, state_of(engine, earned).since_at) == (100, NOW)
    ask(engine, earned)
    (said,) = carry_out(engine)
    assert said.startswith("node-001 stays at 100 a day")
    assert state_of(engine, earned).daily == 100
    assert status_of(engine, earned) is NodeStatus.WARMING


def test_a_step_that_was_taken_is_not_wanted_again_before_the_next_measurement(engine: Engine, earned: UUID) -> None:
    assert len(measure_and_plan(engine).planned) == 1
    carry_out(engine)
    with engine.connect() as connection:
        assert want_warmups(connection, NOW) == []
        (row,) = read_progress(connection, [earned])
        assert (row.daily, row.decision, row.stage) == (100, "hold", 2)


def test_a_step_that_bad_mail_spoke_against_meanwhile_is_not_taken(engine: Engine, earned: UUID) -> None:
    ask(engine, earned)
    add_day(engine, earned, sent=3, hard_bounces=3)
    (said,) = carry_out(engine)
    assert "step_back" in said
    assert state_of(engine, earned).daily == 50


def test_a_node_that_was_paused_meanwhile_stays_as_it_is(engine: Engine, earned: UUID) -> None:
    ask(engine, earned)
    with engine.begin() as connection:
        nodes.apply_event(connection, earned, NodeEvent.PAUSED, reason="t", requested_by="person:t", now=NOW)
    (said,) = carry_out(engine)
    assert "It is paused or in maintenance" in said
    assert state_of(engine, earned).daily == 50


def test_a_full_day_at_full_capacity_makes_a_node_active(engine: Engine) -> None:
    node_id = add_node(engine)
    stand_at(engine, node_id, FULL, NOW - DAY)
    add_day(engine, node_id, sent=FULL // 24)
    measure_and_plan(engine)
    carry_out(engine)
    assert status_of(engine, node_id) is NodeStatus.ACTIVE
    with engine.connect() as connection:
        last = nodes.transitions(connection, node_id)[-1]
        assert (last.event, last.requested_by) == ("warmed_up", NAME)
        assert "it is warmed up" in last.reason
        assert read_progress(connection) == []
        assert connection.scalar(text("SELECT finished_at FROM fleet.node_warmups")) == NOW
    assert measure_and_plan(engine, NOW + DAY).planned == ()


def test_a_node_that_was_silent_for_a_month_is_warming_again_from_the_first_stage(engine: Engine) -> None:
    node_id = add_node(engine, status=NodeStatus.ACTIVE)
    stand_at(engine, node_id, FULL, NOW - 31 * DAY, is_finished=True)
    measure_and_plan(engine)
    carry_out(engine)
    assert status_of(engine, node_id) is NodeStatus.WARMING
    assert (state_of(engine, node_id).daily, state_of(engine, node_id).since_at) == (50, NOW)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT finished_at FROM fleet.node_warmups")) is None
        assert nodes.transitions(connection, node_id)[-1].event == "went_cold"


def test_an_active_node_that_comes_back_from_a_pause_is_warming_at_half_of_what_it_had(engine: Engine) -> None:
    node_id = add_node(engine, status=NodeStatus.ACTIVE)
    stand_at(engine, node_id, FULL, NOW - 5 * DAY, is_finished=True)
    add_day(engine, node_id, sent=3)
    with engine.begin() as connection:
        for event in (NodeEvent.PAUSED, NodeEvent.RETURNED_TO_ACTIVE):
            nodes.apply_event(connection, node_id, event, reason="t", requested_by="person:t", now=NOW - DAY)
    measure_and_plan(engine)
    carry_out(engine)
    assert status_of(engine, node_id) is NodeStatus.WARMING
    assert FULL // 4 < state_of(engine, node_id).daily <= FULL // 2


def test_a_providers_own_step_is_kept_while_the_node_holds(engine: Engine) -> None:
    node_id = add_node(engine)
    stand_at(engine, node_id, 1_000, NOW - DAY / 2)
    add_day(engine, node_id, hours=12, sent=20)
    add_day(engine, node_id, hours=12, provider="yahoo", sent=10, hard_bounces=10)
    measure_and_plan(engine)
    (said,) = carry_out(engine)
    assert "yahoo steps back from 1,000 to 500 a day" in said
    state = state_of(engine, node_id)
    assert (state.daily, state.since_at, state.provider_factors) == (1_000, NOW - DAY / 2, {"yahoo": 0.5})
    assert measure_and_plan(engine, NOW + timedelta(minutes=1)).planned == ()


def test_steps_back_pass_every_budget_and_no_step_passes_a_freeze(engine: Engine) -> None:
    bad = add_nodes(engine, 5)
    for node_id in bad:
        stand_at(engine, node_id, 100, NOW - DAY)
        add_day(engine, node_id, sent=5, hard_bounces=5)
    with engine.begin() as connection:
        switches.freeze(connection, reason="a drill", requested_by="person:anna", now=NOW)
    assert {refusal.rule for refusal in measure_and_plan(engine).refused} == {"kill_switch"}
    with engine.begin() as connection:
        switches.thaw(connection)
    assert len(measure_and_plan(engine).planned) == 5


def test_a_run_that_dies_in_a_step_leaves_state_and_action_as_they_were(engine: Engine, earned: UUID) -> None:
    ask(engine, earned)

    def die(connection: object, action: Action, at: datetime) -> str:
        advance_node(connection, action, at, rules=RULES)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out_batch(
            engine, ActionKind.ADVANCE_WARMUP, die, run_id=str(uuid4()), clock=lambda: NOW, limits=RetryLimits()
        )
    assert state_of(engine, earned).daily == 50
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT status FROM fleet.node_actions")) == "running"
