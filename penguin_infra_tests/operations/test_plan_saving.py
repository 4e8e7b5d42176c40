"""A saving becomes a proposal once, if it still holds, and nothing else: approval, guardrails and dead ids included."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.actions import ActionKind, ActionStatus
from penguin_infra.domain.guardrails import GuardrailLimits, Rule
from penguin_infra.domain.inventory import Drift, DriftKind, SeenInstance
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.savings import Recommendation, SavingKind
from penguin_infra.operations.approve_action import approve_action, reject_action
from penguin_infra.operations.find_savings import saving_rows
from penguin_infra.operations.plan_saving import (
    SavingGone,
    SavingNotFound,
    SavingStep,
    SavingUnclear,
    plan_saving,
)
from penguin_infra.store import actions, inventory, nodes, savings
from penguin_infra.store.analytics_tables import cost_optimisation
from penguin_infra.store.copied_rows import replace_rows
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, rotation
from penguin_infra_tests.pulses import beat, tick
from penguin_infra_tests.saving import SEARCH, age, found, one_of, put_on, sell, send, speak

ACT = GuardrailLimits(approve=frozenset())


@pytest.fixture
def idle(engine: Engine) -> Recommendation:
    """Five nodes, the first of which has nothing to do."""
    ids = add_nodes(engine, 5, NodeStatus.ACTIVE)
    sell(engine)
    age(engine)
    speak(engine, ids, cpu=80)
    send(engine, ids[1:], 600)
    listed(engine)
    return one_of(engine, SavingKind.RETIRE)


@pytest.fixture
def oversized(engine: Engine) -> Recommendation:
    """A node on a plan twice as large as it needs, beside three others."""
    ids = add_nodes(engine, 4, NodeStatus.ACTIVE)
    sell(engine)
    put_on(engine, ids[0], "ssd-2")
    age(engine, days=50)
    speak(engine, ids[1:], cpu=80)
    speak(engine, ids[:1], cpu=20, memory=25)
    send(engine, ids, 590)
    listed(engine)
    return one_of(engine, SavingKind.DOWNSIZE)


def listed(engine: Engine) -> None:
    """The list as the pipeline keeps it."""
    with engine.begin() as connection:
        rows = saving_rows(found(engine), savings.made_actions(connection), NOW)
        replace_rows(connection, cost_optimisation, rows)


def shown_action(engine: Engine, saving: Recommendation) -> UUID | None:
    with engine.connect() as connection:
        query = text("SELECT action_id FROM analytics.cost_optimisation WHERE id = :id")
        made: UUID | None = connection.execute(query, {"id": saving.id}).scalar_one()
        return made


def make(engine: Engine, prefix: object, *, guardrails: GuardrailLimits = ACT) -> SavingStep:
    with engine.begin() as connection:
        return plan_saving(
            connection,
            str(prefix),
            search=SEARCH,
            guardrails=guardrails,
            drain_minutes=30,
            requested_by="person:ada",
            now=NOW,
        )


def ledger(engine: Engine) -> list[tuple[str, str, str]]:
    with engine.connect() as connection:
        return [(row.kind, row.label, row.status) for row in actions.list_actions(connection)]


def test_a_retirement_waits_for_a_person_although_its_kind_would_be_done_at_once(
    engine: Engine, idle: Recommendation
) -> None:
    step = make(engine, str(idle.id)[:8].upper())
    assert (step.kind, step.status, step.is_new) == (ActionKind.DECOMMISSION, ActionStatus.PROPOSED, True)
    assert ledger(engine) == [("decommission", "node-001", "proposed")]
    with engine.connect() as connection:
        (row,) = actions.list_actions(connection)
    assert (row.requested_by, row.reason) == ("person:ada", idle.reason)
    assert row.evidence == {"drain_minutes": 30, "saving_id": str(idle.id), "saved_monthly_usd": str(idle.saving_usd)}
    assert shown_action(engine, idle) == step.action_id


def test_a_smaller_plan_is_proposed_with_both_plans(engine: Engine, oversized: Recommendation) -> None:
    step = make(engine, oversized.id)
    assert ledger(engine) == [("resize", "node-001", "proposed")]
    with engine.connect() as connection:
        (row,) = actions.list_actions(connection)
    assert (row.evidence["from_plan"], row.evidence["to_plan"]) == ("ssd-2", "ssd-1")
    assert shown_action(engine, oversized) == step.action_id


def test_a_repeat_finds_it_there_already(engine: Engine, idle: Recommendation) -> None:
    first, again = make(engine, idle.id), make(engine, idle.id)
    assert (again.action_id, again.status, again.is_new) == (first.action_id, ActionStatus.PROPOSED, False)
    assert len(ledger(engine)) == 1


def test_what_it_was_made_into_survives_the_next_list(engine: Engine, idle: Recommendation) -> None:
    step = make(engine, idle.id)
    listed(engine)
    assert shown_action(engine, idle) == step.action_id
    assert one_of(engine, SavingKind.RETIRE).id == idle.id


def test_after_a_persons_no_it_can_be_made_anew(engine: Engine, idle: Recommendation) -> None:
    first = make(engine, idle.id)
    assert first.action_id
    with engine.begin() as connection:
        reject_action(connection, first.action_id, decided_by="person:bob", reason="not now", now=NOW)
    second = make(engine, idle.id)
    assert second.is_new
    assert ledger(engine) == [("decommission", "node-001", "proposed"), ("decommission", "node-001", "rejected")]
    assert shown_action(engine, idle) == second.action_id


def test_a_guardrail_that_speaks_against_it_is_told_with_its_sum(engine: Engine, idle: Recommendation) -> None:
    with engine.connect() as connection:
        ids = [node.node_id for node in nodes.list_nodes(connection)]
    tick(engine)
    beat(engine, ids)
    with engine.begin() as connection:
        connection.execute(text("UPDATE fleet.sending_nodes SET health = 'healthy'"))
    assert len(rotation(engine)) == 5
    step = make(engine, idle.id, guardrails=GuardrailLimits(smallest_rotation_share=1.0))
    assert step.refusal
    assert step.action_id is None
    assert (step.refusal.rule, step.refusal.explanation[:9]) == (Rule.CAPACITY_FLOOR, "5 - 1 < 5")
    assert ledger(engine) == [("decommission", "node-001", "refused")]
    assert shown_action(engine, idle) is None


def test_a_saving_whose_node_is_gone_meanwhile_is_not_planned(engine: Engine, idle: Recommendation) -> None:
    assert idle.node_id
    with engine.begin() as connection:
        nodes.apply_event(
            connection, idle.node_id, NodeEvent.DECOMMISSIONED, reason="test", requested_by="person:bob", now=NOW
        )
    with pytest.raises(SavingGone, match=r"retire of node-001, listed at .* does not hold any more: the node is decom"):
        make(engine, idle.id)
    assert ledger(engine) == []


def test_a_saving_that_the_facts_of_now_speak_against_is_not_planned(engine: Engine, idle: Recommendation) -> None:
    assert idle.node_id
    send(engine, [idle.node_id], 5, days=1)
    with pytest.raises(SavingGone, match="the node is active now, by the facts of now"):
        make(engine, idle.id)


def test_a_saving_that_was_made_tells_of_its_action(engine: Engine, idle: Recommendation) -> None:
    step = make(engine, idle.id)
    assert step.action_id
    assert idle.node_id
    with engine.begin() as connection:
        approve_action(connection, step.action_id, decided_by="person:bob", limits=ACT, now=NOW)
        nodes.apply_event(
            connection, idle.node_id, NodeEvent.DECOMMISSIONED, reason="test", requested_by="person:bob", now=NOW
        )
        actions.finish(connection, step.action_id, outcome="gone", now=NOW)
    listed(engine)
    with pytest.raises(SavingGone, match=rf"was made into action {step.action_id} already \(decommission, succeeded\)"):
        make(engine, idle.id)


def test_one_that_was_approved_is_no_saving_any_more(engine: Engine, idle: Recommendation) -> None:
    step = make(engine, idle.id)
    assert step.action_id
    with engine.begin() as connection:
        approve_action(connection, step.action_id, decided_by="person:bob", limits=ACT, now=NOW)
    assert found(engine).recommendations == ()
    with pytest.raises(SavingGone, match=r"\(decommission, planned\)"):
        make(engine, idle.id)


def test_two_persons_who_plan_it_at_once_make_one_proposal(engine: Engine, idle: Recommendation) -> None:
    at_once = Barrier(4, timeout=30)

    def plan(_number: int) -> SavingStep:
        at_once.wait()
        return make(engine, idle.id)

    with ThreadPoolExecutor(4) as pool:
        steps = list(pool.map(plan, range(4), timeout=60))
    assert sorted(step.is_new for step in steps) == [False, False, False, True]
    assert len({step.action_id for step in steps}) == 1
    assert len(ledger(engine)) == 1


def test_no_other_node_takes_the_place_of_one_whose_proposal_waits(engine: Engine, idle: Recommendation) -> None:
    # The demand allows one of six to go, and another has come to be the least reputable.
    other = add_node(engine, 9, NodeStatus.ACTIVE)
    age(engine)
    speak(engine, [other])
    make(engine, idle.id)
    with engine.begin() as connection:
        connection.execute(text("UPDATE fleet.demand_hours SET ended = 3000"))
        connection.execute(text("UPDATE fleet.sending_nodes SET reputation_score = 1 WHERE id = :id"), {"id": other})
    assert [each.label for each in found(engine).recommendations] == ["node-001"]


def test_yesterdays_saving_that_left_the_list_is_not_known(engine: Engine, idle: Recommendation) -> None:
    assert idle.node_id
    send(engine, [idle.node_id], 5, days=1)
    listed(engine)
    with pytest.raises(SavingNotFound, match="now or in the last list; `penguin-infra actions savings` shows"):
        make(engine, idle.id)


@pytest.mark.parametrize("prefix", ["ffffffff-0000", "no-id", "%", "'; --"])
def test_an_unknown_id_is_told_in_words(engine: Engine, idle: Recommendation, prefix: str) -> None:
    with pytest.raises(SavingNotFound, match="no saving's id begins with"):
        make(engine, prefix)


def test_an_id_that_several_begin_with_is_not_guessed(engine: Engine, idle: Recommendation) -> None:
    add_node(engine, 9, NodeStatus.ACTIVE)
    age(engine)
    with engine.connect() as connection:
        lost = next(each.node_id for each in nodes.list_nodes(connection) if each.label == "node-009")
    speak(engine, [lost])
    assert len(found(engine).recommendations) == 2
    with pytest.raises(SavingUnclear, match="give more of it"):
        make(engine, "")


def test_an_orphan_is_for_hands_and_proposes_nothing(engine: Engine, idle: Recommendation) -> None:
    seen = SeenInstance("hw-99", "penguin-lost-12345678", "dallas", "ssd-2", "running", None, NOW, 0)
    with engine.begin() as connection:
        inventory.replace_listing(connection, [seen], NOW)
        inventory.save_drift(connection, [Drift(DriftKind.ORPHAN, None, "hw-99", "test")], NOW - timedelta(days=2))
    step = make(engine, one_of(engine, SavingKind.ORPHAN).id)
    assert (step.action_id, step.kind, step.saving.saving_usd) == (None, None, Decimal("14.60"))
    assert "delete it there" in step.saving.by_hand
    assert ledger(engine) == []
