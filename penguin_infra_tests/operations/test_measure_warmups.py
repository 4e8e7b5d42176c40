"""The minute's look at warm-ups: begun where none is, written down, wanted while fresh, and told where stuck."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Engine, text

from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.warmup_curves import WarmupCurve
from penguin_infra.operations.begin_warmups import WarmupRules, begin_warmup_of, plan_for
from penguin_infra.operations.measure_warmups import WarmupReport, measure_warmups
from penguin_infra.operations.want_warmups import want_warmups
from penguin_infra.store.alerts import list_alerts
from penguin_infra.store.plan_prices import PlanPrice, save_prices
from penguin_infra.store.warmup_progress import read_progress
from penguin_infra.store.warmups import read_states
from penguin_infra_tests.fleets import NOW, add_node, add_nodes
from penguin_infra_tests.warmups import add_day, stand_at, state_of

RULES = WarmupRules()
DAY = timedelta(days=1)


def measure(engine: Engine, now: datetime = NOW) -> WarmupReport:
    return measure_warmups(engine, RULES, now=now)


def progress(engine: Engine, node_id: UUID) -> object:
    with engine.connect() as connection:
        (row,) = read_progress(connection, [node_id])
        return row.decision, row.stage, row.daily, row.next_daily, row.planned_daily, row.is_step


def wanted(engine: Engine, now: datetime = NOW) -> list[UUID]:
    with engine.connect() as connection:
        return [action.node_id for action in want_warmups(connection, now)]


def forget_warmups(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM fleet.node_warmups"))


def test_a_node_follows_the_curve_to_what_its_plan_delivers(engine: Engine) -> None:
    node_id = add_node(engine, status=NodeStatus.PROVISIONING)
    price = PlanPrice("ssd-1", 2, 2048, 50, 2000, Decimal(10), Decimal("0.02"))
    with engine.begin() as connection:
        save_prices(connection, [price], NOW)
        assert begin_warmup_of(connection, node_id, "ssd-1", rules=RULES, now=NOW).daily == 50
    curve = WarmupCurve("short", (10, 20))
    assert plan_for(curve, {"ssd-1": 15}, "ssd-1").dailies == (10, 15)
    assert plan_for(curve, {}, "ssd-1").full_daily == 20
    assert plan_for(curve, {}, "ssd-1", earned_daily=30).full_daily == 30


def test_nodes_from_before_warm_ups_begin_at_the_first_stage_and_active_ones_keep_all_they_have(engine: Engine) -> None:
    warming, active = add_node(engine, 1), add_node(engine, 2, NodeStatus.ACTIVE)
    paused = add_node(engine, 3, NodeStatus.PAUSED)
    forget_warmups(engine)
    assert measure(engine).begun == 2
    assert measure(engine, NOW + DAY / 24).begun == 0
    assert (state_of(engine, warming).daily, state_of(engine, warming).since_at) == (50, NOW)
    assert state_of(engine, active).daily == RULES.curve.stages[-1]
    with engine.connect() as connection:
        assert paused not in read_states(connection)
        finished = connection.execute(text("SELECT node_id FROM fleet.node_warmups WHERE finished_at IS NOT NULL"))
        assert finished.scalars().all() == [active]


def test_a_stage_that_is_earned_is_written_down_and_wanted(engine: Engine) -> None:
    node_id = add_node(engine)
    stand_at(engine, node_id, 50, NOW - DAY, begun_at=NOW - 3 * DAY)
    add_day(engine, node_id, sent=2)
    report = measure(engine)
    assert (len(report.judged), len(report.progress)) == (1, 1)
    assert progress(engine, node_id) == ("advance", 1, 50, 100, 500, True)
    with engine.connect() as connection:
        (action,) = want_warmups(connection, NOW)
    assert (action.kind, action.requested_by) == ("advance_warmup", "policy:advance_warmup")
    assert action.evidence == {"decision": "advance", "from": 50, "to": 100, "stage": 1}
    assert "50 messages a day were delivered: it goes on to 100" in action.reason


def test_a_node_that_holds_wants_nothing(engine: Engine) -> None:
    node_id = add_node(engine)
    stand_at(engine, node_id, 50, NOW - DAY)
    add_day(engine, node_id, hours=3, sent=2)
    measure(engine)
    assert progress(engine, node_id) == ("hold", 1, 50, 50, 100, False)
    assert wanted(engine) == []


def test_what_was_measured_long_ago_or_of_a_paused_node_wants_nothing(engine: Engine) -> None:
    node_id = add_node(engine)
    stand_at(engine, node_id, 50, NOW - DAY)
    add_day(engine, node_id, sent=2)
    measure(engine)
    assert wanted(engine, NOW + timedelta(minutes=10)) == [node_id]
    assert wanted(engine, NOW + timedelta(minutes=11)) == []
    with engine.begin() as connection:
        connection.execute(text("UPDATE fleet.sending_nodes SET status = 'paused'"))
    assert wanted(engine) == []


def test_steps_back_come_before_all_others(engine: Engine) -> None:
    good, bad = add_nodes(engine, 2)
    for node_id in (good, bad):
        stand_at(engine, node_id, 100, NOW - DAY)
    add_day(engine, good, sent=5)
    add_day(engine, bad, sent=5, hard_bounces=5)
    measure(engine)
    with engine.connect() as connection:
        found = sorted(want_warmups(connection, NOW), key=lambda action: action.urgency)
    assert [(one.node_id, one.evidence["decision"]) for one in found] == [(bad, "step_back"), (good, "advance")]
    assert found[0].urgency < found[1].urgency


def test_a_provider_that_alone_is_in_trouble_is_a_step_of_a_node_that_holds(engine: Engine) -> None:
    node_id = add_node(engine)
    stand_at(engine, node_id, 1_000, NOW - DAY / 2)
    add_day(engine, node_id, hours=12, sent=20)
    add_day(engine, node_id, hours=12, provider="yahoo", sent=10, hard_bounces=10)
    measure(engine)
    assert progress(engine, node_id) == ("hold", 5, 1_000, 1_000, 50, True)
    assert wanted(engine) == [node_id]


def test_a_new_measurement_takes_the_last_ones_place(engine: Engine) -> None:
    first, second = add_nodes(engine, 2)
    measure(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE fleet.sending_nodes SET status = 'decommissioned' WHERE id = :n"), {"n": first})
    measure(engine)
    with engine.connect() as connection:
        assert [row.node_id for row in read_progress(connection)] == [second]


def test_an_active_node_is_judged_for_going_cold_alone(engine: Engine) -> None:
    silent, bouncing = add_node(engine, 1, NodeStatus.ACTIVE), add_node(engine, 2, NodeStatus.ACTIVE)
    for node_id in (silent, bouncing):
        stand_at(engine, node_id, 55_000, NOW - 40 * DAY, is_finished=True)
    add_day(engine, silent, until_at=NOW - 30 * DAY, hours=1, sent=9)
    add_day(engine, bouncing, sent=9, hard_bounces=900)
    assert [each.subject.node_id for each in measure(engine).judged] == [silent]
    assert wanted(engine) == [silent]
    assert progress(engine, silent) == ("restart", 14, 55_000, 50, 55_000, True)


def test_a_node_that_is_stuck_is_told_once_and_its_alert_ends_by_itself(engine: Engine) -> None:
    node_id = add_node(engine)
    stand_at(engine, node_id, 50, NOW - 10 * DAY)
    assert measure(engine).opened_alerts == 1
    assert measure(engine).opened_alerts == 0
    with engine.connect() as connection:
        (alert,) = list_alerts(connection)
    assert (alert.rule, alert.severity, alert.node_id, alert.subject) == ("warmup_stuck", "low", node_id, "node-001")
    assert "for 10 days" in alert.summary
    assert "0 of 50 messages were delivered" in alert.summary
    assert wanted(engine) == []
    add_day(engine, node_id, sent=3)
    assert measure(engine).resolved_alerts == 1
