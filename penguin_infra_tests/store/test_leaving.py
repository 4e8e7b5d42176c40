"""Drains and decisions as the database keeps them: who is drained, whose drain is nobody's, and what was decided."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from penguin_infra.domain.actions import ActionKind, ActionStatus, PlannedAction, Verdict
from penguin_infra.domain.guardrails import GuardrailLimits, Rejection
from penguin_infra.store import actions as ledger
from penguin_infra.store import decisions, drains
from penguin_infra.store.ledger_facts import read_ledger_facts
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, plan, rotation
from penguin_infra_tests.pulses import beat, tick

UNTIL = NOW + timedelta(minutes=30)
DECOMMISSION, MAINTENANCE = ActionKind.DECOMMISSION, ActionKind.MAINTENANCE


def drain(engine: Engine, node_id: UUID) -> None:
    with engine.begin() as connection:
        drains.begin_drain(connection, node_id, UNTIL)


def propose(engine: Engine, node_id: UUID) -> UUID:
    with engine.begin() as connection:
        wanted = [PlannedAction(node_id, DECOMMISSION, "test", "policy:test")]
        return ledger.insert_proposed(connection, wanted, NOW)[0]


def test_a_draining_node_is_out_of_the_rotation_until_its_drain_ends(engine: Engine) -> None:
    first, second = add_nodes(engine, 2)
    drain(engine, first)
    assert rotation(engine) == {second}
    with engine.begin() as connection:
        assert drains.drain_until(connection, first) == UNTIL
        drains.end_drain(connection, first)
        assert drains.drain_until(connection, first) is None
    assert rotation(engine) == {first, second}


@pytest.mark.parametrize("kind", [DECOMMISSION, MAINTENANCE])
def test_a_drain_is_abandoned_once_what_began_it_is_closed(engine: Engine, kind: ActionKind) -> None:
    kept, left, never = add_nodes(engine, 3)
    drain(engine, kept)
    drain(engine, left)
    _, closed = plan(engine, [kept, left], kind)
    plan(engine, [left], ActionKind.PAUSE)
    with engine.begin() as connection:
        assert drains.end_abandoned_drains(connection) == []
        ledger.close_attempt(connection, closed, Verdict(ActionStatus.FAILED, None), outcome="x", now=NOW)
        assert drains.end_abandoned_drains(connection) == ["node-002"]
    assert rotation(engine) == {left, never}


def test_a_drain_is_seen_as_the_agent_is_told(engine: Engine) -> None:
    node_id = add_node(engine)
    tick(engine)
    with engine.connect() as connection:
        view = drains.view_drain(connection, node_id, NOW)
        assert (view.held_because, view.is_observer_alive, view.queue) == (None, True, None)
        assert not drains.view_drain(connection, node_id, NOW + timedelta(minutes=5)).is_observer_alive
    beat(engine, [node_id], silent_seconds=91)
    with engine.connect() as connection:
        queue = drains.view_drain(connection, node_id, NOW).queue
    assert queue is not None
    assert (queue.is_silent, queue.waiting, queue.delay_reasons) == (True, None, ())


def test_an_action_that_is_decided_is_decided_by_somebody(engine: Engine) -> None:
    action_id = propose(engine, add_node(engine))
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text("UPDATE fleet.node_actions SET status = 'rejected', finished_at = now()"))
    with engine.begin() as connection:
        decisions.reject(connection, action_id, decided_by="person:ada", outcome="no", now=NOW)
        row = decisions.lock_action(connection, action_id)
    assert row is not None
    assert (row.status, row.decided_by, row.decided_at, row.finished_at) == ("rejected", "person:ada", NOW, NOW)


def test_a_proposal_is_open_and_not_under_way(engine: Engine) -> None:
    node_id = add_node(engine)
    action_id = propose(engine, node_id)
    with engine.begin() as connection:
        facts = read_ledger_facts(connection, NOW, GuardrailLimits())
        assert facts.open_actions == {(node_id, DECOMMISSION)}
        assert facts.under_way == set()
        assert (facts.disruptions_last_hour, decisions.count_proposed(connection, DECOMMISSION)) == (0, 1)
        assert decisions.leaving_under_way(connection, node_id) is None
        decisions.approve(connection, action_id, decided_by="person:ada", is_forced=False, now=NOW)
        facts = read_ledger_facts(connection, NOW, GuardrailLimits())
        assert facts.under_way == {(node_id, DECOMMISSION)}
        assert (facts.disruptions_last_hour, decisions.count_proposed(connection, DECOMMISSION)) == (1, 0)
        leaving = decisions.leaving_under_way(connection, node_id)
    assert leaving is not None
    assert leaving.id == action_id


def test_the_last_rejection_counts_for_as_long_as_it_rests(engine: Engine) -> None:
    node_id = add_node(engine)
    with engine.begin() as connection:
        for hours, person in ((3, "person:ada"), (1, "person:bob")):
            wanted = [PlannedAction(node_id, DECOMMISSION, "test", "policy:test")]
            (action_id,) = ledger.insert_proposed(connection, wanted, NOW - timedelta(hours=hours))
            at = NOW - timedelta(hours=hours)
            decisions.reject(connection, action_id, decided_by=person, outcome="no", now=at)
        limits = GuardrailLimits(rejection_rest_hours=2)
        facts = read_ledger_facts(connection, NOW, limits)
        later = read_ledger_facts(connection, NOW + timedelta(hours=1), limits)
    assert facts.rejected == {(node_id, DECOMMISSION): Rejection("person:bob", NOW - timedelta(hours=1))}
    assert later.rejected == {}


def test_an_action_that_is_over_is_not_called_off(engine: Engine) -> None:
    action_id, other = plan(engine, add_nodes(engine, 2), MAINTENANCE)
    with engine.begin() as connection:
        ledger.finish(connection, action_id, outcome="done", now=NOW)
        assert not decisions.call_off(connection, action_id, decided_by="person:ada", outcome="no", now=NOW)
        assert decisions.call_off(connection, other, decided_by="person:ada", outcome="no", now=NOW)
        rows = {row.id: row for row in ledger.list_actions(connection)}
    assert (rows[action_id].status, rows[other].status) == ("succeeded", "rejected")
    assert rows[other].attempts[0]["outcome"] == "no"


def test_what_is_found_is_added_to_the_evidence(engine: Engine) -> None:
    (action_id,) = plan(engine, [add_node(engine)], MAINTENANCE)
    with engine.begin() as connection:
        ledger.add_evidence(connection, action_id, {"queue_left": {"held": 3}})
        ledger.add_evidence(connection, action_id, {"queue_left": None, "more": 1})
        (row,) = ledger.list_actions(connection)
    assert row.evidence == {"queue_left": None, "more": 1}


def test_what_waits_for_approval_is_listed_before_all_others(engine: Engine) -> None:
    first, second = add_nodes(engine, 2)
    waiting = propose(engine, first)
    (newer,) = plan(engine, [second], at=NOW + timedelta(hours=1))
    with engine.connect() as connection:
        assert [row.id for row in ledger.list_actions(connection)] == [waiting, newer]
        assert [row.id for row in ledger.list_actions(connection, limit=1)] == [waiting]
