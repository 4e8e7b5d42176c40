"""The fleet's shape: nodes in groups that are alike, what a month of them costs, and when its size last changed."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Engine

from penguin_infra.domain.actions import ActionKind, PlannedAction, Verdict
from penguin_infra.domain.actions import ActionStatus as Status
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.shrink_fleet import NAME as SHRINK
from penguin_infra.domain.warmup_state import WarmupState
from penguin_infra.store import actions as ledger
from penguin_infra.store import decisions, drains, fleet_shape, nodes, plan_prices, warmups
from penguin_infra.store.fleet_shape import NodeGroup
from penguin_infra_tests.fleets import NOW, add_node, add_nodes

ACTIVE, WARMING, DECOMMISSION = NodeStatus.ACTIVE, NodeStatus.WARMING, ActionKind.DECOMMISSION


def price(engine: Engine, plan: str, monthly_usd: str, at: datetime = NOW) -> None:
    with engine.begin() as connection:
        offer = plan_prices.PlanPrice(plan, 1, 1_024, 30, 1_000, Decimal(monthly_usd), Decimal("0.01"))
        plan_prices.save_prices(connection, [offer], at)


def request(engine: Engine, label: str, *, plan: str = "ssd-1", region: str = "dallas", at: datetime = NOW) -> UUID:
    with engine.begin() as connection:
        return nodes.insert_request(
            connection, label=label, region=region, plan=plan, requested_by="person:test", now=at
        )


def propose(engine: Engine, node_id: UUID, *, by: str = SHRINK) -> UUID:
    with engine.begin() as connection:
        wanted = [PlannedAction(node_id, DECOMMISSION, "test", by)]
        return ledger.insert_proposed(connection, wanted, NOW)[0]


def earn(engine: Engine, node_id: UUID, daily: int) -> None:
    with engine.begin() as connection:
        warmups.save_state(connection, node_id, WarmupState("cautious", daily, NOW), NOW)


def test_nodes_that_are_alike_are_one_group(engine: Engine) -> None:
    first, second, third = add_nodes(engine, 3)
    for node_id, daily in ((first, 100), (second, 100), (third, 250)):
        earn(engine, node_id, daily)
    for number in (4, 5):
        earn(engine, add_node(engine, number, ACTIVE), 60_000)
    add_node(engine, 6, NodeStatus.DECOMMISSIONED)
    request(engine, "far", region="seattle", plan="ssd-2")
    with engine.connect() as connection:
        groups = fleet_shape.read_groups(connection)
    assert groups == [
        # What an active node once earned does not hold it back, nor tell it from another.
        NodeGroup("dallas", ACTIVE, "ssd-1", None, 2),
        NodeGroup("dallas", WARMING, "ssd-1", 100, 2),
        NodeGroup("dallas", WARMING, "ssd-1", 250, 1),
        NodeGroup("seattle", NodeStatus.PROVISIONING, "ssd-2", None, 1),
    ]


def test_a_month_costs_the_newest_price_of_every_node_that_is_kept_or_asked_for(engine: Engine) -> None:
    for number, status in enumerate(NodeStatus, start=1):
        add_node(engine, number, status)
    request(engine, "large", plan="ssd-2")
    request(engine, "odd", plan="nobody-sells-this")
    with engine.connect() as connection:
        assert fleet_shape.monthly_usd(connection) == 0
    price(engine, "ssd-1", "4.99", NOW - timedelta(days=9))
    price(engine, "ssd-1", "5.50")
    price(engine, "ssd-2", "8.99")
    kept = len(NodeStatus) - 1
    with engine.connect() as connection:
        assert fleet_shape.monthly_usd(connection) == kept * Decimal("5.50") + Decimal("8.99")


def test_requests_count_for_a_day_and_are_remembered_longer(engine: Engine) -> None:
    with engine.connect() as connection:
        assert fleet_shape.read_changes(connection, NOW) == fleet_shape.SizeChanges(0, None, None, 0)
    request(engine, "old", at=NOW - timedelta(hours=25))
    request(engine, "new", at=NOW - timedelta(hours=23))
    with engine.connect() as connection:
        changes = fleet_shape.read_changes(connection, NOW)
        later = fleet_shape.read_changes(connection, NOW + timedelta(days=9))
    assert (changes.requested_last_day, changes.grown_at) == (1, NOW - timedelta(hours=23))
    assert (later.requested_last_day, later.grown_at) == (0, NOW - timedelta(hours=23))


def test_a_scale_in_is_one_that_the_fleet_proposed_and_a_person_approved(engine: Engine) -> None:
    approved, rejected, called_off, _ = (propose(engine, each) for each in add_nodes(engine, 4, ACTIVE))
    other = propose(engine, add_node(engine, 5, ACTIVE), by="person:ada")
    with engine.begin() as connection:
        decisions.reject(connection, rejected, decided_by="person:ada", outcome="no", now=NOW)
        assert fleet_shape.read_changes(connection, NOW).shrunk_at is None
        decisions.approve(connection, approved, decided_by="person:ada", is_forced=False, now=NOW)
        at = NOW + timedelta(hours=2)
        decisions.approve(connection, other, decided_by="person:ada", is_forced=False, now=at)
        ledger.close_attempt(connection, approved, Verdict(Status.FAILED, None), outcome="no route", now=at)
        changes = fleet_shape.read_changes(connection, NOW)
        assert (changes.shrunk_at, changes.open_proposals) == (NOW, 2)
        decisions.approve(connection, called_off, decided_by="person:ada", is_forced=False, now=at)
        decisions.call_off(connection, called_off, decided_by="person:ada", outcome="kept", now=at)
        assert fleet_shape.read_changes(connection, NOW).shrunk_at == NOW


def test_what_drains_or_warms_is_no_candidate_to_be_given_up(engine: Engine) -> None:
    first, leaving = add_nodes(engine, 2, ACTIVE)
    add_node(engine, 3, WARMING)
    with engine.begin() as connection:
        drains.begin_drain(connection, leaving, NOW + timedelta(hours=1))
        candidates = fleet_shape.read_active(connection)
    assert [(each.node_id, each.plan, each.reputation) for each in candidates] == [(first, "ssd-1", 100)]
