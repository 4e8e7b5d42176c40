"""Capacity measured: what nodes can send by plan and warm-up, what is asked of them, what is ahead; and its alerts."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, text

from penguin_infra.domain.forecast import Forecast, NoForecast
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.warmup_state import WarmupState
from penguin_infra.store import demand, warmups
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, list_address
from penguin_infra_tests.loads import SSD_1_PER_DAY, busy, deliver, heartbeat, know_prices, measure

HOUR = timedelta(hours=1)
NOON = NOW + timedelta(minutes=30)


def rows(engine: Engine) -> dict[UUID, Any]:
    with engine.connect() as connection:
        return {row.node_id: row for row in connection.execute(text("SELECT * FROM fleet.capacity_utilisation"))}


def earn(engine: Engine, node_id: UUID, daily: int) -> None:
    with engine.begin() as connection:
        warmups.save_state(connection, node_id, WarmupState("cautious", daily, NOW), NOW)


def open_alerts(engine: Engine) -> dict[tuple[str, str], str]:
    with engine.connect() as connection:
        query = text("SELECT rule, subject, severity, evidence FROM fleet.alerts WHERE resolved_at IS NULL")
        return {(row.rule, row.subject): row.severity for row in connection.execute(query)}


def test_a_node_can_send_what_plan_and_warm_up_allow_and_nothing_out_of_service(engine: Engine) -> None:
    know_prices(engine)
    active, paused, gone = (
        add_node(engine, number, status)
        for number, status in enumerate([NodeStatus.ACTIVE, NodeStatus.PAUSED, NodeStatus.DECOMMISSIONED], 1)
    )
    warming, fresh = add_node(engine, 4), add_node(engine, 5)
    earn(engine, active, 1_000)
    earn(engine, warming, 1_000)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM fleet.node_warmups WHERE node_id = :id"), {"id": fresh})
    report = measure(engine)
    found = rows(engine)
    assert gone not in found
    assert {node_id: (row.allowance_per_day, row.capacity_per_day) for node_id, row in found.items()} == {
        active: (None, SSD_1_PER_DAY), paused: (None, 0), warming: (1_000, 1_000), fresh: (0, 0),
    }  # fmt: skip
    assert {row.plan_per_day for row in found.values()} == {SSD_1_PER_DAY}
    assert report.system.capacity == SSD_1_PER_DAY + 1_000
    assert not found[paused].is_in_rotation


def test_load_is_of_the_last_day_and_counts_what_waits_more_than_a_day_ago(engine: Engine) -> None:
    know_prices(engine)
    node_id = add_node(engine, 1, NodeStatus.ACTIVE)
    # Of the hour that begins more than a day ago the half is within; so it is of the last hour.
    for hours_ago, sent in {25: 7_000, 24: 100, 10: 3_000, 1: 60, 0: 9}.items():
        deliver(engine, node_id, NOW - hours_ago * HOUR, sent)
    day_ago = NOON - timedelta(days=1, minutes=10)
    heartbeat(engine, node_id, day_ago, active=100, deferred=0)
    measure(engine, day_ago + timedelta(minutes=10))
    heartbeat(engine, node_id, NOON, active=350, deferred=50)
    report = measure(engine, NOON)
    row = rows(engine)[node_id]
    assert (row.ended_last_day, row.ended_last_hour) == (50 + 3_000 + 60 + 9, 30 + 9)
    assert (row.queue_depth, row.queue_growth) == (400, 300)
    assert row.demand_share == (3_119 + 300) / SSD_1_PER_DAY
    assert str(report.system).startswith("5.7% (demand 3,419 = 3,119 ended + 300 queued + 0 refused;")


def test_a_node_that_is_silent_has_no_figures_and_no_growth(engine: Engine) -> None:
    know_prices(engine)
    node_id = add_node(engine)
    heartbeat(engine, node_id, NOW - timedelta(minutes=11), active=900)
    measure(engine)
    row = rows(engine)[node_id]
    assert (row.queue_depth, row.cpu_percent, row.queue_growth) == (None, None, 0)


def test_what_was_refused_and_what_gone_nodes_sent_count_with_their_region(engine: Engine) -> None:
    know_prices(engine)
    add_node(engine, 1, NodeStatus.ACTIVE)
    deliver(engine, add_node(engine, 2, NodeStatus.DECOMMISSIONED), NOW - HOUR, 500)
    with engine.begin() as connection:
        demand.add_refused(connection, region="dallas", messages=40, at=NOW)
        demand.add_refused(connection, region="dallas", messages=9, at=NOW - timedelta(hours=25))
    report = measure(engine)
    assert report.regions.keys() == {"dallas"}
    assert report.regions["dallas"].load.demand == report.system.load.demand == 540
    assert [node.facts.label for node in report.nodes] == ["node-001"]


def test_each_measurement_takes_the_last_ones_place(engine: Engine) -> None:
    node_id = add_node(engine)
    measure(engine)
    measure(engine, NOON)
    assert [row.measured_at for row in rows(engine).values()] == [NOON]
    with engine.begin() as connection:
        connection.execute(text("UPDATE fleet.sending_nodes SET status = 'decommissioned' WHERE id = :id"),
                           {"id": node_id})  # fmt: skip
    measure(engine, NOON)
    assert rows(engine) == {}


def test_without_a_price_list_nothing_is_forecast_and_no_plan_is_known(engine: Engine) -> None:
    node_id = add_node(engine, 1, NodeStatus.ACTIVE)
    report = measure(engine)
    assert isinstance(report.forecast, NoForecast)
    assert (report.figures, report.days_until_trigger, report.has_prices) == (None, None, False)
    assert report.unknown_plans == ("ssd-1",)
    assert rows(engine)[node_id].plan_per_day is None


def test_growth_that_goes_on_is_seen_days_before_it_fills_the_fleet(engine: Engine) -> None:
    know_prices(engine)
    node_id = add_node(engine, 1, NodeStatus.ACTIVE)
    midnight = NOW.replace(hour=0)
    for day in range(35):
        for hour in range(24):
            deliver(engine, node_id, midnight - timedelta(days=day + 1, hours=-hour), 1_900 - 20 * day)
    for hour in range(13):
        deliver(engine, node_id, midnight + timedelta(hours=hour), 1_920)
    report = measure(engine)
    assert isinstance(report.forecast, Forecast)
    assert report.forecast.typical_error < 100
    # A day's 24 h of 20 more: 480 a day, from 45,960 to 48,000 (80 % of 60,000).
    assert report.days_until_trigger in {4, 5}


def test_a_cpu_that_is_busy_for_a_quarter_of_an_hour_is_told_and_stays_until_it_calms_down(engine: Engine) -> None:
    node_id, other = add_nodes(engine, 2)
    busy(engine, node_id, 90)
    busy(engine, other, 84)
    assert measure(engine).opened_alerts == 1
    assert open_alerts(engine) == {("cpu_high", "node-001"): "low"}
    later = NOW + timedelta(minutes=15)
    busy(engine, node_id, 82, until=later)
    busy(engine, other, 82, until=later)
    measure(engine, later)
    assert open_alerts(engine).keys() == {("cpu_high", "node-001")}
    # Silence for longer than anything is known: neither good nor bad.
    measure(engine, later + timedelta(hours=3))
    assert open_alerts(engine).keys() == {("cpu_high", "node-001")}
    calm = later + timedelta(hours=4)
    busy(engine, node_id, 79, until=calm)
    measure(engine, calm)
    assert open_alerts(engine) == {}


def test_a_rotation_below_its_floor_calls_a_person_until_it_carries_the_demand_again(engine: Engine) -> None:
    know_prices(engine)
    sending, listed = add_node(engine, 1, NodeStatus.ACTIVE), add_node(engine, 2, NodeStatus.ACTIVE)
    for hours_ago in range(1, 31):
        deliver(engine, sending, NOW - hours_ago * HOUR, 2_500)
        deliver(engine, listed, NOW - hours_ago * HOUR, 2_500)
    measure(engine)
    assert open_alerts(engine) == {}
    list_address(engine, listed, 2)
    measure(engine)
    assert open_alerts(engine) == {("capacity_floor", "fleet"): "high"}
    with engine.begin() as connection:
        summary = connection.scalar(text("SELECT summary FROM fleet.alerts"))
        connection.execute(text("UPDATE fleet.ip_blacklist_events SET delisted_at = :now"), {"now": NOW})
    assert "can send 60,000 < 84,000 messages a day (70% of the present demand of 120,000" in str(summary)
    measure(engine)
    assert open_alerts(engine) == {}


def test_without_prices_no_floor_is_judged(engine: Engine) -> None:
    node_id = add_node(engine)
    for hours_ago in range(1, 31):
        deliver(engine, node_id, NOW - hours_ago * HOUR, 2_500)
    measure(engine)
    assert open_alerts(engine) == {}
