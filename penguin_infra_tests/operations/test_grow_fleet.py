"""Asking for what the fleet lacks: the sums reach the request, no cap is spent twice, and a no is a no for a while."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.fleet_size import GrowthLimits
from penguin_infra.domain.guardrails import GuardrailLimits, Rule
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import Node, NodeStatus
from penguin_infra.domain.policies.grow_fleet import Cap, GrowthPlan
from penguin_infra.domain.policies.provision_requested import plan_provisions, plan_releases
from penguin_infra.domain.warmup_state import WarmupState
from penguin_infra.operations.approve_action import reject_action
from penguin_infra.operations.grow_fleet import grow_fleet, growth_hold, read_growth_plan
from penguin_infra.operations.plan_actions import plan_actions
from penguin_infra.operations.read_fleet_size import read_fleet_size
from penguin_infra.store import nodes, switches, warmups
from penguin_infra.store.requests import requested_nodes
from penguin_infra_tests.fleets import NOW, add_node, add_nodes
from penguin_infra_tests.growing import add_old_nodes, ask_for, sell, size_limits

PROVISION = ActionKind.PROVISION
ACT = GuardrailLimits()


def grow(engine: Engine, *, guardrails: GuardrailLimits = ACT, now: Any = NOW, **growth: Any) -> list[Node]:
    limits = size_limits(GrowthLimits(**{"warm_spares": 0} | growth))
    with engine.begin() as connection:
        return grow_fleet(connection, limits=limits, guardrails=guardrails, now=now)[1]


def plan(engine: Engine, **growth: Any) -> GrowthPlan:
    with engine.connect() as connection:
        found = read_growth_plan(connection, limits=size_limits(GrowthLimits(**{"warm_spares": 0} | growth)), now=NOW)
    assert found is not None
    return found


@pytest.fixture
def busy(engine: Engine) -> Engine:
    """Five nodes of 24,000 a day, asked for 96,000: exactly 80 %."""
    sell(engine)
    add_old_nodes(engine, 5)
    ask_for(engine, 96_000)
    return engine


def test_at_80_percent_nodes_are_asked_for_with_their_sums(busy: Engine) -> None:
    asked = grow(busy)
    # 96,000 / 0.65 = 147,692: two nodes of 24,000 beside 120,000.
    assert [(node.label, node.plan, node.status) for node in asked] == [
        ("node-dallas-001", "ssd-1", NodeStatus.PROVISIONING),
        ("node-dallas-002", "ssd-1", NodeStatus.PROVISIONING),
    ]
    with busy.connect() as connection:
        (begun,) = nodes.transitions(connection, asked[0].node_id)
        provisions = plan_provisions(requested_nodes(connection))
    sums = "96,000 of 120,000 a day; in 3 days 96,000 / 0.65 - 120,000 usable (0 young nodes ripened, 0 spare)"
    assert sums in begun.reason
    assert begun.requested_by == "policy:grow_fleet"
    assert [action.reason for action in provisions] == [
        f"{node.label} was requested by policy:grow_fleet: {begun.reason}" for node in asked
    ]


def test_what_was_asked_for_counts_at_once(busy: Engine) -> None:
    assert len(grow(busy)) == 2
    assert grow(busy) == []
    assert plan(busy).needed == 0


def test_below_the_trigger_and_without_a_price_list_nothing_is_asked_for(engine: Engine) -> None:
    add_old_nodes(engine, 5)
    ask_for(engine, 240_000)
    assert grow(engine) == []
    with engine.connect() as connection:
        assert read_growth_plan(connection, limits=size_limits(), now=NOW) is None
    sell(engine)
    with engine.connect() as connection:
        other = size_limits(GrowthLimits(plan="nobody-sells-this"))
        assert read_growth_plan(connection, limits=other, now=NOW) is None
    assert len(grow(engine)) == 2


def test_nothing_is_asked_for_on_demand_that_is_as_usual(engine: Engine) -> None:
    sell(engine)
    add_old_nodes(engine, 5)
    ask_for(engine, 95_952)
    assert grow(engine) == []


@pytest.mark.parametrize(
    ("growth", "count", "cap"),
    [
        ({"most_requests_a_day": 1}, 1, Cap.REQUESTS_A_DAY),
        ({"fewest_young_allowed": 1, "most_young_share": 0.0}, 1, Cap.YOUNG_SHARE),
        ({"most_nodes": 5}, 0, Cap.FLEET_SIZE),
        ({"most_monthly_usd": Decimal("29.94")}, 1, Cap.MONTHLY_SPEND),
    ],
)
def test_every_cap_holds_and_is_said(busy: Engine, growth: dict[str, Any], count: int, cap: Cap) -> None:
    found = plan(busy, **growth)
    assert [bite.cap for bite in found.bites] == [cap]
    assert (found.needed, found.count) == (2, count)
    assert len(grow(busy, **growth)) == count
    assert grow(busy, **growth) == []


def test_nodes_come_to_the_regions_that_are_set_and_those_elsewhere_count(busy: Engine) -> None:
    asked = grow(busy, regions=("seattle", "new-york"))
    assert [node.region for node in asked] == ["new-york", "seattle"]


def test_warming_nodes_count_by_what_they_will_carry(engine: Engine) -> None:
    sell(engine)
    first, second = add_nodes(engine, 2)
    add_node(engine, 3, NodeStatus.ACTIVE)
    for number, status in ((4, NodeStatus.PAUSED), (5, NodeStatus.MAINTENANCE), (6, NodeStatus.PROVISIONING)):
        add_node(engine, number, status)
    with engine.begin() as connection:
        for node_id, daily in ((first, 12_000), (second, 18_000)):
            warmups.save_state(connection, node_id, WarmupState("quick", daily, NOW), NOW)
        figures = read_fleet_size(connection, size_limits(), NOW)
    assert figures is not None
    size = figures.size
    # 12,000 + 18,000 + 24,000; a day on each has its next stage, and the new node its first.
    assert size.capacity_by_day[:6] == (54_000, 72_000, 84_000, 90_000, 96_000, 96_000)
    assert (size.nodes, size.young, size.regions[0].in_flight) == (6, 3, 1)
    assert (figures.new_node.days_to_ripen, figures.new_node.ripe_per_day) == (3, 24_000)


def test_the_forecast_begins_with_tomorrow(engine: Engine) -> None:
    sell(engine)
    add_old_nodes(engine, 20)
    # Weeks of one pattern: a tenth more each day from Monday to Sunday. NOW is a Tuesday.
    for days_ago in range(1, 29):
        day = NOW.replace(hour=0) - timedelta(days=days_ago - 1)
        weekday = (day - timedelta(days=1)).weekday()
        ask_for(engine, 24_000 * (10 + weekday), days=1, now=day)
    with engine.connect() as connection:
        figures = read_fleet_size(connection, size_limits(), NOW)
    assert figures is not None
    forecast = figures.size.forecast
    # Wednesday, Thursday, ...
    assert [round(value) for value in forecast.values[:3]] == [24_000 * 12, 24_000 * 13, 24_000 * 14]  # type: ignore[union-attr]


def test_while_the_fleet_is_frozen_it_asks_for_nothing(busy: Engine) -> None:
    with busy.begin() as connection:
        switches.freeze(connection, reason="a drill", requested_by="person:anna", now=NOW)
    assert grow(busy) == []
    assert hold(busy) is Rule.KILL_SWITCH
    # What it would ask for can still be read.
    assert plan(busy).count == 2


def test_what_is_only_observed_is_not_asked_for(busy: Engine) -> None:
    observe = replace(ACT, observe=frozenset({PROVISION}))
    assert grow(busy, guardrails=observe) == []
    assert hold(busy, observe) is Rule.OBSERVE_ONLY


def test_a_rejected_node_is_released_and_none_is_asked_for_until_the_rest_is_over(busy: Engine) -> None:
    approve = replace(ACT, approve=frozenset({PROVISION}), rejection_rest_hours=6)
    assert len(grow(busy, guardrails=approve)) == 2
    made = plan_actions(busy, lambda c: plan_provisions(requested_nodes(c)), limits=approve, now=NOW)
    assert (len(made.proposed), made.planned) == (2, ())
    rejected, _ = made.proposed_ids
    with busy.begin() as connection:
        reject_action(connection, rejected, decided_by="person:ada", reason="too dear", now=NOW)
    with busy.connect() as connection:
        (release,) = plan_releases(requested_nodes(connection))
        assert plan_provisions(requested_nodes(connection)) == ()
    assert "was rejected by person:ada: too dear" in release.reason
    close(busy, release.node_id)
    assert plan(busy).needed == 1
    assert hold(busy, approve) is Rule.COOL_DOWN
    assert grow(busy, guardrails=approve, now=NOW + timedelta(hours=5)) == []
    ask_for(busy, 96_000, days=1, now=NOW + timedelta(hours=24), region="later")
    later = grow(busy, guardrails=approve, now=NOW + timedelta(hours=7))
    assert len(later) == 1


def hold(engine: Engine, guardrails: GuardrailLimits = ACT) -> Rule | None:
    with engine.connect() as connection:
        found = growth_hold(connection, guardrails, NOW)
    return found.rule if found else None


def close(engine: Engine, node_id: UUID) -> None:
    with engine.begin() as connection:
        nodes.apply_event(
            connection,
            node_id,
            NodeEvent.PROVISIONING_FAILED,
            reason="test",
            requested_by="policy:provision_requested",
            now=NOW,
        )
