"""The floor by demand, on what was measured: a bouncing node that is needed is not paused, a listed one always is."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.delivery_limits import DEFAULT_LIMITS
from penguin_infra.domain.guardrails import GuardrailLimits, LedgerFacts, Rule
from penguin_infra.domain.node import NodeStatus
from penguin_infra.operations.plan_actions import Plan, plan_actions
from penguin_infra.operations.want_pauses import want_pauses
from penguin_infra.store.ledger_facts import read_ledger_facts
from penguin_infra_tests.deliveries import add_counts, measure_rates
from penguin_infra_tests.fleets import NOW, add_node, list_address
from penguin_infra_tests.loads import SSD_1_PER_DAY, deliver, know_prices, measure

LIMITS = GuardrailLimits(1.0)


@pytest.fixture
def nodes(engine: Engine) -> list[UUID]:
    """Two nodes of which each carries half of what is asked: together they fill their plans."""
    know_prices(engine)
    found = [add_node(engine, number, NodeStatus.ACTIVE) for number in (1, 2)]
    for hours_ago in range(1, 31):
        for node_id in found:
            deliver(engine, node_id, NOW - timedelta(hours=hours_ago), 2_500)
    measure(engine)
    return found


def facts(engine: Engine, now: datetime = NOW, kind: ActionKind = ActionKind.PAUSE) -> LedgerFacts:
    with engine.connect() as connection:
        return read_ledger_facts(connection, now, LIMITS, kinds={kind})


def plan_pauses(engine: Engine, now: datetime = NOW) -> Plan:
    return plan_actions(engine, lambda connection: want_pauses(connection, DEFAULT_LIMITS, now), limits=LIMITS, now=now)


def bounce(engine: Engine, node_id: UUID, now: datetime = NOW) -> None:
    add_counts(engine, node_id, at=now - timedelta(minutes=5), sent=500, hard_bounce=500)
    measure_rates(engine, now)


def test_the_ledgers_facts_hold_what_was_measured_lately(engine: Engine, nodes: list[UUID]) -> None:
    found = facts(engine)
    assert (found.capacity, found.present_demand) == (dict.fromkeys(nodes, SSD_1_PER_DAY), 120_000)


def test_what_was_measured_long_ago_is_not_known(engine: Engine, nodes: list[UUID]) -> None:
    assert facts(engine, NOW + timedelta(minutes=10)).capacity.keys() == set(nodes)
    assert facts(engine, NOW + timedelta(minutes=11)).capacity == {}
    assert facts(engine, NOW + timedelta(days=4)).present_demand is None


def test_a_bouncing_node_that_is_needed_goes_on_and_the_refusal_has_its_sum(engine: Engine, nodes: list[UUID]) -> None:
    bounce(engine, nodes[0])
    plan = plan_pauses(engine)
    assert [(refusal.rule, refusal.explanation) for refusal in plan.refused] == [
        (
            Rule.CAPACITY_FLOOR,
            "120,000 - 60,000 = 60,000 < 84,000 messages a day (70% of the present demand of 120,000)",
        )
    ]
    assert plan.planned == ()


def test_once_the_measure_is_old_nothing_holds_its_pause_up(engine: Engine, nodes: list[UUID]) -> None:
    later = NOW + timedelta(minutes=11)
    bounce(engine, nodes[0], later)
    assert [action.node_id for action in plan_pauses(engine, later).planned] == [nodes[0]]


def test_a_critically_listed_node_is_paused_however_much_it_is_needed(engine: Engine, nodes: list[UUID]) -> None:
    list_address(engine, nodes[0])
    assert [action.node_id for action in plan_pauses(engine).planned] == [nodes[0]]
