"""Health is recorded when it changes, and an observer that sleeps makes nobody ill."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.heartbeat import Health, SilenceLimits
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.operations.judge_health import judge_health
from penguin_infra.store import health, nodes
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, rotation
from penguin_infra_tests.pulses import SERVED, beat, tick


def recorded(engine: Engine) -> dict[UUID, tuple[str, str | None]]:
    with engine.connect() as connection:
        return {node.node_id: (node.health, node.health_reason) for node in health.node_health(connection)}


def healths(engine: Engine) -> list[str]:
    return [value for value, _ in recorded(engine).values()]


def test_each_node_is_recorded_as_its_heartbeats_say(engine: Engine) -> None:
    well, ill, silent, _mute = add_nodes(engine, 4)
    gone = add_node(engine, 5, NodeStatus.DECOMMISSIONED)
    tick(engine)
    beat(engine, [well])
    beat(engine, [ill], mta_state="down")
    beat(engine, [silent, gone], silent_seconds=91)
    report = judge_health(engine, now=NOW)
    assert healths(engine) == ["healthy", "unhealthy", "unhealthy", "unknown"]
    assert "MTA is down" in str(recorded(engine)[ill][1])
    assert "silent" in str(recorded(engine)[silent][1])
    assert (report.speaking_count, report.silent_count) == (3, 1)
    assert rotation(engine) == {well, _mute}


def test_only_changes_are_written_and_each_makes_one_event(engine: Engine) -> None:
    node_id = add_node(engine)
    tick(engine)
    for minute, silent_seconds in enumerate([5, 5, 200, 260, 5]):
        beat(engine, [node_id], silent_seconds=silent_seconds)
        at = NOW + timedelta(seconds=10 * minute)
        assert judge_health(engine, now=at).changed_count == (minute in {0, 2, 4})
    with engine.connect() as connection:
        events = health.health_events(connection, node_id)
        (node,) = health.node_health(connection)
    assert [event.health for event in events] == ["healthy", "unhealthy", "healthy"]
    assert node.health_since == events[0].happened_at == NOW + timedelta(seconds=40)


def test_a_fault_that_turns_into_another_is_told_and_is_no_second_fall(engine: Engine) -> None:
    node_id = add_node(engine)
    tick(engine)
    beat(engine, [node_id], silent_seconds=100)
    judge_health(engine, now=NOW)
    beat(engine, [node_id], mta_state="down")
    later = NOW + timedelta(seconds=30)
    assert judge_health(engine, now=later).changed_count == 1
    with engine.connect() as connection:
        (node,) = health.node_health(connection)
        assert health.falls_since(connection, NOW - timedelta(hours=1)) == {node_id: 1}
    assert (node.health_since, "MTA" in str(node.health_reason)) == (NOW, True)


def test_the_registry_keeps_when_a_node_was_last_heard(engine: Engine) -> None:
    node_id = add_node(engine)
    tick(engine)
    beat(engine, [node_id], at=NOW - timedelta(seconds=7))
    judge_health(engine, now=NOW)
    with engine.connect() as connection:
        found = connection.scalar(text("SELECT last_heartbeat FROM fleet.sending_nodes"))
    assert found == NOW - timedelta(seconds=7)


def test_an_hour_without_a_gateway_makes_no_node_unhealthy(engine: Engine) -> None:
    node_ids = add_nodes(engine, 5)
    tick(engine)
    beat(engine, node_ids)
    judge_health(engine, now=NOW)
    an_hour_later = NOW + timedelta(hours=1)
    report = judge_health(engine, now=an_hour_later)
    assert (report.is_observer_alive, report.changed_count) == (False, 0)
    # It is back, and the nodes have not spoken to it yet.
    tick(engine, served_seconds=SERVED + 2, at=an_hour_later)
    assert judge_health(engine, now=an_hour_later).is_observer_alive
    assert healths(engine) == ["healthy"] * 5
    assert rotation(engine) == set(node_ids)


def test_while_the_observer_sleeps_the_record_stays_as_it_was(engine: Engine) -> None:
    node_id = add_node(engine)
    tick(engine)
    beat(engine, [node_id])
    judge_health(engine, now=NOW)
    # Whatever the tables say now: nobody vouches for it.
    beat(engine, [node_id], silent_seconds=500)
    report = judge_health(engine, now=NOW + timedelta(seconds=61))
    assert [verdict.health for _, verdict in report.nodes] == [Health.HEALTHY]
    assert healths(engine) == ["healthy"]


def test_while_the_observer_sleeps_nothing_at_all_is_written(engine: Engine) -> None:
    node_id = add_node(engine)
    tick(engine)
    beat(engine, [node_id])
    assert judge_health(engine, now=NOW + timedelta(seconds=61)).changed_count == 0
    with engine.connect() as connection:
        row = connection.execute(text("SELECT health_reason, last_heartbeat FROM fleet.sending_nodes")).one()
    assert tuple(row) == (None, None)


def test_a_silent_node_leaves_the_rotation_though_no_daemon_judges_it(engine: Engine) -> None:
    well, silent = add_nodes(engine, 2)
    tick(engine)
    beat(engine, [well, silent])
    assert rotation(engine) == {well, silent}
    tick(engine, served_seconds=SERVED + 60)
    beat(engine, [well])
    assert rotation(engine) == {well, silent}
    tick(engine, served_seconds=SERVED + 86)
    assert rotation(engine) == {well}
    assert healths(engine) == ["unknown", "unknown"]


def test_a_node_whose_mta_is_down_leaves_the_rotation_and_comes_back_with_it(engine: Engine) -> None:
    node_id = add_node(engine)
    tick(engine)
    beat(engine, [node_id], mta_state="down")
    assert rotation(engine) == set()
    beat(engine, [node_id])
    assert rotation(engine) == {node_id}


@pytest.mark.parametrize(("silent", "are_many"), [(3, False), (4, True)])
def test_many_are_silent_from_more_than_thirty_percent_on(engine: Engine, silent: int, are_many: bool) -> None:
    node_ids = add_nodes(engine, 10)
    resting = add_node(engine, 11, NodeStatus.MAINTENANCE)
    tick(engine)
    beat(engine, node_ids)
    beat(engine, [*node_ids[:silent], resting], silent_seconds=120)
    assert judge_health(engine, now=NOW).are_many_silent(SilenceLimits()) is are_many


def test_falls_count_within_the_span_and_since_the_node_last_changed_its_status(engine: Engine) -> None:
    node_id = add_node(engine)
    tick(engine)
    for minute in (-70, -40, -20, -5):
        beat(engine, [node_id])
        at = NOW + timedelta(minutes=minute)
        tick(engine, at=at)
        judge_health(engine, now=at)
        beat(engine, [node_id], silent_seconds=100)
        judge_health(engine, now=at)
    with engine.begin() as connection:
        assert health.falls_since(connection, NOW - timedelta(hours=1)) == {node_id: 3}
        event = NodeEvent.MAINTENANCE_BEGUN
        at = NOW - timedelta(minutes=10)
        nodes.apply_event(connection, node_id, event, reason="test", requested_by="person:test", now=at)
        assert health.falls_since(connection, NOW - timedelta(hours=1)) == {node_id: 1}
