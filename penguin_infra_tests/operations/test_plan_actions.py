"""Planning: what is wanted becomes a planned or a refused row, and no two planners spend one budget."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID

from sqlalchemy import Connection, Engine

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.guardrails import GuardrailLimits, Rule
from penguin_infra.domain.policies import pause_listed
from penguin_infra.operations.plan_actions import Plan, plan_actions
from penguin_infra.store import listings, switches
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, list_address
from penguin_infra_tests.operations.runs import ledger_rows

LIMITS = GuardrailLimits(disruption_share_per_hour=0.25)


def pauses(node_ids: Iterable[UUID], by: str = "policy:test") -> list[PlannedAction]:
    return [PlannedAction(node_id, ActionKind.PAUSE, "test", by) for node_id in node_ids]


def plan_pauses(engine: Engine, node_ids: Iterable[UUID], by: str = "policy:test") -> Plan:
    return plan_actions(engine, lambda _connection: pauses(node_ids, by), limits=LIMITS, now=NOW)


def test_what_the_budget_takes_is_planned_and_the_rest_is_refused_with_the_sum(engine: Engine) -> None:
    nodes = add_nodes(engine, 8)
    plan = plan_pauses(engine, nodes[:3])
    assert [each.node_id for each in plan.planned] == nodes[:2]
    assert [(each.action.node_id, each.rule) for each in plan.refused] == [(nodes[2], Rule.DISRUPTION_BUDGET)]
    rows = {row.node_id: row for row in ledger_rows(engine)}
    assert [rows[each].status for each in nodes[:3]] == ["planned", "planned", "refused"]
    assert tuple(rows[each].id for each in nodes[:2]) == plan.action_ids
    assert rows[nodes[2]].outcome == "2 + 1 > 2 an hour (max(1, 25% of 8 nodes))"


def test_a_refusal_that_stands_already_is_not_new(engine: Engine) -> None:
    nodes = add_nodes(engine, 3)
    assert plan_pauses(engine, nodes[:2]).newly_refused == 1
    again = plan_pauses(engine, nodes[1:2])
    assert (len(again.refused), again.newly_refused) == (1, 0)
    assert len(ledger_rows(engine)) == 2


def test_where_nothing_is_wanted_nothing_is_written(engine: Engine) -> None:
    add_node(engine)
    assert plan_pauses(engine, []) == Plan((), (), (), 0)
    assert ledger_rows(engine) == []


def test_a_frozen_fleet_plans_for_persons_only(engine: Engine) -> None:
    first, second = add_nodes(engine, 2)
    with engine.begin() as connection:
        switches.freeze(connection, reason="incident", requested_by="person:ada", now=NOW)
    assert plan_pauses(engine, [first]).refused[0].rule is Rule.KILL_SWITCH
    assert len(plan_pauses(engine, [second], by="person:ada").planned) == 1


def test_planners_at_once_never_spend_more_than_one_budget(engine: Engine) -> None:
    nodes = add_nodes(engine, 12)
    start = Barrier(4)

    def planner(number: int) -> Plan:
        start.wait()
        return plan_pauses(engine, nodes[number * 3 : number * 3 + 3])

    with ThreadPoolExecutor(4) as pool:
        plans = list(pool.map(planner, range(4)))
    assert sum(len(plan.planned) for plan in plans) == LIMITS.disruptions_per_hour(12) == 3
    assert sum(len(plan.refused) for plan in plans) == 9


def test_planners_at_once_pause_one_node_once(engine: Engine) -> None:
    nodes = add_nodes(engine, 12)
    start = Barrier(4)

    def planner(_: int) -> Plan:
        start.wait()
        return plan_pauses(engine, nodes[:1])

    with ThreadPoolExecutor(4) as pool:
        plans = list(pool.map(planner, range(4)))
    assert sum(len(plan.planned) for plan in plans) == 1
    assert {each.rule for plan in plans for each in plan.refused} == {Rule.ONE_OPEN_ACTION}


def test_the_facts_of_a_policy_are_read_under_the_planning_lock(engine: Engine) -> None:
    node_id = add_node(engine)
    list_address(engine, node_id)

    def wanted(connection: Connection) -> tuple[PlannedAction, ...]:
        return pause_listed.plan_pauses(listings.listed_nodes(connection))

    plan = plan_actions(engine, wanted, limits=LIMITS, now=NOW)
    assert [each.node_id for each in plan.planned] == [node_id]
    (row,) = ledger_rows(engine)
    assert row.reason == "127.77.0.1 is listed by zen.spamhaus.org (critical: 127.0.0.2)"
    assert row.evidence["listings"][0]["zone"] == "zen.spamhaus.org"
