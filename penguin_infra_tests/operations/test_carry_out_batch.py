"""A batch: an outcome for each action, whatever becomes of the others, and nothing lost when its process dies."""

from datetime import datetime
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, text

from penguin_infra.domain.actions import ActionKind, ActionStatus
from penguin_infra.domain.node import NodeStatus
from penguin_infra.operations.pause_node import pause_node
from penguin_infra.operations.recover_actions import recover_actions
from penguin_infra.store import actions as ledger
from penguin_infra.store.actions import Action
from penguin_infra.store.database import RunLockLost
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, plan, status_of
from penguin_infra_tests.operations.runs import (
    LIMITS,
    ProcessKilled,
    killed_at,
    ledger_rows,
    recover,
    run_pauses,
    statuses,
)


def test_an_action_that_is_not_legal_stops_none_of_the_others(engine: Engine) -> None:
    first, third = add_node(engine, 1), add_node(engine, 3)
    second = add_node(engine, 2, NodeStatus.PROVISIONING)
    ids = [plan(engine, [each])[0] for each in (first, second, third)]
    outcomes = {outcome.action.action_id: outcome for outcome in run_pauses(engine)}
    assert [outcomes[each].status for each in ids] == ["succeeded", "failed", "succeeded"]
    assert "a node that is provisioning cannot be paused" in outcomes[ids[1]].text
    assert [status_of(engine, each) for each in (first, second, third)] == ["paused", "provisioning", "paused"]
    assert statuses(engine) == {each: outcomes[each].status for each in ids}


def test_a_batch_without_work_has_no_outcomes(engine: Engine) -> None:
    plan(engine, [add_node(engine)], ActionKind.RESUME)
    assert run_pauses(engine) == []


def test_a_batch_that_is_killed_in_the_middle_leaves_each_action_done_or_to_be_done_again(engine: Engine) -> None:
    nodes = add_nodes(engine, 3)
    plan(engine, nodes)
    with pytest.raises(ProcessKilled):
        run_pauses(engine, act=killed_at(2))
    assert sorted(statuses(engine).values()) == ["running", "running", "succeeded"]
    assert sorted(status_of(engine, each) for each in nodes) == ["paused", "warming", "warming"]

    recoveries = recover(engine)

    assert {each.action.attempt for each in recoveries} == {1}
    assert all("died while it was acting" in each.explanation for each in recoveries)
    assert sorted(statuses(engine).values()) == ["planned", "planned", "succeeded"]
    outcomes = run_pauses(engine)
    assert [(each.action.attempt, each.status) for each in outcomes] == [(2, "succeeded")] * 2
    assert {status_of(engine, each) for each in nodes} == {NodeStatus.PAUSED}


def test_three_deaths_close_an_action_as_failed_with_its_history(engine: Engine) -> None:
    node_id = add_node(engine)
    plan(engine, [node_id])
    for _ in range(3):
        with pytest.raises(ProcessKilled):
            run_pauses(engine, act=killed_at(1))
        assert len(recover(engine)) == 1
    (row,) = ledger_rows(engine)
    assert (row.status, row.attempt, [each["attempt"] for each in row.attempts]) == ("failed", 3, [1, 2, 3])
    assert len({each["run_id"] for each in row.attempts}) == 3
    assert status_of(engine, node_id) is NodeStatus.WARMING
    assert run_pauses(engine) == []
    assert recover(engine) == []


def test_the_actions_of_a_run_that_lives_are_not_taken_back(engine: Engine) -> None:
    plan(engine, [add_node(engine)])
    seen = []

    def looking(connection: Connection, action: Action, now: datetime) -> str:
        seen.append(recover(engine))
        return pause_node(connection, action, now)

    (outcome,) = run_pauses(engine, act=looking)
    assert (seen, outcome.status) == ([[]], ActionStatus.SUCCEEDED)


def test_a_run_that_lost_its_session_stops_and_leaves_the_rest_to_the_next(engine: Engine) -> None:
    nodes = add_nodes(engine, 2)
    plan(engine, nodes)
    run_id = str(uuid4())

    def losing(connection: Connection, action: Action, now: datetime) -> str:
        connection.execute(text("SELECT pg_terminate_backend(fleet.run_lock_holder(:id), 10000)"), {"id": run_id})
        return pause_node(connection, action, now)

    with pytest.raises(RunLockLost, match=run_id):
        run_pauses(engine, act=losing, run_id=run_id)
    assert sorted(status_of(engine, each) for each in nodes) == ["paused", "warming"]
    assert len(recover(engine)) == 1


def test_an_action_whose_run_ended_before_it_took_it_up_is_planned_again(engine: Engine) -> None:
    (action_id,) = plan(engine, [add_node(engine)])
    with engine.begin() as connection:
        ledger.mark_dispatched(connection, [action_id], NOW)
    asked: list[list[str]] = []

    def ended(keys: object) -> dict[str, str]:
        asked.append(list(keys))  # type: ignore[call-overload]
        return {f"pause:{action_id}:1": "it was cancelled"}

    (recovery,) = recover_actions(engine, ActionKind.PAUSE, find_ended_runs=ended, limits=LIMITS, now=NOW)
    assert asked == [[f"pause:{action_id}:1"]]
    assert recovery.explanation == "its run ended before it took the action up: it was cancelled"
    (row,) = ledger_rows(engine)
    assert (row.status, row.attempt, row.dispatched_at) == ("planned", 2, None)


def test_an_action_that_waits_for_its_run_is_left_to_it(engine: Engine) -> None:
    (action_id,) = plan(engine, [add_node(engine)])
    with engine.begin() as connection:
        ledger.mark_dispatched(connection, [action_id], NOW)
    assert recover(engine) == []
    assert statuses(engine) == {action_id: "planned"}
