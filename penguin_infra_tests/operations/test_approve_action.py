"""Proposals: who may be approved, what is looked at again, and that nothing runs that nobody approved."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.guardrails import GuardrailLimits, Rule
from penguin_infra.domain.lifecycle import IllegalTransition, NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.leave_on_request import CannotLeave, ask_to_leave
from penguin_infra.operations.approve_action import (
    ActionNotFound,
    DecisionError,
    NotProposed,
    NowRefused,
    approve_action,
    reject_action,
)
from penguin_infra.operations.plan_actions import Plan, plan_actions
from penguin_infra.store import actions as ledger
from penguin_infra.store import nodes, switches
from penguin_infra.store.actions import Action
from penguin_infra.store.ledger_facts import read_ledger_facts
from penguin_infra.store.tables import AnyRow
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, plan
from penguin_infra_tests.operations.runs import ledger_rows
from penguin_infra_tests.waiting import until

LIMITS = GuardrailLimits()
DECOMMISSION = ActionKind.DECOMMISSION
LATER = NOW + timedelta(hours=3)
BOB = "person:bob"


def propose(engine: Engine, *node_ids: UUID, by: str = "policy:test", at: object = NOW, **evidence: object) -> Plan:
    wanted = [PlannedAction(node_id, DECOMMISSION, "its instance is gone", by, evidence) for node_id in node_ids]
    return plan_actions(engine, lambda _connection: wanted, limits=LIMITS, now=at)  # type: ignore[arg-type]


def approve(engine: Engine, action_id: UUID, *, by: str = BOB, is_forced: bool = False) -> Action:
    with engine.begin() as connection:
        return approve_action(connection, action_id, decided_by=by, limits=LIMITS, now=LATER, is_forced=is_forced)


def reject(engine: Engine, action_id: UUID, *, by: str = BOB) -> Action:
    with engine.begin() as connection:
        return reject_action(connection, action_id, decided_by=by, reason="still needed", now=LATER)


def row_of(engine: Engine, action_id: UUID) -> AnyRow:
    return next(row for row in ledger_rows(engine) if row.id == action_id)


def due(engine: Engine) -> list[UUID]:
    with engine.connect() as connection:
        return [action.action_id for action in ledger.due_actions(connection, DECOMMISSION, LATER)]


def test_what_waits_for_approval_is_written_and_not_due(engine: Engine) -> None:
    plan = propose(engine, *add_nodes(engine, 3)[:1])
    (action_id,) = plan.proposed_ids
    assert (plan.planned, plan.action_ids, plan.refused) == ((), (), ())
    row = row_of(engine, action_id)
    assert (row.status, row.planned_at, row.decided_by, row.finished_at) == ("proposed", NOW, None, None)
    assert due(engine) == []
    with engine.begin() as connection:
        assert ledger.claim_one(connection, action_id, "run", LATER) is None
        assert ledger.claim_due(connection, DECOMMISSION, "run", LATER) == []


def test_what_is_approved_is_due_at_once_and_says_who_approved_it_when(engine: Engine) -> None:
    (action_id,) = propose(engine, *add_nodes(engine, 3)[:1]).proposed_ids
    action = approve(engine, action_id)
    assert (action.status, action.decided_by) == ("planned", BOB)
    row = row_of(engine, action_id)
    assert (row.decided_by, row.decided_at, row.planned_at, row.retry_at) == (BOB, LATER, NOW, None)
    assert due(engine) == [action_id]
    with engine.begin() as connection:
        claimed = ledger.claim_one(connection, action_id, "run", LATER)
    assert claimed is not None
    assert claimed.decided_by == BOB


def test_what_is_rejected_is_over_with_the_reason(engine: Engine) -> None:
    (action_id,) = propose(engine, *add_nodes(engine, 3)[:1]).proposed_ids
    reject(engine, action_id)
    row = row_of(engine, action_id)
    assert (row.status, row.decided_by, row.outcome, row.finished_at) == (
        "rejected", BOB, "rejected by person:bob: still needed", LATER,
    )  # fmt: skip
    assert due(engine) == []


def test_a_decision_is_taken_once(engine: Engine) -> None:
    first, second = propose(engine, *add_nodes(engine, 6)[:2]).proposed_ids
    approve(engine, first)
    reject(engine, second)
    for action_id, status in ((first, "planned"), (second, "rejected")):
        for decide in (approve, reject):
            with pytest.raises(NotProposed, match=rf"is {status}, decided by person:bob at 2026-11-24 15:00:00 UTC"):
                decide(engine, action_id, by="person:eve")
    assert {row_of(engine, each).decided_by for each in (first, second)} == {BOB}


def test_what_never_waited_needs_no_decision(engine: Engine) -> None:
    (action_id,) = plan(engine, [add_node(engine)])
    with pytest.raises(NotProposed, match="pause of node-001 is planned: only what is proposed waits"):
        approve(engine, action_id)


def test_an_action_that_nobody_has_is_told(engine: Engine) -> None:
    with pytest.raises(ActionNotFound, match="actions list"):
        approve(engine, uuid4())


def test_two_persons_at_once_are_one_decision(engine: Engine) -> None:
    (action_id,) = propose(engine, *add_nodes(engine, 3)[:1]).proposed_ids
    start = Barrier(4)

    def decide(number: int) -> bool:
        start.wait()
        try:
            (approve if number % 2 else reject)(engine, action_id, by=f"person:{number}")
        except NotProposed:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(decide, range(4))) == 1


def test_the_floor_is_looked_at_again_and_what_it_refuses_stays_proposed(engine: Engine) -> None:
    node_ids = add_nodes(engine, 4)
    action_ids = propose(engine, *node_ids[:3]).proposed_ids
    assert len(action_ids) == 3
    approve(engine, action_ids[0])
    approve(engine, action_ids[1])
    with pytest.raises(NowRefused) as refused:
        approve(engine, action_ids[2])
    assert str(refused.value) == (
        "decommission of node-003 is not approved: capacity_floor: 2 - 1 < 2 nodes in the rotation (50% of 4 in "
        "service, rounded up)"
    )
    assert row_of(engine, action_ids[2]).status == "proposed"


def test_an_approval_waits_for_one_that_is_just_being_given(engine: Engine) -> None:
    """Two of which the fleet can spare one: the second must see the first."""
    first, second = propose(engine, *add_nodes(engine, 2)).proposed_ids

    def is_waiting_for_a_lock() -> bool:
        with engine.connect() as connection:
            query = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"
            )
            return bool(connection.scalar(text(query)))

    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as connection:
            approve_action(connection, first, decided_by=BOB, limits=LIMITS, now=LATER)
            other = pool.submit(approve, engine, second)
            until("the second waits, or is through", lambda: other.done() or is_waiting_for_a_lock())
        with pytest.raises(NowRefused, match="capacity_floor"):
            other.result(60)


def test_a_person_may_force_the_approval_and_the_ledger_says_so(engine: Engine) -> None:
    """The last node of all, which a person asked for and meant."""
    (action_id,) = propose(engine, add_node(engine), by="person:ada", forced=True).proposed_ids
    assert approve(engine, action_id).is_forced
    other = add_node(engine, 2)
    with engine.begin() as connection:
        wanted = [PlannedAction(other, DECOMMISSION, "gone", "policy:test")]
        (second,) = ledger.insert_proposed(connection, wanted, NOW)
    with pytest.raises(NowRefused):
        approve(engine, second)
    assert approve(engine, second, is_forced=True).is_forced
    assert row_of(engine, second).evidence == {"forced": True}


def test_a_node_that_is_being_maintained_is_not_decommissioned_at_the_same_time(engine: Engine) -> None:
    first, *_ = add_nodes(engine, 4)
    (action_id,) = propose(engine, first).proposed_ids
    plan(engine, [first], ActionKind.MAINTENANCE)
    with pytest.raises(NowRefused, match="a maintenance of this node is under way: wait for its end"):
        approve(engine, action_id)


def test_a_node_that_is_gone_meanwhile_is_not_approved(engine: Engine) -> None:
    first, *_ = add_nodes(engine, 4)
    (action_id,) = propose(engine, first).proposed_ids
    with engine.begin() as connection:
        nodes.apply_event(connection, first, NodeEvent.DECOMMISSIONED, reason="r", requested_by=BOB, now=NOW)
    with pytest.raises(IllegalTransition):
        approve(engine, action_id)


def test_an_approval_counts_in_the_budget_from_when_it_was_given(engine: Engine) -> None:
    (first, second, third) = propose(engine, *add_nodes(engine, 9)[:3]).proposed_ids
    approve(engine, first)
    reject(engine, second)
    with engine.connect() as connection:
        facts = read_ledger_facts(connection, LATER, LIMITS)
        after = read_ledger_facts(connection, LATER + timedelta(hours=1), LIMITS)
    assert (facts.disruptions_last_hour, after.disruptions_last_hour) == (1, 0)
    assert len(facts.open_actions) == 2
    assert row_of(engine, third).status == "proposed"


def test_what_was_rejected_is_not_proposed_again_before_its_rest_is_over(engine: Engine) -> None:
    node_id, *_ = add_nodes(engine, 4)
    reject(engine, propose(engine, node_id).proposed_ids[0])
    again = propose(engine, node_id, at=LATER + timedelta(hours=1))
    assert [refusal.rule for refusal in again.refused] == [Rule.COOL_DOWN]
    assert "person:bob rejected the last decommission of this node" in again.refused[0].explanation
    assert len(propose(engine, node_id, at=LATER + timedelta(hours=24)).proposed) == 1


def test_a_persons_approval_is_done_in_a_frozen_fleet_too(engine: Engine) -> None:
    """A policy proposed it before: the person who approves it means it now."""
    node_id, *_ = add_nodes(engine, 4)
    (action_id,) = propose(engine, node_id).proposed_ids
    with engine.begin() as connection:
        switches.freeze(connection, reason="incident", requested_by="person:ada", now=NOW)
    approve(engine, action_id)
    assert due(engine) == [action_id]
    with engine.begin() as connection:
        assert ledger.claim_one(connection, action_id, "run", LATER) is not None


def test_a_request_under_way_is_ended_by_its_provision_run(engine: Engine) -> None:
    node_id = add_node(engine, status=NodeStatus.PROVISIONING)
    with engine.connect() as connection:
        node = nodes.get_node(connection, node_id)
    with pytest.raises(CannotLeave, match="cancel its provision run in the UI"):
        ask_to_leave(node, DECOMMISSION, reason="r", requested_by=BOB, drain_minutes=0)


def test_every_error_of_a_decision_is_one_family() -> None:
    assert {NotProposed, NowRefused, ActionNotFound} == set(DecisionError.__subclasses__())
