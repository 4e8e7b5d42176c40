"""Demand by the hour: every node's deliveries, late ones too, what waits, and what was refused, which no count ends."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.node import NodeStatus
from penguin_infra.gateway.shapes import BATCHES
from penguin_infra.store import demand
from penguin_infra.store.telemetry import write_batches
from penguin_infra_tests.fleets import NOW, add_node, add_nodes
from penguin_infra_tests.gateway.conftest import batch
from penguin_infra_tests.loads import deliver, heartbeat
from penguin_infra_tests.store.test_telemetry import run

HOUR = timedelta(hours=1)


def count(engine: Engine, now: Any = NOW) -> None:
    with engine.begin() as connection:
        demand.count_hours(connection, now)


def rows(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        query = text("SELECT hour_at, region, ended, refused, queue_depth FROM fleet.demand_hours ORDER BY 1, 2")
        return [tuple(row) for row in connection.execute(query)]


def refuse(engine: Engine, messages: int, at: Any = NOW) -> None:
    with engine.begin() as connection:
        demand.add_refused(connection, region="dallas", messages=messages, at=at)


def test_whatever_took_capacity_ended_and_deferrals_did_not(engine: Engine) -> None:
    node_id = add_node(engine)
    deliver(
        engine, node_id, NOW - HOUR, 100, hard_bounces=1, soft_bounces=2, policy_rejections=4, expired=8, deferrals=99
    )
    count(engine)
    assert rows(engine) == [(NOW - HOUR, "dallas", 115, 0, None)]


def test_what_a_node_sent_that_is_gone_was_demand(engine: Engine) -> None:
    deliver(engine, add_node(engine, 1, NodeStatus.DECOMMISSIONED), NOW, 100)
    deliver(engine, add_node(engine, 2, NodeStatus.PAUSED), NOW, 10)
    count(engine)
    assert rows(engine) == [(NOW, "dallas", 110, 0, None)]


def test_what_was_refused_outlasts_every_count(engine: Engine) -> None:
    node_id = add_node(engine)
    refuse(engine, 70)
    refuse(engine, 7)
    deliver(engine, node_id, NOW, 100)
    count(engine)
    count(engine)
    assert rows(engine) == [(NOW, "dallas", 100, 77, None)]


def test_what_waits_is_noted_at_the_present_hour_by_those_who_speak(engine: Engine) -> None:
    told, silent, blind = add_nodes(engine, 3)
    heartbeat(engine, told, NOW - timedelta(minutes=1), active=10, deferred=5)
    heartbeat(engine, silent, NOW - timedelta(minutes=11), active=900)
    heartbeat(engine, blind, NOW, active=None, deferred=None)
    count(engine)
    assert rows(engine) == [(NOW, "dallas", 0, 0, 15)]


def test_where_nobody_tells_of_a_queue_none_is_made_up(engine: Engine) -> None:
    heartbeat(engine, add_node(engine), NOW, active=None, deferred=None)
    count(engine)
    assert rows(engine) == []


def test_the_first_count_tells_the_whole_past(engine: Engine) -> None:
    node_id = add_node(engine)
    deliver(engine, node_id, NOW - timedelta(days=60), 5)
    count(engine)
    assert rows(engine) == [(NOW - timedelta(days=60), "dallas", 5, 0, None)]


@pytest.mark.parametrize("hours_ago", [0, 1, 3, 40, 160])
def test_mail_that_an_agent_tells_of_late_is_in_the_next_count(engine: Engine, hours_ago: int) -> None:
    node_id, now = add_node(engine), datetime.now(UTC)
    deliver(engine, node_id, demand.hour_of(now), 1)
    count(engine, now)
    hour_at = demand.hour_of(now) - hours_ago * HOUR
    told = batch(node_id, counts=[delivered(hour_at)])
    run(engine, lambda connection: write_batches(connection, [BATCHES.decode(json.dumps(told))]))
    count(engine, now)
    assert (hour_at, 6 if hours_ago == 0 else 5) in [(row[0], row[2]) for row in rows(engine)]
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM fleet.late_hours")) == 0


def delivered(hour_at: datetime) -> dict[str, Any]:
    return {"bucket_at": hour_at.isoformat(), "mailbox_provider": "gmail", "result": "sent", "messages": 5}


def test_hours_in_which_nobody_measured_are_made_up_for(engine: Engine) -> None:
    node_id = add_node(engine)
    deliver(engine, node_id, NOW - 30 * HOUR, 1)
    count(engine, NOW - 30 * HOUR)
    for hours in (29, 10, 2):
        deliver(engine, node_id, NOW - hours * HOUR, 5)
    count(engine, NOW + timedelta(minutes=50))
    assert [row[2] for row in rows(engine)] == [1, 5, 5, 5]


def test_the_refused_of_a_day_are_told_by_region(engine: Engine) -> None:
    refuse(engine, 7, NOW - 30 * HOUR)
    refuse(engine, 70)
    with engine.connect() as connection:
        assert demand.refused_by_region(connection, NOW - 23 * HOUR) == {"dallas": 70}
