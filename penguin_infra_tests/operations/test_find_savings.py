"""Savings found in a real database: whose mail, whose listing and whose score counts, and what the rows then say."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.inventory import Drift, DriftKind, SeenInstance
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.savings import SavingKind
from penguin_infra.operations.find_savings import saving_rows
from penguin_infra.store import inventory
from penguin_infra.store.analytics_tables import cost_optimisation
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, list_address, plan
from penguin_infra_tests.saving import age, found, one_of, put_on, sell, send, speak, with_limits

DAY = timedelta(days=1)


@pytest.fixture
def fleet(engine: Engine) -> list[UUID]:
    """Five nodes of 24,000 a day that are well used, and that speak."""
    ids = add_nodes(engine, 5, NodeStatus.ACTIVE)
    sell(engine)
    age(engine)
    speak(engine, ids, cpu=80)
    return ids


def told(engine: Engine) -> list[tuple[str, str]]:
    return sorted((each.kind.value, each.label) for each in found(engine).recommendations)


def use(engine: Engine, ids: list[UUID]) -> None:
    """600 an hour each: 60 % of four nodes' capacity."""
    send(engine, ids, 600)


def test_a_node_that_sent_nothing_in_a_week_is_retired(engine: Engine, fleet: list[UUID]) -> None:
    use(engine, fleet[1:])
    assert told(engine) == [("retire", "node-001")]
    one = one_of(engine, SavingKind.RETIRE)
    assert (one.saving_usd, one.before.monthly_usd) == (Decimal("7.30"), Decimal("36.50"))
    assert (one.before.capacity_per_day, one.after.capacity_per_day) == (120_000, 96_000)
    assert one.before.peak_share == pytest.approx(0.48)
    assert one.after.peak_share == pytest.approx(0.6)


def test_one_message_within_the_week_is_enough_to_stay(engine: Engine, fleet: list[UUID]) -> None:
    use(engine, fleet[1:])
    hour = {"id": fleet[0], "at": (NOW - 6.9 * DAY).replace(minute=0)}
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO fleet.delivery_hours (node_id, hour_at, mailbox_provider, expired) "
                "VALUES (:id, :at, 'other', 1)"
            ),
            hour,
        )
    assert told(engine) == []
    assert [each.label for each in found(engine, with_limits(idle_days=6)).recommendations] == ["node-001"]


def test_the_strongest_day_of_two_weeks_counts_not_todays_alone(engine: Engine, fleet: list[UUID]) -> None:
    use(engine, fleet[1:])
    with engine.begin() as connection:
        day_at = (NOW - 13 * DAY).replace(hour=0)
        connection.execute(
            text("UPDATE fleet.demand_hours SET ended = 2 * ended WHERE hour_at >= :at AND hour_at < :at + '1 day'"),
            {"at": day_at},
        )
    assert told(engine) == []


def test_an_address_that_was_burnt_for_a_month_is_retired(engine: Engine, fleet: list[UUID]) -> None:
    send(engine, fleet, 900)
    burnt = add_node(engine, 9, NodeStatus.PAUSED)
    assert told(engine) == []
    list_address(engine, burnt, 9, at=NOW - 31 * DAY, severity=Severity.HIGH)
    age(engine)
    assert told(engine) == []
    list_address(engine, burnt, 9, zone="b.barracudacentral.org", at=NOW - 31 * DAY)
    assert told(engine) == [("retire", "node-009")]
    with engine.begin() as connection:
        connection.execute(text("UPDATE fleet.ip_blacklist_events SET delisted_at = :now"), {"now": NOW})
    assert told(engine) == []


def step(engine: Engine, node_id: UUID, score: int, days_ago: float) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO fleet.reputation_steps VALUES (:id, :at, :score, 1, '{}')"),
            {"id": node_id, "at": NOW - days_ago * DAY, "score": score},
        )


def test_a_score_is_low_since_it_last_fell_below_the_bound(engine: Engine, fleet: list[UUID]) -> None:
    send(engine, fleet, 900)
    low = add_node(engine, 9, NodeStatus.PAUSED)
    age(engine)
    for score, days_ago in ((80, 60), (10, 50), (12, 40)):
        step(engine, low, score, days_ago)
    assert told(engine) == [("retire", "node-009")]
    assert "below 20 since 2026-10-05" in one_of(engine, SavingKind.RETIRE).reason
    step(engine, low, 25, 35)
    step(engine, low, 5, 29)
    assert told(engine) == []


