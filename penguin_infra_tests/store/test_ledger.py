"""The ledger: actions are planned, taken by one run each, closed or tried again, and refused without filling it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.actions import ActionKind, ActionStatus, PlannedAction, Verdict
from penguin_infra.domain.guardrails import GuardrailLimits, Refusal, Rule
from penguin_infra.domain.node import NodeStatus
from penguin_infra.store import actions as ledger
from penguin_infra.store import switches
from penguin_infra.store.actions import Action
from penguin_infra.store.ledger_facts import read_ledger_facts
from penguin_infra.store.refusals import record_refusals
from penguin_infra.store.requests import requested_nodes
from penguin_infra.store.tables import AnyRow
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, plan

PAUSE = ActionKind.PAUSE


def claim(engine: Engine, run_id: str, at: datetime = NOW, kind: ActionKind = PAUSE) -> list[Action]:
    with engine.begin() as connection:
        return ledger.claim_due(connection, kind, run_id, at)


def claim_one(engine: Engine, action_id: UUID, run_id: str) -> Action | None:
    with engine.begin() as connection:
        return ledger.claim_one(connection, action_id, run_id, NOW)


def finish(engine: Engine, action_id: UUID) -> None:
    with engine.begin() as connection:
        ledger.finish(connection, action_id, outcome="done", now=NOW)


def close(engine: Engine, action_id: UUID, verdict: Verdict, outcome: str, at: datetime = NOW) -> None:
    with engine.begin() as connection:
        ledger.close_attempt(connection, action_id, verdict, outcome=outcome, now=at)


def due(engine: Engine, at: datetime = NOW) -> list[UUID]:
    with engine.connect() as connection:
        return [action.action_id for action in ledger.due_actions(connection, PAUSE, at)]


def rows(engine: Engine) -> Sequence[AnyRow]:
    with engine.connect() as connection:
        return ledger.list_actions(connection)


def refuse(engine: Engine, node_id: UUID, rule: Rule, explanation: str, at: datetime = NOW) -> int:
    refusal = Refusal(PlannedAction(node_id, PAUSE, "test", "policy:test"), rule, explanation)
    with engine.begin() as connection:
        return record_refusals(connection, [refusal], at)


def new_run() -> str:
    return str(uuid4())


def test_a_claimed_action_runs_in_its_run_and_is_due_no_more(engine: Engine) -> None:
    node_id = add_node(engine)
    (action_id,) = plan(engine, [node_id])
    run_id = new_run()
    (action,) = claim(engine, run_id)
    assert (action.action_id, action.node_id, action.label) == (action_id, node_id, "node-001")
    assert (action.status, action.run_id, action.attempt) == (ActionStatus.RUNNING, run_id, 1)
    assert action.run_key == f"pause:{action_id}:1"
    assert due(engine) == []
    assert claim(engine, new_run()) == []


def test_a_run_takes_all_that_is_due_of_its_kind_the_oldest_first(engine: Engine) -> None:
    first, second, third = add_nodes(engine, 3)
    plan(engine, [second], at=NOW - timedelta(minutes=1))
    plan(engine, [first], at=NOW - timedelta(minutes=2))
    plan(engine, [third], ActionKind.RESUME)
    assert [action.node_id for action in claim(engine, new_run())] == [first, second]


def test_an_action_that_succeeded_is_closed_with_its_attempt(engine: Engine) -> None:
    (action_id,) = plan(engine, [add_node(engine)])
    run_id = new_run()
    claim(engine, run_id)
    finish(engine, action_id)
    (row,) = rows(engine)
    assert (row.status, row.outcome, row.finished_at) == (ActionStatus.SUCCEEDED, "done", NOW)
    (attempt,) = row.attempts
    assert (attempt["attempt"], attempt["run_id"], attempt["outcome"]) == (1, run_id, "done")
    assert datetime.fromisoformat(attempt["started_at"]) == datetime.fromisoformat(attempt["ended_at"]) == NOW


def test_an_attempt_that_failed_rests_and_keeps_its_history(engine: Engine) -> None:
    (action_id,) = plan(engine, [add_node(engine)])
    runs = [new_run(), new_run()]
    rested_at = NOW + timedelta(seconds=60)
    claim(engine, runs[0])
    close(engine, action_id, Verdict(ActionStatus.PLANNED, rested_at), "time-out")

    assert due(engine, rested_at - timedelta(seconds=1)) == []
    assert due(engine, rested_at) == [action_id]
    (row,) = rows(engine)
    assert (row.run_id, row.dispatched_at, row.finished_at) == (None, None, None)
    (again,) = claim(engine, runs[1], rested_at)
    assert again.attempt == 2
    close(engine, action_id, Verdict(ActionStatus.FAILED, None), "gone", rested_at)
    (row,) = rows(engine)
    assert (row.status, row.attempt, row.outcome, row.finished_at) == (ActionStatus.FAILED, 2, "gone", rested_at)
    history = [(each["attempt"], each["run_id"], each["outcome"]) for each in row.attempts]
    assert history == [(1, runs[0], "time-out"), (2, runs[1], "gone")]


def test_an_action_that_is_over_is_not_opened_again(engine: Engine) -> None:
    (action_id,) = plan(engine, [add_node(engine)])
    finish(engine, action_id)
    close(engine, action_id, Verdict(ActionStatus.PLANNED, NOW), "too late")
    assert [(row.status, row.outcome) for row in rows(engine)] == [(ActionStatus.SUCCEEDED, "done")]


def test_one_action_is_taken_by_its_own_run_again_and_by_no_other(engine: Engine) -> None:
    (action_id,) = plan(engine, [add_node(engine)])
    run_id = new_run()
    assert claim_one(engine, action_id, run_id) is not None
    assert claim_one(engine, action_id, run_id) is not None
    assert claim_one(engine, action_id, new_run()) is None
    finish(engine, action_id)
    assert claim_one(engine, action_id, run_id) is None
    assert claim_one(engine, uuid4(), run_id) is None


def test_a_refusal_that_repeats_only_raises_its_count_once_a_minute(engine: Engine) -> None:
    node_id = add_node(engine)
    soon, later = NOW + timedelta(seconds=5), NOW + timedelta(minutes=1)
    assert refuse(engine, node_id, Rule.DISRUPTION_BUDGET, "5 + 1 > 5") == 1
    assert refuse(engine, node_id, Rule.DISRUPTION_BUDGET, "5 + 1 > 5", soon) == 0
    assert refuse(engine, node_id, Rule.DISRUPTION_BUDGET, "6 + 1 > 5", later) == 0
    (row,) = rows(engine)
    assert (row.status, row.refusal_rule, row.refusal_count) == (ActionStatus.REFUSED, "disruption_budget", 2)
    assert (row.outcome, row.planned_at, row.finished_at) == ("6 + 1 > 5", NOW, later)


def test_another_rule_another_node_and_a_refusal_after_an_action_are_new(engine: Engine) -> None:
    node_id, other = add_nodes(engine, 2)
    assert refuse(engine, node_id, Rule.DISRUPTION_BUDGET, "sum") == 1
    assert refuse(engine, other, Rule.DISRUPTION_BUDGET, "sum") == 1
    assert refuse(engine, node_id, Rule.KILL_SWITCH, "frozen", NOW + timedelta(seconds=5)) == 1
    (action_id,) = plan(engine, [node_id], at=NOW + timedelta(seconds=10))
    finish(engine, action_id)
    assert refuse(engine, node_id, Rule.KILL_SWITCH, "frozen", NOW + timedelta(seconds=15)) == 1


def test_while_the_fleet_is_frozen_only_what_persons_asked_for_is_due(engine: Engine) -> None:
    first, second = add_nodes(engine, 2)
    plan(engine, [first], by="policy:pause_listed")
    (by_person,) = plan(engine, [second], by="person:ada")
    with engine.begin() as connection:
        switches.freeze(connection, reason="incident", requested_by="person:ada", now=NOW)
    assert due(engine) == [by_person]
    assert [action.action_id for action in claim(engine, new_run())] == [by_person]
    with engine.begin() as connection:
        switches.thaw(connection)
    assert len(due(engine)) == 1


def test_a_run_that_waited_in_the_queue_takes_nothing_while_the_fleet_is_frozen(engine: Engine) -> None:
    first, second = add_nodes(engine, 2)
    (by_policy,) = plan(engine, [first], by="policy:pause_listed")
    (by_person,) = plan(engine, [second], by="person:ada")
    with engine.begin() as connection:
        switches.freeze(connection, reason="incident", requested_by="person:ada", now=NOW)
    assert claim_one(engine, by_policy, new_run()) is None
    assert claim_one(engine, by_person, new_run()) is not None


def test_two_runs_that_claim_at_once_share_no_action(engine: Engine) -> None:
    planned = plan(engine, add_nodes(engine, 12))
    start = Barrier(4)

    def take(_: int) -> set[UUID]:
        start.wait()
        return {action.action_id for action in claim(engine, new_run())}

    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(take, range(4)))
    assert sorted(each for ids in taken for each in ids) == sorted(planned)


def test_a_run_leaves_what_another_is_just_taking(engine: Engine) -> None:
    plan(engine, add_nodes(engine, 2))
    with engine.begin() as connection, engine.begin() as other:
        # A run that waited for the first one would wait for ever here.
        other.execute(text("SET LOCAL lock_timeout = '5s'"))
        assert len(ledger.claim_due(connection, PAUSE, new_run(), NOW)) == 2
        assert ledger.claim_due(other, PAUSE, new_run(), NOW) == []


def test_the_facts_for_the_guardrails_are_the_ledgers(engine: Engine) -> None:
    first, second, third, fourth = add_nodes(engine, 4)
    for number, status in enumerate([NodeStatus.PROVISIONING, NodeStatus.DECOMMISSIONED], start=5):
        add_node(engine, number, status)
    hour = timedelta(hours=1)
    plan(engine, [first], at=NOW - hour)
    plan(engine, [second], at=NOW - hour + timedelta(seconds=1))
    plan(engine, [third], ActionKind.RESUME)
    refuse(engine, third, Rule.COOL_DOWN, "sum")
    (failed,) = plan(engine, [fourth])
    close(engine, failed, Verdict(ActionStatus.FAILED, None), "gone", NOW - timedelta(minutes=9))
    with engine.connect() as connection:
        facts = read_ledger_facts(connection, NOW, GuardrailLimits(cool_down_minutes=10))
        later = read_ledger_facts(connection, NOW + timedelta(minutes=1), GuardrailLimits(cool_down_minutes=10))
    assert (facts.fleet_size, facts.disruptions_last_hour, facts.frozen_by) == (4, 2, None)
    assert facts.open_actions == {(first, PAUSE), (second, PAUSE), (third, ActionKind.RESUME)}
    assert facts.under_way == facts.open_actions
    assert facts.rotation == {first, second, third, fourth}
    assert facts.failed_at == {(fourth, PAUSE): NOW - timedelta(minutes=9)}
    assert later.failed_at == {}


def test_an_action_is_found_by_the_beginning_of_its_id(engine: Engine) -> None:
    action_id, other = plan(engine, add_nodes(engine, 2))
    with engine.connect() as connection:
        assert [row.id for row in ledger.find_actions(connection, str(action_id).upper()[:13])] == [action_id]
        assert {row.id for row in ledger.find_actions(connection, "")} == {action_id, other}
        assert ledger.find_actions(connection, "%") == []


@pytest.mark.parametrize("status", [ActionStatus.PLANNED, ActionStatus.RUNNING])
def test_a_request_with_work_under_way_is_not_asked_for_again(engine: Engine, status: ActionStatus) -> None:
    node_id = add_node(engine, status=NodeStatus.PROVISIONING)
    with engine.connect() as connection:
        assert [(node.node_id, node.failure) for node in requested_nodes(connection)] == [(node_id, None)]
    (action_id,) = plan(engine, [node_id], ActionKind.PROVISION)
    if status is ActionStatus.RUNNING:
        claim(engine, new_run(), kind=ActionKind.PROVISION)
    with engine.connect() as connection:
        assert requested_nodes(connection) == []
    close(engine, action_id, Verdict(ActionStatus.FAILED, None), "no such plan")
    with engine.connect() as connection:
        assert [node.failure for node in requested_nodes(connection)] == ["no such plan"]
