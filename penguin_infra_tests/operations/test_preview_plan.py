"""The plan: what would be done, what may not and why, what is open; told by the sensors' own rules, writing nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.delivery_limits import DeliveryLimits
from penguin_infra.domain.fleet_size import GrowthLimits
from penguin_infra.domain.guardrails import GuardrailLimits
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.recover_unhealthy import HealthLimits
from penguin_infra.domain.policies.shrink_fleet import ShrinkLimits
from penguin_infra.operations.plan_actions import plan_actions
from penguin_infra.operations.preview_plan import FleetPreview, Outcome, preview_plan
from penguin_infra.operations.wanted import WANTED, WantedLimits, grow_and_want
from penguin_infra.store import switches
from penguin_infra_tests.fleets import NOW, add_node, list_address, plan
from penguin_infra_tests.growing import add_old_nodes, ask_for, sell, size_limits

ACTIVE, PROVISION, DECOMMISSION = NodeStatus.ACTIVE, ActionKind.PROVISION, ActionKind.DECOMMISSION
LIMITS = WantedLimits(
    guardrails=GuardrailLimits(),
    delivery=DeliveryLimits(),
    health=HealthLimits(),
    size=size_limits(),
    shrink=ShrinkLimits(),
    drain_minutes=30,
)


def see(engine: Engine, limits: WantedLimits = LIMITS) -> FleetPreview:
    return preview_plan(engine, limits, NOW)


def told(preview: FleetPreview) -> list[tuple[str, str, str]]:
    return [(line.kind, line.subject, line.verdict) for line in preview.lines]


def rows_of_all_tables(engine: Engine) -> dict[str, Any]:
    """Every row of every table, and where every sequence stands."""
    with engine.connect() as connection:
        tables = connection.scalars(
            text("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'fleet'")
        ).all()
        rows: dict[str, Any] = {
            table: connection.scalar(text(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} AS t"))
            for table in tables
        }
        rows["sequences"] = connection.execute(
            text("SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'fleet' ORDER BY 1")
        ).all()
        return rows


@pytest.fixture
def busy(engine: Engine) -> Engine:
    """A fleet of which much is wanted: two nodes are listed, one waits for its instance, demand is at 80 %."""
    sell(engine)
    add_old_nodes(engine, 5)
    ask_for(engine, 96_000)
    return engine


def test_what_would_be_done_is_told_with_its_sums(busy: Engine) -> None:
    preview = see(busy)
    assert told(preview) == [("provision", "2 new in dallas", "would do")]
    assert "96,000 / 0.65 - 120,000 usable" in preview.lines[0].why
    growth, shrink = preview.sums(growth_plan="ssd-1")
    assert growth.startswith("Growth: demand has reached 80%")
    assert shrink.startswith("Shrink: nothing is given up: a warmed address is not given up on a guess")


def test_nothing_is_written_whatever_is_wanted(busy: Engine) -> None:
    for number in (1, 2):
        list_address(busy, node_of(busy, number), number)
    add_node(busy, 6, NodeStatus.PROVISIONING)
    before = rows_of_all_tables(busy)
    preview = see(busy)
    assert {line.kind for line in preview.lines} == {"pause", "provision"}
    assert rows_of_all_tables(busy) == before


def test_it_tells_what_the_sensors_then_do(busy: Engine) -> None:
    for number in (1, 2):
        list_address(busy, node_of(busy, number), number)
    preview = see(busy)
    assert [line.verdict for line in preview.lines if line.kind == "pause"] == [
        "would do",
        "refused by disruption_budget",
    ]
    assert "1 + 1 > 1 an hour" in next(line.why for line in preview.lines if line.outcome is Outcome.REFUSED)
    pauses = plan_actions(busy, wanting(ActionKind.PAUSE), limits=LIMITS.guardrails, now=NOW)
    assert (len(pauses.planned), len(pauses.refused)) == (1, 1)
    provisions = plan_actions(busy, lambda c: grow_and_want(c, LIMITS, NOW), limits=LIMITS.guardrails, now=NOW)
    assert len(provisions.planned) == 2


def test_what_is_open_is_told_once_and_as_what_it_is(busy: Engine) -> None:
    list_address(busy, node_of(busy, 1))
    plan_actions(busy, wanting(ActionKind.PAUSE), limits=LIMITS.guardrails, now=NOW)
    plan(busy, [node_of(busy, 2)], ActionKind.MAINTENANCE)
    quiet = replace(LIMITS, size=size_limits(GrowthLimits(most_nodes=5, warm_spares=0)))
    assert told(see(busy, quiet)) == [
        ("maintenance", "node-002", "planned"),
        ("pause", "node-001", "planned"),
        ("provision", "2 more nodes", "refused by fleet_size"),
    ]
    assert see(busy, quiet).counts[Outcome.PLANNED] == 2


def test_the_modes_and_the_kill_switch_are_told(busy: Engine) -> None:
    approve = replace(LIMITS, guardrails=GuardrailLimits(approve=frozenset({PROVISION})))
    assert told(see(busy, approve)) == [("provision", "2 new in dallas", "waits for approval")]
    observe = replace(LIMITS, guardrails=GuardrailLimits(observe=frozenset({PROVISION})))
    assert told(see(busy, observe)) == [("provision", "2 new in dallas", "refused by observe_only")]
    with busy.begin() as connection:
        switches.freeze(connection, reason="a drill", requested_by="person:anna", now=NOW)
    preview = see(busy)
    assert told(preview) == [("provision", "2 new in dallas", "refused by kill_switch")]
    assert preview.frozen_by is not None
    assert preview.sums(growth_plan="ssd-1")[0].startswith("Frozen by person:anna")


def test_without_a_price_list_it_says_so(engine: Engine) -> None:
    add_node(engine, 1, ACTIVE)
    preview = see(engine)
    assert (preview.growth, preview.shrink, preview.lines) == (None, None, ())
    assert preview.sums(growth_plan="ssd-1")[0] == "Growth: not reckoned: no price list with ssd-1 is known yet."


def test_nodes_to_spare_wait_for_a_person_and_are_proposed_once(engine: Engine) -> None:
    sell(engine)
    add_old_nodes(engine, 20)
    ask_for(engine, 96_000, days=30)
    lowest = node_of(engine, 7)
    with engine.begin() as connection:
        connection.execute(text("UPDATE fleet.sending_nodes SET reputation_score = 40 WHERE id = :id"), {"id": lowest})
    preview = see(engine)
    assert [line.verdict for line in preview.lines] == ["waits for approval"] * 2
    made = plan_actions(engine, wanting(DECOMMISSION), limits=LIMITS.guardrails, now=NOW)
    first, _ = made.proposed
    assert (made.planned, first.node_id) == ((), lowest)
    assert (first.requested_by, first.evidence["drain_minutes"]) == ("policy:shrink_fleet", 30)
    assert "node-007 (reputation 40)" in first.reason
    assert first.evidence["given_up_per_day"] == 48_000
    # Nothing is proposed beside what waits, also when its order has changed meanwhile.
    with engine.begin() as connection:
        connection.execute(text("UPDATE fleet.sending_nodes SET reputation_score = 10 WHERE label = 'node-009'"))
    again = plan_actions(engine, wanting(DECOMMISSION), limits=LIMITS.guardrails, now=NOW + timedelta(minutes=1))
    assert (again.proposed, again.refused) == ((), ())
    # Not even where nobody has to approve a decommission that a person asks for.
    act = GuardrailLimits(approve=frozenset())
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM fleet.node_actions"))
    assert len(plan_actions(engine, wanting(DECOMMISSION), limits=act, now=NOW).proposed) == 2


def test_every_kind_that_the_fleet_wants_by_itself_is_registered() -> None:
    assert set(ActionKind) - set(WANTED) == {ActionKind.MAINTENANCE}


def wanting(kind: ActionKind) -> Callable[[Any], Any]:
    return lambda connection: WANTED[kind](connection, LIMITS, NOW)


def node_of(engine: Engine, number: int) -> Any:
    with engine.connect() as connection:
        return connection.scalar(text(f"SELECT id FROM fleet.sending_nodes WHERE label = 'node-{number:03}'"))
