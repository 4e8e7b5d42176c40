"""Which nodes want another plan, by what the database holds of their queues, their resizes, prices and money."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import Engine, event, text

from penguin_infra.domain.actions import ActionKind, ActionStatus, PlannedAction, Verdict
from penguin_infra.domain.capacity import ThroughputLimits
from penguin_infra.domain.fleet_size import GrowthLimits
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.resize_deep_queue import ResizeLimits, ResizePlan, Restraint
from penguin_infra.operations.want_resizes import read_resize_plan, want_resizes
from penguin_infra.store import actions as ledger
from penguin_infra.store import decisions
from penguin_infra.store.resizes import queueing_nodes, working_on
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, plan
from penguin_infra_tests.queues import pile_up, price

LIMITS = ResizeLimits()


@pytest.fixture
def node_id(engine: Engine) -> UUID:
    """A node beside others, and a price list."""
    found, *_ = add_nodes(engine, 3, NodeStatus.ACTIVE)
    price(engine)
    return found


def look(engine: Engine, *, most_monthly_usd: Decimal | None = None) -> ResizePlan:
    with engine.connect() as connection:
        return read_resize_plan(
            connection,
            throughput=ThroughputLimits(),
            limits=LIMITS,
            growth=GrowthLimits(most_monthly_usd=most_monthly_usd),
            now=NOW,
        )


def wanted(engine: Engine) -> Sequence[PlannedAction]:
    with engine.connect() as connection:
        return want_resizes(connection, throughput=ThroughputLimits(), limits=LIMITS, growth=GrowthLimits(), now=NOW)


def left(engine: Engine) -> list[Restraint]:
    return [each.rule for each in look(engine).left_alone]


def test_a_queue_that_the_nodes_own_cpu_holds_up_asks_for_a_larger_plan_with_its_sums(
    engine: Engine, node_id: UUID
) -> None:
    pile_up(engine, node_id)
    (action,) = wanted(engine)
    assert (action.node_id, action.kind, action.requested_by) == (
        node_id, ActionKind.RESIZE, "policy:resize_deep_queue",
    )  # fmt: skip
    assert "CPU 97 % >= 85 %" in action.reason
    assert "ssd-1 -> ssd-4" in action.reason
    assert [action.evidence[name] for name in ("from_plan", "to_plan", "drain_minutes")] == ["ssd-1", "ssd-4", 10]
    assert action.evidence["depths"] == [5_000] * 6
    assert not action.needs_approval


def test_a_queue_that_remote_hosts_put_off_leads_to_nothing_and_says_so(engine: Engine, node_id: UUID) -> None:
    pile_up(engine, node_id, deferred=5_000, cpu=5)
    assert wanted(engine) == []
    (alone,) = look(engine).left_alone
    assert (alone.node_id, alone.rule) == (node_id, Restraint.REMOTE_DEFERRALS)


def test_a_window_more_than_counts_does_not_hide_a_deep_queue(engine: Engine, node_id: UUID) -> None:
    pile_up(engine, node_id)
    pile_up(engine, node_id, at=NOW - timedelta(minutes=30), count=2, depth=1)
    assert len(wanted(engine)) == 1


def test_calm_nodes_are_not_even_read(engine: Engine, node_id: UUID) -> None:
    pile_up(engine, node_id, depth=499)
    with engine.connect() as connection:
        assert queueing_nodes(connection, LIMITS.queue, now=NOW) == []


def test_windows_of_the_future_and_of_long_ago_count_for_nothing(engine: Engine, node_id: UUID) -> None:
    pile_up(engine, node_id, at=NOW + timedelta(minutes=30))
    pile_up(engine, node_id, at=NOW - timedelta(minutes=40))
    assert look(engine) == ResizePlan()


def test_two_of_a_region_are_not_asked_for_at_once(engine: Engine, node_id: UUID) -> None:
    other = add_node(engine, 9, NodeStatus.ACTIVE)
    for each in (node_id, other):
        pile_up(engine, each)
    assert len(wanted(engine)) == 1
    assert left(engine) == [Restraint.ONE_A_REGION]
    # Also while the other one's queue is calm.
    plan(engine, [add_node(engine, 10)], ActionKind.RESIZE)
    assert left(engine) == [Restraint.ONE_A_REGION] * 2


def test_a_proposal_of_the_fleets_own_holds_its_region_and_a_persons_does_not(engine: Engine, node_id: UUID) -> None:
    pile_up(engine, node_id)
    other = add_node(engine, 9, NodeStatus.ACTIVE)
    for by, count in (("person:ada", 1), ("policy:resize_deep_queue", 0)):
        with engine.begin() as connection:
            ids = ledger.insert_proposed(connection, [PlannedAction(other, ActionKind.RESIZE, "test", by)], NOW)
        assert len(wanted(engine)) == count
        with engine.begin() as connection:
            decisions.reject(connection, ids[0], decided_by="person:bob", outcome="no", now=NOW)


def end_resize(engine: Engine, node_id: UUID, *, hours_ago: float, evidence: dict[str, object], status: str) -> None:
    wanted = PlannedAction(node_id, ActionKind.RESIZE, "test", "person:ada", evidence)
    with engine.begin() as connection:
        (action_id,) = ledger.insert_planned(connection, [wanted], NOW - timedelta(days=2))
        connection.execute(
            text("UPDATE fleet.node_actions SET status = :status, finished_at = :at WHERE id = :id"),
            {"id": action_id, "status": status, "at": NOW - timedelta(hours=hours_ago)},
        )


@pytest.mark.parametrize("status", ["succeeded", "failed"])
def test_a_node_rests_for_a_day_after_a_resize_that_the_provider_was_asked_for(
    engine: Engine, node_id: UUID, status: str
) -> None:
    pile_up(engine, node_id)
    end_resize(engine, node_id, hours_ago=25, evidence={"is_changing_plan": True}, status=status)
    assert len(wanted(engine)) == 1
    end_resize(engine, node_id, hours_ago=23, evidence={"is_changing_plan": True}, status=status)
    assert left(engine) == [Restraint.COOL_DOWN]


def test_one_that_never_came_so_far_lets_no_node_rest(engine: Engine, node_id: UUID) -> None:
    pile_up(engine, node_id)
    end_resize(engine, node_id, hours_ago=1, evidence={}, status="failed")
    assert len(wanted(engine)) == 1


def test_what_a_month_may_cost_is_counted_with_the_whole_fleet(engine: Engine, node_id: UUID) -> None:
    pile_up(engine, node_id)
    present, extra = 3 * Decimal("4.99"), Decimal("14.00")
    assert len(look(engine, most_monthly_usd=present + extra).resizes) == 1
    (alone,) = look(engine, most_monthly_usd=present + extra - Decimal("0.01")).left_alone
    assert alone.rule is Restraint.SPEND
    assert "$14.00 more a month > $13.99 left" in alone.reason


def test_without_a_price_list_nothing_is_asked_for(engine: Engine) -> None:
    pile_up(engine, add_node(engine))
    assert left(engine) == [Restraint.UNKNOWN_PLAN]


def test_at_the_ladders_top_another_node_is_asked_for_instead(engine: Engine, node_id: UUID) -> None:
    pile_up(engine, node_id)
    with engine.begin() as connection:
        connection.execute(text("UPDATE fleet.sending_nodes SET plan = 'ssd-4' WHERE id = :id"), {"id": node_id})
    assert wanted(engine) == []
    assert [each.node_id for each in look(engine).another_node] == [node_id]


def test_the_whole_fleet_is_read_by_the_same_few_statements(engine: Engine, node_id: UUID) -> None:
    counted: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _k, statement, *_rest: counted.append(statement))
    pile_up(engine, node_id)
    counted.clear()
    look(engine)
    few = len(counted)
    for number in range(20, 40):
        pile_up(engine, add_node(engine, number, NodeStatus.ACTIVE))
    counted.clear()
    look(engine)
    assert len(counted) == few


def test_whoever_is_worked_on_is_known_until_it_is_over(engine: Engine, node_id: UUID) -> None:
    (action_id,) = plan(engine, [node_id], ActionKind.RESIZE)
    known = []
    again, over = Verdict(ActionStatus.PLANNED, NOW), Verdict(ActionStatus.FAILED, None)
    with engine.begin() as connection:
        known.append(working_on(connection))
        ledger.claim_one(connection, action_id, "a run", NOW)
        known.append(working_on(connection))
        ledger.close_attempt(connection, action_id, again, outcome="it boots still", now=NOW)
        known.append(working_on(connection))
        ledger.close_attempt(connection, action_id, over, outcome="it never came up", now=NOW)
        known.append(working_on(connection))
    assert known == [set(), {node_id}, {node_id}, set()]