def test_an_oversized_node_is_downsized_by_its_own_peaks(engine: Engine, fleet: list[UUID]) -> None:
    big = add_node(engine, 9, NodeStatus.ACTIVE)
    put_on(engine, big, "ssd-2")
    age(engine, days=50)
    speak(engine, [big], cpu=20, memory=25)
    send(engine, fleet, 500)
    send(engine, [big], 600)
    one = one_of(engine, SavingKind.DOWNSIZE)
    assert (one.label, one.plan, one.to_plan, one.saving_usd) == ("node-009", "ssd-2", "ssd-1", Decimal("7.30"))
    assert "600 messages in the busiest hour of 14 days are 60% of its 1,000, CPU 40%, memory 50%" in one.reason
    assert (one.before.capacity_per_day, one.after.capacity_per_day) == (168_000, 144_000)
    speak(engine, [add_node(engine, 10)], cpu=99)  # another node's CPU is not its own
    assert [each.label for each in found(engine).recommendations] == ["node-009"]
    with engine.begin() as connection:
        connection.execute(text("UPDATE fleet.node_windows SET cpu_percent = 31 WHERE node_id = :id"), {"id": big})
    assert told(engine) == []


def test_what_another_action_works_on_is_left_alone(engine: Engine, fleet: list[UUID]) -> None:
    use(engine, fleet[1:])
    plan(engine, fleet[:1], ActionKind.RESIZE)
    assert told(engine) == []


def test_orphans_are_priced_by_the_last_listing(engine: Engine, fleet: list[UUID]) -> None:
    send(engine, fleet, 900)
    seen = SeenInstance("hw-99", "penguin-lost-12345678", "dallas", "ssd-2", "running", None, NOW - 9 * DAY, 1)
    with engine.begin() as connection:
        inventory.replace_listing(connection, [seen], NOW)
        inventory.save_drift(connection, [Drift(DriftKind.ORPHAN, None, "hw-99", "test")], NOW - 2 * DAY)
    one = one_of(engine, SavingKind.ORPHAN)
    assert (one.label, one.saving_usd) == ("penguin-lost-12345678", Decimal("14.60") + Decimal("4.99"))
    assert one.before.monthly_usd == Decimal("36.50") + one.saving_usd
    with engine.begin() as connection:
        inventory.resolve_orphans(connection, ["hw-99"], NOW)
    assert told(engine) == []


def test_a_ghost_costs_nothing(engine: Engine, fleet: list[UUID]) -> None:
    send(engine, fleet, 900)
    with engine.begin() as connection:
        inventory.save_drift(connection, [Drift(DriftKind.GHOST, fleet[0], "hw-1", "test")], NOW)
    assert found(engine).before.monthly_usd == Decimal("29.20")


def test_without_a_price_list_nothing_is_told_and_it_is_said_why(engine: Engine) -> None:
    add_nodes(engine, 5, NodeStatus.ACTIVE)
    plan_now = found(engine)
    assert plan_now.recommendations == ()
    assert plan_now.notes[0].startswith("no price is known of ssd-1")
    assert plan_now.notes[1].startswith("no capacity is given up")


def test_rows_stand_in_the_order_of_the_tables_columns(engine: Engine, fleet: list[UUID]) -> None:
    use(engine, fleet[1:])
    (row,) = saving_rows(found(engine), {}, NOW)
    shown = dict(zip((column.name for column in cost_optimisation.columns), row, strict=True))
    one = one_of(engine, SavingKind.RETIRE)
    assert (shown["id"], shown["kind"], shown["label"]) == (one.id, "retire", "node-001")
    assert (shown["saving_monthly_usd"], shown["cost_after_monthly_usd"]) == (Decimal("7.30"), Decimal("29.20"))
    assert (shown["capacity_before_per_day"], shown["capacity_after_per_day"]) == (120_000, 96_000)
    assert (shown["command"], shown["action_id"]) == (one.command, None)
